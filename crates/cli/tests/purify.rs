//! `langevin purify` from outside, before a classifier that is a program.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::{fs, path::Path};

use support::langevin;

/// Scores two classes by the halves of a row.
const HALVES: &str =
    "cmd:awk -F, '{ a = 0; b = 0; for (i = 1; i <= 12; i++) a += $i; for (i = 13; i <= 24; i++) b += $i; print a \",\" b }'";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An ONNX file out of the fixtures of operators: of the cases that run, or of those that cannot be used.
fn onnx(folder: &Path, list: &str, name: &str) -> std::path::PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx/operators.json");
    let golden: serde_json::Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    let case = golden[list].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
    let hex = case["model"].as_str().unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|k| u8::from_str_radix(&hex[k..k + 2], 16).unwrap()).collect();
    let path = folder.join(format!("{}.onnx", name.replace(' ', "_")));
    fs::write(&path, bytes).unwrap();
    path
}

/// Three rows as long as the shipped purifier of series wants them, without a header.
fn rows(columns: usize) -> String {
    let row = |k: usize| (0..columns).map(|i| format!("{:.3}", ((i + 7 * k) as f64 * 0.4).sin())).collect::<Vec<_>>().join(",");
    (0..3).map(|k| row(k) + "\n").collect()
}

#[test]
fn rows_are_purified_to_the_same_bytes_on_any_threads() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("rows.csv");
    fs::write(&input, rows(24)).unwrap();
    let purified = |name: &str, threads: &str| {
        let (output, report) = (folder.path().join(name), folder.path().join(format!("{name}.json")));
        let run = langevin(&[
            "purify",
            "--classifier",
            HALVES,
            "--input-shape",
            "24",
            "--input",
            text(&input),
            "-o",
            text(&output),
            "--report",
            text(&report),
            "--seed",
            "1",
            "--threads",
            threads,
        ]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        (fs::read_to_string(output).unwrap(), fs::read_to_string(report).unwrap())
    };
    let (one, report) = purified("one.csv", "1");
    assert_eq!(one, purified("three.csv", "3").0);
    let values = |csv: &str| csv.lines().map(|l| l.split(',').map(|v| v.parse::<f64>().unwrap()).collect::<Vec<_>>()).collect::<Vec<_>>();
    let (before, after) = (values(&rows(24)), values(&one));
    assert_eq!(after.iter().map(Vec::len).collect::<Vec<_>>(), [24; 3]);
    let moved: f64 = before.iter().flatten().zip(after.iter().flatten()).map(|(a, b)| (a - b).abs()).sum::<f64>() / 72.0;
    assert!(moved > 1e-3 && moved < 1.0, "{moved}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let items = report["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    for (item, row) in items.iter().zip(&before) {
        let class = u64::from(row[12..].iter().sum::<f64>() > row[..12].iter().sum::<f64>());
        assert_eq!(item["before"]["class"].as_u64(), Some(class));
        let shift = item["shift"].as_f64().unwrap();
        assert!(shift > 0.0 && shift < 2.0, "{shift}");
        assert!(item["votes"].as_u64() == Some(8) && item["agreement_bound"].as_f64().unwrap() < item["agreement"].as_f64().unwrap());
    }
}

/// What purification changes of a decision counts, unless it is not to; what is written says what was decided.
#[test]
fn decisions_are_compared_with_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output, report) = (folder.path().join("rows.csv"), folder.path().join("out.csv"), folder.path().join("r.json"));
    // Far from all days of the training rows, so that purification moves the scores far.
    let row = |k: usize| (0..24).map(|i| format!("{:.3}", if (i < 12) == (k == 0) { 3.0 } else { -2.9 })).collect::<Vec<_>>().join(",");
    fs::write(&input, format!("{}\n{}\n", row(0), row(1))).unwrap();
    let found = |more: &[&str]| {
        let base = ["purify", "--classifier", HALVES, "--input-shape", "24", "--input", text(&input), "-o", text(&output), "--force"];
        let run = langevin(&[&base[..], &["--report", text(&report), "--seed", "1"], more].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
        report
    };
    let compared = found(&[]);
    assert!(compared["defence"].as_str().unwrap().ends_with("compared"), "{compared}");
    let purified = found(&["--decision", "purified"]);
    assert!(!purified["defence"].as_str().unwrap().contains("compared"), "{purified}");
    for report in [&compared, &purified] {
        for item in report["items"].as_array().unwrap() {
            // A program has no gradient to guide by.
            assert_eq!(item["guided"].as_bool(), Some(false));
        }
    }
    let refused = langevin(&["purify", "--decision", "best", "--classifier", HALVES, "--input", text(&input), "-o", text(&output)]);
    assert!(refused.code == 2 && refused.stderr.contains("compared or purified"), "{}", refused.stderr);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("rows.csv"), rows(24)).unwrap();
    fs::write(at("short.csv"), rows(9)).unwrap();
    fs::write(at("nan.csv"), rows(24).replacen("0.000", "nan", 1)).unwrap();
    fs::write(at("noise.onnx"), [7u8, 3, 255, 0, 41, 9]).unwrap();
    fs::create_dir(at("empty")).unwrap();
    let output = at("out.csv");
    let (halves, noise) = (HALVES, at("noise.onnx"));
    let [unknown, external, open] =
        ["unknown operator", "external data", "open input"].map(|name| onnx(folder.path(), "broken", name).to_str().unwrap().to_owned());
    for (classifier, shape, input, words) in [
        (halves, None, "rows.csv", &["shape of one input", "--input-shape"][..]),
        (unknown.as_str(), None, "rows.csv", &["unknown_operator.onnx", "Frob"]),
        (external.as_str(), None, "rows.csv", &["external_data.onnx", "weights.bin", "inside"]),
        (open.as_str(), None, "rows.csv", &["open_input.onnx", "[open, 3, open]", "--input-shape"]),
        (halves, Some("24"), "short.csv", &["9", "24"]),
        (halves, Some("24"), "nan.csv", &["nan"]),
        (halves, Some("24"), "missing.csv", &["missing.csv"]),
        (halves, Some("24"), "empty", &["clip", "256"]),
        (halves, Some("8000"), "empty", &["empty"]),
        (text(&noise), None, "rows.csv", &["noise.onnx"]),
        ("model.h5", None, "rows.csv", &["model.h5", "ONNX"]),
    ] {
        let input = at(input);
        let mut args = vec!["purify", "--classifier", classifier, "--input", text(&input), "-o", text(&output)];
        args.extend(shape.iter().flat_map(|shape| ["--input-shape", shape]));
        let run = langevin(&args);
        assert_eq!(run.code, 1, "{args:?}: {}", run.stderr);
        let said = run.stderr.to_lowercase();
        assert!(words.iter().all(|word| said.contains(&word.to_lowercase())), "{args:?}: {}", run.stderr);
        assert!(!output.exists(), "{args:?}");
    }
}

