//! The score's second moments, which Analytic-DPM samplers need.

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{
    NoiseSource as _, Philox,
    grid::Grid,
    loss::{Dsm, corrupt},
    noise::stream,
    schedule::Schedule,
    variance::ScoreMoments,
};
use langevin_nn::Constant;

use super::{
    code::Code,
    guided::c_noise,
    prior::MOMENTS,
    train_prior::{CODE, VALIDATION_SEED},
    vectors::Vectors,
};
use crate::model::{Conditions, PriorNet};

/// Levels at which the moments are estimated, and the training vectors used at each.
const LEVELS: usize = 64;
const ROWS: usize = 512;

/// The moments of a network's score over training vectors with their conditions; `None` where the schedule allows no grid.
pub(super) fn estimate(model: &PriorNet, dsm: &Dsm, schedule: &dyn Schedule, train: &Vectors, device: &Device) -> Option<Constant> {
    let (least, most) = schedule.span();
    // Levels even in lambda; where an end is infinitely far, even in time, without the ends.
    let finite = [least, most].iter().all(|&t| schedule.level(t).lambda().is_finite());
    let grid = if finite { Grid::Lambda { sigma_min: None, sigma_max: None } } else { Grid::Linear {} };
    let mut levels = grid.levels(schedule, LEVELS).ok()?;
    levels.retain(|at| !at.is_clean() && at.alpha > 0.0);
    levels.reverse();
    let mut moments = ScoreMoments::new(levels.clone()).ok()?;
    let noise = Philox::new(VALIDATION_SEED);
    let count = ROWS.min(train.vectors.len());
    let chosen: Vec<usize> = (0..count).map(|k| k * train.vectors.len() / count).collect();
    let x0: Vec<f32> = chosen.iter().flat_map(|&k| train.vectors[k].iter().copied()).collect();
    let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v.clone(), [count, v.len() / count.max(1)]), device);
    let normals = |width: usize, node: u32, stream: u32| {
        let mut normals = vec![0f32; count * width];
        for (row, normals) in normals.chunks_mut(width).enumerate() {
            noise.fill(row as u32, node, stream, normals);
        }
        tensor(normals)
    };
    let mut x0 = tensor(x0);
    if let Some(vae) = model.vae() {
        let latent = vae.latent();
        x0 = Code::new(vae, x0, normals(latent, 0, CODE)).z;
    }
    let width = x0.dims()[1];
    let conditions = Conditions {
        labels: chosen.iter().map(|&k| Some(train.conditions[k].0)).collect(),
        speakers: chosen.iter().map(|&k| Some(train.conditions[k].1)).collect(),
    };
    for (i, &at) in levels.iter().enumerate() {
        let each = vec![at; count];
        let x = corrupt(x0.clone(), normals(width, i as u32, stream::DATA), &each);
        let raw = model.forward(dsm.inputs(x.clone(), &each), &vec![c_noise(at); count], &conditions).narrow(1, 0, width);
        let estimate = dsm.estimates(x.clone(), raw, &each);
        // eps = (x - alpha D) / sigma.
        let eps = (x - estimate.mul_scalar(at.alpha)).div_scalar(at.sigma);
        moments.add(i, &eps.into_data().iter::<f64>().collect::<Vec<_>>());
    }
    let rows = moments.to_rows();
    Some(Constant { name: MOMENTS.to_owned(), shape: vec![rows.len(), 3], values: rows.iter().flatten().map(|v| *v as f32).collect() })
}
