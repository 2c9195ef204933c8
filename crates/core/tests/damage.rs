//! Every number of the small reference documents matters: a copy with any one of them changed does not pass.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use langevin_core::selftest::{self, Case, Status};
use serde_json::{Value, json};

fn golden(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(part)
}

fn read(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(golden(file)).unwrap()).unwrap()
}

/// Whether a document passes: no error, no failed case.
fn passes(documents: &[(&str, &Value)]) -> Result<Vec<Case>, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, document) in documents {
        fs::write(folder.path().join(name), document.to_string()).unwrap();
    }
    let cases = selftest::run_dir(folder.path(), None).map_err(|e| e.to_string())?;
    match cases.iter().find(|c| c.status == Status::Fail) {
        Some(case) => Err(format!("{}: {}", case.name, case.note)),
        None => Ok(cases),
    }
}

/// JSON pointers of all numbers below a value.
fn numbers(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Number(_) => all.push(at.to_owned()),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| numbers(v, &format!("{at}/{i}"), all)),
        Value::Object(members) => members.iter().for_each(|(k, v)| numbers(v, &format!("{at}/{}", k.replace('/', "~1")), all)),
        _ => {}
    }
}

/// Damages every `stride`-th number by a thousandth of itself or of `least`, one at a time, and names those that nobody missed. `known` numbers are not looked at.
fn unnoticed(document: &Value, beside: &[(&str, &Value)], stride: usize, least: f64, known: impl Fn(&str) -> bool) -> Vec<String> {
    let mut places = Vec::new();
    numbers(document, "", &mut places);
    assert!(!places.is_empty());
    let mut missed = Vec::new();
    for place in places.iter().step_by(stride).filter(|p| !known(p)) {
        let mut damaged = document.clone();
        let number = damaged.pointer_mut(place).unwrap();
        *number = match number.as_u64() {
            Some(n) => json!(n + 1),
            None => {
                let v = number.as_f64().unwrap();
                json!(v + 1e-3 * v.abs().max(least))
            }
        };
        let mut documents = vec![("document.json", &damaged)];
        documents.extend_from_slice(beside);
        if passes(&documents).is_ok() {
            missed.push(place.clone());
        }
    }
    missed
}

#[test]
fn schedules() {
    let document = read("core/schedules.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.len() > 75 && cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    // The parameters of EDM's log-normal are not used by any number of the entry.
    let missed = unnoticed(&document, &[], 1, 1e-9, |p| p.starts_with("/edm_precond/p_"));
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn parameterisations() {
    let document = read("core/parameterisations.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    let missed = unnoticed(&document, &[], 3, 1e-5, |_| false);
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn losses() {
    let document = json!({ "losses": read("core/misc.json")["losses"] });
    let beside = json!({ "mixture": read("core/parameterisations.json")["mixture"], "cases": [] });
    let beside = [("mixture.json", &beside)];
    let mut documents = vec![("document.json", &document)];
    documents.extend_from_slice(&beside);
    let cases = passes(&documents).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    let missed = unnoticed(&document, &beside, 1, 1e-5, |_| false);
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn small_entries() {
    let misc = read("core/misc.json");
    for name in ["cfg", "dynamic_threshold", "slerp", "iddpm", "posthoc_ema", "repaint_jump_schedule", "d3pm"] {
        let document = json!({ name: misc[name] });
        let cases = passes(&[("document.json", &document)]).unwrap();
        assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
        // Numbers below a threshold, and x0 inside it, change only where the quantile lies.
        let stride = if name == "dynamic_threshold" { 7 } else { 1 };
        // A probability clamped at 1e-12 does not depend on where its bin is.
        let clamped = |p: &str| {
            let place = p.strip_prefix("/iddpm/disc_").and_then(|p| p.rsplit_once('/'));
            place.is_some_and(|(of, i)| of != "loglik" && misc["iddpm"]["disc_loglik"][i.parse::<usize>().unwrap()].as_f64() < Some(-27.6))
        };
        // What is not masked is known, whatever the network says of it.
        let known = |p: &str| clamped(p) || ["0", "1", "2"].iter().any(|i| p.starts_with(&format!("/d3pm/absorbing/logits/{i}/")));
        let missed = unnoticed(&document, &[], stride, 1e-5, known);
        assert!(missed.is_empty(), "{name}: {missed:#?}");
    }
}

#[test]
fn likelihoods() {
    let document = read("core/likelihood.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    let missed = unnoticed(&document, &[], 31, 1e-1, |_| false);
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn analytic_variances() {
    let document = read("core/analytic_dpm.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    // A few steps of each list: the quadrature of all of them takes long.
    let mut document = document;
    for list in ["K10", "K50"] {
        let steps = document[list].as_array().unwrap();
        document[list] = [&steps[0], &steps[3], &steps[steps.len() - 1]].into_iter().cloned().collect();
    }
    let missed = unnoticed(&document, &[], 3, 1e-6, |p| p.ends_with("quadrature_disagreement"));
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn distillation() {
    let document = read("core/progressive_distillation.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    // At t = 1 nothing of x0 is left in z.
    let missed = unnoticed(&document, &[], 5, 1e-5, |p| p.starts_with("/cases/0/x/"));
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_schedule_that_is_not_named() {
    let document = read("more/progressive_distillation.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    let missed = unnoticed(&document, &[], 3, 1e-5, |_| false);
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn variances_of_a_table_that_is_not_there() {
    let document = read("more/iddpm.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    // No table says which time this is; a probability clamped at 1e-12 does not depend on where its bin is.
    let clamped = |p: &str| {
        let place = p.strip_prefix("/iddpm/disc_").and_then(|p| p.rsplit_once('/'));
        place.is_some_and(|(of, i)| of != "loglik" && document["iddpm"]["disc_loglik"][i.parse::<usize>().unwrap()].as_f64() < Some(-27.6))
    };
    let missed = unnoticed(&document, &[], 1, 1e-5, |p| p == "/iddpm/t" || clamped(p));
    assert!(missed.is_empty(), "{missed:#?}");
    // A forward variance below its posterior variance is none.
    let mut turned = document;
    for key in ["log_var", "log_var_q"] {
        turned["iddpm"][key].as_array_mut().unwrap().iter_mut().for_each(|v| *v = json!(-v.as_f64().unwrap()));
    }
    assert!(passes(&[("document.json", &turned)]).is_err());
}

#[test]
fn discrete_processes() {
    let document = read("d3pm/d3pm_K5_T10.json");
    let cases = passes(&[("document.json", &document)]).unwrap();
    assert!(cases.iter().all(|c| c.status == Status::Pass), "{cases:#?}");
    // Embeddings matter by their order of distances only; probabilities below the tolerance of 1e-12 and the constant that no
    // process uses not at all.
    let small = |p: &str| document.pointer(p).unwrap().as_f64().unwrap().abs() < 1e-9;
    let missed = unnoticed(&document, &[], 97, 1e-9, |p| p.contains("embeddings") || small(p));
    assert!(missed.is_empty(), "{missed:#?}");
}
