//! What `langevin impute series` says of tables and settings that are wrong, and what it leaves alone then.

#![allow(clippy::unwrap_used, reason = "a test may stop where its setting breaks")]

#[allow(dead_code, reason = "each test program uses its part")]
mod support;

use std::fs;

use support::{
    command,
    tables::{PLAIN, Place, Style, good, table, with_line},
};

#[test]
fn wrong_tables_leave_nothing_behind() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let swapped = {
        let text = good();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.swap(7, 9);
        lines.join("\n")
    };
    let texts = good().replace("2020-01-01 07:00,", "2020-01-01 07:00,x").replace("2020-01-01 09:00,", "2020-01-01 09:00,y");
    let texts = texts.replace("2020-01-01 10:00,", "2020-01-01 10:00,z").replace("2020-01-01 11:00,", "2020-01-01 11:00,w");
    let empty: String = good().lines().enumerate().map(|(n, l)| format!("{l},{}\n", if n == 0 { "d" } else { "" })).collect();
    let ambiguous = "date,x\n01/02/2020,1\n02/02/2020,\n03/02/2020,3\n";
    let comma = good().replace("time,a", "time,\"a\"").replace(",5.00,", ",\"5,00\",").replace(",5.74,", ",\"5,74\",");
    let quoted_comma = table(Style { quotes: true, comma: true, ..PLAIN }, 40);
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("ragged", with_line(7, "2020-01-01 06:00,1.0,2.0").into(), &["row 8", "3 fields", "header has 4"]),
        ("header twice", with_line(0, "time,a,a,c").into(), &["row 1", "columns 2 and 3", "'a'", "rename"]),
        ("text", with_line(7, "2020-01-01 06:00,oops,2.0,1").into(), &["row 8, column 'a'", "'oops'", "--na", "--exclude"]),
        ("texts", texts.into(), &["row 9, column 'a'", "'x", "'y", "'z", "and 1 more"]),
        ("ambiguous dates", ambiguous.into(), &["row 2, column 'date'", "day/month or month/day", "YYYY-MM-DD"]),
        ("unsorted", swapped.into(), &["column 'time'", "lies before", "--sort"]),
        ("time twice", with_line(7, "2020-01-01 05:00,1.0,2.0,3").into(), &["row 8, column 'time'", "row 7", "--dedup"]),
        ("UTF-16", [vec![0xff, 0xfe], wide(&good())].concat(), &["UTF-16", "UTF-8"]),
        ("UTF-16 without mark", wide(&good()), &["UTF-16", "UTF-8"]),
        ("empty column", empty.into(), &["column 'd'", "is empty", "--exclude 'd'"]),
        ("infinite", with_line(8, "2020-01-01 07:00,inf,2.0,1").into(), &["row 9, column 'a'", "'inf' is infinite", "--na"]),
        ("too large", with_line(8, "2020-01-01 07:00,1e999,2.0,1").into(), &["row 9, column 'a'", "infinite"]),
        ("decimal comma here and there", comma.into(), &["column 'a'", "'5,"]),
        ("decimal comma", quoted_comma.into(), &["row 2, column 'a'", "'5,00'", "--decimal ,", "--exclude 'a'"]),
        (
            "a day that is not",
            good().replace("2020-01-02", "2020-02-30").into(),
            &["row 26, column 'time'", "'2020-02-30 00:00' is no time"],
        ),
        (
            "days that are not",
            "time,x\n2020-01-01,1\n2020-13-01,2\n2020-13-02,\n2020-13-03,4\n".into(),
            &["row 3, column 'time'", "'2020-13-01' is no time", "--time-col none"],
        ),
        ("header only", "time,a,b\n".into(), &["row 1", "header"]),
        ("nothing", Vec::new(), &["is empty"]),
        ("blank lines", "\n\n".into(), &["blank lines"]),
        ("no numbers", "time,name\n2020-01-01,u\n2020-01-02,v\n".into(), &["no column of numbers"]),
        ("zero bytes", b"x,y\n1,\0\n2,3\n".to_vec(), &["zero bytes"]),
    ];
    for (name, bytes, says) in cases {
        let place = Place::new(bytes);
        let run = place.impute(&["--method", "ridge", "-o", "out.csv", "--plot", "p.svg", "--json", "r.json", "--mask-out", "m.csv"]);
        assert_eq!(run.code, 1, "{name}: {run:?}");
        assert!(run.stderr.contains("in.csv") && run.stdout.is_empty(), "{name}: {run:?}");
        says.iter().for_each(|said| assert!(run.stderr.contains(said), "{name} should say {said}: {}", run.stderr));
        assert_eq!(place.names(), ["in.csv"], "{name}");
        // A result from before stays as it is.
        fs::write(place.at("out.csv"), "kept").unwrap();
        assert_eq!(place.impute(&["--method", "linear", "-o", "out.csv", "--force"]).code, 1, "{name}");
        assert_eq!((fs::read(place.at("out.csv")).unwrap(), place.names()), (b"kept".to_vec(), vec!["in.csv".into(), "out.csv".into()]));
    }
}

