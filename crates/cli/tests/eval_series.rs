//! `langevin eval series` from outside.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::fs;

use serde_json::Value;
use support::{Run, langevin};

const TRUTH: &str = "time,a,b\n1,0,10\n2,2,10\n3,4,30\n4,2,\n5,0,30\n6,4,10\n";
// b's row 4 is a hole that nobody knows.
const MASKED: &str = "time,a,b\n1,0,10\n2,NA,10\n3,,30\n4,2,\n5,0,30\n6,4,\n";
const IMPUTED: &str = "time,a,b,a_q05,a_q95\n1,0,10,,\n2,3,10,1,3.5\n3,4,30,3,3.5\n4,2,20,,\n5,0,30,,\n6,4,20,,\n";

/// What a file becomes, from its name and text.
type Edit<'a> = &'a dyn Fn(&str, &str) -> String;

/// Writes the files, changed by `edit`, and runs the program with more arguments.
fn eval(edit: Edit<'_>, more: &[(&str, &str)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let mut args = vec!["eval".to_owned(), "series".to_owned()];
    let mut give = |name: &str, text: &str| {
        let path = folder.path().join(format!("{name}.csv"));
        fs::write(&path, text).unwrap();
        args.extend([format!("--{name}"), path.to_str().unwrap().to_owned()]);
    };
    for (name, text) in [("truth", TRUTH), ("masked", MASKED), ("imputed", IMPUTED)] {
        give(name, &edit(name, text));
    }
    for (name, text) in more {
        match text.is_empty() {
            true => args.push(format!("--{name}")),
            false if text.contains('\n') => {
                let path = folder.path().join(format!("{name}.csv"));
                fs::write(&path, text).unwrap();
                args.extend([format!("--{name}"), path.to_str().unwrap().to_owned()]);
            }
            false => args.extend([format!("--{name}"), (*text).to_owned()]),
        }
    }
    langevin(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The truth's, with quantiles of column b, too.
fn complete(name: &str, text: &str) -> String {
    if name != "imputed" {
        return text.to_owned();
    }
    let lines = text.lines().enumerate().map(|(k, line)| format!("{line},{}\n", if k == 0 { "b_q05,b_q95" } else { "15,25" }));
    lines.collect()
}

fn json(run: &Run) -> Value {
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

fn near(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|v| (v - expected).abs() < 1e-9)
}

#[test]
fn scores_as_text_and_json() {
    let run = eval(&complete, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    for text in ["hidden cells           3 scored, 0 left empty", "observed cells         14, 0 changed", "90 % band covers       0.3333"] {
        assert!(run.stdout.contains(text), "{text}: {}", run.stdout);
    }
    let found = json(&eval(&complete, &[("json", "")]));
    // Deviation of a: 0, 2, 4, 2, 0, 4 have mean 2 and variance 16/6. Of b: 10, 10, 30, 30, 10 have mean 18 and variance 96.
    let (a, b) = ((16.0f64 / 6.0).sqrt(), 96.0f64.sqrt());
    assert_eq!((found["schema_version"].as_u64(), found["cells"].as_u64(), found["changed"].as_u64()), (Some(1), Some(3), Some(0)));
    assert!(near(&found["mae"], (1.0 / a + 10.0 / b) / 3.0), "{found}");
    assert!(near(&found["rmse"], ((1.0 / (a * a) + 100.0 / (b * b)) / 3.0).sqrt()), "{found}");
    // Pinball losses: of 2 in 1..3.5, of 4 in 3..3.5, of 10 in 15..25, at levels .05 and .95.
    let pinball = [(0.05 * 1.0 + 0.05 * 1.5) / a, (0.05 * 1.0 + 0.95 * 0.5) / a, (0.95 * 5.0 + 0.05 * 15.0) / b];
    assert!(near(&found["crps"], pinball.iter().sum::<f64>() / 3.0), "{found}");
    assert!(near(&found["coverage_90"], 1.0 / 3.0) && found["coverage_50"].is_null() && found["paths"].is_null(), "{found}");
    let bins: Vec<_> =
        found["bins"].as_array().unwrap().iter().map(|bin| (bin["rows"].as_str().unwrap(), bin["cells"].as_u64().unwrap())).collect();
    assert_eq!(bins, [("1", 1), ("2-3", 2)]);
    assert_eq!(found["columns"][1]["column"], "b");
    assert!(near(&found["columns"][1]["mae"], 10.0 / b), "{found}");
    // In deviations of another table: 1 of a, 5 of b.
    let found = json(&eval(&complete, &[("json", ""), ("scale-by", "b,a\n5,1\n15,-1\n")]));
    assert!(near(&found["mae"], (1.0 + 2.0) / 3.0), "{found}");
}

#[test]
fn samples_score_whole_gaps() {
    let samples = "row,column,s0,s1\n2,a,2,4\n3,a,4,4\n6,b,10,30\n4,b,0,0\n";
    let unit = ("scale-by", "a,b\n1,1\n-1,-1\n");
    let found = json(&eval(&|_, text| text.replace(",a_q05,a_q95", ",x,y"), &[("json", ""), ("samples", samples), unit]));
    // Truth 2, 4; paths 2, 4 and 4, 4: means 3 of 3 and 4, roughness 2 of 2 and 0, minima 2 of 2 and 4; all but the maximum 0.5 * d - 0.5 * d.
    assert_eq!(found["paths"]["gaps"], 1, "{found}");
    for (name, expected) in [("mean", 0.0), ("max", 0.0), ("min", 0.0), ("roughness", 0.0)] {
        assert!(near(&found["paths"][name], expected), "{name}: {found}");
    }
    // Cells: 2 of (2, 4): 1 - 1; 4 of (4, 4): 0; 10 of (10, 30): 10 - 10.
    assert!(near(&found["crps_samples"], 0.0) && found["levels"].as_array().unwrap().len() == 19, "{found}");
    let worse = samples.replace("2,a,2,4", "2,a,0,0");
    let found = json(&eval(&complete, &[("json", ""), ("samples", &worse), unit]));
    assert!(near(&found["paths"]["mean"], 1.0) && near(&found["paths"]["roughness"], 2.0) && near(&found["paths"]["max"], 0.0), "{found}");
    assert_eq!(found["levels"].as_array().unwrap().len(), 2);
    // Quantiles of the file are used where it has them; where series end, so do gaps.
    let found = json(&eval(&complete, &[("json", ""), ("samples", samples), ("id-col", "time")]));
    assert_eq!((found["bins"].as_array().unwrap().len(), &found["paths"]), (1, &Value::Null));
}

#[test]
fn changed_and_empty_cells_are_counted() {
    let edit = |name: &str, text: &str| {
        if name == "imputed" {
            text.replace("5,0,30", "5,0.0,30").replace("6,4,20", "6,4,").replace(",a_q05,a_q95", ",x,y")
        } else {
            text.to_owned()
        }
    };
    let run = eval(&edit, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("1 observed cells were changed, the first is row 6, column a"), "{}", run.stderr);
    assert!(run.stderr.contains("1 hidden cells were left empty") && run.stdout.contains("2 scored, 1 left empty"), "{}", run.stderr);
}

#[test]
fn semicolons_and_decimal_commas() {
    let edit = |name: &str, text: &str| complete(name, text).replace("3.5", "3#5").replace(',', ";").replace('#', ",");
    assert_eq!(json(&eval(&edit, &[("json", "")])), json(&eval(&complete, &[("json", "")])));
}

#[test]
fn a_column_by_itself_has_empty_lines_for_holes() {
    let edit = |name: &str, _: &str| match name {
        "truth" => "a\n1\n2\n3\n4\n".to_owned(),
        "masked" => "a\n1\n\n3\n\n".to_owned(),
        _ => "a\n1\n2\n3\n5\n".to_owned(),
    };
    let found = json(&eval(&edit, &[("json", ""), ("scale-by", "a\n-1\n1\n")]));
    assert!(near(&found["mae"], 0.5) && found["bins"][0]["cells"] == 2, "{found}");
}

#[test]
fn what_is_wrong_is_named() {
    let only = |which: &'static str, from: &'static str, to: &'static str| {
        move |name: &str, text: &str| if name == which { text.replace(from, to) } else { complete(name, text) }
    };
    let cases: [(Edit<'_>, &[&str]); 9] = [
        (&only("truth", "6,4,10\n", ""), &["truth.csv", "5 rows, but", "masked.csv has 6"]),
        (&only("truth", "time,a,b", "time,a,c"), &["truth.csv", "row 1", "no column 'b'"]),
        (&only("truth", "2,2,10", "2,two,10"), &["truth.csv", "row 3, column a", "'two' is no finite number"]),
        (&only("truth", "2,2,10", "2,inf,10"), &["row 3, column a", "'inf'"]),
        (&only("masked", "2,NA,10", "2,NA"), &["masked.csv", "row 3", "2 cells, but the header has 3"]),
        (&only("masked", "time,a,b", "time,a,a"), &["row 1", "two columns are called 'a'"]),
        (&only("masked", MASKED, TRUTH), &["masked.csv", "nothing to score"]),
        (&only("imputed", "", ""), &["imputed.csv", "column b", "quantiles"]),
        (&only("masked", MASKED, ""), &["masked.csv", "empty"]),
    ];
    for (k, (edit, said)) in cases.iter().enumerate() {
        let run = eval(edit, &[]);
        assert_eq!(run.code, 1, "{k}: {}", run.stderr);
        let flat = run.stderr.replace(['\n', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for text in *said {
            assert!(flat.contains(text), "{k}, {text}: {flat}");
        }
    }
    let bad = [
        ("row,column,s0\n", "the header should be"),
        ("row,column,s0,s1\n7,a,1,2\n", "1 to 6"),
        ("row,column,s0,s1\n2,a,1,x\n", "'x' is no finite number"),
        ("row,column,s0,s1\n2,a,1,2\n2,a,1,2\n", "twice"),
        ("row,column,s0,s1\n2,a,1,2\n", "no samples of row 3, column a"),
    ];
    for (samples, said) in bad {
        let run = eval(&complete, &[("samples", samples)]);
        assert!(run.code == 1 && run.stderr.contains(said), "{said}: {}", run.stderr);
    }
    assert_eq!(langevin(&["eval", "series", "--truth", "a.csv"]).code, 2);
    let run = langevin(&["eval", "series", "--truth", "none.csv", "--masked", "none.csv", "--imputed", "none.csv"]);
    assert!(run.code == 1 && run.stderr.contains("none.csv"), "{}", run.stderr);
}
