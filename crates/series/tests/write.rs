//! What is written back: every byte that is no filled hole is the file's own.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;

use langevin_series::io::{Block, Fills, ReadOptions, RowKind, Table, WriteOptions, Writer, Written};
use proptest::prelude::*;
use tempfile::NamedTempFile;

/// The table, its file (which has to outlive it), and how it is filled: value, then quantiles.
fn fill(
    text: &[u8],
    read: &ReadOptions,
    write: &WriteOptions,
    value: impl Fn(&Block, usize, usize, usize) -> f64,
) -> (Vec<u8>, Written, Vec<u8>) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let table = Table::open(file.path(), read).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(text)));
    let mut out = Vec::new();
    let mut writer = Writer::create(&table, &mut out, write.clone()).unwrap();
    for block in table.blocks().unwrap() {
        let block = block.unwrap();
        let mut fills = Fills::none(&block, write.quantiles.len());
        for k in 0..block.frame.columns() {
            for row in 0..block.core.len() {
                fills.values[k][row] = value(&block, k, row, 0);
                for level in 0..write.quantiles.len() {
                    fills.quantiles[level][k][row] = value(&block, k, row, level + 1);
                }
            }
        }
        writer.block(&block, &fills).unwrap();
    }
    let written = writer.finish().unwrap();
    let mut copy = Vec::new();
    table.copy(&mut copy).unwrap();
    (out, written, copy)
}

#[track_caller]
fn gives(text: &str, read: &ReadOptions, quantiles: &[f64], wanted: &str) -> Written {
    let write = WriteOptions { quantiles: quantiles.to_vec(), mask: false, ..WriteOptions::default() };
    let (out, written, _) = fill(text.as_bytes(), read, &write, |b, k, row, level| {
        b.frame.positions[b.core.start + row] + 10.0 * k as f64 + [0.0, -0.25, 0.25][level.min(2)]
    });
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
    written
}

#[test]
fn holes_are_filled_with_the_decimals_of_their_column() {
    let auto = ReadOptions::default();
    let text = "time,a,note,\"b\"\r\n2020-01-01,\"1\",x,2.50\r\n2020-01-02,\"\",,NA\r\n\r\n2020-01-03, ,\"y,\"\"z\",1.5\r\n";
    let wanted = "time,a,note,\"b\"\r\n2020-01-01,\"1\",x,2.50\r\n2020-01-02,\"1\",,11.00\r\n\r\n2020-01-03,2,\"y,\"\"z\",1.5\r\n";
    let written = gives(text, &auto, &[], wanted);
    assert_eq!(written, Written { filled: vec![2, 1], left: vec![0, 0], added: 0 });
    gives("x\n1\n\n3", &auto, &[], "x\n1\n1\n3");
    gives("\u{feff}t;x\n2020-01-01;1,5\n2020-01-02;\n", &auto, &[], "\u{feff}t;x\n2020-01-01;1,5\n2020-01-02;1,0\n");
    // Rows that the file lacks are not written.
    gives("t,x,y\n1,5,1\n2,,1\n5,,1\n6,1,\n", &auto, &[], "t,x,y\n1,5,1\n2,1,1\n5,4,1\n6,1,15\n");
}

#[test]
fn quantiles_are_added_behind() {
    let text = "date,a,b\n2020-01-01,1.00,\n2020-01-02,,7\n";
    let wanted = "date,a,b,a_q05,a_q95,b_q05,b_q95\n2020-01-01,1.00,10,1.00,1.00,10,10\n2020-01-02,1.00,7,0.75,1.25,7,7\n";
    gives(text, &ReadOptions::default(), &[0.05, 0.95], wanted);
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"date,a,a_q05\n2020-01-01,1,2\n").unwrap();
    let table = Table::open(file.path(), &ReadOptions::default()).unwrap();
    let error = Writer::create(&table, Vec::new(), WriteOptions { quantiles: vec![0.05], mask: false, ..WriteOptions::default() })
        .unwrap_err()
        .to_string();
    assert!(error.contains("'a_q05'"), "{error}");
    assert!(Writer::create(&table, Vec::new(), WriteOptions { quantiles: vec![1.0], mask: false, ..WriteOptions::default() }).is_err());
}

