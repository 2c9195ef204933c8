//! The program from outside: exit codes, messages, JSON, and no panic whatever it is given.

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{Run, checkpoint, langevin, with};

/// Asserts a failure that explains itself: the exit code, nothing on stdout, and these words on stderr.
fn refused(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, code, "{}", run.stderr);
    assert_eq!(run.stdout, "", "data on stdout beside an error");
    for word in words {
        assert!(run.stderr.contains(word), "'{word}' is not in: {}", run.stderr);
    }
}

fn json(run: &Run) -> Value {
    assert_eq!(run.stdout.lines().count(), 1, "one JSON object on one line: {}", run.stdout);
    let value: Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    assert_eq!(value["schema_version"], 1);
    value
}

#[test]
fn help_and_version_are_as_shown() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("../../tests/cmd/*.trycmd").run();
}

#[test]
fn help_is_data_and_a_missing_command_is_usage() {
    let help = langevin(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("Usage: langevin"));
    refused(&langevin(&[]), 2, &["Usage: langevin", "doctor"]);
    refused(&langevin(&["gen"]), 2, &["Usage: langevin gen", "audio"]);
    refused(&langevin(&["--json"]), 2, &["Usage: langevin"]);
}

#[test]
fn unknown_names_are_usage_errors_with_a_suggestion() {
    refused(&langevin(&["docter"]), 2, &["'docter'", "did you mean `doctor`?"]);
    refused(&langevin(&["gen", "melody"]), 2, &["domain", "'melody'", "audio"]);
    refused(&langevin(&["train", "audoi"]), 2, &["did you mean `audio`?"]);
    refused(&langevin(&["list", "--jsn"]), 2, &["--jsn", "--json"]);
    refused(&langevin(&["completions", "cmd.exe"]), 2, &["cmd.exe", "bash"]);
    refused(&langevin(&["explain", "--solver", "dmppp2m"]), 2, &["dmppp2m", "dpmpp2m"]);
}

#[test]
fn a_table_is_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("holes.csv");
    fs::write(&path, "date;x;y\n2020-01-01;1,5;2\n2020-01-02;;3\n2020-01-04;2,5;4\n").expect("written");
    let name = path.to_str().expect("UTF-8");
    let told = json(&langevin(&["info", name, "--json"]));
    assert_eq!((&told["kind"], &told["frequency"], &told["decimal"]), (&"table".into(), &"1d".into(), &",".into()));
    assert_eq!((told["rows"].as_u64(), told["grid_rows"].as_u64(), told["columns"][0]["missing"].as_u64()), (Some(3), Some(4), Some(1)));
    let text = langevin(&["info", name]);
    for part in ["every 1d, 2020-01-01 to 2020-01-04", "1 of 6 fields (16.67 %)", "33.33 %", "gaps of rows"] {
        assert!(text.stdout.contains(part), "'{part}' is not in: {}", text.stdout);
    }
    fs::write(&path, "date,x\n2020-01-01,1\n2020-01-01,2\n").expect("written");
    refused(&langevin(&["info", name]), 1, &["row 3, column 'date'", "--dedup"]);
    fs::write(&path, "a,b\n1\n").expect("written");
    refused(&langevin(&["info", name]), 1, &["row 2", "1 field"]);
}

#[test]
fn the_values_inside_the_program_pass() {
    let output = langevin(&["selftest", "--json"]);
    assert_eq!(output.code, 0);
    let told: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!((told["summary"]["fail"].as_u64(), told["summary"]["skip"].as_u64()), (Some(0), Some(0)));
    assert!(told["summary"]["pass"].as_u64().is_some_and(|n| n > 400), "{}", told["summary"]);
}

#[test]
fn plans_are_explained() {
    let output = langevin(&["explain", "--solver", "unipc3", "--grid", "lambda", "--steps", "20", "--json"]);
    assert_eq!(output.code, 0);
    let told: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(told["nodes"].as_array().map(Vec::len), Some(21));
    let evaluations = |ops: &Vec<serde_json::Value>| ops.iter().filter(|op| op["op"] == "eval").count() as u64;
    assert_eq!(told["plan"]["ops"].as_array().map(evaluations), told["network_evaluations"].as_u64());
    let text = langevin(&["explain", "--steps", "4"]);
    assert!(text.stdout.contains("4 network evaluations"));
}

#[test]
fn devices_that_do_not_exist_or_are_not_built() {
    refused(&langevin(&["list", "--device", "abacus"]), 2, &["'abacus'", "flex, tch"]);
    refused(&with(&["list"], &[("LANGEVIN_DEVICE", "abacus")]), 2, &["'abacus'", "LANGEVIN_DEVICE"]);
    let listed = json(&langevin(&["list", "--json"]));
    let devices = listed["devices"].as_array().expect("a list");
    for device in devices.iter().filter(|d| d["built"] == false) {
        let name = device["name"].as_str().expect("a name");
        refused(&langevin(&["doctor", "--device", name]), 2, &[name, "--features"]);
    }
    let flag_wins = with(&["list", "--device", "flex"], &[("LANGEVIN_DEVICE", "abacus")]);
    assert_eq!(flag_wins.code, 0, "{}", flag_wins.stderr);
}

