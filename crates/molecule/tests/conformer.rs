//! Symmetries of the conformer network, and what it must not see.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};
use langevin_core::{NoiseSource as _, Philox, recipe::Sampling};
use langevin_molecule::{
    Bond, Centre, DoubleBond, Molecule, Point,
    config::ConformerConfig,
    features::Features,
    geometry::BoundsTable,
    model::{ConformerNet, GraphBatch},
    task::{Conformers, Held, Steer, Walk},
};
use langevin_nn::Init;

/// Alanine with both configurations possible, a double bond, rings, a sulfoxide's lone pair.
const MOLECULES: [&str; 4] = ["C[C@H](N)C(=O)O", "F/C=C/[C@@H](O)Cl", "C[S@](=O)CC1CC1", "c1ccccc1O"];

fn config() -> ConformerConfig {
    ConformerConfig {
        width: 32,
        heads: 4,
        vectors: 8,
        pair: 16,
        hidden: 48,
        condition: 16,
        rounds: 2,
        blocks: 2,
        ..ConformerConfig::default()
    }
}

fn positions(atoms: usize, seed: u64) -> Vec<Point> {
    let mut values = vec![0f32; 3 * atoms];
    Philox::new(seed).fill(0, 0, 0, &mut values);
    let points: Vec<Point> = values.chunks(3).map(|p| [p[0], p[1], p[2]].map(|v| 1.5 * f64::from(v))).collect();
    let mean: Point = std::array::from_fn(|k| points.iter().map(|p| p[k]).sum::<f64>() / atoms as f64);
    points.into_iter().map(|p| std::array::from_fn(|k| p[k] - mean[k])).collect()
}

/// The network's outputs of both rounds at positions of molecules, padded to the largest or further.
fn forward(net: &ConformerNet, molecules: &[(&Features, &[Point])]) -> Vec<Vec<Vec<Point>>> {
    let device = Device::flex();
    let graph = GraphBatch::new(&molecules.iter().map(|m| m.0).collect::<Vec<_>>(), &device);
    let [rows, n] = graph.dims();
    let mut values = vec![0f32; rows * n * 3];
    for (row, (_, points)) in values.chunks_mut(n * 3).zip(molecules) {
        row.iter_mut().zip(points.iter().flatten()).for_each(|(v, p)| *v = *p as f32);
    }
    let x = Tensor::from_data(TensorData::new(values, [rows, n, 3]), &device);
    let output = net.forward(&x, &vec![-0.1; rows], &vec![(0.7, 0.6, 0.4); rows], &graph, &vec![0; rows]);
    let points = |raw: Tensor<3>| {
        let values: Vec<f64> = raw.into_data().iter::<f64>().collect();
        let row = |row: &[f64]| row.chunks(3).map(|p| [p[0], p[1], p[2]]).collect::<Vec<Point>>();
        values.chunks(n * 3).map(row).collect::<Vec<_>>()
    };
    output.rounds.into_iter().map(points).collect()
}

fn one(net: &ConformerNet, molecule: &Molecule, points: &[Point]) -> Vec<Point> {
    forward(net, &[(&Features::new(molecule), points)]).remove(1).remove(0)
}

fn apart(a: &[Point], b: &[Point]) -> f64 {
    let size = a.iter().flatten().map(|v| v.abs()).fold(1e-3, f64::max);
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / size
}

fn net() -> ConformerNet {
    ConformerNet::new(&config(), &mut Init::new(3, &Device::flex()))
}

fn turned(points: &[Point]) -> Vec<Point> {
    // A rotation about (1, 2, 3) by 1.1.
    let axis = [1.0, 2.0, 3.0].map(|v: f64| v / 14f64.sqrt());
    let (sin, cos) = 1.1f64.sin_cos();
    let turn = |p: &Point| {
        let dot: f64 = axis.iter().zip(p).map(|(a, p)| a * p).sum();
        let cross: Point = std::array::from_fn(|k| axis[(k + 1) % 3] * p[(k + 2) % 3] - axis[(k + 2) % 3] * p[(k + 1) % 3]);
        std::array::from_fn(|k| p[k] * cos + cross[k] * sin + axis[k] * dot * (1.0 - cos))
    };
    points.iter().map(turn).collect()
}

