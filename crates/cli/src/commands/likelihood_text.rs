//! `langevin eval text --corpus`: how probable texts are under a model, and under a 6-gram beside it.

use std::path::Path;

use langevin_engine::Error;
use langevin_text::{
    baseline::KneserNey,
    corpus::Corpus,
    model::TextModel,
    task::{
        likelihood::{Bits, Bound, Likelihood, Measure, Score, Window, parts, windows},
        sample::Predict,
    },
};
use serde::Serialize;

use super::eval_text::Args;
use crate::{output, report::Failure, settings::Settings, text};

/// Windows that a worker takes at once.
const PART: usize = 4;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    checkpoint: String,
    bound: Bound,
    /// Tokens of a block.
    block: usize,
    /// Strata of a window.
    stratified: u32,
    /// Steps of the chain; none for masking in continuous time.
    steps: Option<usize>,
    #[serde(flatten)]
    bits: Bits,
    /// Bits a character of the 6-gram on the same windows.
    baseline_bits_per_char: Option<f64>,
    seed: u64,
}

pub(super) fn run(path: &Path, args: &Args, settings: &Settings) -> Result<(), Failure> {
    if let Some(path) = &args.save_baseline {
        output::claim(path, false)?;
    }
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let workers = settings.workers()?;
    let (model, checkpoint) = text::open(&args.checkpoint, &device)?;
    let label = args.label.as_deref().map(|name| model.label(name)).transpose()?;
    let corpus = Corpus::read(path, model.tokenizer(), args.normalise, None)?;
    let context = model.config().context;
    let block = args.block.unwrap_or_else(|| usual_block(&model, args.bound));
    let measure = Measure { bound: args.bound, block, strata: args.stratified as usize, seed: args.seed };
    let likelihood = Likelihood::new(&model, model.config(), &device, measure)?;
    if !Predict::knows(&model, block) {
        settings
            .talk(&format!("note: {} has not learned to write blocks of {block}, so this says little about it", args.checkpoint.display()));
    }
    let limit = (args.limit > 0).then_some(args.limit as usize);
    let mut windows = windows(&corpus, context, limit);
    windows.iter_mut().for_each(|window| window.label = label);
    let baseline = match &args.baseline {
        Some(path) => Some(text::baseline(path, model.tokenizer(), args.normalise)?),
        None => text::shipped_baseline(&checkpoint, model.tokenizer())?,
    };
    if let (Some(path), Some(baseline)) = (&args.save_baseline, &baseline) {
        output::put(path, &baseline.to_bytes(model.tokenizer().spec()))?;
    }
    if limit.is_some_and(|limit| limit < corpus.characters()) {
        let said = format!("note: {} windows spread over {} characters are measured", windows.len(), corpus.characters());
        settings.talk(&format!("{said}; --limit all measures the whole"));
    }

    let parts = parts(&windows, PART);
    let progress = settings.progress(parts.len() as u64, "parts");
    // A cancelled part is skipped, and the whole then has no result.
    let go = || (!cancel.is_set()).then(|| progress.advance());
    let mut scores: Vec<Score> = Vec::new();
    for found in workers.map(parts.len(), |k| go().map(|()| likelihood.scores(parts[k]))) {
        scores.extend(found.ok_or(Error::Interrupted { saved: None })??);
    }
    progress.finish();
    let baseline = match &baseline {
        Some(baseline) => {
            let of_window = |k: usize| (!cancel.is_set()).then(|| of_baseline(baseline, &corpus, &windows[k], &scores[k]));
            let scores = workers.map(windows.len(), of_window).into_iter().collect::<Option<Vec<Score>>>();
            Some(Bits::of(&scores.ok_or(Error::Interrupted { saved: None })?))
        }
        None => None,
    };
    let report = Report {
        checkpoint: checkpoint.header.config.name,
        bound: args.bound,
        block: if block == 0 { context } else { block },
        stratified: args.stratified,
        steps: likelihood.steps(),
        bits: Bits::of(&scores),
        baseline_bits_per_char: baseline.map(|bits| bits.bits_per_char),
        seed: args.seed,
    };
    if settings.json {
        return output::json(&report);
    }
    output::data(table(&report, context, baseline).as_bytes())
}

/// The whole, or token after token for writing from left to right, where the model has learned that; else the first size that it has.
fn usual_block(model: &TextModel, bound: Bound) -> usize {
    let config = model.config();
    let learned: Vec<usize> = config.blocks.iter().filter(|block| block.share > 0.0).map(|block| block.size % config.context).collect();
    let wanted = usize::from(bound == Bound::LeftToRight);
    if learned.contains(&wanted) || learned.contains(&0) {
        return if learned.contains(&wanted) { wanted } else { 0 };
    }
    learned.first().copied().unwrap_or(0)
}

/// The same window under the 6-gram, which sees the tokens before it.
fn of_baseline(baseline: &KneserNey, corpus: &Corpus, window: &Window, score: &Score) -> Score {
    let before = &corpus.tokens()[window.start.saturating_sub(baseline.order() - 1)..window.start];
    let before: Vec<u32> = before.iter().map(|&token| u32::from(token)).collect();
    Score { nats: baseline.nats(&before, &window.tokens), ..*score }
}

fn table(report: &Report, context: usize, baseline: Option<Bits>) -> String {
    let error = |bits: &Bits| bits.standard_error.map_or_else(String::new, |error| format!(" +- {error:.4}"));
    let Bits { bits_per_char, characters, windows, perplexity, .. } = report.bits;
    let how = match (report.steps, report.block) {
        (Some(steps), _) => format!("T = {steps}"),
        (None, block) if block == context => "continuous time, whole windows".to_owned(),
        (None, block) => format!("blocks of {block}"),
    };
    let mut text = format!("{:<22} {bits_per_char:.4}{} bits a character ({how})\n", report.bound.to_string(), error(&report.bits));
    text.push_str(&format!("{:<22} {perplexity:.4} a token\n", "perplexity"));
    text.push_str(&format!("{:<22} {characters} characters in {windows} windows\n", "measured"));
    if let Some(bits) = baseline {
        text.push_str(&format!("{:<22} {:.4}{} bits a character\n", "Kneser-Ney 6-gram", bits.bits_per_char, error(&bits)));
    }
    text
}