#[test]
fn numbers_of_threads() {
    for bad in ["0", "-3", "many", "1.5", "100000", ""] {
        refused(&langevin(&["list", "--threads", bad]), 2, &["--threads"]);
    }
    for bad in ["0", "-3", "many"] {
        refused(&with(&["list"], &[("LANGEVIN_THREADS", bad)]), 2, &["LANGEVIN_THREADS", "1 to 1024"]);
    }
    let threads = |run: &Run| json(run)["threads"].as_u64();
    assert_eq!(threads(&with(&["doctor", "--json"], &[("LANGEVIN_THREADS", "3")])), Some(3));
    assert_eq!(threads(&with(&["doctor", "--json", "--threads", "2"], &[("LANGEVIN_THREADS", "x")])), Some(2));
    assert!(threads(&with(&["doctor", "--json"], &[("LANGEVIN_THREADS", "")])) >= Some(1), "empty counts as absent");
}

#[test]
fn info_of_things_that_are_no_checkpoint() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path.display().to_string()
    };
    let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut endless = (1u64 << 63).to_le_bytes().to_vec();
    endless.extend(b"{}");
    let stranger = safetensors::serialize(
        [("w", safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).expect("four bytes"))],
        None,
    );
    let cases: [(String, &[&str]); 7] = [
        (at("empty", b""), &["empty"]),
        (at("noise", &noise), &["not a usable checkpoint"]),
        (at("endless", &endless), &["not a usable checkpoint"]),
        (at("stranger", &stranger.expect("serialises")), &["not one of langevin's"]),
        (at("noise.wav", &noise), &["not a readable WAV file"]),
        (at("short.wav", b"RIFF\x24\0\0\0WAVE"), &["WAV"]),
        (folder.path().display().to_string(), &["it is not a file"]),
    ];
    for (file, words) in &cases {
        refused(&langevin(&["info", file]), 1, words);
        refused(&langevin(&["info", file, "--json"]), 1, &[file]);
    }
    refused(&langevin(&["info", "no-such-model"]), 1, &["'no-such-model'", "neither a file nor a checkpoint"]);
}

#[test]
fn info_of_a_checkpoint_in_text_and_json() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("m.safetensors");
    checkpoint("says \u{1b}[31mred").write(&path, langevin_engine::checkpoint::Precision::F16).expect("writable");
    let path = path.display().to_string();

    let text = langevin(&["info", &path]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    for word in ["tiny", "audio", "parameters  6", "kind = \"prior\"", "says ?[31mred"] {
        assert!(text.stdout.contains(word), "{word} is not in {}", text.stdout);
    }
    assert!(!text.stdout.contains('\u{1b}'), "a card must not drive the terminal");

    let found = json(&langevin(&["info", &path, "--json"]));
    assert_eq!((&found["kind"], &found["domain"]), (&"checkpoint".into(), &"audio".into()));
    assert_eq!((&found["parameters"], &found["tensors"]), (&6.into(), &2.into()));
    assert_eq!(found["config"]["model"]["kind"], "prior");
    assert_eq!(found["hash"].as_str().map(str::len), Some(16));
}

#[test]
fn a_truncated_checkpoint_is_refused_at_every_length() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("m.safetensors");
    let bytes = checkpoint("x").to_bytes(langevin_engine::checkpoint::Precision::F32).expect("serialises");
    for length in [1, 7, 8, 9, 60, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).expect("writable");
        refused(&langevin(&["info", &path.display().to_string()]), 1, &["m.safetensors", "not a usable checkpoint"]);
    }
}

