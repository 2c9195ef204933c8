use std::sync::Arc;

use langevin_core::{NoiseSource as _, Philox};
use langevin_nn::weights;

use super::*;
use crate::{
    anchor::Anchored,
    data::{Relations, Sheet},
};

fn small() -> ResidualConfig {
    ResidualConfig { width: 16, hidden: 16, state_width: 16, state_hidden: 8, heads: 4, blocks: 3, condition: 8, ..Default::default() }
}

/// A network that says something, as a trained one does.
fn spoken(config: &ResidualConfig, device: &Device) -> ResidualNet {
    let mut init = Init::new(3, device);
    let mut net = ResidualNet::new(config, &mut init);
    net.output.weight = init.normal(net.output.weight.dims(), 0.5);
    net
}

fn sheet(rows: usize, columns: usize) -> Sheet {
    let mut values: Vec<Vec<f64>> = (0..columns).map(|_| vec![0.0; rows]).collect();
    values.iter_mut().zip(0..).for_each(|(column, k)| Philox::new(1).fill_f64(k, 0, 0, column));
    let (mean, mut scale) = (values.clone(), vec![vec![0.0; rows]; columns]);
    for (column, (values, scale)) in values.iter_mut().zip(&mut scale).enumerate() {
        for row in (0..rows).filter(|row| (row + 2 * column) % 5 < 2) {
            (values[row], scale[row]) = (f64::NAN, 0.3 + 0.1 * column as f64);
        }
    }
    let relations = Arc::new(Relations::fit(&[&values]));
    let positions: Vec<f64> = (0..rows).map(|row| row as f64).collect();
    Sheet::new(&values, &positions, &Anchored { mean, scale }, Some(12.0), relations)
}

fn host(x: Tensor<2>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// Noise of a window's tokens, the same for the same column and row whatever the window: `[row][column][sample]`.
fn noise(rows: usize, columns: &[usize], samples: usize) -> Vec<f32> {
    let mut out = vec![0f32; rows * columns.len() * samples];
    for (k, out) in out.chunks_mut(samples).enumerate() {
        Philox::new(9).fill(columns[k % columns.len()] as u32, (k / columns.len()) as u32, 0, out);
    }
    out
}

fn said(net: &ResidualNet, windows: &[&Window], x: Vec<f32>, samples: usize) -> Vec<f32> {
    let device = Device::flex();
    let context = net.encode(WindowBatch::new(windows, &device));
    let tokens = x.len() / samples;
    let x = Tensor::from_data(TensorData::new(x, [tokens, samples]), &device);
    let levels: Vec<f32> = (0..windows.len()).map(|k| 0.1 * k as f32 - 0.2).collect();
    host(net.forward(x, &levels, &context))
}

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(0f32, |most, v| most.max(v.abs()));
    assert!(scale > 1e-3, "nothing is said");
    a.iter().zip(b).enumerate().for_each(|(k, (a, b))| assert!((a - b).abs() < 2e-5 * scale.max(1.0), "{k}: {a} {b}"));
}

#[test]
fn an_untrained_network_says_nothing() {
    let device = Device::flex();
    let net = ResidualNet::new(&small(), &mut Init::new(1, &device));
    let window = sheet(20, 3).window(0, 20, &[0, 1, 2]);
    assert!(said(&net, &[&window], noise(20, &[0, 1, 2], 4), 4).iter().all(|&v| v == 0.0));
    let full = ResidualNet::new(&ResidualConfig::default(), &mut Init::new(1, &device));
    let count = weights::count(&full);
    assert!((250_000..400_000).contains(&count), "{count} parameters");
}

#[test]
fn columns_in_another_order_are_the_same_columns() {
    let net = spoken(&small(), &Device::flex());
    let (sheet, samples) = (sheet(24, 4), 3);
    let (order, other) = ([0, 1, 2, 3], [2, 0, 3, 1]);
    let run = |columns: &[usize]| said(&net, &[&sheet.window(0, 24, columns)], noise(24, columns, samples), samples);
    let (a, b) = (run(&order), run(&other));
    let back: Vec<f32> = (0..24 * 4 * samples)
        .map(|k| {
            let (row, column, sample) = (k / (4 * samples), k / samples % 4, k % samples);
            let at = other.iter().position(|&c| c == column).expect("it is there");
            b[(row * 4 + at) * samples + sample]
        })
        .collect();
    close(&back, &a);
    assert!(a.chunks(samples).any(|token| token[0] != token[1]));
}

