use langevin_core::{NoiseSource as _, Philox};
use langevin_nn::weights;

use super::*;

fn small(unconditional: bool) -> CsdiConfig {
    CsdiConfig {
        columns: ["a", "b", "c"].map(str::to_owned).to_vec(),
        layers: 2,
        channels: 8,
        heads: 2,
        diffusion_embedding: 8,
        time_embedding: 8,
        feature_embedding: 4,
        unconditional,
        ..Default::default()
    }
}

fn normals<const D: usize>(shape: [usize; D], sample: u32, device: &Device) -> Tensor<D> {
    let mut values = vec![0f32; shape.iter().product()];
    Philox::new(4).fill(sample, 0, 0, &mut values);
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn spoken(config: &CsdiConfig, device: &Device) -> CsdiNet {
    let mut init = Init::new(2, device);
    let mut net = CsdiNet::new(config, &mut init);
    net.diffmodel.output_projection2.weight = init.normal([config.channels, 1], 1.0);
    net
}

/// Names and sizes of the published network: 415,497 parameters with the 35 columns of PhysioNet.
#[test]
fn names_and_sizes_are_those_published() {
    let config = CsdiConfig { columns: (0..35).map(|k| format!("c{k}")).collect(), ..Default::default() };
    let net = CsdiNet::new(&config, &mut Init::empty(&Device::flex()));
    let layout = weights::layout(&net);
    let shape = |name: &str| layout.iter().find(|l| l.name == name).unwrap_or_else(|| panic!("no {name}")).shape.clone();
    assert_eq!(shape("embed_layer.weight"), [35, 16]);
    assert_eq!(shape("diffmodel.diffusion_embedding.projection1.weight"), [128, 128]);
    assert_eq!(shape("diffmodel.input_projection.weight"), [2, 64]);
    assert_eq!(shape("diffmodel.residual_layers.3.cond_projection.weight"), [145, 128]);
    assert_eq!(shape("diffmodel.residual_layers.3.mid_projection.weight"), [64, 128]);
    assert_eq!(shape("diffmodel.residual_layers.0.time_layer.layers.0.self_attn.in_proj.weight"), [64, 192]);
    assert_eq!(shape("diffmodel.residual_layers.0.feature_layer.layers.0.norm2.gamma"), [64]);
    assert_eq!(shape("diffmodel.output_projection2.weight"), [64, 1]);
    // By hand: embedding, two projections, input, two outputs; a block's three projections, diffusion, two transformer layers.
    let transformer = 64 * 192 + 192 + 64 * 64 + 64 + 2 * (64 * 64 + 64) + 4 * 64;
    let block = 128 * 64 + 64 + (145 + 64 + 64) * 128 + 3 * 128 + 2 * transformer;
    let rest = 35 * 16 + 2 * (128 * 128 + 128) + 2 * 64 + 64 + 64 * 64 + 64 + 64 + 1;
    assert_eq!(weights::count(&net), rest + 4 * block);
}

#[test]
fn embeddings_by_hand() {
    let rows = embed_times(&[0.0, 3.0], 4);
    assert_eq!(rows[..4], [0.0, 1.0, 0.0, 1.0]);
    let expected = [3f64.sin(), 3f64.cos(), 0.03f64.sin(), 0.03f64.cos()];
    assert!(rows[4..].iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6));
}

#[test]
fn items_are_apart_and_steps_and_masks_are_heard() {
    let device = Device::flex();
    let config = small(false);
    let net = spoken(&config, &device);
    let times: Vec<f64> = (0..5).map(f64::from).collect();
    let given = normals([2, 3, 5, 1], 1, &device).greater_elem(0.0).float();
    let x = normals([2, 3, 5, 2], 2, &device);
    let run = |x: Tensor<4>, steps: &[f32], given: Tensor<4>| -> Vec<f32> {
        let side = net.side(&config, &times, Some(given), &device);
        net.forward(x, steps, &side).into_data().iter::<f32>().collect()
    };
    let both = run(x.clone(), &[3.0, 40.0], given.clone());
    let second = run(x.clone().narrow(0, 1, 1), &[40.0], given.clone().narrow(0, 1, 1));
    assert!(both[15..].iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-5));
    let far = |other: Vec<f32>| other.iter().zip(&second).any(|(a, b)| (a - b).abs() > 1e-3);
    assert!(far(run(x.clone().narrow(0, 1, 1), &[3.0], given.clone().narrow(0, 1, 1))));
    assert!(far(run(x.narrow(0, 1, 1), &[40.0], given.narrow(0, 0, 1))));
}

#[test]
fn every_weight_learns_with_and_without_conditions() {
    for unconditional in [false, true] {
        let device = Device::flex().autodiff();
        let config = small(unconditional);
        let net = spoken(&config, &device);
        let inputs = if unconditional { 1 } else { 2 };
        let given = (!unconditional).then(|| normals([2, 3, 5, 1], 1, &device).greater_elem(0.0).float());
        let side = net.side(&config, &[0.0, 1.0, 2.0, 4.0, 5.0], given, &device);
        let gradients = net.forward(normals([2, 3, 5, inputs], 2, &device), &[3.0, 9.0], &side).square().sum().backward();
        for (layout, gradient) in weights::layout(&net).iter().zip(weights::gradients(&net, &gradients).expect("readable")) {
            assert!(gradient.iter().any(|g| *g != 0.0) && gradient.iter().all(|g| g.is_finite()), "{}", layout.name);
        }
    }
}

#[test]
fn bad_settings_are_named() {
    let named = |change: fn(&mut CsdiConfig), name: &str| {
        let mut config = small(false);
        config.check().unwrap();
        change(&mut config);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    };
    named(|c| c.window = 1, "window");
    named(|c| c.heads = 3, "channels");
    named(|c| c.beta_end = 1.5, "beta_start");
    named(|c| c.time_embedding = 7, "even");
    named(|c| c.columns[1] = "a".into(), "columns");
    assert!(small(false).schedule().is_ok());
}
