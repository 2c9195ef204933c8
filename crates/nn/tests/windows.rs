//! Strided convolutions and pools against burn's own, with all gradients, on one thread and several.

use burn::tensor::{
    Device, Tensor, TensorData, module,
    ops::{ConvOptions, MaxPoolOptions},
};
use langevin_core::noise::{NoiseSource as _, Philox};
use langevin_nn::fused::{conv1d_with, max_pool1d};

fn normals(len: usize, sample: u32) -> Vec<f32> {
    let mut out = vec![0.0; len];
    Philox::new(5).fill(sample, 0, 0, &mut out);
    out
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec_as().expect("floats")
}

fn leaf<const D: usize>(dims: [usize; D], sample: u32) -> Tensor<D> {
    let data = TensorData::new(normals(dims.iter().product(), sample), dims);
    Tensor::from_data(data, &Device::flex().autodiff()).require_grad()
}

/// Results and gradients of the loss `sum(y * weight)` for inputs of these shapes.
fn run(
    x: [usize; 3],
    weight: [usize; 3],
    has_bias: bool,
    work: &dyn Fn(Tensor<3>, Tensor<3>, Option<Tensor<1>>) -> Tensor<3>,
) -> Vec<Vec<f32>> {
    let (x, w, b) = (leaf(x, 0), leaf(weight, 1), has_bias.then(|| leaf([weight[0]], 2)));
    let y = work(x.clone(), w.clone(), b.clone());
    let scales = Tensor::<3>::from_data(TensorData::new(normals(y.shape().num_elements(), 3), y.dims()), &Device::flex());
    let gradients = (y.clone() * scales).sum().backward();
    let mut found = vec![host(y.inner()), host(x.grad(&gradients).expect("a leaf"))];
    found.extend(w.grad(&gradients).map(host));
    found.extend(b.and_then(|b| b.grad(&gradients)).map(host));
    found
}

fn assert_close(ours: &[Vec<f32>], theirs: &[Vec<f32>], what: &str) {
    assert_eq!(ours.iter().map(Vec::len).collect::<Vec<_>>(), theirs.iter().map(Vec::len).collect::<Vec<_>>(), "{what}");
    for (k, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let scale = theirs.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() <= 1e-5 * scale, "{what}, part {k}: {a} not {b} (scale {scale})");
        }
    }
}

fn on_threads<T: Send>(threads: usize, work: impl Fn() -> T + Send + Sync) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start").install(work)
}

#[test]
fn convolutions_with_strides() {
    // [batch, channels, length], outputs, taps, stride, dilation, padding, bias
    let cases = [
        ([2, 1, 61], 5, 8, 4, 1, (3, 3), true),
        ([1, 1, 4200], 32, 64, 4, 1, (30, 30), true),
        ([3, 4, 23], 6, 3, 2, 1, (1, 1), false),
        ([2, 3, 23], 4, 3, 3, 2, (2, 0), true),
        ([2, 2, 9], 3, 2, 5, 1, (0, 0), true),
        // As many positions as outputs, or fewer.
        ([2, 3, 40], 20, 3, 1, 1, (1, 1), true),
        ([2, 3, 6], 20, 3, 1, 1, (1, 1), true),
        ([3, 32, 24], 64, 5, 1, 1, (2, 2), true),
        ([2, 2, 7], 9, 2, 1, 2, (0, 1), false),
        ([1, 2, 5], 3, 1, 1, 1, (0, 0), false),
        // Padding alone under the windows.
        ([1, 1, 1], 2, 1, 100, 1, (10, 0), true),
    ];
    for (x, outputs, taps, stride, dilation, padding, bias) in cases {
        let weight = [outputs, x[1], taps];
        let options = ConvOptions::new_with_padding([stride], [padding], [dilation], 1);
        let ours = || run(x, weight, bias, &|x, w, b| conv1d_with(x, w, b, &options));
        let theirs = run(x, weight, bias, &|x, w, b| module::conv1d(x, w, b, options.clone()));
        let name = format!("{x:?} {outputs} {taps} {stride} {dilation} {padding:?} {bias}");
        assert_close(&ours(), &theirs, &name);
        assert_eq!(on_threads(1, ours), on_threads(3, ours), "{name}: threads");
    }
}

#[test]
fn pools() {
    for (x, kernel, stride) in [([2, 3, 17], 4, 4), ([1, 70, 9], 2, 2), ([2, 2, 11], 3, 2), ([2, 2, 12], 2, 5), ([1, 1, 3], 3, 3)] {
        let options = MaxPoolOptions { kernel_size: [kernel], stride: [stride], padding: [(0, 0)], dilation: [1], ceil_mode: false };
        let ours = || run(x, [1, 1, 1], false, &|x, _, _| max_pool1d(x, kernel, stride));
        let theirs = run(x, [1, 1, 1], false, &|x, _, _| module::max_pool1d(x, options.clone()));
        let name = format!("{x:?} {kernel} {stride}");
        assert_close(&ours(), &theirs, &name);
        assert_eq!(on_threads(1, ours), on_threads(3, ours), "{name}: threads");
    }
}

#[test]
fn a_nan_is_the_largest() {
    for kernel in [2, 3, 4] {
        let x = Tensor::<1>::from_data(TensorData::new(vec![1.0, f32::NAN, 3.0, 2.0], [4]), &Device::flex());
        let y = host(max_pool1d(x.reshape([1, 1, 4]), kernel, kernel));
        assert!(y[0].is_nan() && (kernel > 2 || y[1] == 3.0), "{kernel}: {y:?}");
    }
}
