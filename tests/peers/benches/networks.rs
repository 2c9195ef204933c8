//! The reference networks without Python: forward pass, training step and small sampling loop on one thread.

#[path = "../src/block.rs"]
mod block;
#[path = "../src/conv.rs"]
mod conv;
#[path = "../src/graph.rs"]
mod graph;
#[allow(dead_code, reason = "steps are named on a command line only in the program")]
#[path = "../src/network.rs"]
mod network;
#[allow(dead_code, reason = "what is read out of a network is for the program")]
#[path = "../src/peer.rs"]
mod peer;
#[path = "../src/tiny.rs"]
mod tiny;
#[path = "../src/transformer.rs"]
mod transformer;

use criterion::{Criterion, criterion_group, criterion_main};
use langevin_engine::device::open;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

fn networks(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nothing has used the pool yet");
    let device = open("flex").expect("flex is always there");
    for name in network::NAMES {
        let mut peer = network::build(name, &device).expect("the name is of the list");
        let mut group = c.benchmark_group(name);
        group.sample_size(10);
        for &step in peer.steps() {
            group.bench_function(step.name(), |b| b.iter(|| peer.run(step).expect("the network has this step")));
        }
    }
}

criterion_group!(benches, networks);
criterion_main!(benches);
