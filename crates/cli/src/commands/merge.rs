//! `langevin merge`.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use langevin_engine::shard::Manifest;
use langevin_molecule::io::{Lines, Sink};

use super::gen_molecule::{mark, writer::CSV_HEADER};
use crate::{
    output::{self, Stream},
    report::Failure,
    settings::Settings,
};

/// Join the parts that --shard made
///
/// Checks that the parts are of one job and cover it, and gives the bytes of the whole run. Parts may be given in any order.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin merge part0.sdf part1.sdf -o all.sdf")]
pub(crate) struct Args {
    /// Parts, each with its mark (.part.json) beside it
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    /// File for the whole
    #[arg(short, long, value_name = "FILE|-")]
    output: PathBuf,
    /// Replace a file that is already there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    output::claim(&args.output, args.force)?;
    if let Some(part) = args.parts.iter().find(|part| **part == args.output) {
        return Err(Failure::usage("output", format!("{} is one of the parts", part.display())).help("choose another name for the whole"));
    }
    let manifests = args.parts.iter().map(|part| read(part)).collect::<Result<Vec<_>, _>>()?;
    let order = Manifest::join_order(&manifests)?;
    let mut sink = Sink::for_path(&args.output, Stream::start(&args.output)?);
    for (place, &k) in order.iter().enumerate() {
        copy(&args.parts[k], place > 0, &mut sink, &args.output)?;
    }
    sink.finish().map_err(|e| Failure::io(&args.output, e))?.finish()?;
    settings.talk(&format!("{} parts joined in {}", order.len(), args.output.display()));
    Ok(())
}

fn read(part: &Path) -> Result<Manifest, Failure> {
    let path = mark(part);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Failure::io(&path, e).help("a part is complete when its mark lies beside it; run its command again"))?;
    serde_json::from_str(&text).map_err(|e| Failure::data("shard", format!("{} is no mark of a part", path.display())).because(e))
}

/// Copies a part, unpacked; the header of a table of molecules is written once.
fn copy(part: &Path, later: bool, sink: &mut Sink<Stream>, to: &Path) -> Result<(), Failure> {
    let mut plain = BufReader::new(File::open(part).map_err(|e| Failure::io(part, e))?);
    let packed = plain.fill_buf().map_err(|e| Failure::io(part, e))?.starts_with(&[0x1f, 0x8b]);
    let mut reader: Box<dyn BufRead> = if packed { Box::new(BufReader::new(Lines::open(part)?.into_reader().0)) } else { Box::new(plain) };
    let mut buffer = Vec::new();
    if later {
        let mut first = Vec::new();
        reader.by_ref().take(CSV_HEADER.len() as u64).read_to_end(&mut first).map_err(|e| Failure::io(part, e))?;
        if first != CSV_HEADER.as_bytes() {
            buffer = first;
        }
    }
    loop {
        sink.write_all(&buffer).map_err(|e| Failure::io(to, e))?;
        let read = reader.fill_buf().map_err(|e| Failure::io(part, e))?;
        if read.is_empty() {
            return Ok(());
        }
        buffer = read.to_vec();
        let count = buffer.len();
        reader.consume(count);
    }
}