#[test]
fn the_long_layout_keeps_its_rows() {
    let text = "date,variable,value,unit\n2020-01-01,a,1.5,m\n2020-01-01,b,NA,s\n2020-01-02,a,,m\n2020-01-03,b,4,s\n";
    let wanted = "date,variable,value,unit\n2020-01-01,a,1.5,m\n2020-01-01,b,10,s\n2020-01-02,a,1.0,m\n2020-01-03,b,4,s\n";
    let written = gives(text, &ReadOptions::default(), &[], wanted);
    assert_eq!(written.filled, [1, 1]);
    let wanted =
        "date,variable,value,unit,value_q05\n2020-01-01,a,1.5,m,1.5\n2020-01-01,b,NA,s,NA\n2020-01-02,a,1.0,m,0.8\n2020-01-03,b,4,s,4\n";
    let only = ReadOptions { exclude: vec!["b".into()], ..ReadOptions::default() };
    gives(text, &only, &[0.05], wanted);
}

#[test]
fn mixed_panels_keep_the_order_of_the_file() {
    let text = "site,day,x,y\nA,2020-01-01,1,5\nB,2020-01-01,,6\nA,2020-01-02,,7\nB,2020-01-02,4,\n";
    let wanted = "site,day,x,y\nA,2020-01-01,1,5\nB,2020-01-01,0,6\nA,2020-01-02,1,7\nB,2020-01-02,4,11\n";
    gives(text, &ReadOptions::default(), &[], wanted);
}

#[test]
fn a_forecast_continues_the_times() {
    let ahead = |rows| ReadOptions { forecast: rows, ..ReadOptions::default() };
    let written = gives(
        "day,x,note\n2020-02-27,1.5,a\n2020-02-28,2.5,b\n",
        &ahead(2),
        &[],
        "day,x,note\n2020-02-27,1.5,a\n2020-02-28,2.5,b\n2020-02-29,2.0,\n2020-03-01,3.0,\n",
    );
    assert_eq!((written.added, written.filled), (2, vec![2]));
    // A file without a last line end has none afterwards.
    gives("x,y\n1,2\n3,4", &ahead(2), &[], "x,y\n1,2\n3,4\n2,12\n3,13");
    gives(
        "site,t,x\nA,2020-01-01T00:00Z,1\nA,2020-01-01T01:00Z,1\nB,2020-01-01T00:00Z,2\nB,2020-01-01T01:00Z,2\n",
        &ahead(1),
        &[0.05],
        "site,t,x,x_q05\nA,2020-01-01T00:00Z,1,1\nA,2020-01-01T01:00Z,1,1\nA,2020-01-01T02:00Z,2,2\nB,2020-01-01T00:00Z,2,2\nB,2020-01-01T01:00Z,2,2\nB,2020-01-01T02:00Z,2,2\n",
    );
    gives(
        "t,variable,value\n2020-01-31,a,1\n2020-01-31,b,2\n2020-02-29,a,3\n2020-02-29,b,4\n2020-03-31,b,4\n",
        &ahead(1),
        &[],
        "t,variable,value\n2020-01-31,a,1\n2020-01-31,b,2\n2020-02-29,a,3\n2020-02-29,b,4\n2020-03-31,b,4\n2020-04-30,a,3\n2020-04-30,b,13\n",
    );
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"t,x\n2020-01-01,1\n2020-01-05,\n2020-01-06,1\n2020-01-09,1\n").unwrap();
    let error = Table::open(file.path(), &ahead(1)).unwrap_err().to_string();
    assert!(error.contains("--freq"), "{error}");
}

#[test]
fn a_mask_says_what_was_filled() {
    let write = WriteOptions { mask: true, ..WriteOptions::default() };
    let text = "day,x,y\n2020-01-01,1.5,\n2020-01-02,,2\n";
    let (out, ..) = fill(text.as_bytes(), &ReadOptions::default(), &write, |_, k, _, _| if k == 0 { 1.0 } else { f64::NAN });
    assert_eq!(String::from_utf8(out).unwrap(), "day,x,y\n2020-01-01,0,\n2020-01-02,1,0\n");
}