#[test]
fn info_of_a_wav_file() {
    let folder = tempfile::tempdir().expect("temporary folder");
    // No .wav ending: the content decides.
    let path = folder.path().join("sound");
    let spec = hound::WavSpec { channels: 2, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(&path, spec).expect("writable");
    for _ in 0..4000 {
        writer.write_sample(16384i16).and_then(|()| writer.write_sample(16384i16)).expect("writable");
    }
    writer.finalize().expect("writable");
    let path = path.display().to_string();

    let found = json(&langevin(&["info", "--json", &path]));
    assert_eq!((&found["kind"], &found["rate"], &found["channels"]), (&"wav".into(), &8000.into(), &2.into()));
    assert_eq!((&found["seconds"], &found["peak"]), (&0.5.into(), &0.5.into()));
    let text = langevin(&["info", &path]);
    assert!(text.code == 0 && text.stdout.contains("8000 Hz") && text.stdout.contains("0.500 s"), "{}", text.stdout);
}

#[test]
fn list_and_doctor_are_json_and_text() {
    let listed = json(&langevin(&["list", "--json"]));
    assert!(listed["checkpoints"].is_array());
    assert!(langevin(&["list"]).stdout.contains("flex"));

    let doctor = langevin(&["doctor", "--json"]);
    assert_eq!((doctor.code, doctor.stderr.as_str()), (0, ""));
    let found = json(&doctor);
    let checks = found["checks"].as_array().expect("a list");
    assert!(checks.len() >= 2 && checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    let device = found["devices"].as_array().expect("a list").iter().find(|d| d["name"] == found["device"]);
    assert_eq!(device.expect("the device in use is listed")["opens"], true);
    let text = langevin(&["doctor"]);
    assert!(text.code == 0 && text.stdout.contains("known answers") && !text.stdout.contains("BROKEN"), "{}", text.stdout);
}

#[test]
fn selftest_of_folders_without_reference_values() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().display().to_string();
    let selftest = |path: &str| langevin(&["selftest", "--vectors", path]);
    refused(&selftest(&path), 1, &["no .json file"]);
    refused(&selftest(&format!("{path}/missing")), 1, &["missing"]);
    fs::write(folder.path().join("a.json"), "{\"rng\": ").expect("writable");
    refused(&selftest(&path), 1, &["a.json", "not valid JSON"]);
    refused(&selftest(&format!("{path}/a.json")), 1, &["a.json"]);
    fs::write(folder.path().join("a.json"), "{\"rng\": {}}").expect("writable");
    refused(&selftest(&path), 1, &["a.json", "philox4x32_10_kat"]);
    // Understood as JSON, but not as anything to compare: said, and no success.
    fs::write(folder.path().join("a.json"), "{\"weather\": {\"rain\": 3}}").expect("writable");
    let unknown = selftest(&path);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stdout.contains("skip") && unknown.stderr.contains("nothing was compared"), "{}", unknown.stderr);
}

#[test]
fn selftest_passes_true_values_and_fails_changed_ones() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/core/misc.json");
    let whole: Value = serde_json::from_str(&fs::read_to_string(golden).expect("the golden values are there")).expect("JSON");
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = |rng: &Value| {
        fs::write(folder.path().join("v.json"), serde_json::json!({"rng": rng}).to_string()).expect("writable");
        langevin(&["selftest", "--json", "--vectors", &folder.path().display().to_string()])
    };

    let mut rng = whole["rng"].clone();
    let good = run(&rng);
    assert_eq!(good.code, 0, "{}", good.stderr);
    let document = json(&good);
    assert_eq!(document["summary"]["fail"], 0);
    assert_eq!(document["summary"]["pass"].as_u64(), document["cases"].as_array().map(|cases| cases.len() as u64));
    let case = &document["cases"][0];
    assert!(
        case["name"].is_string() && case["status"] == "pass" && case["max_abs_diff"].is_number() && case["tolerance"].is_number(),
        "{case}"
    );

    rng["normals"][3] = 0.5.into();
    let bad = run(&rng);
    assert_eq!(bad.code, 1);
    assert!(json(&bad)["summary"]["fail"].as_u64() >= Some(1));
    assert!(bad.stderr.contains("fail"), "{}", bad.stderr);
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = langevin(&["completions", shell]);
        assert!(script.code == 0 && script.stderr.is_empty());
        assert!(
            ["gen", "doctor", "selftest", "--threads"].iter().all(|word| script.stdout.contains(word.trim_start_matches('-'))),
            "{shell}"
        );
    }
}

#[test]
fn a_closed_pipe_is_success() {
    for args in [&["completions", "bash"][..], &["list"], &["doctor", "--json"], &["--help"], &["--version"]] {
        let run = support::into_closed_pipe(args);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let run = support::run(support::command(&["list"]).stdout(full));
    refused(&run, 1, &["stdout", "No space left"]);
}

#[test]
fn pipes_get_plain_text() {
    for variables in [&[][..], &[("NO_COLOR", "1")], &[("TERM", "dumb")]] {
        for args in [&["--help"][..], &["info", "nothing"], &["list", "--threads", "0"], &["gen", "x"], &["doctor"]] {
            let run = with(args, variables);
            assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{args:?} {variables:?}");
        }
    }
}

#[test]
fn quiet_and_verbose_exclude_each_other() {
    refused(&langevin(&["list", "-q", "-v"]), 2, &["--quiet", "--verbose"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_unicode() {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    refused(&support::run(support::command(&["info"]).arg(odd)), 1, &["neither a file nor"]);
    refused(&support::run(support::command(&["gen", "x"]).arg(odd)), 2, &["'x'"]);
    refused(&support::run(support::command(&["list"]).env("LANGEVIN_THREADS", odd)), 2, &["LANGEVIN_THREADS"]);
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join(odd);
    checkpoint("x").write(&path, langevin_engine::checkpoint::Precision::F32).expect("writable");
    assert_eq!(json(&support::run(support::command(&["info", "--json"]).arg(path)))["kind"], "checkpoint");
}