fn mirrored(points: &[Point]) -> Vec<Point> {
    points.iter().map(|p| [-p[0], p[1], p[2]]).collect()
}

#[test]
fn turning_the_input_turns_the_output() {
    let net = net();
    for text in MOLECULES {
        let molecule = Molecule::from_smiles(text).expect("valid");
        let x = positions(molecule.atoms.len(), 5);
        let y = one(&net, &molecule, &x);
        assert!(apart(&turned(&y), &one(&net, &molecule, &turned(&x))) < 1e-5, "{text}");
        assert!(y.iter().flatten().any(|v| v.abs() > 1e-3), "an output that is zero turns too");
    }
}

#[test]
fn whole_runs_turn_and_do_not_move_with_their_noise() {
    let device = Device::flex();
    let config = config();
    let model = Conformers::new(&config, &[BoundsTable::default().to_constant()], net(), &device).expect("fits");
    let run = model.run(&Sampling { steps: 6, ..Sampling::default() }).expect("a run");
    let molecule = Molecule::from_smiles(MOLECULES[0]).expect("valid");
    let features = Features::new(&molecule);
    let noise = Philox::new(1);
    let sample = |points: &[Point], shift: f32| {
        let values: Vec<f32> = points.iter().flatten().map(|v| *v as f32 + shift).collect();
        let start = Tensor::from_data(TensorData::new(values, [1, points.len(), 3]), &device);
        match model
            .sample_from(start, &features, Walk { run: &run, level: 0, steer: Steer::default() }, &noise, &|| ControlFlow::Continue(()))
            .expect("runs")
        {
            ControlFlow::Continue(mut made) => made.remove(0),
            ControlFlow::Break(()) => panic!("nothing stops it"),
        }
    };
    let start = positions(molecule.atoms.len(), 8);
    let made = sample(&start, 0.0);
    assert!(apart(&turned(&made), &sample(&turned(&start), 0.0)) < 1e-5);
    assert!(apart(&made, &sample(&start, 0.25)) < 1e-5);
    let mean: Point = std::array::from_fn(|k| made.iter().map(|p| p[k]).sum::<f64>());
    assert!(mean.iter().all(|v| v.abs() < 1e-4), "{mean:?}");
}

/// The molecule with atom `k` at place `to[k]`.
fn permuted(molecule: &Molecule, to: &[usize]) -> Molecule {
    let mut from = vec![0; to.len()];
    to.iter().enumerate().for_each(|(k, &place)| from[place] = k);
    Molecule {
        atoms: from.iter().map(|&k| molecule.atoms[k]).collect(),
        bonds: molecule.bonds.iter().rev().map(|b| Bond { atoms: b.atoms.map(|a| to[a]), ..*b }).collect(),
        centres: molecule
            .centres
            .iter()
            .map(|c| {
                // Two swaps leave the configuration as it is.
                let mut neighbours: Vec<usize> = c.neighbours.iter().map(|&a| to[a]).collect();
                neighbours[..3].rotate_left(1);
                Centre { atom: to[c.atom], neighbours, positive: c.positive }
            })
            .collect(),
        double_bonds: molecule
            .double_bonds
            .iter()
            .map(|d| DoubleBond { atoms: [to[d.atoms[1]], to[d.atoms[0]]], ends: [to[d.ends[1]], to[d.ends[0]]], cis: d.cis })
            .collect(),
    }
}

