//! What sampling costs beside the network: a whole plan of the prior against the same number of bare evaluations.

use std::hint::black_box;

use burn::{
    module::Module as _,
    tensor::{Device, Tensor},
};
use criterion::{Criterion, criterion_group, criterion_main};
use langevin_audio::{
    config::{CodecConfig, PriorConfig, Vocabulary},
    model::{Conditions, PriorNet},
    task::{Guidance, Prior},
};
use langevin_core::{Denoiser as _, Level, Philox};
use langevin_nn::{Constant, Init};

/// A prior of the shipped size with untrained weights: the arithmetic is the same.
fn prior(device: &Device) -> Prior {
    let name = |n: usize| (0..n).map(|k| k.to_string()).collect();
    let config = PriorConfig { vocabulary: Vocabulary { labels: name(10), speakers: name(6) }, ..PriorConfig::default() };
    let CodecConfig { mels, frames, components, .. } = config.codec;
    let constant = |name: &str, shape: Vec<usize>, value: f32| {
        let count = shape.iter().product();
        Constant { name: name.to_owned(), shape, values: vec![value; count] }
    };
    let width = mels * frames;
    let constants = [
        constant("basis", vec![components, width], 0.01),
        constant("mean", vec![width], 0.0),
        constant("scale", vec![components], 1.0),
        Constant { name: "duration".to_owned(), shape: vec![4], values: vec![-1.0, 0.3, 0.1, 2.0] },
    ];
    let net = PriorNet::new(&config, &mut Init::new(1, device));
    Prior::new(&config, &constants, net, device).expect("the constants fit the config")
}

fn sampler(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("first pool of the process");
    let device = Device::flex();
    let prior = prior(&device);
    let conditions = Conditions { labels: vec![Some(7); 6], speakers: vec![Some(0); 6] };
    let sampling = prior.config.sampling.clone();
    let denoiser = prior.denoiser(&conditions, Guidance { label: 1.25, speaker: 1.25 }, &sampling);
    let run = prior.run(&sampling).expect("walkable");
    let plan = run.plan().expect("the default solver compiles to a plan");
    let x = Tensor::<2>::ones([6, prior.codec.width()], &device);
    let mut group = c.benchmark_group("prior of 6 clips, 16 steps");
    group.sample_size(20);
    group.bench_function("whole plan", |b| b.iter(|| black_box(plan.run(x.clone(), &denoiser, &Philox::new(0)))));
    group.bench_function("16 bare evaluations", |b| {
        b.iter(|| (0..16).for_each(|node| drop(black_box(denoiser.denoise(&x, Level::ve(1.0), node)))));
    });
    // The plan's own work: the same operations around a denoiser that costs nothing.
    let free = langevin_core::Precond { net: |x: &Tensor<2>, _: Level| x.clone(), param: langevin_core::Param::X0 };
    group.bench_function("plan around a free network", |b| b.iter(|| black_box(plan.run(x.clone(), &free, &Philox::new(0)))));
    group.finish();
}

/// Forward pass, loss and gradients of the prior's network on one micro-batch of training, on one thread.
fn training(c: &mut Criterion) {
    let device = Device::flex();
    let prior = prior(&device);
    let net = PriorNet::new(&prior.config, &mut Init::new(1, &device));
    let conditions = Conditions { labels: (0..64).map(|k| Some(k % 10)).collect(), speakers: (0..64).map(|k| Some(k % 6)).collect() };
    let levels: Vec<f32> = (0..64).map(|k| -1.0 + 0.03 * k as f32).collect();
    let x = Tensor::<2>::ones([64, prior.codec.width()], &device.clone().autodiff());
    let mut group = c.benchmark_group("prior, micro-batch of 64");
    group.sample_size(20);
    group.bench_function("forward and backward", |b| {
        b.iter(|| {
            let net = net.clone().train();
            let loss = net.forward(x.clone(), &levels, &conditions).square().mean();
            black_box(loss.backward())
        });
    });
    group.finish();
}

criterion_group!(benches, sampler, training);
criterion_main!(benches);
