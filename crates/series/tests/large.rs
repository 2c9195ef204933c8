//! A file far larger than memory may be: `cargo test --release --workspace --test large -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    time::Instant,
};

use langevin_series::io::{Fills, ReadOptions, Table, WriteOptions, Writer};

/// Largest resident size of this process so far, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Reads, samples, fills by the mean and writes with five quantiles; memory stays below 300 MiB whatever the size of the file.
#[test]
#[ignore = "writes two files of more than 500 MB"]
fn memory_does_not_grow_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.csv");
    let mut out = BufWriter::new(File::create(&path).unwrap());
    let columns = 20;
    writeln!(out, "time,{}", (0..columns).map(|k| format!("c{k}")).collect::<Vec<_>>().join(",")).unwrap();
    let mut state = 1_u64;
    let mut line = String::new();
    for row in 0..4_000_000_u64 {
        let (minute, second) = (row / 60, row % 60);
        line.clear();
        line += &format!(
            "2020-{:02}-{:02}T{:02}:{:02}:{second:02}",
            1 + minute / 1440 / 28,
            1 + minute / 1440 % 28,
            minute / 60 % 24,
            minute % 60
        );
        for k in 0..columns {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // One in ten is a hole.
            line.push(',');
            if !(state >> 33).is_multiple_of(10) {
                line += &format!("{}.{:03}", (state >> 40) % 100, (state >> 50) % 1000);
            } else if row == 0 {
                line += &k.to_string();
            }
        }
        line.push('\n');
        out.write_all(line.as_bytes()).unwrap();
    }
    out.flush().unwrap();
    drop(out);
    let size = fs::metadata(&path).unwrap().len();
    let start = Instant::now();
    let table = Table::open(&path, &ReadOptions::default()).unwrap();
    println!("{} MB: pass 1 {:.1} s, {} holes, peak {} MiB", size >> 20, start.elapsed().as_secs_f64(), table.profile().missing(), peak());
    let sample = table.sample(4 << 20).unwrap();
    println!("sample of {} frames: {:.1} s, peak {} MiB", sample.len(), start.elapsed().as_secs_f64(), peak());
    let quantiles = vec![0.05, 0.25, 0.5, 0.75, 0.95];
    for (levels, sink) in [(Vec::new(), true), (quantiles, false)] {
        let start = Instant::now();
        let target: Box<dyn io::Write> =
            if sink { Box::new(io::sink()) } else { Box::new(BufWriter::new(File::create(folder.path().join("out.csv")).unwrap())) };
        let mut writer =
            Writer::create(&table, target, WriteOptions { quantiles: levels.clone(), mask: false, ..WriteOptions::default() }).unwrap();
        for block in table.blocks().unwrap() {
            let block = block.unwrap();
            let mut fills = Fills::none(&block, levels.len());
            for k in 0..columns {
                for row in (0..block.core.len()).filter(|&row| block.is_hole(k, row)) {
                    fills.values[k][row] = table.profile().columns[k].mean;
                    fills.quantiles.iter_mut().for_each(|q| q[k][row] = table.profile().columns[k].mean);
                }
            }
            writer.block(&block, &fills).unwrap();
        }
        let written = writer.finish().unwrap();
        assert_eq!(written.filled.iter().sum::<u64>(), table.profile().missing());
        println!("pass 2 with {} quantiles {:.1} s, peak {} MiB", levels.len(), start.elapsed().as_secs_f64(), peak());
    }
    assert!(size > 500 << 20 && peak() < 300, "{} MiB", peak());
}
