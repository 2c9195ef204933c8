//! The core against the reference values that the project keeps, and against damaged copies of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use burn::tensor::Device;
use langevin_core::selftest::{self, Case, SelftestError, Status};
use serde_json::{Value, json};

fn golden(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(part)
}

fn lines(cases: &[Case], statuses: &[Status]) -> Vec<String> {
    let wanted = cases.iter().filter(|c| statuses.contains(&c.status));
    wanted.map(|c| format!("{:?} {} {:?} {}", c.status, c.name, c.max_abs_diff, c.note)).collect()
}

#[test]
fn every_reference_value_is_reproduced() {
    let mut cases = selftest::run_dir(&golden("core"), Some(&Device::flex())).unwrap();
    cases.extend(selftest::run_dir(&golden("d3pm"), None).unwrap());
    cases.extend(selftest::run_dir(&golden("more"), Some(&Device::flex())).unwrap());
    let others = lines(&cases, &[Status::Skip, Status::Quirk]);
    eprintln!("{} cases, of which not a pass:\n{}", cases.len(), others.join("\n"));
    let failed = lines(&cases, &[Status::Fail]);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(cases.iter().filter(|c| c.status == Status::Pass).count() > 90);
}

/// Cases of a document that is written to a folder of its own.
fn run(document: &Value) -> Result<Vec<Case>, SelftestError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("trajectories.json"), document.to_string()).unwrap();
    selftest::run_dir(folder.path(), None)
}

/// Numbers of an entry that a check must notice, as JSON pointers, and what to add to each, relative to those above 1.
fn places(entry: &Value) -> Vec<(String, f64)> {
    let last = entry["steps"].as_array().unwrap().len() - 1;
    let middle = last / 2;
    let draw = entry["noise"].as_array().map_or(0, |noise| noise.len() / 2);
    let mut places = vec![
        ("/x_init/1/0".to_owned(), 1e-6),
        ("/final/0/1".to_owned(), 1e-6),
        ("/reference_final/2/0".to_owned(), 1e-6),
        ("/timesteps/1".to_owned(), 1.0),
        ("/sigmas/1".to_owned(), 1e-6),
        (format!("/noise/{draw}/0/0"), 1e-6),
        ("/alphas_cumprod_head_tail/0".to_owned(), 1e-6),
        ("/config/beta_end".to_owned(), 1e-4),
        ("/config/sigma_max".to_owned(), 1e-2),
        ("/config/flow_shift".to_owned(), 1e-2),
        ("/set_timesteps".to_owned(), 1.0),
        ("/config/timestep_scaling".to_owned(), 1.0),
        ("/config/original_inference_steps".to_owned(), 1.0),
        ("/config/s_noise".to_owned(), 1e-4),
        ("/config/snr".to_owned(), 1e-4),
        ("/config/correct_steps".to_owned(), 1.0),
        ("/eta".to_owned(), 1e-4),
    ];
    for k in [0, middle, last] {
        for (field, by) in [("t", 1.0), ("alpha", 1e-6), ("sigma", 1e-6), ("x/0/0", 1e-6), ("model_output/3/1", 1e-6), ("x_next/3/0", 1e-6)]
        {
            places.push((format!("/steps/{k}/{field}"), by));
        }
    }
    places
}

#[test]
fn a_damaged_number_is_noticed() {
    let read = |file: &str| serde_json::from_str::<Value>(&fs::read_to_string(golden(file)).unwrap()).unwrap();
    let documents = [read("core/trajectories_diffusers64.json"), read("more/trajectories.json")];
    let entries = documents.iter().flat_map(|whole| whole["cases"].as_object().unwrap().iter().map(move |entry| (whole, entry)));
    let (mut tried, mut missed) = (0, Vec::new());
    for (whole, (name, entry)) in entries {
        let sound = json!({ "mixture": whole["mixture"], "cases": { "entry": entry } });
        if run(&sound).unwrap().iter().any(|c| c.status == Status::Skip) {
            continue;
        }
        // A run that is NaN from its first step on, with nothing to put in its place, says nothing of its noise.
        let lost = entry["final"][0][0] == "nan" && entry.get("reference_final").is_none();
        for (place, by) in places(entry).into_iter().filter(|(place, _)| !(lost && place.starts_with("/noise"))) {
            let mut damaged = sound.clone();
            let Some(number) = damaged.pointer_mut(&format!("/cases/entry{place}")).filter(|v| v.is_number()) else { continue };
            *number = if number.is_u64() {
                json!(number.as_u64().unwrap() + 1)
            } else {
                json!(number.as_f64().unwrap() + by * number.as_f64().unwrap().abs().max(1.0))
            };
            tried += 1;
            // A number may also make the document unreadable (an index beyond the list), which is noticed too.
            if run(&damaged).is_ok_and(|cases| cases.iter().all(|c| c.status != Status::Fail)) {
                missed.push(format!("{name}{place}"));
            }
        }
    }
    assert!(missed.is_empty(), "{} of {tried} damaged copies passed:\n{}", missed.len(), missed.join("\n"));
    assert!(tried > 1500, "only {tried} places were damaged");
}

#[test]
fn a_damaged_mixture_is_noticed() {
    let text = fs::read_to_string(golden("core").join("trajectories_diffusers64.json")).unwrap();
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    whole["mixture"]["means"][1][0] = json!(-1.000_001);
    assert!(run(&whole).unwrap().iter().any(|c| c.status == Status::Fail));
}

#[test]
fn bad_files_are_errors_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(selftest::run_dir(folder.path(), None), Err(SelftestError::Empty { .. })));
    let file = folder.path().join("half.json");
    fs::write(&file, "{\"mixture\": ").unwrap();
    let error = selftest::run_dir(folder.path(), None).unwrap_err();
    assert!(error.to_string().contains("half.json"), "{error}");
    fs::write(&file, json!({ "mixture": 3, "cases": {} }).to_string()).unwrap();
    let error = selftest::run_dir(folder.path(), None).unwrap_err();
    assert!(error.to_string().contains("half.json") && error.to_string().contains("mixture"), "{error}");
    assert!(selftest::run_dir(&folder.path().join("missing"), None).is_err());
}

#[test]
fn unknown_files_and_entries_are_skipped() {
    let entry = json!({ "scheduler": "NoSuchScheduler", "config": {}, "mode": "disc", "set_timesteps": 1, "status": "cross-checked",
        "timesteps": [0.0], "x_init": [[0.0, 0.0]], "noise": [], "final": [[0.0, 0.0]],
        "steps": [{ "t": 0.0, "alpha": 1.0, "sigma": 0.1, "x": [[0.0, 0.0]], "model_output": [[0.0, 0.0]], "x_next": [[0.0, 0.0]] }] });
    let mixture = json!({ "weights": [1.0], "means": [[0.0, 0.0]], "covs": [[[1.0, 0.0], [0.0, 1.0]]] });
    let cases = run(&json!({ "mixture": mixture, "cases": { "entry": entry } })).unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0].status, Status::Skip);
    assert_eq!(run(&json!({ "weather": "fine" })).unwrap()[0].status, Status::Skip);
}
