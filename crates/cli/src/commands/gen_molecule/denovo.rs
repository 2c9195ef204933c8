//! `--de-novo`: molecules that the program invents, before they get conformers.

use std::{ops::RangeInclusive, path::PathBuf};

use burn::tensor::Device;
use langevin_engine::{Cancel, Workers, sample};
use langevin_molecule::task::denovo::{Collector, DenovoReport, DenovoRequest, Formula};
use langevin_nn::Sampler as _;

use crate::{molecule, report::Failure, settings::Settings, values};

/// Micro-batches that are drawn at once. Strings are taken in their order, so it changes no result.
const AT_ONCE: u32 = 8;

/// Flags of new molecules.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "New molecules")]
pub(crate) struct DenovoArgs {
    /// Invent this many different molecules, then make conformers of them
    #[arg(long, value_name = "N", conflicts_with_all = ["smiles", "input", "shard", "fix"], value_parser = values::whole(1..=1_000_000))]
    pub(super) de_novo: Option<u32>,
    /// Heavy atoms that they may have: 5-9, or 7
    #[arg(long, value_name = "A-B", requires = "de_novo", value_parser = range)]
    heavy: Option<RangeInclusive<usize>>,
    /// Formula that they have: C6H12O
    #[arg(long, value_name = "F", requires = "de_novo")]
    formula: Option<String>,
    /// Model of new molecules: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = molecule::DENOVO)]
    denovo_checkpoint: PathBuf,
}

fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse::<usize>(), to.trim().parse::<usize>()) {
        (Ok(from), Ok(to)) if from >= 1 && from <= to => Ok(from..=to),
        _ => Err("give two whole numbers from 1 on, the smaller first: 5-9".to_owned()),
    }
}

/// Invents molecules.
///
/// # Errors
/// A model that is not there, a formula that is none, sizes that no training molecule has, too few molecules among many strings.
pub(super) fn invent(
    args: &DenovoArgs,
    count: u32,
    seed: u64,
    settings: &Settings,
    device: &Device,
    workers: &Workers,
    cancel: &Cancel,
) -> Result<(Vec<String>, DenovoReport), Failure> {
    let model = molecule::open_denovo(&args.denovo_checkpoint, device)?;
    let formula = args.formula.as_deref().map(str::parse::<Formula>).transpose()?;
    let request = DenovoRequest { heavy: args.heavy.clone(), formula, ..DenovoRequest::new(count as usize, seed) };
    let drawing = model.drawing(&request)?;
    let mut collector = Collector::new(request.count, request.heavy.clone(), request.formula.clone(), model.known());
    let mut next = 0;
    let progress = settings.progress(u64::from(count), "molecules");
    while !collector.is_full() {
        let left = request.most_drawn - collector.report().drawn;
        if left == 0 {
            let (found, drawn) = (collector.report().unique, request.most_drawn);
            return Err(langevin_molecule::Error::TooFew { found, wanted: request.count, drawn }.into());
        }
        let rows = next..next + AT_ONCE * drawing.micro_batch();
        next = rows.end;
        for smiles in sample(&drawing, rows, workers, cancel, &|| {})?.into_iter().take(left) {
            let before = collector.report().unique;
            collector.offer(&smiles);
            if collector.report().unique > before {
                progress.advance();
            }
            if collector.is_full() {
                break;
            }
        }
    }
    progress.finish();
    let (molecules, report) = collector.finish();
    settings.talk(&format!(
        "{} molecules of {} strings: {:.1} % valid, {:.1} % of these different, {:.1} % of these new",
        report.unique,
        report.drawn,
        1e2 * report.valid as f64 / report.drawn.max(1) as f64,
        1e2 * report.unique as f64 / report.fitting.max(1) as f64,
        1e2 * report.novel as f64 / report.unique.max(1) as f64,
    ));
    Ok((molecules, report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_sizes() {
        assert_eq!((range("5-9"), range("7")), (Ok(5..=9), Ok(7..=7)));
        for bad in ["", "0-3", "9-5", "a", "3-"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