#[test]
fn wrong_settings_leave_nothing_behind() {
    let place = Place::new(good());
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--columns", "zz"], 1, &["no column 'zz'", "'a', 'b', 'c'"]),
        (&["--exclude", "zz"], 1, &["no column 'zz'"]),
        (&["--time-col", "zz"], 1, &["no column 'zz' (--time-col)"]),
        (&["--id-col", "zz"], 1, &["no column 'zz' (--id-col)"]),
        (&["--max-gap", "nonsense"], 2, &["--max-gap", "7d", "number of rows"]),
        (&["--max-gap", "0"], 2, &["--max-gap", "1 or more"]),
        (&["--max-gap", "-3"], 2, &["--max-gap"]),
        (&["--quantiles", "1.5"], 2, &["--quantiles", "between 0 and 1"]),
        (&["--quantiles", "0.5,0"], 2, &["--quantiles", "'0'"]),
        (&["--bounds", "zz=0:1"], 2, &["no column 'zz'", "a, b, c"]),
        (&["--bounds", "a=2:1"], 2, &["--bounds", "COL=lo:hi"]),
        (&["--backtest", "2"], 2, &["--backtest", "off"]),
        (&["--samples", "1"], 2, &["--samples", "from 2"]),
        (&["--forecast", "99999999999"], 2, &["--forecast", "from 0 to"]),
        (&["--freq", "7h"], 1, &["row 3, column 'time'", "--freq"]),
        (&["--freq", "1 fortnight"], 2, &["--freq"]),
        (&["--method", "rigde"], 2, &["--method", "ridge"]),
        (&["--method", "auto", "--checkpoint", "nowhere.safetensors"], 1, &["nowhere.safetensors"]),
        (&["--mask-out", "./out.csv"], 2, &["two outputs"]),
        (&["--plot", "./in.csv", "--force"], 1, &["is the input"]),
    ];
    for (args, code, says) in cases {
        let run = place.impute(&[&["-o", "out.csv", "--method", "ridge"][..if args[0] == "--method" { 2 } else { 4 }], args].concat());
        assert_eq!(run.code, *code, "{args:?}: {run:?}");
        says.iter().for_each(|said| assert!(run.stderr.contains(said), "{args:?} should say {said}: {}", run.stderr));
        assert_eq!(place.names(), ["in.csv"], "{args:?}");
    }
    let irregular = Place::new("time,x\n2020-01-01 00:00,1\n2020-01-01 00:07,\n2020-01-01 01:00,3\n2020-01-01 02:13,4\n");
    let run = irregular.impute(&["--method", "linear", "--forecast", "3", "-o", "out.csv"]);
    assert!(run.code == 1 && run.stderr.contains("--forecast needs rows at equal steps"), "{run:?}");
    let clockless = Place::new("x\n1\n\n3\n");
    let run = clockless.impute(&["--method", "linear", "--max-gap", "7d", "-o", "out.csv"]);
    assert!(run.code == 1 && run.stderr.contains("number of rows") && clockless.names() == ["in.csv"], "{run:?}");
    let taken = Place::new("x,x_q05\n1,2\n,3\n4,5\n");
    let run = taken.impute(&["--method", "linear", "--quantiles", "0.05", "-o", "out.csv", "--mask-out", "m.csv"]);
    assert!(run.code == 1 && run.stderr.contains("'x_q05' is there already") && taken.names() == ["in.csv"], "{run:?}");
    for (input, says) in [("nowhere.csv", "nowhere.csv"), (".", "is a folder")] {
        let run =
            support::run(command(&["impute", "series", input, "--method", "ridge", "-o", "out.csv"]).current_dir(place.folder.path()));
        assert!(run.code == 1 && run.stderr.contains(says) && place.names() == ["in.csv"], "{run:?}");
    }
}

#[test]
fn the_input_is_never_written_over() {
    let place = Place::new(good());
    fs::create_dir(place.at("below")).unwrap();
    let mut outputs = vec!["in.csv", "./in.csv", "below/../in.csv"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("in.csv", place.at("link.csv")).unwrap();
        outputs.push("link.csv");
    }
    for output in outputs {
        for flag in ["-o", "--mask-out", "--samples-out", "--plot", "--report"] {
            let run = place.impute(&["--method", "ridge", "--force", flag, output]);
            assert!(run.code == 1 && run.stderr.contains("is the input"), "{flag} {output}: {run:?}");
        }
    }
    assert_eq!(fs::read_to_string(&place.table).unwrap(), good());
    fs::write(place.at("there.csv"), "kept").unwrap();
    let run = place.impute(&["--method", "ridge", "-o", "there.csv"]);
    assert!(run.code == 1 && run.stderr.contains("--force"), "{run:?}");
    assert_eq!(fs::read_to_string(place.at("there.csv")).unwrap(), "kept");
    assert_eq!(place.impute(&["--method", "ridge", "-o", "there.csv", "--force"]).code, 0);
}