#[test]
fn permuting_atoms_permutes_the_output() {
    let net = net();
    for text in MOLECULES {
        let molecule = Molecule::from_smiles(text).expect("valid");
        let n = molecule.atoms.len();
        let to: Vec<usize> = Philox::new(2).permutation(n, 0, 0).into_iter().map(|k| k as usize).collect();
        let x = positions(n, 6);
        let place = |points: &[Point]| {
            let mut placed = vec![[0.0; 3]; n];
            points.iter().enumerate().for_each(|(k, p)| placed[to[k]] = *p);
            placed
        };
        let y = one(&net, &molecule, &x);
        assert!(apart(&place(&y), &one(&net, &permuted(&molecule, &to), &place(&x))) < 1e-5, "{text}");
    }
}

#[test]
fn a_mirror_image_is_that_of_the_other_enantiomer_and_of_no_other() {
    let net = net();
    for text in MOLECULES {
        let molecule = Molecule::from_smiles(text).expect("valid");
        let x = positions(molecule.atoms.len(), 7);
        let y = mirrored(&one(&net, &molecule, &x));
        let mut other = molecule.clone();
        other.centres.iter_mut().for_each(|c| c.positive = !c.positive);
        assert!(apart(&y, &one(&net, &other, &mirrored(&x))) < 1e-5, "{text}: tags turn with the mirror");
        let same = apart(&y, &one(&net, &molecule, &mirrored(&x)));
        assert_eq!(same > 1e-4, !molecule.centres.is_empty(), "{text}: only a handed molecule tells the mirror, {same}");
    }
}

#[test]
fn cis_and_trans_differ() {
    let net = net();
    let [cis, trans] = ["F/C=C\\F", "F/C=C/F"].map(|text| Molecule::from_smiles(text).expect("valid"));
    let x = positions(cis.atoms.len(), 7);
    assert!(apart(&one(&net, &cis, &x), &one(&net, &trans, &x)) > 1e-4);
}

#[test]
fn padding_and_neighbours_in_the_batch_change_nothing() {
    let net = net();
    let molecules = MOLECULES.map(|text| Molecule::from_smiles(text).expect("valid"));
    let features: Vec<Features> = molecules.iter().map(Features::new).collect();
    let points: Vec<Vec<Point>> = molecules.iter().enumerate().map(|(k, m)| positions(m.atoms.len(), k as u64)).collect();
    let batch: Vec<_> = features.iter().zip(&points).map(|(f, p)| (f, p.as_slice())).collect();
    for round in 0..2 {
        let together = &forward(&net, &batch)[round];
        for (k, alone) in batch.iter().map(|one| forward(&net, &[*one])[round][0].clone()).enumerate() {
            let n = alone.len();
            assert!(apart(&alone, &together[k][..n]) < 1e-5, "molecule {k}, round {round}");
            assert!(together[k][n..].iter().flatten().all(|v| *v == 0.0), "padding stays at the origin");
            let mean: Point = std::array::from_fn(|axis| alone.iter().map(|p| p[axis]).sum::<f64>());
            assert!(mean.iter().all(|v| v.abs() < 1e-4), "the centre stays: {mean:?}");
        }
    }
}

#[test]
fn held_atoms_stay_where_they_are() {
    let device = Device::flex();
    let model = Conformers::new(&config(), &[BoundsTable::default().to_constant()], net(), &device).expect("fits");
    let run = model.run(&Sampling { steps: 5, ..Sampling::default() }).expect("a run");
    let molecule = Molecule::from_smiles("CCO").expect("valid");
    let held = Held { atoms: vec![(0, [5.0, 1.0, 0.0]), (2, [7.0, 2.0, 0.5])] };
    let steer = Steer { held: Some(&held), ..Steer::default() };
    let made =
        model.sample(&Features::new(&molecule), 0..4, Walk { run: &run, level: 0, steer }, Philox::new(1), &|| ControlFlow::Continue(()));
    let ControlFlow::Continue(made) = made.expect("runs") else { panic!("nothing stops it") };
    for conformer in made {
        for (atom, place) in &held.atoms {
            assert!(conformer[*atom].iter().zip(place).all(|(a, b)| (a - b).abs() < 1e-5), "{conformer:?}");
        }
        assert!(conformer.iter().flatten().all(|v| v.is_finite()));
    }
}