#[test]
fn wrong_shapes_are_refused() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"x,y\n1,\n2,3\n").unwrap();
    let table = Table::open(file.path(), &ReadOptions::default()).unwrap();
    let block = table.blocks().unwrap().next().unwrap().unwrap();
    let mut writer = Writer::create(&table, Vec::new(), WriteOptions::default()).unwrap();
    assert!(writer.block(&block, &Fills::none(&block, 1)).is_err());
    assert!(writer.block(&block, &Fills { values: vec![vec![1.0; 2]], quantiles: Vec::new() }).is_err());
}

/// Hundredths (`None` for a hole), and how they are dressed.
type WildCell = (Option<i32>, u8);

/// A table as it may come: cells (`None` for holes), how each is dressed, and how the file is put together.
#[derive(Clone, Debug)]
struct Wild {
    rows: Vec<(Vec<WildCell>, u8)>,
    layout: u8,
    crlf: bool,
    last_end: bool,
    mark: bool,
    delimiter: u8,
}

fn wild() -> impl Strategy<Value = Wild> {
    let cell = (prop::option::weighted(0.6, -50_000..50_000), any::<u8>());
    let rows = (1_usize..4).prop_flat_map(move |n| prop::collection::vec((prop::collection::vec(cell.clone(), n), any::<u8>()), 2..30));
    (rows, 0_u8..4, any::<bool>(), any::<bool>(), any::<bool>(), 0_usize..4).prop_map(|(rows, layout, crlf, last_end, mark, delimiter)| {
        Wild { rows, layout, crlf, last_end, mark, delimiter: b",;\t|"[delimiter] }
    })
}

impl Wild {
    /// The bytes, and for every field of numbers in the order of the file whether it is a hole.
    fn text(&self) -> Vec<u8> {
        let columns = self.rows[0].0.len();
        let end = if self.crlf { "\r\n" } else { "\n" };
        let d = char::from(self.delimiter);
        let mut out = String::from(if self.mark { "\u{feff}" } else { "" });
        let names: Vec<String> = (0..columns).map(|k| if k == 1 { format!("\"n{d}{k}\"") } else { format!("n{k}") }).collect();
        // Plain, one series behind the other, series mixed, long.
        let (before, ids) = match self.layout {
            0 => (vec!["time", "remark"], 1),
            3 => (vec!["time", "variable", "value"], 1),
            _ => (vec!["site", "time", "remark"], 2),
        };
        out += &before.join(&d.to_string());
        if self.layout != 3 {
            out += &names.iter().map(|n| format!("{d}{n}")).collect::<String>();
        }
        out += end;
        let mut lines = Vec::new();
        let half = self.rows.len().div_ceil(ids);
        for (i, (cells, dress)) in self.rows.iter().enumerate() {
            let (site, step) = match self.layout {
                1 => (i / half, i % half),
                2 => (i % 2, i / 2),
                _ => (0, i),
            };
            // A row now and then is missing altogether.
            let hour = step + usize::from(step > 9) * 3;
            let time = format!("2021-03-{:02}T{:02}:00", 1 + hour / 24, hour % 24);
            let remark = ["", "fine", "\"a \"\"b\"\"\"", " x "][if i == 0 { 1 } else { usize::from(dress % 4) }];
            let texts: Vec<String> = cells.iter().enumerate().map(|(k, &(v, dress))| self.cell(i == 0, k, v, dress)).collect();
            if self.layout == 3 {
                lines.extend(texts.iter().enumerate().map(|(k, t)| format!("{time}{d}v{k}{d}{t}")));
            } else {
                let site = if ids == 2 { format!("S{site}{d}") } else { String::new() };
                lines.push(format!("{site}{time}{d}{remark}{d}{}", texts.join(&d.to_string())));
            }
        }
        out += &lines.join(end);
        if self.last_end {
            out += end;
        }
        out.into_bytes()
    }

