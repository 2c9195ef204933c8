use langevin_nn::weights;

use super::*;
use crate::{
    Frame,
    data::PoolConfig,
    data::stand_in::{Interpolation, waves},
};

fn small() -> ResidualConfig {
    ResidualConfig {
        window: 24,
        width: 16,
        hidden: 16,
        state_width: 16,
        state_hidden: 16,
        heads: 4,
        blocks: 2,
        condition: 16,
        ..Default::default()
    }
}

fn pool(seed: u64, frames: Vec<Frame>) -> Pool {
    Pool::new(PoolConfig { seed, masks: 2, window: 24, columns: 4 }, &[frames], &Interpolation).unwrap()
}

fn task() -> ResidualTask {
    let frames = |first: u64| (first..first + 3).map(|seed| waves(120, 1 + seed as usize % 3, seed)).collect();
    ResidualTask::new(&small(), 1, [8, 4], pool(1, frames(1)), &pool(2, frames(11)), 6).unwrap()
}

/// Scores of a model, divided by the number of rows.
fn scores(task: &ResidualTask, model: &ResidualNet) -> Vec<f64> {
    let rows = task.validation_rows();
    let parts: Vec<Vec<f64>> = (0..rows / 8).map(|k| task.validate(model, 8 * k..8 * k + 8, &Device::flex())).collect();
    (0..2).map(|k| parts.iter().map(|part| part[k]).sum::<f64>() / f64::from(rows)).collect()
}

#[test]
fn an_untrained_network_scores_as_the_anchor() {
    let task = task();
    assert_eq!((task.len(), task.validation_rows()), ((6, 6), 24));
    let scores = scores(&task, &task.init(1, &Device::flex()));
    assert!((scores[0] - 1.0).abs() < 1e-4, "{scores:?}");
    assert!((scores[1] - 1.0).abs() < 0.03, "{scores:?}");
}

/// Plain steps along the gradient of one batch: what is to be learned is there, and the network finds it.
#[test]
fn a_small_set_is_learned() {
    let task = task();
    let device = Device::flex().autodiff();
    let mut model = task.init(1, &device);
    let mut moments: Vec<Vec<[f64; 2]>> = weights::export(&model).unwrap().iter().map(|w| vec![[0.0; 2]; w.len()]).collect();
    let loss_of =
        |model: &ResidualNet| (0..4).map(|step| f64::from(task.loss(model, step, 0..4, &device).into_scalar::<f32>())).sum::<f64>();
    let before = loss_of(&model);
    for step in 1..=150 {
        let loss = task.loss(&model, step % 4, 0..4, &device);
        let gradients = weights::take_gradients(&model, loss.backward()).unwrap();
        let mut values = weights::export(&model).unwrap();
        for ((values, gradients), moments) in values.iter_mut().zip(&gradients).zip(&mut moments) {
            for ((value, &gradient), [first, second]) in values.iter_mut().zip(gradients).zip(moments) {
                let g = f64::from(gradient);
                *first = 0.9 * *first + 0.1 * g;
                *second = 0.99 * *second + 0.01 * g * g;
                let (a, b) = (1.0 - 0.9f64.powi(step as i32), 1.0 - 0.99f64.powi(step as i32));
                *value -= (3e-3 * (*first / a) / ((*second / b).sqrt() + 1e-8)) as f32;
            }
        }
        model = weights::import(model, values);
    }
    let after = loss_of(&model);
    assert!(after < 0.6 * before, "{before} to {after}");
}

#[test]
fn threads_change_no_bit() {
    let task = task();
    let device = Device::flex().autodiff();
    let model = task.init(1, &device);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(|| {
            let loss = task.loss(&model, 3, 2..6, &device);
            weights::take_gradients(&model, loss.backward()).unwrap()
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_stopped_run_says_so_and_samples_are_zero_outside_holes() {
    let task = task();
    let device = Device::flex();
    let model = ResidualModel::new(&task.config, task.init(1, &device), &device).unwrap();
    let lesson = &task.valid[5];
    let context = model.encode(&[&lesson.window]);
    let run = model.run(&task.config.sampling).unwrap();
    let sample =
        |observe: &dyn Fn() -> ControlFlow<()>| model.sample(&context, SAMPLES, starts(1, lesson), &run, &Philox::new(1), observe).unwrap();
    assert!(sample(&|| ControlFlow::Break(())).is_break());
    let ControlFlow::Continue(samples) = sample(&|| ControlFlow::Continue(())) else { panic!("nobody stopped it") };
    let holes = lesson.window.holes();
    let zeros = samples.chunks(SAMPLES).filter(|token| token.iter().all(|&v| v == 0.0)).count();
    assert_eq!(zeros, lesson.known.len() - holes);
    // The untrained network gives the noise that it started from, nearly: the anchor's own normal error.
    let start = starts(1, lesson);
    let (mut ratio, mut count) = (0.0, 0.0);
    for (x, z) in samples.iter().zip(&start).filter(|(x, z)| **x != 0.0 && z.abs() > 0.1) {
        ratio += f64::from(x / z);
        count += 1.0;
    }
    assert!((ratio / count - 1.0).abs() < 0.03, "{}", ratio / count);
}
