//! `langevin eval text`.

use std::path::PathBuf;

use langevin_text::{
    metrics::{self, SampleReport, Words},
    task::likelihood::Bound,
};

use super::{infilled_text, likelihood_text};
use crate::{output, report::Failure, settings::Settings, text, values};

/// Measure a text model: how probable it finds texts, and how good its samples and filled gaps are
///
/// --corpus: bits a character of texts, with the standard error over windows. The bound `nelbo` is that of diffusion; `l2r` and `order:random` are
/// exact for writing in that order. --samples: share of characters in known words, bits under word trigrams, runs copied from the training text,
/// repetition. --infilled: characters that came back, by kind of gap.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin eval text --corpus book.txt --normalise --bound nelbo")]
#[command(group(clap::ArgGroup::new("what").required(true).args(["corpus", "samples", "infilled"])))]
pub(crate) struct Args {
    /// Text file or folder of them to find the likelihood of
    #[arg(long, value_name = "PATH")]
    pub(super) corpus: Option<PathBuf>,
    /// Trained model: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = text::MODEL)]
    pub(super) checkpoint: PathBuf,
    /// Which value: nelbo, l2r or order:random
    #[arg(long, value_name = "BOUND", default_value = "nelbo")]
    pub(super) bound: Bound,
    /// Tokens of a block, which is given those before it, or `full` [default: full, and 1 for l2r where the model has learned it]
    #[arg(long, value_name = "N|full", value_parser = block)]
    pub(super) block: Option<usize>,
    /// Numbers of hidden tokens, or times, at which each window is measured for the bound
    #[arg(long, value_name = "K", default_value = "8", value_parser = values::whole(1..=100_000))]
    pub(super) stratified: u32,
    /// Measure windows of about this many characters, spread evenly over the corpus, or `all` (as 0 does)
    #[arg(long, value_name = "CHARS|all", default_value = "131072", value_parser = limit)]
    pub(super) limit: u32,
    /// Label that the model is told for all texts
    #[arg(long, value_name = "NAME")]
    pub(super) label: Option<String>,
    /// Map characters outside the alphabet to ones inside
    #[arg(long)]
    pub(super) normalise: bool,
    /// Text file or folder that a Kneser-Ney 6-gram learns from, to compare with, or what --save-baseline made of one [default: the novels, for the
    /// shipped model]
    #[arg(long, value_name = "PATH")]
    pub(super) baseline: Option<PathBuf>,
    /// Write the 6-gram as a small file, too
    #[arg(long, value_name = "FILE", requires = "baseline", requires = "corpus")]
    pub(super) save_baseline: Option<PathBuf>,
    /// Seed of masks and orders
    #[arg(long, value_name = "N", default_value = "0", value_parser = values::seed)]
    pub(super) seed: u64,
    /// Samples to judge, one a line
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// Training text, in which copies are looked for
    #[arg(long, value_name = "PATH", requires = "samples")]
    train: Option<PathBuf>,
    /// Text whose words are known [default: the training text]
    #[arg(long, value_name = "PATH", requires = "samples")]
    reference: Option<PathBuf>,
    /// Filled gaps to score: JSON lines with id and output
    #[arg(long, value_name = "JSONL", requires = "tasks")]
    pub(super) infilled: Option<PathBuf>,
    /// Their tasks: JSON lines with id, input, gold and kind
    #[arg(long, value_name = "JSONL", requires = "infilled")]
    pub(super) tasks: Option<PathBuf>,
}

fn limit(text: &str) -> Result<u32, String> {
    if text == "all" { Ok(0) } else { values::whole(0..=u32::MAX)(text).map_err(|wanted| format!("{wanted}, or all")) }
}

fn block(text: &str) -> Result<usize, String> {
    if text == "full" { Ok(0) } else { values::whole(1..=65536)(text).map(|n| n as usize).map_err(|wanted| format!("{wanted}, or full")) }
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    match (&args.corpus, &args.samples, &args.infilled, &args.tasks) {
        (Some(corpus), ..) => likelihood_text::run(corpus, args, settings),
        (_, _, Some(outputs), Some(tasks)) => infilled_text::run(outputs, tasks, args, settings),
        (_, Some(samples), ..) => {
            // No tensor is made here, but the device bounds the threads.
            settings.open_device()?;
            let samples = metrics::samples(samples)?;
            let train = args.train.as_deref().map(langevin_text::corpus::texts).transpose()?;
            let reference = args.reference.as_deref().map(langevin_text::corpus::texts).transpose()?;
            let words = reference.as_ref().or(train.as_ref()).map(|texts| Words::learn(texts)).transpose()?;
            let report = metrics::report(&samples, words.as_ref(), train.as_deref());
            if settings.json {
                return output::json(&report);
            }
            output::data(table(&report).as_bytes())
        }
        _ => Err(Failure::usage("eval", "nothing to measure").help("give --corpus, --samples or --infilled with --tasks")),
    }
}

fn table(report: &SampleReport) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: Option<String>| text.push_str(&format!("{name:<22} {}\n", value.as_deref().unwrap_or("-")));
    let share = |value: Option<f64>| value.map(|v| format!("{v:.4}"));
    row("samples", Some(format!("{}, {} characters", report.samples, report.characters)));
    row("in known words", share(report.in_words));
    row("word trigram bits", share(report.word_trigram_bits));
    row(&format!("copies of {} chars", metrics::COPY), share(report.copied));
    let diversity = report.diversity;
    row("distinct samples", share(Some(diversity.distinct_samples)));
    row("distinct 1, 2, 3", Some(format!("{:.4}, {:.4}, {:.4}", diversity.distinct_1, diversity.distinct_2, diversity.distinct_3)));
    row("repeated triples", share(Some(diversity.repeated_3)));
    text
}
