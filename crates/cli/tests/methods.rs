//! Every way to train, distil, sample and judge the small prior of tones, from outside.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{
    langevin,
    tones::{TONES, content, done, names, refused, text},
};

/// Students of the tones' checkpoint: in half the steps, round after round, and in one jump.
#[test]
fn a_checkpoint_is_distilled_into_fewer_steps() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = |name: &str| folder.path().join(name);
    let config = |method: &str, path: usize, steps: usize| {
        let config = format!(
            "name = 'fast'\ndomain = 'audio'\n[distill]\nmethod = '{method}'\nfrom = 'audio-digits'\npath = {path}\nsteps = {steps}\n\
             [train]\nsteps = 6\nbatch = 8\nmicro_batch = 4\nvalidate_every = 3\nsave_every = 2\n"
        );
        fs::write(at("d.toml"), config).expect("writable");
    };
    let (data, teacher, toml) = (TONES.at("data"), TONES.at("run/model.safetensors"), at("d.toml"));
    let distill = |output: &Path, more: &[&str]| -> Vec<String> {
        let base =
            ["distill", "audio", "--data", text(&data), "--config", text(&toml), "--from", text(&teacher), "-o", text(output), "--quiet"];
        [&base, more].concat().into_iter().map(ToOwned::to_owned).collect()
    };
    fn of(args: &[String]) -> Vec<&str> {
        args.iter().map(String::as_str).collect()
    }
    let (run, no) = (at("run"), at("no"));
    config("progressive", 8, 2);
    let told = done(&of(&distill(&run, &["--json"])));
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(told["rounds"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(names(&run), ["steps-2", "steps-4"]);
    let student = run.join("steps-2/model.safetensors");
    done(&["gen", "audio", "--checkpoint", text(&student), "-o", text(&at("out")), "--quiet"]);
    let made: Value = serde_json::from_str(&fs::read_to_string(at("out/manifest.json")).expect("there")).expect("JSON");
    assert_eq!(made["network_evaluations"], 2);
    // Its guidance is inside, and it knows its own levels only; neither its score nor its moments are those of a diffusion model.
    for (more, words) in [
        (["--guidance", "2"], ["distilled", "guidance"]),
        (["--steps", "7"], ["distilled", "2 steps"]),
        (["--grid", "lambda"], ["distilled", "2 steps"]),
    ] {
        let args = [&["gen", "audio", "--checkpoint", text(&student), "-o", text(&no)], &more[..]].concat();
        refused(&args, &no, 1, &words);
    }
    // The same again is the same bytes; what was begun goes on, what is done is kept.
    let first = content(&run.join("steps-2"));
    assert_eq!(langevin(&of(&distill(&run, &[]))).code, 1, "a run is protected");
    fs::remove_dir_all(run.join("steps-2")).expect("removable");
    done(&of(&distill(&run, &["--resume", "--threads", "1"])));
    assert_eq!(content(&run.join("steps-2")), first);

    config("consistency", 8, 1);
    done(&of(&distill(&at("jump"), &[])));
    let student = at("jump/steps-1/model.safetensors");
    for steps in ["1", "3"] {
        let out = at(&format!("jump{steps}"));
        done(&["gen", "audio", "--checkpoint", text(&student), "--steps", steps, "-o", text(&out), "--quiet"]);
    }
    refused(&of(&distill(&no, &["--method", "progressive", "--stop-at", "3"])), &no, 1, &["halving", "stop at one of 4, 2, 1"]);
    config("progresive", 8, 2);
    refused(&of(&distill(&no, &[])), &no, 1, &["progresive", "did you mean `progressive`"]);
    let again = ["distill", "audio", "--data", text(&data), "--from", text(&student), "-o", text(&no)];
    refused(&again, &no, 1, &["jumps already"]);
}

/// Every solver and driver, by its name and by a config, on the tones' checkpoint.
#[test]
fn every_method_samples_or_is_refused_with_the_reason() {
    let listed = done(&["list", "--methods", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let solvers = listed["solvers"].as_array().expect("a list");
    assert!(solvers.len() >= 43, "{}", solvers.len());
    let folder = tempfile::tempdir().expect("temporary folder");
    let checkpoint = TONES.at("run/model.safetensors");
    for solver in solvers {
        let name = solver["name"].as_str().expect("a name");
        let settings: toml::Value = serde_json::from_value(solver["settings"].clone()).expect("a table");
        let config = folder.path().join("c.toml");
        fs::write(&config, format!("[sampling]\nsolver = {settings}\ngrid = 'lambda'\nsteps = 8\n")).expect("writable");
        let made = |how: &[&str], out: &str| {
            let out = folder.path().join(format!("{name}-{out}"));
            let args = ["gen", "audio", "--checkpoint", text(&checkpoint), "--quiet", "-o", text(&out)];
            let run = langevin(&[&args, how].concat());
            (run.code, run.stderr, out)
        };
        let (by_name, by_config) =
            (made(&["--solver", name, "--grid", "lambda", "--steps", "8"], "name"), made(&["--config", text(&config)], "config"));
        if name == "ddpm-learned" {
            assert!(by_name.0 == 1 && by_name.1.contains("learned variance"), "{}", by_name.1);
        } else {
            assert_eq!((by_name.0, by_config.0), (0, 0), "{name}: {} {}", by_name.1, by_config.1);
            assert_eq!(content(&by_name.2), content(&by_config.2), "{name}");
        }
    }
}

#[test]
fn likelihood_is_told_exactly_and_bounded() {
    let (checkpoint, data) = (TONES.at("run/model.safetensors"), TONES.at("data"));
    let args =
        ["eval", "audio", "--checkpoint", text(&checkpoint), "--likelihood", text(&data), "--ode-steps", "20", "--bound-steps", "5,40"];
    let told = done(&[&args[..], &["--json", "--quiet", "--grid", "lambda"]].concat());
    let again = done(&[&args[..], &["--json", "--quiet", "--grid", "lambda", "--threads", "1"]].concat());
    assert_eq!(told.stdout, again.stdout, "threads change nothing");
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    let exact = told["exact"]["negative_log_p"]["bits_per_dim"].as_f64().expect("a number");
    let bounds = told["bounds"].as_array().expect("a list");
    for bound in bounds {
        let of = |key: &str| bound[key].as_f64().expect("a number");
        assert!(of("analytic") <= of("small") + 1e-6 && of("analytic") <= of("large") + 1e-6, "{bound}");
        assert!(of("analytic") > exact - 0.5, "{bound} {exact}");
    }
    assert!(bounds[1]["analytic"].as_f64() < bounds[0]["analytic"].as_f64(), "more steps, a tighter bound: {told}");
    let none = TONES.at("nothing");
    refused(&["eval", "audio", "--likelihood", text(&none)], &none, 1, &[text(&none)]);
}
