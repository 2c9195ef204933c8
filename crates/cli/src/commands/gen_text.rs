//! `langevin gen text`.

mod batch;
mod fix;
mod source;
mod writer;

use std::{ops::ControlFlow, path::PathBuf};

use langevin_engine::{Cancel, Checkpoint, Shard, sample, shard::Manifest};
use langevin_nn::fused::Precision;
use langevin_text::{
    Tokenizer,
    config::{Order, Remask, Sampling},
    model::TextModel,
    task::{
        infill,
        sample::{Predict, Progress, Request, Writing, Written},
    },
};
use serde::Serialize;

use super::gen_molecule::mark;
use crate::{
    args::{SeedArg, ShardArg, WriteArgs},
    output,
    report::Failure,
    settings::Settings,
    text, values,
};
use source::{Source, SourceArgs};
use writer::Writer;

/// Most texts of one command.
const MOST: u32 = 10_000_000;
/// Texts that are written before any is put out: enough for all threads, few enough for memory.
const AT_ONCE: u32 = 64;

/// Write, fill, edit and repair text
///
/// One text a line. Text i depends on the seed and the settings only, not on -n, threads or shards. `_` in a template is one hidden character,
/// [MASK:7] seven, [MASK:5-20] a gap of 5 to 20, [MASK] one of 1 to 20; \_ and \[ are the characters themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin gen text --infill \"the [MASK] sat on the m_t\" -n 8")]
pub(crate) struct Args {
    /// Number of texts
    #[arg(short, value_name = "N", default_value = "1", value_parser = values::whole(1..=MOST))]
    n: u32,
    /// File for the texts, one a line, or as objects with confidences where it ends in .jsonl; stdout when absent
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    method: MethodArgs,
    /// Print each block as soon as it stands (one text, on stdout)
    #[arg(long, conflicts_with_all = ["infill_jsonl", "fix", "trace"])]
    stream: bool,
    /// Print the text to stderr after each step (one text)
    #[arg(long, conflicts_with = "infill_jsonl")]
    trace: bool,
    /// Trained model: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = text::MODEL)]
    checkpoint: PathBuf,
    #[command(flatten)]
    seed: SeedArg,
    #[command(flatten)]
    shard: ShardArg,
    #[command(flatten)]
    write: WriteArgs,
}