    /// Every column has its first cell; decimals follow the column.
    fn cell(&self, first: bool, k: usize, value: Option<i32>, dress: u8) -> String {
        let text = match value.or(first.then_some(7)) {
            Some(v) if k == 0 => v.to_string(),
            Some(v) => format!("{}.{:02}", v / 100, v.abs() % 100),
            None => ["", "NA", "nan", " ", "null", "\"\""][usize::from(dress % 6)].to_owned(),
        };
        match dress / 6 % 4 {
            1 if !text.starts_with('"') => format!("\"{text}\""),
            2 if !text.is_empty() && !text.starts_with('"') => format!(" {text}"),
            _ => text,
        }
    }
}

fn fields(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(bytes);
    reader.byte_records().map(|r| r.unwrap().iter().map(|f| String::from_utf8_lossy(f.trim_ascii()).into_owned()).collect()).collect()
}

fn is_missing(text: &str) -> bool {
    ["", "na", "nan", "null"].contains(&text.to_lowercase().as_str())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_filled_is_the_same_file(wild in wild()) {
        let text = wild.text();
        let (out, written, copy) = fill(&text, &ReadOptions::default(), &WriteOptions::default(), |_, _, _, _| f64::NAN);
        prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&text));
        prop_assert_eq!(copy, text);
        prop_assert!(written.filled.iter().all(|&n| n == 0));
    }

    /// The csv crate reads both files: what was observed is the same text, and each hole is a number.
    #[test]
    fn what_was_observed_stays(wild in wild(), quantiles: bool) {
        let text = wild.text();
        let levels = if quantiles { vec![0.05, 0.95] } else { Vec::new() };
        let write = WriteOptions { quantiles: levels.clone(), mask: false, ..WriteOptions::default() };
        let (out, written, _) = fill(&text, &ReadOptions::default(), &write, |b, k, row, level| {
            1000.0 * k as f64 + b.frame.positions[b.core.start + row] + level as f64 / 4.0
        });
        let start = if wild.mark { 3 } else { 0 };
        let (before, after) = (fields(&text[start..], wild.delimiter), fields(&out[start..], wild.delimiter));
        prop_assert_eq!(before.len(), after.len());
        let numbers = before[0].iter().enumerate().filter(|(_, n)| n.starts_with('n') || *n == "value").map(|(c, _)| c).collect::<Vec<_>>();
        let mut filled = 0;
        for (x, y) in before.iter().zip(&after).skip(1) {
            prop_assert_eq!(y.len(), x.len() + numbers.len() * levels.len());
            for c in 0..x.len() {
                if numbers.contains(&c) && is_missing(&x[c]) {
                    filled += 1;
                    prop_assert!(y[c].parse::<f64>().is_ok(), "{} {}", x[c], y[c]);
                } else {
                    prop_assert_eq!(&x[c], &y[c]);
                }
            }
            for (i, &c) in numbers.iter().enumerate() {
                for added in 0..levels.len() {
                    let quantile = &y[x.len() + i * levels.len() + added];
                    let right = if is_missing(&x[c]) { quantile.parse::<f64>().is_ok() } else { quantile == &x[c] };
                    prop_assert!(right, "{} gave {}", x[c], quantile);
                }
            }
        }
        prop_assert_eq!(filled, written.filled.iter().sum::<u64>());
        if levels.is_empty() {
            // Line ends, quotes and everything else: without the filled fields the bytes are the same.
            prop_assert_eq!(out.iter().filter(|&&b| b == b'\n').count(), text.iter().filter(|&&b| b == b'\n').count());
            prop_assert_eq!(out.ends_with(b"\n"), text.ends_with(b"\n"));
        }
    }

    /// A table with some bytes changed, left out or doubled is a table or an error; what is a table is written back as it is.
    #[test]
    fn damage_is_no_panic(
        wild in wild(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"\"\n\r,;0-.:T \0x\xff9".to_vec()), 0_u8..3), 1..4),
        flags in 0_u8..4,
    ) {
        let mut text = wild.text();
        for (at, byte, how) in hits {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
        }
        let read = ReadOptions { sort: flags & 1 > 0, dedup: flags & 2 > 0, ..ReadOptions::default() };
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&text).unwrap();
        if let Ok(table) = Table::open(file.path(), &read) {
            let (mut out, mut copy) = (Vec::new(), Vec::new());
            let mut writer = Writer::create(&table, &mut out, WriteOptions::default()).unwrap();
            for block in table.blocks().unwrap() {
                let block = block.unwrap();
                prop_assert!(block.frame.positions.windows(2).all(|w| w[0] < w[1]));
                writer.block(&block, &Fills::none(&block, 0)).unwrap();
            }
            writer.finish().unwrap();
            table.copy(&mut copy).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&copy));
            if !read.sort && !read.dedup {
                prop_assert_eq!(copy, text);
            }
        }
    }

    /// Whatever the bytes are, there is a table or an error.
    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(prop::sample::select(b"0123,;.\"\n\r-:T \tax\0\xff|+eE/".to_vec()), 0..120), date: bool) {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(if date { b"time,x,id\n2020-01-01,1,a\n" } else { b"" }).unwrap();
        file.write_all(&bytes).unwrap();
        for forecast in [0, 2] {
            let read = ReadOptions { forecast, sort: date, dedup: date, ..ReadOptions::default() };
            if let Ok(table) = Table::open(file.path(), &read) {
                let mut out = Vec::new();
                let mut writer = Writer::create(&table, &mut out, WriteOptions::default()).unwrap();
                for block in table.blocks().unwrap() {
                    let block = block.unwrap();
                    prop_assert!(block.kinds.len() == block.core.len() && block.core.end <= block.frame.rows());
                    prop_assert!(block.kinds.iter().filter(|&&k| k == RowKind::Forecast).count() <= forecast);
                    writer.block(&block, &Fills::none(&block, 0)).unwrap();
                }
                writer.finish().unwrap();
                prop_assert!(table.sample(10).unwrap().iter().map(|f| f.rows() * f.columns()).sum::<usize>() <= 10.max(2 * table.names().len()));
                if forecast == 0 {
                    let mut copy = Vec::new();
                    table.copy(&mut copy).unwrap();
                    prop_assert_eq!(out, copy);
                }
            }
        }
    }
}

