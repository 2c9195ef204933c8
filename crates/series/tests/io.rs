//! Tables as users have them: what is found out about them, and which error a broken one gets.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::{io::Write as _, ops::Deref, path::PathBuf};

use langevin_series::io::{Block, Choose, Delimiter, Freq, Layout, ReadOptions, RowKind, Table};
use tempfile::NamedTempFile;

/// A table with the file it is read from.
#[derive(Debug)]
struct Opened(Table, #[allow(dead_code, reason = "removed when dropped")] NamedTempFile);

impl Deref for Opened {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

fn open(bytes: impl AsRef<[u8]>, options: &ReadOptions) -> langevin_series::Result<Opened> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    Ok(Opened(Table::open(file.path(), options)?, file))
}

fn table(text: &str) -> Opened {
    open(text, &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, options: &ReadOptions, parts: &[&str]) {
    let error = open(text, options).expect_err("should be refused").to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

fn blocks(table: &Table) -> Vec<Block> {
    table.blocks().unwrap().map(Result::unwrap).collect()
}

fn shared(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("LANGEVIN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = shared.join("data/series").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

const HOURS: &str =
    "time,a,b\n2020-01-01 00:00,1,2.50\n2020-01-01 01:00,,3\n2020-01-01 02:00,3,NA\n2020-01-01 03:00,4,\n2020-01-01 06:00,5,-1\n";

#[test]
fn a_table_with_holes() {
    let table = table(HOURS);
    let profile = table.profile();
    assert_eq!((profile.rows, profile.grid_rows, profile.series, profile.layout), (5, 7, 1, "wide"));
    assert_eq!(profile.time.as_deref(), Some("time"));
    assert_eq!(profile.frequency.as_deref(), Some("1h"));
    assert_eq!(profile.span, Some(["2020-01-01 00:00".to_owned(), "2020-01-01 06:00".to_owned()]));
    let [a, b] = &profile.columns[..] else { panic!() };
    assert_eq!((a.count, a.missing, a.min, a.max, a.mean, a.integer, a.decimals), (4, 1, 1.0, 5.0, 3.25, true, 0));
    assert_eq!((b.count, b.missing, b.non_negative, b.decimals), (3, 2, false, 2));
    assert_eq!(a.gaps, [1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(b.gaps, [0, 0, 1, 0, 0, 0, 0]);
    assert_eq!((profile.blackout_rows, profile.blackouts[1], profile.missing()), (2, 1, 3));
    let calendar = table.calendar();
    assert_eq!((calendar.step, calendar.origin), (Some(3600.0), Some(1_577_836_800.0)));
    let blocks = blocks(&table);
    assert_eq!(blocks.len(), 1);
    let block = &blocks[0];
    assert_eq!(block.frame.positions, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!((block.core.clone(), block.kinds[4], block.kinds[6]), (0..7, RowKind::Absent, RowKind::File));
    assert!(block.is_hole(0, 1) && !block.is_hole(0, 0) && !block.is_hole(0, 4));
    assert_eq!(table.label(6.0), "2020-01-01 06:00");
}

#[test]
fn delimiters_and_decimals() {
    let semicolons = table("t;x;y\n2020-01-01;1,5;2\n2020-01-02;2,25;\n2020-01-03;;4\n");
    assert_eq!((semicolons.profile().delimiter, semicolons.profile().decimal), (';', ','));
    assert_eq!(semicolons.profile().columns[0].max, 2.25);
    assert_eq!(table("t\tx\n1\t2\n2\t\n3\t4\n").profile().delimiter, '\t');
    assert_eq!(table("t|x|y\n1|2|3,5\n").profile().delimiter, '|');
    assert_eq!(table("x\n1.5\n\n3\n").profile().columns[0].missing, 1);
    let quoted = "t,x\n2020-01-01,\"1,5\"\n2020-01-02,\"2,5\"\n2020-01-03,7\n2020-01-04,8\n2020-01-05,9\n";
    refused(quoted, &ReadOptions::default(), &["row 2, column 'x'", "'1,5', '2,5'", "--decimal ,"]);
    let options = ReadOptions { decimal: ",".parse().unwrap(), delimiter: Delimiter::Byte(b','), ..ReadOptions::default() };
    assert_eq!(open(quoted, &options).unwrap().profile().columns[0].min, 1.5);
}

#[test]
fn byte_order_marks_and_line_ends() {
    let table = table("\u{feff}time,x\r\n2020-01-01,1\r\n2020-01-02,\r\n2020-01-03,3");
    assert_eq!(table.profile().time.as_deref(), Some("time"));
    assert_eq!((table.profile().rows, table.profile().columns[0].count), (3, 2));
}

#[test]
fn dates_in_many_ways() {
    for times in [
        ["2020-01-01T00:00:00Z", "2020-01-01T01:00:00Z", "2020-01-01T02:00:00Z"],
        ["2020-01-01T00:00:00+02:00", "2020-01-01T01:00:00+02:00", "2020-01-01T02:00:00+02:00"],
        ["2020/01/01 00:00", "2020/01/01 01:00", "2020/01/01 02:00"],
        ["01.02.2020 00:00", "01.02.2020 01:00", "01.02.2020 02:00"],
        ["1577836800", "1577840400", "1577844000"],
        ["1577836800000", "1577840400000", "1577844000000"],
        ["12/31/2019 11:00 PM", "01/01/2020 12:00 AM", "01/01/2020 1:00 AM"],
    ] {
        let text = format!("timestamp,x\n{},1\n{},2\n{},\n", times[0], times[1], times[2]);
        assert_eq!(table(&text).calendar().step, Some(3600.0), "{text}");
    }
    let days = "day,x\n28/02/2021,1\n01/03/2021,2\n02/03/2021,3\n03/03/2021,\n";
    assert_eq!(table(days).profile().frequency.as_deref(), Some("1d"));
    refused("day,x\n01/02/2021,1\n01/03/2021,2\n", &ReadOptions::default(), &["row 2, column 'day'", "'01/02/2021'", "YYYY-MM-DD"]);
    refused("day,x\n01/13/2021,1\n14/01/2021,2\n", &ReadOptions::default(), &["row 2", "column 'day'", "month first"]);
    let months: String = (0..30).map(|i| format!("{}-{:02}-01,{i}\n", 2000 + i / 12, i % 12 + 1)).collect();
    let months = table(&format!("date,x\n{months}"));
    assert_eq!((months.profile().frequency.as_deref(), months.calendar().months), (Some("1mo"), Some(1)));
}

#[test]
fn a_table_without_times_has_rows() {
    let table = table("x,y\n1,2\n,3\n4,\n");
    assert_eq!((table.profile().time.as_deref(), table.calendar().step, table.calendar().regular), (None, None, true));
    assert_eq!(blocks(&table)[0].frame.positions, [0.0, 1.0, 2.0]);
}

#[test]
fn irregular_times_stay_where_they_are() {
    let table = table("time,x\n2020-01-01 00:00,1\n2020-01-01 00:07,\n2020-01-01 01:00,3\n2020-01-01 02:13,4\n");
    assert_eq!((table.profile().frequency.as_deref(), table.profile().grid_rows, table.calendar().regular), (None, 4, false));
    let positions = &blocks(&table)[0].frame.positions;
    assert!(positions.windows(2).all(|w| w[0] < w[1]));
    assert!((positions[3] / positions[1] - 133.0 / 7.0).abs() < 1e-9);
    assert_eq!(table.label(positions[3]), "2020-01-01 02:13");
    let hourly = ReadOptions { freq: "1h".parse().unwrap(), ..ReadOptions::default() };
    let text = "time,x\n2020-01-01 00:00,1\n2020-01-01 01:07,\n2020-01-01 01:58,3\n";
    assert_eq!(blocks(&open(text, &hourly).unwrap())[0].frame.positions, [0.0, 1.0, 2.0]);
    refused("time,x\n2020-01-01 00:00,1\n2020-01-01 00:07,\n", &hourly, &["row 3, column 'time'", "row 2", "--freq"]);
    let by_row = ReadOptions { time_col: Choose::None, ..ReadOptions::default() };
    assert_eq!(open(text, &by_row).unwrap().profile().untouched, ["time"]);
}

#[test]
fn text_columns_are_carried_through() {
    let table = table("date,site,x,note\n2020-01-01,A,1,\n2020-01-02,A,,fine\n2020-01-03,A,3,\n");
    assert_eq!(table.profile().untouched, ["site", "note"]);
    assert_eq!(table.names(), ["x"]);
}

#[test]
fn panels_by_text_and_by_number() {
    let text = "site,date,x\nA,2020-01-01,1\nA,2020-01-02,\nB,2020-01-01,3\nB,2020-01-02,4\nB,2020-01-03,5\n";
    let panel = table(text);
    assert_eq!((panel.profile().id.as_deref(), panel.profile().series), (Some("site"), 2));
    let ids: Vec<_> = blocks(&panel).into_iter().map(|b| (b.id.unwrap(), b.frame.rows())).collect();
    assert_eq!(ids, [("A".to_owned(), 2), ("B".to_owned(), 3)]);
    let mixed = table("site,date,x\nA,2020-01-01,1\nB,2020-01-01,3\nA,2020-01-02,\nB,2020-01-02,4\n");
    assert_eq!((mixed.profile().id.as_deref(), mixed.profile().series, mixed.profile().rows), (Some("site"), 2, 4));
    assert_eq!(blocks(&mixed)[1].frame.values, [[3.0, 4.0]]);
    let numbers = table("RecordID,Hour,HR\n17,0,60\n17,1,\n17,2,61\n18,0,70\n18,1,71\n18,2,\n");
    assert_eq!((numbers.profile().id.as_deref(), numbers.profile().time.as_deref()), (Some("RecordID"), Some("Hour")));
    assert_eq!(numbers.calendar().step, Some(3600.0));
}

#[test]
fn the_long_layout_is_pivoted() {
    let text = "time,variable,value\n2020-01-01,a,1\n2020-01-01,b,2\n2020-01-02,b,\n2020-01-03,b,4\n2020-01-03,a,5\n";
    let long = table(text);
    assert_eq!((long.profile().layout, long.profile().rows, long.names().to_vec()), ("long", 5, vec!["a".to_owned(), "b".to_owned()]));
    let values = &blocks(&long)[0].frame.values;
    assert!(values[0][1].is_nan() && values[1][1].is_nan());
    assert_eq!((values[0][2], values[1][0]), (5.0, 2.0));
    assert_eq!((long.profile().columns[0].missing, long.profile().columns[1].missing), (0, 1));
    let wide = ReadOptions { layout: Layout::Wide, time_col: Choose::None, ..ReadOptions::default() };
    assert_eq!(open(text, &wide).unwrap().names(), ["value"]);
    let only = ReadOptions { exclude: vec!["b".into()], ..ReadOptions::default() };
    assert_eq!(open(text, &only).unwrap().names(), ["a"]);
    let typo = ReadOptions { exclude: vec!["c".into()], ..ReadOptions::default() };
    refused(text, &typo, &["'c'", "--exclude"]);
}

#[test]
fn broken_tables_are_refused() {
    let auto = ReadOptions::default();
    refused("time,a,b\n2020-01-01,1,2\n2020-01-02,1\n", &auto, &["row 3", "2 fields", "header has 3"]);
    refused("time,a,b,a\n2020-01-01,1,2,3\n", &auto, &["row 1", "columns 2 and 4", "'a'"]);
    refused(
        "time,a\n2020-01-01,1\n2020-01-02,x\n2020-01-03,y\n2020-01-04,2\n2020-01-05,3\n",
        &auto,
        &["row 3, column 'a'", "'x', 'y'", "--na"],
    );
    refused("time,a\n2020-01-02,1\n2020-01-01,2\n", &auto, &["row 3, column 'time'", "'2020-01-01'", "row 2", "--sort"]);
    refused("time,a\n2020-01-01,1\n2020-01-01,2\n", &auto, &["row 3, column 'time'", "row 2", "--dedup"]);
    refused(b"\xff\xfet\0,\0x\0", &auto, &["UTF-16", "UTF-8"]);
    refused(b"t\0,\0x\0\n\x001\0", &auto, &["UTF-16"]);
    refused("time,a\n2020-01-01,1\n2020-01-02,-inf\n", &auto, &["row 3, column 'a'", "'-inf'", "--na"]);
    refused("time,a,b\n2020-01-01,1,\n2020-01-02,2,NA\n", &auto, &["column 'b'", "--exclude"]);
    refused("time,a\n2020-01-01,x\n2020-01-02,y\n", &auto, &["no column of numbers"]);
    refused("", &auto, &["empty"]);
    refused("\n\n", &auto, &["blank"]);
    refused("time,a\n", &auto, &["row 1", "no rows"]);
    refused("1,2\n3,4\n", &auto, &["row 1", "header"]);
    refused("time,a\n2020-01-01,1\nyesterday,2\n2020-01-03,2\n", &ReadOptions { time_col: "time".into(), ..auto.clone() }, &["'time'"]);
    refused("time,a\n2020-01-01,1\n,2\n", &ReadOptions { time_col: "time".into(), ..auto.clone() }, &["row 3, column 'time'", "no time"]);
    refused("a,b\n1,\"2\n3,4\n", &auto, &["row 2", "quote"]);
    let named = ReadOptions { columns: vec!["c".into()], ..auto.clone() };
    refused("a,b\n1,2\n", &named, &["'c'", "'a', 'b'"]);
    let folder = Table::open(&std::env::temp_dir(), &auto).unwrap_err().to_string();
    assert!(folder.contains("folder"), "{folder}");
    assert!(Table::open(&PathBuf::from("/no/such/file.csv"), &auto).unwrap_err().to_string().contains("/no/such/file.csv"));
}

#[test]
fn times_that_cannot_be_read_are_not_passed_over() {
    let auto = ReadOptions::default();
    refused("date,x\n\"Jan 5, 2020\",1\n\"Jan 6, 2020\",\n", &auto, &["row 2, column 'date'", "'Jan 5, 2020'", "--time-col none"]);
    refused("time,x\n10:00,1\n11:00,2\n", &auto, &["row 2, column 'time'", "'10:00'"]);
    refused("date,x\n2020-01-05,1\n2020-01-06,2\nlater,3\n", &auto, &["row 4, column 'date'", "'later'"]);
}

#[test]
fn long_lines_are_read() {
    let columns = 40_000;
    let header: String = (0..columns).map(|k| format!(",a_rather_long_name_of_column_{k}")).collect();
    let row = |i: usize| format!("2020-01-0{i}{}\n", ",1.25".repeat(columns));
    let table = table(&format!("date{header}\n{}{}{}", row(1), row(2), row(3)));
    assert_eq!((table.names().len(), table.profile().rows), (columns, 3));
    assert_eq!(blocks(&table)[0].frame.rows(), 3);
}

#[test]
fn sorted_and_without_repeats() {
    let options = ReadOptions { sort: true, dedup: true, ..ReadOptions::default() };
    let table = open("time,a\n2020-01-03,3\n2020-01-01,1\n2020-01-03,9\n2020-01-02,", &options).unwrap();
    let mut copy = Vec::new();
    table.copy(&mut copy).unwrap();
    assert_eq!(String::from_utf8(copy).unwrap(), "time,a\n2020-01-01,1\n2020-01-02,\n2020-01-03,3");
    assert_eq!(table.profile().rows, 3);
}

#[test]
fn a_late_text_makes_a_column_text() {
    let rows: String = (0..9000).map(|i| format!("{i},{},{}\n", i % 7, if i < 4100 { "" } else { "word" })).collect();
    let table = table(&format!("step,x,y\n{rows}"));
    assert_eq!((table.names(), table.profile().untouched.as_slice()), (&["x".to_owned()][..], &["y".to_owned()][..]));
}

#[test]
fn blocks_and_samples_of_a_longer_table() {
    let rows: String =
        (0..150_000).map(|i| if i % 1000 == 77 { String::new() } else { format!("{i},{}.5,{}\n", i % 97, i % 13) }).collect();
    let table = table(&format!("index,x,y\n{rows}"));
    assert_eq!((table.profile().rows, table.profile().grid_rows), (149_850, 150_000));
    let blocks = blocks(&table);
    assert_eq!(blocks.iter().map(|b| b.core.len()).collect::<Vec<_>>(), [65_536, 65_536, 18_928]);
    assert_eq!((blocks[1].core.start, blocks[1].frame.rows()), (1024, 65_536 + 2048));
    let mut next = 0.0;
    for block in &blocks {
        for row in block.core.clone() {
            assert_eq!(block.frame.positions[row], next);
            let observed = block.frame.values[1][row];
            assert!(if next as u64 % 1000 == 77 { observed.is_nan() } else { observed == (next as u64 % 13) as f64 });
            next += 1.0;
        }
    }
    assert_eq!(next, 150_000.0);
    let whole = table.sample(1 << 20).unwrap();
    assert_eq!((whole.len(), whole[0].rows()), (1, 150_000));
    let pieces = table.sample(60_000).unwrap();
    let cells: usize = pieces.iter().map(|f| f.rows() * f.columns()).sum();
    assert!(pieces.len() >= 8 && cells > 40_000 && cells <= 60_000, "{} {cells}", pieces.len());
    assert!(pieces.last().unwrap().positions[0] > 120_000.0);
}

#[test]
fn the_real_tables() {
    for (name, rows, columns, frequency, id, series) in [
        ("ETTh1.csv", 13_920, 7, Some("1h"), None, 1),
        ("ETTm1.csv", 55_680, 7, Some("15min"), None, 1),
        ("fx_monthly_wide.csv", 0, 34, Some("1mo"), None, 1),
        ("nyc_weather_wide.csv", 0, 18, Some("1h"), None, 1),
        ("nyc_weather_long.csv", 0, 9, Some("1h"), Some("origin"), 3),
        ("physionet2012.csv", 0, 35, Some("1h"), Some("RecordID"), 0),
    ] {
        let Some(path) = shared(name) else { return };
        let table = Table::open(&path, &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        let profile = table.profile();
        assert!(rows == 0 || profile.rows == rows, "{name}: {}", profile.rows);
        assert_eq!((profile.columns.len(), profile.frequency.as_deref(), profile.id.as_deref()), (columns, frequency, id), "{name}");
        assert!(series == 0 || profile.series == series, "{name}: {}", profile.series);
        let total: usize = blocks(&table).iter().map(|b| b.core.len()).sum();
        assert_eq!(total as u64, profile.grid_rows, "{name}");
        println!(
            "{name}: {} rows, {} on the axis, {} series, {} holes",
            profile.rows,
            profile.grid_rows,
            profile.series,
            profile.missing()
        );
    }
}

#[test]
fn options_from_text() {
    assert_eq!("auto".parse(), Ok(Choose::Auto));
    assert_eq!("x".parse(), Ok(Choose::Name("x".into())));
    assert!("diagonal".parse::<Layout>().is_err());
    assert_eq!("tab".parse(), Ok(Delimiter::Byte(b'\t')));
    assert!("ab".parse::<Delimiter>().is_err());
    assert_eq!("none".parse(), Ok(Freq::None));
    assert!("often".parse::<Freq>().is_err());
}
