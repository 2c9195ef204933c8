//! The conformer network on pentane (17 atoms): a training step's micro-batch, and one conformer.

use std::ops::ControlFlow;

use burn::{module::Module as _, tensor::Device};
use criterion::{Criterion, criterion_group, criterion_main};
use langevin_core::{Philox, recipe::Sampling};
use langevin_molecule::{
    Atom, Bond, Element, Molecule, Point,
    config::ConformerConfig,
    data::{Example, Examples, Mixture},
    geometry::BoundsTable,
    model::ConformerNet,
    task::{ConformerTask, Conformers, Steer, Walk},
};
use langevin_nn::{Init, Trainable as _};

fn pentane() -> (Molecule, Vec<Point>) {
    let atom = |element| Atom { element, charge: 0, isotope: 0, aromatic: false, radicals: 0, class: 0 };
    let bond = |a, b| Bond { atoms: [a, b], order: 1, aromatic: false };
    let mut molecule = Molecule { atoms: vec![atom(Element::C); 5], ..Molecule::default() };
    molecule.bonds.extend((0..4).map(|k| bond(k, k + 1)));
    let mut positions: Vec<Point> = (0..5).map(|k| [1.3 * f64::from(k), if k % 2 == 0 { 0.0 } else { 0.8 }, 0.0]).collect();
    for c in 0..5usize {
        for h in 0..if c == 0 || c == 4 { 3 } else { 2 } {
            molecule.bonds.push(bond(c, molecule.atoms.len()));
            molecule.atoms.push(atom(Element::H));
            let angle = 2.1 * f64::from(h);
            let [x, y, z] = positions[c];
            positions.push([x + 0.3, y + angle.cos(), z + angle.sin()]);
        }
    }
    (molecule, positions)
}

fn conformer(c: &mut Criterion) {
    let device = Device::flex();
    let config = ConformerConfig::default();
    let (molecule, positions) = pentane();
    let examples =
        || Examples::new(vec![Example::new(&molecule, std::slice::from_ref(&positions), &[1.0], 0).expect("fits"); 8]).expect("some");
    let task =
        ConformerTask::new(&config, 1, [64, 8], Mixture::new(vec![examples()], &[]).expect("one"), examples(), BoundsTable::default())
            .expect("a schedule");
    let net = task.init(1, &device).train();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    c.bench_function("conformer/training 8 rows", |b| {
        b.iter(|| pool.install(|| std::hint::black_box(task.loss(&net, 0, 0..8, &device.clone().autodiff()).backward())));
    });
    let net = ConformerNet::new(&config, &mut Init::new(1, &device));
    let model = Conformers::new(&config, &[BoundsTable::default().to_constant()], net, &device).expect("a schedule");
    let run = model.run(&Sampling::default()).expect("a run");
    let features = langevin_molecule::features::Features::new(&molecule);
    c.bench_function("conformer/sampling 4 rows", |b| {
        b.iter(|| {
            pool.install(|| {
                model.sample(&features, 0..4, Walk { run: &run, level: 0, steer: Steer::default() }, Philox::new(1), &|| {
                    ControlFlow::Continue(())
                })
            })
        });
    });
}

criterion_group!(benches, conformer);
criterion_main!(benches);
