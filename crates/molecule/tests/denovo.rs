//! New molecules: the network's loss, the sampler's law and its addresses, and that it learns.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use burn::{module::Module as _, tensor::Device};
use langevin_core::process::categorical::CategoricalLoss;
use langevin_molecule::{
    Error,
    model::denovo::{DenovoConfig, DenovoNet, Vocabulary},
    task::denovo::{Denovo, DenovoReport, DenovoRequest, DenovoTask, Known},
};
use langevin_nn::{Init, Sampler as _, Trainable as _, weights};

/// Straight alkanes, ethers and amines of three to six atoms.
fn strings() -> Vec<String> {
    let mut all = vec![];
    for length in 3..=6 {
        for place in 0..=length {
            for atom in ["O", "N"] {
                all.push((0..length).map(|k| if k == place { atom } else { "C" }).collect::<String>());
            }
        }
    }
    all
}

fn config() -> DenovoConfig {
    let tokens = Vocabulary::of(strings().iter().map(String::as_str));
    DenovoConfig {
        width: 16,
        heads: 2,
        blocks: 2,
        hidden: 32,
        condition: 16,
        steps: 16,
        max_length: 8,
        max_heavy: 8,
        tokens,
        ..DenovoConfig::default()
    }
}

fn task(config: &DenovoConfig) -> DenovoTask {
    DenovoTask::new(config, 1, 8, &strings(), &strings()[..12]).unwrap()
}

/// A network none of whose layers is zero, as some are at first.
fn net(config: &DenovoConfig, spread: f32) -> DenovoNet {
    let net = DenovoNet::new(config, &mut Init::new(3, &Device::flex()));
    let mut values = weights::export(&net).unwrap();
    for (k, v) in values.iter_mut().flatten().enumerate() {
        *v += spread * (k as f32 * 12.9898).sin();
    }
    weights::import(net, values)
}

fn model(config: &DenovoConfig) -> Denovo {
    Denovo::new(config.clone(), net(config, 0.1), &task(config).constants(), Device::flex()).unwrap()
}

fn generate(model: &Denovo, request: &DenovoRequest) -> langevin_molecule::Result<(Vec<String>, DenovoReport)> {
    match model.generate(request, &|| ControlFlow::Continue(()))? {
        ControlFlow::Continue(done) => Ok(done),
        ControlFlow::Break(()) => unreachable!("the observer never breaks"),
    }
}

fn asks(count: usize) -> DenovoRequest {
    DenovoRequest { steps: 16, ..DenovoRequest::new(count, 5) }
}

/// A network that says nothing loses `ln V` a token: the bound of an even guess is exact at every time.
#[test]
fn an_even_guess_loses_the_logarithm_of_the_vocabulary() {
    let config = DenovoConfig { loss: CategoricalLoss::Vlb {}, ..config() };
    let (task, device) = (task(&config), Device::flex());
    let even = task.init(1, &device);
    // The bound of one time is T ln V / (L t) for each hidden token, of which there are L t / T: its mean over many rows is ln V.
    let steps = 200;
    let mean =
        (0..steps).map(|step| f64::from(task.loss(&even, step, 0..64, &device).into_scalar::<f32>())).sum::<f64>() / f64::from(steps);
    assert_eq!(config.tokens, ["C", "N", "O"]);
    assert!((mean - 3f64.ln()).abs() < 0.03, "{mean}");
}

/// The loss of a step does not depend on how its rows are cut, as long as groups stay whole.
#[test]
fn rows_do_not_depend_on_their_micro_batch() {
    let config = config();
    let (task, device, net) = (task(&config), Device::flex(), net(&config, 0.1));
    let loss = |rows: std::ops::Range<u32>| f64::from(task.loss(&net, 3, rows, &device).into_scalar::<f32>());
    assert!((loss(0..32) - 0.25 * (0..4).map(|k| loss(8 * k..8 * k + 8)).sum::<f64>()).abs() < 1e-5);
    assert!((loss(0..8) - loss(8..16)).abs() > 1e-6);
    let score = |rows| task.validate(&net, rows, &device)[0];
    assert!((score(0..12) - score(0..5) - score(5..12)).abs() < 1e-4);
}

#[test]
fn strings_depend_on_seed_and_number_alone() {
    let config = config();
    let model = model(&config);
    let draw = |rows, seed| {
        let drawing = model.drawing(&DenovoRequest { seed, ..asks(1) }).unwrap();
        match drawing.sample(rows, &|| ControlFlow::Continue(())) {
            ControlFlow::Continue(strings) => strings,
            ControlFlow::Break(()) => unreachable!("the observer never breaks"),
        }
    };
    let all = draw(0..64, 5);
    assert_eq!(all, draw(0..64, 5));
    assert_eq!(all[7..20], draw(7..20, 5));
    assert_ne!(all, draw(0..64, 6));
    assert!(all.iter().all(|s| (3..=6).contains(&s.len()) && s.chars().all(|c| "CNO".contains(c))));
    // Asking for more goes on where asking for less ended.
    let (few, more) = (generate(&model, &asks(5)).unwrap(), generate(&model, &asks(9)).unwrap());
    assert_eq!(few.0, more.0[..5]);
    assert!(few.1.drawn <= more.1.drawn);
    let drawing = model.drawing(&asks(1)).unwrap();
    assert!(drawing.sample(0..64, &|| ControlFlow::Break(())).is_break());
}