#[test]
fn what_is_read_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("rows.csv"), folder.path().join("out.csv"));
    fs::write(&input, rows(24)).unwrap();
    let base = ["purify", "--classifier", HALVES, "--input-shape", "24", "--input", text(&input), "--force"];
    let refused = |more: &[&str], code: i32, words: &str| {
        let run = langevin(&[&base[..], more].concat());
        assert!(run.code == code && run.stderr.contains(words), "{more:?}: {} {}", run.code, run.stderr);
        assert!(fs::read_to_string(&input).unwrap() == rows(24) && !output.exists());
    };
    refused(&["-o", text(&input)], 1, "is the input");
    refused(&["-o", text(&output), "--report", text(&output)], 2, "two outputs");
    refused(&["-o", text(&output), "--report", text(&input)], 1, "is the input");
}

/// A quantiser has no gradient to follow: an evaluation has to say so, and to be quiet about the same classifier without it.
#[test]
fn masked_gradients_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let classifier = onnx(folder.path(), "cases", "Gemm");
    let input = folder.path().join("rows.csv");
    let row = |k: usize| (0..5).map(|i| format!("{:.3}", 0.4 * ((7 * k + 3 * i) as f64 * 0.7).sin())).collect::<Vec<_>>().join(",");
    fs::write(&input, (0..20).map(|k| row(k) + "\n").collect::<String>()).unwrap();
    let told = |defence: &str| {
        let run = langevin(&[
            "eval",
            "purify",
            "--classifier",
            text(&classifier),
            "--input",
            text(&input),
            "--eps",
            "0.3",
            "--attack-steps",
            "10",
            "--defence",
            defence,
        ]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout
    };
    let masked = told("quantise:3");
    assert!(masked.contains("masked gradient: BPDA leaves") && masked.contains("the gradient through the defence is 0"), "{masked}");
    let open = told("none");
    assert!(!open.contains("WARNING") && open.contains("no sign of a hidden gradient"), "{open}");
    // Where nothing is done to inputs no decision moves, so nothing can be told by it.
    let blind = open.lines().find(|line| line.contains("blind PGD")).expect("a row");
    assert_eq!(blind.split_whitespace().nth_back(1), Some("0.500"), "{open}");
    assert_eq!(langevin(&["eval", "purify", "--classifier", "x", "--input", "y", "--eps", "1", "--defence", "quantise:99"]).code, 2);
}
