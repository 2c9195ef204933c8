//! Cost of a sampler beside its network: plan building, interpretation, noise.

use std::hint::black_box;

use burn::tensor::{Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use langevin_core::{Denoiser, Level, NoiseSource, Philox, Plan, State, solver::Solver};

/// A network that costs nothing: what is left is the sampler.
struct Free;

impl<S: State> Denoiser<S> for Free {
    fn denoise(&self, x: &S, _: Level, _: u32) -> S {
        x.clone()
    }
}

/// Variance preserving levels, evenly spaced in lambda, then clean data.
fn nodes(steps: usize) -> Vec<Level> {
    let lambda = |i: usize| -5.0 + 10.0 * i as f64 / steps as f64;
    (0..steps).map(|i| Level::vp_of_lambda(lambda(i))).chain([Level::clean()]).collect()
}

const STEPS: usize = 1000;

fn plan(name: &str) -> Plan {
    Solver::from_name(name).and_then(|s| s.plan(&nodes(STEPS))).expect("a known solver on a sound grid")
}

fn building(c: &mut Criterion) {
    let nodes = nodes(STEPS);
    let mut group = c.benchmark_group("plan of 1000 steps");
    for (name, solver) in Solver::named().into_iter().filter(|(_, solver)| !solver.needs_moments()) {
        group.bench_function(name, |b| b.iter(|| solver.plan(black_box(&nodes))));
    }
}

fn interpretation(c: &mut Criterion) {
    let device = Device::flex();
    let noise = Philox::new(1);
    for name in ["euler", "dpmpp2m", "ddpm"] {
        let plan = plan(name);
        let mut group = c.benchmark_group(format!("1000 steps of {name}"));
        group.throughput(Throughput::Elements(STEPS as u64));
        group.bench_function("host, 2 numbers", |b| b.iter(|| plan.run(vec![0.5f64, -0.25], &Free, &noise)));
        group.bench_function("flex, shape [1, 64]", |b| b.iter(|| plan.run(Tensor::<2>::ones([1, 64], &device), &Free, &noise)));
    }
}

fn noise(c: &mut Criterion) {
    let mut group = c.benchmark_group("philox normals");
    let mut out = vec![0f32; 16 * 1024];
    group.throughput(Throughput::Elements(out.len() as u64));
    group.bench_function("f32, 16k", |b| b.iter(|| Philox::new(7).fill(1, 2, 3, black_box(&mut out))));
}

criterion_group!(benches, building, interpretation, noise);
criterion_main!(benches);