#[test]
fn padding_changes_nothing() {
    let net = spoken(&small(), &Device::flex());
    let sheet = sheet(40, 4);
    let (short, long) = (sheet.window(28, 96, &[1, 3]), sheet.window(0, 40, &[0, 1, 2, 3]));
    assert_eq!((short.rows, long.rows), (12, 40));
    let samples = 2;
    let alone = said(&net, &[&short], noise(12, &[1, 3], samples), samples);
    // The same tokens in the corner of a larger window; what stands in the padding is noise.
    let mut x = vec![0.7; 40 * 4 * samples];
    for (k, token) in noise(12, &[1, 3], samples).chunks(samples).enumerate() {
        x[(k / 2 * 4 + k % 2) * samples..][..samples].copy_from_slice(token);
    }
    x.extend(noise(40, &[0, 1, 2, 3], samples));
    let both = said(&net, &[&short, &long], x, samples);
    let corner: Vec<f32> = (0..24).flat_map(|k| both[(k / 2 * 4 + k % 2) * samples..][..samples].to_vec()).collect();
    close(&corner, &alone);
}

#[test]
fn one_column_and_samples_alone() {
    let net = spoken(&small(), &Device::flex());
    let window = sheet(30, 1).window(0, 30, &[0]);
    let x = noise(30, &[0], 3);
    let all = said(&net, &[&window], x.clone(), 3);
    let second = said(&net, &[&window], x.chunks(3).map(|token| token[1]).collect(), 1);
    close(&all.chunks(3).map(|token| token[1]).collect::<Vec<_>>(), &second);
}

#[test]
fn every_weight_learns() {
    let device = Device::flex().autodiff();
    let net = spoken(&small(), &device);
    let window = sheet(20, 3).window(0, 20, &[0, 1, 2]);
    let context = net.encode(WindowBatch::new(&[&window], &device));
    let x = Tensor::<2>::from_data(TensorData::new(noise(20, &[0, 1, 2], 2), [60, 2]), &device);
    let gradients = net.forward(x, &[0.1], &context).square().sum().backward();
    let found = weights::gradients(&net, &gradients).expect("readable");
    for (layout, gradient) in weights::layout(&net).iter().zip(found) {
        assert!(gradient.iter().any(|g| *g != 0.0) && gradient.iter().all(|g| g.is_finite()), "{}", layout.name);
    }
}

/// Seconds that this thread was on a processor: other programs do not count.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("a number") * 1e-9
}

/// 32 samples, 6 steps, 37 windows of 96 x 7: `cargo test --release --workspace cost_of_a_window -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_window() {
    let net = spoken(&ResidualConfig::default(), &Device::flex());
    let window = sheet(96, 7).window(0, 96, &[0, 1, 2, 3, 4, 5, 6]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads start");
    pool.install(|| {
        let device = Device::flex();
        let start = busy();
        for _ in 0..5 {
            let _ = net.encode(WindowBatch::new(&[&window], &device));
        }
        eprintln!("encode: {:.2} ms", (busy() - start) * 200.0);
        for samples in [1, 4, 8, 16, 32] {
            let context = net.encode(WindowBatch::new(&[&window], &device));
            let x = noise(96, &[0, 1, 2, 3, 4, 5, 6], samples);
            let run = || host(net.forward(Tensor::from_data(TensorData::new(x.clone(), [672, samples]), &device), &[0.1], &context));
            run();
            let start = busy();
            (0..5).for_each(|_| _ = run());
            let token = (busy() - start) / 5.0 / (672 * samples) as f64;
            eprintln!("{samples} samples: {:.3} us a token, {:.1} s in all", token * 1e6, token * 672.0 * 32.0 * 6.0 * 37.0);
        }
    });
}
