use langevin_core::Philox;
use langevin_nn::{Init, Trainable as _, weights};

use super::*;
use crate::{data::stand_in::waves, model::csdi::Strategy, task::csdi::CsdiTask};

fn config(unconditional: bool) -> CsdiConfig {
    CsdiConfig {
        window: 12,
        columns: ["c0", "c1"].map(str::to_owned).to_vec(),
        layers: 2,
        channels: 8,
        heads: 2,
        diffusion_embedding: 16,
        time_embedding: 8,
        feature_embedding: 4,
        steps: 20,
        strategy: Strategy::Mix,
        unconditional,
        ..Default::default()
    }
}

fn task(config: &CsdiConfig) -> CsdiTask {
    let mut frames = [waves(60, 2, 1), waves(8, 2, 2)];
    frames[0].values[0][20..26].fill(f64::NAN);
    CsdiTask::new(config, 1, None, &frames, &[waves(40, 2, 3)], 4).unwrap()
}

/// A model whose network says something.
pub(in crate::task::csdi) fn model(unconditional: bool) -> CsdiModel {
    let (config, device) = (config(unconditional), Device::flex());
    let net = task(&config).init(1, &device);
    let mut values = weights::export(&net).unwrap();
    let place = weights::layout(&net).iter().position(|l| l.name == "diffmodel.output_projection2.weight").unwrap();
    Philox::new(8).fill(0, 0, 0, &mut values[place]);
    let net = weights::import(net, values);
    CsdiModel::new(&config, &task(&config).constants(), net, &device).unwrap()
}

fn window() -> Vec<Vec<f64>> {
    let mut window = waves(10, 2, 5).values;
    window[0][3..6].fill(f64::NAN);
    window[1][9] = f64::NAN;
    window
}

fn filled(model: &CsdiModel, samples: usize, method: &Method, noise: &dyn NoiseSource) -> Vec<Vec<Vec<f64>>> {
    match model.fill(&window(), samples, method, noise, &|| ControlFlow::Continue(())).unwrap() {
        ControlFlow::Continue(filled) => filled,
        ControlFlow::Break(()) => panic!("nobody stopped it"),
    }
}

/// Algorithm 2 of the paper, written as the published code has it: `alpha_hat = 1 - beta`, `alpha` its running product.
#[test]
fn the_published_sampler_by_its_definition() {
    let model = model(false);
    let ours = filled(&model, 1, &Method::Solver(model.published()), &Philox::new(6));
    let window = window();
    let [mean, deviation] = &model.scales;
    let z = |k: usize, row: usize| (window[k][row] - f64::from(mean[k])) / f64::from(deviation[k]);
    let given = |cell: usize| !window[cell / 10][cell % 10].is_nan();
    let roots: Vec<f64> = (0..20).map(|t| 1e-4f64.sqrt() + f64::from(t) / 19.0 * (0.5f64.sqrt() - 1e-4f64.sqrt())).collect();
    let beta: Vec<f64> = roots.iter().map(|r| r * r).collect();
    let alpha: Vec<f64> = beta
        .iter()
        .scan(1.0, |product, b| {
            Some({
                *product *= 1.0 - b;
                *product
            })
        })
        .collect();
    let normals = |node: u32, stream: u32| {
        let mut noise = vec![0f32; 20];
        Philox::new(6).fill(0, node, stream, &mut noise);
        noise.into_iter().map(f64::from).collect::<Vec<f64>>()
    };
    let tensor = |v: Vec<f64>| {
        Tensor::<4>::from_data(TensorData::new(v.into_iter().map(|v| v as f32).collect::<Vec<_>>(), [1, 2, 10, 1]), &model.device)
    };
    let mask = tensor((0..20).map(|cell| f64::from(u8::from(given(cell)))).collect());
    let known = tensor((0..20).map(|cell| if given(cell) { z(cell / 10, cell % 10) } else { 0.0 }).collect());
    let times: Vec<f64> = (0..10).map(f64::from).collect();
    let side = model.net.side(&model.config, &times, Some(mask), &model.device);
    let mut x: Vec<f64> = normals(0, stream::PRIOR).into_iter().map(|n| n * (1.0 - alpha[19]).sqrt()).collect();
    for t in (0..20).rev() {
        let shown = tensor(x.iter().enumerate().map(|(cell, x)| if given(cell) { 0.0 } else { *x }).collect());
        let said = model.net.forward(Tensor::cat(vec![known.clone(), shown], 3), &[t as f32], &side);
        let said: Vec<f64> = said.into_data().iter::<f64>().collect();
        let (first, second) = (1.0 / (1.0 - beta[t]).sqrt(), beta[t] / (1.0 - alpha[t]).sqrt());
        x.iter_mut().zip(said).for_each(|(x, eps)| *x = first * (*x - second * eps));
        if t > 0 {
            let sigma = ((1.0 - alpha[t - 1]) / (1.0 - alpha[t]) * beta[t]).sqrt();
            x.iter_mut().zip(normals(19 - t as u32, stream::STEP)).for_each(|(x, z)| *x += sigma * z);
        }
    }
    for cell in (0..20).filter(|&cell| !given(cell)) {
        let (k, row) = (cell / 10, cell % 10);
        let (theirs, ours) = (f64::from(mean[k]) + f64::from(deviation[k]) * x[cell], ours[0][k][row]);
        assert!((theirs - ours).abs() < 1e-3 * theirs.abs().max(1.0), "{cell}: {ours} not {theirs}");
    }
}