#[test]
fn parts_of_mixed_rows_make_the_whole() {
    let line = |t: u32, site: char| format!("2021-01-01 {t:02}:00,{site},{}", if t % 3 == 1 { "" } else { "2" });
    let body: Vec<String> = (0..20).flat_map(|t| ['a', 'b'].map(|site| line(t, site))).collect();
    for (text, forecast) in [(body.join("\n"), 2), (body.join("\n\n") + "\n\n", 0)] {
        let mut file = NamedTempFile::new().unwrap();
        write!(file, "time,site,x\n{text}").unwrap();
        let table = Table::open(file.path(), &ReadOptions { forecast, ..ReadOptions::default() }).unwrap();
        let part = |records: std::ops::Range<u64>| {
            assert!(table.is_mixed());
            let mut out = Vec::new();
            let options = WriteOptions { continues: records.start > 0, records: Some(records.clone()), ..WriteOptions::default() };
            let mut writer = Writer::create(&table, &mut out, options).unwrap();
            for block in table
                .blocks()
                .unwrap()
                .map(Result::unwrap)
                .filter(|block| block.has_holes_of(&records) || (records.end == 40 && block.kinds.contains(&RowKind::Forecast)))
            {
                let mut fills = Fills::none(&block, 0);
                let first = block.first_row();
                fills.values[0].iter_mut().enumerate().for_each(|(row, v)| *v = (10 * (first + row) + block.series) as f64);
                writer.block(&block, &fills).unwrap();
            }
            writer.finish().unwrap();
            String::from_utf8(out).unwrap()
        };
        let whole = part(0..40);
        assert!(whole.contains("01:00,a,10") && whole.contains("19:00,b,191"), "{whole}");
        for cut in [1, 7, 20, 39] {
            assert_eq!(part(0..cut) + &part(cut..40), whole, "cut at {cut}");
        }
    }
}