/// With the output layer at zero every token is drawn evenly, whatever the number of steps: each of V tokens at its share.
#[test]
fn tokens_of_an_even_guess_are_even() {
    let config = config();
    let task = task(&config);
    let model = Denovo::new(config.clone(), task.init(1, &Device::flex()), &task.constants(), Device::flex()).unwrap();
    for steps in [1, 5, 16] {
        let drawing = model.drawing(&DenovoRequest { steps, ..asks(1) }).unwrap();
        let ControlFlow::Continue(strings) = drawing.sample(0..2048, &|| ControlFlow::Continue(())) else { panic!("it stopped") };
        let text = strings.concat();
        for token in ['C', 'N', 'O'] {
            let share = text.chars().filter(|&c| c == token).count() as f64 / text.len() as f64;
            // Five standard errors.
            assert!((share - 1.0 / 3.0).abs() < 5.0 * (2.0 / 9.0 / text.len() as f64).sqrt(), "{token} {share}");
        }
    }
}

#[test]
fn sizes_and_formulas_are_kept_and_impossible_ones_refused() {
    let config = config();
    let model = model(&config);
    let (found, report) = generate(&model, &DenovoRequest { heavy: Some(3..=4), ..asks(8) }).unwrap();
    let read = |s: &String| langevin_molecule::Molecule::from_smiles(s).unwrap();
    assert!(found.iter().all(|s| (3..=4).contains(&read(s).heavy().len())));
    assert_eq!((report.asked, report.unique, found.len()), (8, 8, 8));
    assert!(
        report.drawn >= report.valid && report.valid >= report.fitting && report.fitting >= report.unique && report.unique >= report.novel
    );
    let known = model.known();
    assert_eq!(report.novel, found.iter().filter(|s| !known.contains(s)).count());

    let formula = Some("C3H8O".parse().unwrap());
    let (found, _) = generate(&model, &DenovoRequest { formula: formula.clone(), ..asks(2) }).unwrap();
    assert!(found.iter().all(|s| ["CCCO", "CCOC"].contains(&s.as_str())), "{found:?}");
    // Two chains there are, no third.
    let refused = generate(&model, &DenovoRequest { formula: formula.clone(), most_drawn: 300, ..asks(3) }).unwrap_err();
    assert!(matches!(refused, Error::TooFew { wanted: 3, drawn: 300, found } if found <= 2), "{refused}");
    for bad in [
        DenovoRequest { heavy: Some(7..=9), ..asks(1) },
        DenovoRequest { heavy: Some(5..=6), formula, ..asks(1) },
        DenovoRequest { steps: 0, ..asks(1) },
        DenovoRequest { steps: 17, ..asks(1) },
        DenovoRequest { guidance: f64::NAN, ..asks(1) },
    ] {
        assert!(matches!(generate(&model, &bad), Err(Error::Setting { .. })), "{bad:?}");
    }
    assert_eq!(generate(&model, &DenovoRequest { guidance: 2.0, ..asks(4) }).unwrap().0.len(), 4);
    assert!(generate(&model, &asks(0)).unwrap().0.is_empty());
}

#[test]
fn what_cannot_be_learned_is_left_out_or_refused() {
    let config = config();
    let with = |more: &[&str]| {
        let all: Vec<String> = strings().into_iter().chain(more.iter().map(|&s| s.to_owned())).collect();
        DenovoTask::new(&config, 1, 8, &all, &strings()).unwrap()
    };
    // An unknown token, no molecule, too long.
    assert_eq!(with(&["CCF", "COOO(", "CCCCCCCCC", ""]).len(), with(&[]).len());
    assert_eq!(with(&["CCC"]).len().0, with(&[]).len().0 + 1);
    assert!(DenovoTask::new(&config, 1, 8, &["CF".to_owned()], &strings()).is_err());
    assert!(DenovoTask::new(&DenovoConfig { tokens: vec![], ..config.clone() }, 1, 8, &strings(), &strings()).is_err());
    assert!(Known::from_constants(&with(&[]).constants()).unwrap().contains("CCO"));
    for bad in [
        DenovoConfig { heads: 3, ..config.clone() },
        DenovoConfig { steps: 1, ..config.clone() },
        DenovoConfig { drop: 1.0, ..config.clone() },
        DenovoConfig { tokens: vec!["CC".to_owned()], ..config.clone() },
        DenovoConfig { loss: CategoricalLoss::Hybrid { lambda: -1.0 }, ..config.clone() },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
    assert!(Denovo::new(config.clone(), net(&config, 0.0), &[], Device::flex()).is_err());
}

/// Some steps along the signs of the gradient: nearly all strings have one atom that is no carbon, as all that were learned.
#[test]
fn training_teaches_the_strings() {
    let config = config();
    let (task, device) = (task(&config), Device::flex());
    let mut net = task.init(1, &device);
    for step in 0..400 {
        let tracked = net.clone().train();
        let loss = task.loss(&tracked, step, 0..32, &device.clone().autodiff());
        let gradients = weights::gradients(&tracked, &loss.backward()).unwrap();
        let mut values = weights::export(&net).unwrap();
        let rate = 0.004 * (1.0 - step as f32 / 400.0);
        values.iter_mut().flatten().zip(gradients.iter().flatten()).for_each(|(v, g)| *v -= rate * g.signum());
        net = weights::import(net, values);
    }
    let score = task.validate(&net, 0..task.validation_rows(), &device)[0] / f64::from(task.validation_rows());
    let model = Denovo::new(config.clone(), net, &task.constants(), device).unwrap();
    let drawing = model.drawing(&asks(1)).unwrap();
    let ControlFlow::Continue(drawn) = drawing.sample(0..256, &|| ControlFlow::Continue(())) else { panic!("it stopped") };
    let right = drawn.iter().filter(|s| s.chars().filter(|&c| c != 'C').count() <= 1).count();
    // An even guess has ln 3 = 1.10, and under one string in five right.
    assert!(score < 0.75 && right > 200, "score {score}, {right} of 256 right");
}