#[test]
fn samples_keep_what_was_observed_and_do_not_depend_on_each_other() {
    let repaint = Method::Repaint(RePaint { jump_length: 4, jump_samples: 2, eta: 1.0 });
    let solver = Method::Solver(Sampling { steps: 6, ..Sampling::default() });
    let published = Method::Solver(model(false).published());
    for (unconditional, method) in [(false, published.clone()), (false, solver), (true, repaint.clone())] {
        let model = model(unconditional);
        let all = filled(&model, 3, &method, &Philox::new(2));
        let third = filled(&model, 1, &method, &Philox::new(2).rows_from(2));
        for (k, (column, given)) in all[2].iter().zip(window()).enumerate() {
            for (row, (x, given)) in column.iter().zip(given).enumerate() {
                assert!(x.is_finite() && (given.is_nan() || *x == given));
                assert!((x - third[0][k][row]).abs() < 1e-4 * x.abs().max(1.0), "{method:?}");
            }
        }
        assert_ne!(all[0], all[1]);
        assert!(model.evaluations(&method).unwrap() >= 6);
        let stopped = model.fill(&window(), 1, &method, &Philox::new(1), &|| ControlFlow::Break(())).unwrap();
        assert!(stopped.is_break());
    }
    // A model fills by the method that it was trained for.
    assert!(model(false).fill(&window(), 1, &repaint, &Philox::new(1), &|| ControlFlow::Continue(())).is_err());
    assert!(model(true).fill(&window(), 1, &published, &Philox::new(1), &|| ControlFlow::Continue(())).is_err());
    assert!(model(false).fill(&window()[..1], 1, &published, &Philox::new(1), &|| ControlFlow::Continue(())).is_err());
}

#[test]
fn training_learns_and_threads_change_no_bit() {
    for unconditional in [false, true] {
        let config = config(unconditional);
        let task = task(&config);
        let device = Device::flex().autodiff();
        let mut model = task.init(1, &device);
        let score = |model: &CsdiNet| task.validate(model, 0..16, &Device::flex())[0] / 16.0;
        let before = score(&model);
        // An untrained network says nothing, and noise has variance 1.
        assert!((before - 1.0).abs() < 0.15, "{before}");
        let mut momenta: Vec<Vec<f32>> = weights::export(&model).unwrap().iter().map(|w| vec![0.0; w.len()]).collect();
        for step in 0..120 {
            let gradients = weights::take_gradients(&model, task.loss(&model, step, 0..8, &device).backward()).unwrap();
            let mut values = weights::export(&model).unwrap();
            for ((values, gradients), momenta) in values.iter_mut().zip(&gradients).zip(&mut momenta) {
                for ((value, gradient), momentum) in values.iter_mut().zip(gradients).zip(momenta) {
                    *momentum = 0.9 * *momentum + gradient;
                    *value -= 0.01 * *momentum;
                }
            }
            model = weights::import(model, values);
        }
        let after = score(&model);
        assert!(after < 0.8 * before, "{before} to {after}");
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            pool.install(|| weights::take_gradients(&model, task.loss(&model, 7, 2..5, &device).backward()).unwrap())
        };
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn tables_and_constants_that_do_not_fit_are_refused() {
    let config = config(false);
    let refused =
        |train: &[crate::Frame], valid: &[crate::Frame]| CsdiTask::new(&config, 1, None, train, valid, 4).unwrap_err().to_string();
    assert!(refused(&[waves(30, 3, 1)], &[waves(30, 2, 1)]).contains("data has columns c0, c1, c2"));
    assert!(refused(&[waves(30, 2, 1)], &[]).contains("valid"));
    let net = CsdiNet::new(&config, &mut Init::empty(&Device::flex()));
    let mut constants = task(&config).constants();
    constants[1].values[0] = 0.0;
    let error = CsdiModel::new(&config, &constants, net, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("deviation"), "{error}");
}