/// How texts are written: flags over what the checkpoint says.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Method")]
struct MethodArgs {
    /// Network evaluations that make a whole context, of which blocks have their share; auto: as many as --entropy-bound asks for
    /// [default: the checkpoint's; of gaps one for each token]
    #[arg(long, value_name = "N|auto", value_parser = steps)]
    steps: Option<usize>,
    /// Nats that tokens which appear together may tell one another, with --steps auto [default: the checkpoint's]
    #[arg(long, value_name = "NATS", value_parser = values::number(0.0..=1e6))]
    entropy_bound: Option<f64>,
    /// Which hidden tokens appear first [default: the checkpoint's; of gaps confidence]
    #[arg(long, value_enum)]
    order: Option<OrderArg>,
    /// Below 1 is safer, above 1 wilder; 0 takes the likeliest [default: the checkpoint's; of gaps 0]
    #[arg(long, value_name = "T", value_parser = values::number(0.0..=100.0))]
    temperature: Option<f64>,
    /// Draw from the likeliest tokens that make up this probability [default: the checkpoint's; of gaps 1]
    #[arg(long, value_name = "P", value_parser = values::number(1e-6..=1.0))]
    top_p: Option<f64>,
    /// Tokens that are written together, given those before: 1 is autoregression, full the whole context; sizes between those that the model has
    /// learned, that divide its context, do too [default: the checkpoint's; of gaps full]
    #[arg(long, value_name = "N|full", value_parser = block)]
    block: Option<usize>,
    /// What the text should be like: a label of the model
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// How strongly the label is followed; 1 is as it was learned [default: the checkpoint's]
    #[arg(long, value_name = "W", requires = "label", value_parser = values::number(0.0..=20.0))]
    guidance: Option<f64>,
    /// Hide tokens again and draw them once more [default: the checkpoint's; of gaps none]
    #[arg(long, value_enum)]
    remask: Option<RemaskArg>,
    /// Probability of that in a step [default: the checkpoint's]
    #[arg(long, value_name = "P", value_parser = values::number(0.0..=0.99))]
    remask_share: Option<f64>,
    /// Precision of large matrix products, on processors with matrix tiles or bfloat16 vectors [default: the checkpoint's]
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PrecisionArg {
    /// As f32
    Float32,
    /// Factors rounded to 8 bits, as in training: a sixth of the work
    Bfloat16,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OrderArg {
    /// Any, evenly
    Random,
    /// Those of which the network is surest
    Confidence,
    /// From left to right
    L2r,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RemaskArg {
    /// Never
    None,
    /// Rather those of which the network was least sure
    Conf,
    /// Each with the same probability
    Cap,
}

fn steps(text: &str) -> Result<usize, String> {
    if text == "auto" { Ok(0) } else { values::whole(1..=100_000)(text).map(|n| n as usize).map_err(|e| format!("{e}, or auto")) }
}

fn block(text: &str) -> Result<usize, String> {
    if text == "full" { Ok(0) } else { values::whole(1..=8192)(text).map(|n| n as usize).map_err(|e| format!("{e}, or full")) }
}

impl MethodArgs {
    /// The effective settings and the label's number.
    fn chosen(&self, model: &TextModel, source: &Source) -> Result<(Sampling, Option<usize>), Failure> {
        let of_model = model.config().sampling;
        let mut sampling = match source {
            Source::Fresh { .. } => of_model,
            Source::Template(_) | Source::Jsonl(_) => infill::filling(model.config()),
            // What is right of a hidden token is known, too.
            Source::Edit { .. } => Sampling { block: 0, ..of_model },
        };
        sampling.steps = self.steps.unwrap_or(sampling.steps);
        sampling.entropy_bound = self.entropy_bound.unwrap_or(sampling.entropy_bound);
        sampling.temperature = self.temperature.unwrap_or(sampling.temperature);
        sampling.top_p = self.top_p.unwrap_or(sampling.top_p);
        // A model that has learned blocks only writes in these, whatever is to be written.
        let learned = Predict::blocks(model);
        let known = if learned.contains(&sampling.block) { sampling.block } else { learned.first().copied().unwrap_or_default() };
        sampling.block = self.block.unwrap_or(known);
        sampling.remask_share = self.remask_share.unwrap_or(sampling.remask_share);
        sampling.order = match self.order {
            Some(OrderArg::Random) => Order::Random,
            Some(OrderArg::Confidence) => Order::Confidence,
            Some(OrderArg::L2r) => Order::LeftToRight,
            None => sampling.order,
        };
        sampling.remask = match self.remask {
            Some(RemaskArg::None) => Remask::None,
            Some(RemaskArg::Conf) => Remask::Conf,
            Some(RemaskArg::Cap) => Remask::Cap,
            None => sampling.remask,
        };
        sampling.precision = match self.precision {
            Some(PrecisionArg::Float32) => Precision::Full,
            Some(PrecisionArg::Bfloat16) => Precision::Bfloat16,
            None => sampling.precision,
        };
        let label = self.label.as_deref().map(|name| model.label(name)).transpose()?;
        sampling.guidance = if label.is_some() { self.guidance.unwrap_or(sampling.guidance) } else { 1.0 };
        Ok((sampling, label))
    }
}

/// Effective settings: what, with its number, decides the bytes of a text.
#[derive(Debug, Serialize)]
struct Effective {
    version: &'static str,
    checkpoint: String,
    checkpoint_hash: String,
    seed: u64,
    source: serde_json::Value,
    sampling: Sampling,
    label: Option<String>,
    device: &'static str,
}

/// What stays the same from text to text.
struct Run<'a> {
    args: &'a Args,
    settings: &'a Settings,
    model: &'a TextModel,
    request: Request,
    effective: Effective,
    cancel: Cancel,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    output::claim(&args.output, args.write.force)?;
    let is_one = args.n == 1 && args.output.as_os_str() == output::STDOUT;
    if args.stream && (!is_one || settings.json) {
        return Err(Failure::usage("stream", "--stream prints one text on stdout as it is written").help("leave -n, -o and --json out"));
    }
    if args.trace && args.n != 1 {
        return Err(Failure::usage("trace", format!("--trace shows one text on its way, but -n asks for {}", args.n)).help("give -n 1"));
    }
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let (model, checkpoint) = text::open(&args.checkpoint, &device)?;
    if let Some(path) = &args.source.fix {
        return fix::run(args, path, &model, settings, &cancel);
    }
    let source = args.source.read(&model)?;
    let seed = args.seed.chosen(None, settings);
    let (sampling, label) = args.method.chosen(&model, &source)?;
    if args.n > 1 && sampling.temperature == 0.0 {
        settings.talk("temperature 0 fills gaps of one length alike each time; --temperature 1 varies them");
    }
    let effective = effective(args, settings, &source, &model, &checkpoint, (sampling, label, seed))?;
    let run = Run { args, settings, model: &model, request: Request { sampling, label, seed }, effective, cancel };
    match &source {
        Source::Jsonl(path) => batch::run(&run, path),
        _ => run.write(&source),
    }
}

fn effective(
    args: &Args,
    settings: &Settings,
    source: &Source,
    model: &TextModel,
    checkpoint: &Checkpoint,
    (sampling, label, seed): (Sampling, Option<usize>, u64),
) -> Result<Effective, Failure> {
    Ok(Effective {
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: checkpoint.header.config.name.clone(),
        checkpoint_hash: checkpoint.hash.clone(),
        seed,
        source: source.told(&args.source)?,
        sampling,
        label: label.map(|label| model.config().labels[label].clone()),
        device: settings.device.name,
    })
}

impl Run<'_> {
    /// Writes the texts of this part.
    fn write(&self, source: &Source) -> Result<(), Failure> {
        let shard = self.args.shard.part();
        let rows = shard.rows(self.args.n);
        // Settings that the model does not know are refused before anything else is done.
        Writing::new(self.model, &source.patterns(rows.start..rows.start + 1, self.request.seed, self.model)?, rows.start, self.request)?;
        if self.args.write.dry_run {
            return output::json(&self.effective);
        }
        let part = self.part(self.args.n, rows.clone())?;
        if self.is_done(&part, shard)? {
            return Ok(());
        }
        let mut writer = Writer::start(&self.args.output, self.settings.json, self.args.n == 1)?;
        let started = std::time::Instant::now();
        let workers = self.settings.workers()?;
        let progress = self.settings.progress(rows.len() as u64, "texts");
        let (mut evaluations, mut tokens) = (0, 0);
        let chunks = rows.clone().step_by(AT_ONCE as usize).map(|first| first..(first + AT_ONCE).min(rows.end));
        for chunk in chunks {
            let patterns = source.patterns(chunk.clone(), self.request.seed, self.model)?;
            let writing = Writing::new(self.model, &patterns, chunk.start, self.request)?;
            let written = if chunk.len() == 1 {
                // On a worker too: the layers of one text are too small to share among threads.
                workers.map(1, |_| self.alone(&writing, chunk.start)).into_iter().collect::<Result<_, _>>()?
            } else {
                sample(&writing, chunk, &workers, &self.cancel, &|| {})?
            };
            for text in written {
                evaluations += text.evaluations;
                tokens += text.tokens.len();
                if !self.args.stream {
                    writer.text(&text, self.model.tokenizer(), self.request.seed)?;
                }
                progress.advance();
            }
        }
        progress.finish();
        writer.finish(&self.effective)?;
        if shard != Shard::WHOLE {
            part.write(&mark(&self.args.output))?;
        }
        let seconds = started.elapsed().as_secs_f64();
        self.settings.talk(&format!("{} texts, {tokens} tokens, {evaluations} network evaluations, {seconds:.3} s", rows.len()));
        Ok(())
    }

    /// Writes one text with all threads, telling of it on the way.
    fn alone(&self, writing: &Writing<'_, TextModel>, row: u32) -> Result<Written, Failure> {
        let mut told = 0;
        let tokenizer = self.model.tokenizer();
        let mut refused = None;
        let mut tell = |progress: Progress<'_>| -> Result<(), Failure> {
            if self.args.trace {
                self.settings.talk(&format!("{:5}  {}", progress.evaluations, writer::one_line(&tokenizer.decode(progress.tokens))));
            }
            if self.args.stream {
                stream(tokenizer, &progress.tokens[..progress.settled], &mut told, false)?;
            }
            Ok(())
        };
        let mut watch = |progress: Progress<'_>| {
            if let Err(failure) = tell(progress) {
                refused = Some(failure);
                return ControlFlow::Break(());
            }
            self.cancel.check()
        };
        let written = writing.write(row, &mut watch);
        if let Some(failure) = refused {
            return Err(failure);
        }
        let ControlFlow::Continue(written) = written else {
            return Err(langevin_engine::Error::Interrupted { saved: None }.into());
        };
        if self.args.stream {
            stream(tokenizer, &written.tokens, &mut told, true)?;
            output::data(b"\n")?;
        }
        Ok(written)
    }

    fn part(&self, total: u32, rows: std::ops::Range<u32>) -> Result<Manifest, Failure> {
        let config =
            serde_json::to_string(&self.effective).map_err(|e| Failure::data("json", "the settings cannot be written").because(e))?;
        let input = self.args.source.file().map_or_else(|| Ok(String::new()), langevin_engine::checkpoint::hash_of)?;
        Ok(Manifest {
            schema_version: output::SCHEMA_VERSION,
            input,
            config,
            checkpoint: self.effective.checkpoint_hash.clone(),
            seed: self.request.seed,
            total,
            first: rows.start,
            end: rows.end,
        })
    }

    fn is_done(&self, part: &Manifest, shard: Shard) -> Result<bool, Failure> {
        let is_done = shard != Shard::WHOLE && self.args.output.exists() && part.is_done(&mark(&self.args.output))?;
        if is_done {
            self.settings.talk(&format!("part {}/{} is already there", shard.index, shard.count));
        }
        Ok(is_done)
    }
}

/// Prints what is new of a settled text. Part of a character of several bytes waits for the rest.
fn stream(tokenizer: &Tokenizer, settled: &[u32], told: &mut usize, is_last: bool) -> Result<(), Failure> {
    /// Tokens that a character takes at most: more of them are no character at all.
    const LONGEST: usize = 4;
    let new = settled.get(*told..).unwrap_or_default();
    let text = tokenizer.decode(new);
    if new.is_empty() || (!is_last && new.len() < LONGEST && text.ends_with(char::REPLACEMENT_CHARACTER)) {
        return Ok(());
    }
    *told = settled.len();
    output::data(text.as_bytes())
}
