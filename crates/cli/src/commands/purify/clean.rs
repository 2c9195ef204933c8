//! Purifying: levels, votes, decisions, files.

use std::{path::Path, time::Instant};

use langevin_audio::WavFormat;
use langevin_purify::{
    Classifier, Defence as _, Draw, Purifier,
    attack::Target,
    data::{centred, restored},
    defence::{Nothing, Purified, Sigma},
    detect::shift,
    guided,
    vote::Vote,
};
use serde::Serialize;

use super::Args;
use crate::{
    output,
    purify::{self, Inputs, ProtectArgs, Source},
    report::Failure,
    settings::Settings,
};

/// Votes that one worker takes at once.
const VOTES: usize = 2;
/// Inputs that are in memory with all their votes at once.
const INPUTS: usize = 64;
/// Probability that a bound of a vote is wrong.
const ALPHA: f64 = 0.05;

/// A class and its probability.
#[derive(Clone, Copy, Debug, Serialize)]
struct Prediction {
    class: usize,
    confidence: f64,
}

/// What was found of one input.
#[derive(Clone, Debug, Serialize)]
struct Found {
    name: String,
    before: Prediction,
    /// What the classifier makes of what is written.
    after: Prediction,
    /// Whether what is written was moved along the classifier's gradient to say what the votes decided.
    guided: bool,
    vote: usize,
    votes: usize,
    agreement: f64,
    /// Lower bound of the class's probability over draws, 95 % confidence (Clopper-Pearson).
    agreement_bound: f64,
    abstain: bool,
    /// How far purification moves the classifier's decision, from 0 to 2.
    shift: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detection: Option<f64>,
    sigma: f64,
    snr_db: f64,
    ms: f64,
}

pub(super) fn run(args: &Args, protect: &ProtectArgs, output: &Path, settings: &Settings) -> Result<(), Failure> {
    let device = settings.open_device()?;
    let classifier = purify::open_classifier(protect, &device)?;
    let inputs = Inputs::read(&protect.input, protect.label.as_deref(), &*classifier, settings)?;
    let (purifier, checkpoint) = purify::open_purifier(protect.checkpoint.as_deref(), &inputs, &device)?;
    let walk = args.walk.walk(&purifier)?;
    let seed = args.seed.chosen(None, settings);
    let sigma = match (args.walk.sigma, args.eps) {
        (Sigma::Auto, Some(eps)) => Sigma::Fixed(purifier.sigma_for(eps)),
        (chosen, _) => chosen,
    };
    purify::tell_level(&purifier, sigma, settings);
    if args.detect && !purifier.can_detect() {
        return Err(Failure::data("checkpoint", format!("{} was never calibrated to detect", checkpoint.header.config.name))
            .help("leave --detect out, or train it to the end of its steps: calibration is the last of them"));
    }
    let outputs = inputs.claim(&protect.input, output, protect.input.is_dir(), args.report.as_deref(), args.write.force)?;
    if args.write.dry_run {
        settings.talk(&format!("{} inputs, {} votes of {} evaluations", inputs.rows.len(), args.walk.votes, walk.evaluations()));
        return Ok(());
    }
    let defence = Purified { purifier: &purifier, walk, sigma, seed, decision: args.walk.decision(&purifier, args.eps.is_some()) };
    let started = Instant::now();
    let (rows, found) = purified(&*classifier, &purifier, &defence, &inputs, args, settings)?;
    let seconds = started.elapsed().as_secs_f64();
    // 16 bits without dither, which is noise, and noise was just removed.
    inputs.write(&rows, &outputs, WavFormat::Pcm16, false)?;

    let changed = found.iter().filter(|f| f.before.class != f.vote).count();
    let abstained = found.iter().filter(|f| f.abstain).count();
    settings.talk(&format!(
        "{} inputs purified in {seconds:.2} s; {changed} decisions changed, {abstained} votes too close to decide",
        found.len()
    ));
    let share = |right: &dyn Fn(usize, &Found) -> bool| {
        let count = found.iter().enumerate().filter(|(k, f)| right(*k, f)).count();
        count as f64 / found.len().max(1) as f64
    };
    // Labels that are no classes of the classifier are the user's own, and no fault of this command.
    let classes = inputs.classes(&protect.classes, &*classifier).ok().flatten();
    let right = classes.as_ref().map(|classes| {
        let (before, after) = (share(&|k, f| f.before.class == classes[k]), share(&|k, f| f.after.class == classes[k]));
        settings.talk(&format!("by the labels the classifier is right on {:.1} % before and {:.1} % after", 100.0 * before, 100.0 * after));
        (before, after)
    });
    let report = serde_json::json!({
        "schema_version": output::SCHEMA_VERSION,
        "classifier": classifier.name(),
        "checkpoint": checkpoint.header.config.name,
        "checkpoint_hash": checkpoint.hash,
        "defence": defence.name(),
        "seed": seed,
        "seconds": seconds,
        "accuracy_before": right.map(|right| right.0),
        "accuracy_after": right.map(|right| right.1),
        "items": found,
    });
    if let Some(path) = &args.report {
        let text = serde_json::to_string_pretty(&report).map_err(|e| Failure::data("json", "the report cannot be written").because(e))?;
        output::put(path, format!("{text}\n").as_bytes())?;
    }
    if settings.json { output::line(&report.to_string()) } else { output::data(table(&found).as_bytes()) }
}

/// Purifies all inputs: the rows to write, and what was found.
fn purified(
    classifier: &dyn Classifier,
    purifier: &Purifier,
    defence: &Purified<'_>,
    inputs: &Inputs,
    args: &Args,
    settings: &Settings,
) -> Result<(Vec<Vec<f32>>, Vec<Found>), Failure> {
    let workers = settings.workers()?;
    let votes = args.walk.votes as usize;
    let groups = votes.div_ceil(VOTES);
    let device = purifier.device();
    let plain = Target { classifier, defence: &Nothing, device };
    let progress = settings.progress(inputs.rows.len() as u64, "inputs");
    let (mut rows, mut found) = (Vec::with_capacity(inputs.rows.len()), Vec::with_capacity(inputs.rows.len()));
    for first in (0..inputs.rows.len()).step_by(INPUTS) {
        let count = (inputs.rows.len() - first).min(INPUTS);
        let started = Instant::now();
        let look = |k: usize| -> Result<_, langevin_purify::Error> {
            let row = [inputs.rows[first + k].as_slice()];
            let score = if args.detect { purifier.detect(&row)?.map(|scores| scores[0]) } else { None };
            let logits = plain.logits(&row, &[Draw { item: 0, vote: 0 }])?;
            Ok((defence.sigmas(&row)?[0], score, logits))
        };
        let looked = workers.map(count, look).into_iter().collect::<Result<Vec<_>, _>>()?;
        let part = |unit: usize| -> Result<_, langevin_purify::Error> {
            let (k, group) = (unit / groups, unit % groups);
            let draws: Vec<Draw> = (group * VOTES..votes.min((group + 1) * VOTES))
                .map(|vote| Draw { item: inputs.items[first + k], vote: vote as u32 })
                .collect();
            purifier.votes(classifier, &inputs.rows[first + k], looked[k].0, &defence.walk, defence.seed, &draws)
        };
        let parts = workers.map(count * groups, part).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut parts = parts.into_iter();
        let voted: Vec<Vec<(Vec<f32>, Vec<f32>)>> = (0..count).map(|_| parts.by_ref().take(groups).flatten().collect()).collect();
        let decide = |k: usize| -> Result<_, langevin_purify::Error> {
            let (before, votes) = (&looked[k].2, voted[k].iter().map(|(_, logits)| logits.as_slice()).collect::<Vec<&[f32]>>());
            let classes: Vec<usize> = defence.decided(before, &votes)?.iter().map(|logits| prediction(logits).class).collect();
            let vote = Vote::new(&classes, ALPHA);
            let agreeing = voted[k].iter().zip(&classes).filter(|(_, class)| **class == vote.class).map(|((row, _), _)| row.as_slice());
            let written = chosen(&plain, inputs, first + k, agreeing, vote.class)?;
            Ok((written, vote, shift(before, &votes.concat())))
        };
        let decided = workers.map(count, decide).into_iter().collect::<Result<Vec<_>, _>>()?;
        let ms = 1e3 * started.elapsed().as_secs_f64() / count as f64;
        for (k, ((Written { row, read: after, guided }, vote, shift), (sigma, detection, before))) in
            decided.into_iter().zip(looked).enumerate()
        {
            found.push(Found {
                name: inputs.names[first + k].clone(),
                before: prediction(&before),
                after,
                guided,
                vote: vote.class,
                votes: vote.of,
                agreement: vote.agreement(),
                agreement_bound: vote.bound,
                abstain: vote.of > 1 && vote.abstains(),
                shift,
                detection,
                sigma,
                snr_db: snr(&inputs.rows[first + k], &row),
                ms,
            });
            rows.push(row);
            progress.advance();
        }
    }
    progress.finish();
    Ok((rows, found))
}

/// What is written for an input.
struct Written {
    row: Vec<f32>,
    /// What the classifier, reading the file, makes of it.
    read: Prediction,
    guided: bool,
}

/// What is written for an input: of the purified draws that voted for the class the one that the classifier, reading the file, is surest of. Not their
/// mean: it has less noise than a purified draw and all of what is left of a perturbation, and was right less often on validation clips. Where
/// none is read as the class, because the decision is [compared](langevin_purify::compared), the best of them is guided to it.
fn chosen<'a>(
    plain: &Target<'_>,
    inputs: &Inputs,
    at: usize,
    agreeing: impl Iterator<Item = &'a [f32]>,
    class: usize,
) -> Result<Written, langevin_purify::Error> {
    let read = |row: &[f32]| -> Result<Prediction, langevin_purify::Error> {
        Ok(prediction(&plain.logits(&[&as_read(inputs, at, row)], &[Draw { item: 0, vote: 0 }])?))
    };
    let rank = |p: &Prediction| if p.class == class { p.confidence } else { -p.confidence };
    let mut best: Option<Written> = None;
    for row in agreeing {
        let read = read(row)?;
        if best.as_ref().is_none_or(|known| rank(&read) > rank(&known.read)) {
            best = Some(Written { row: row.to_vec(), read, guided: false });
        }
    }
    // A vote has at least one voter.
    let best = best.unwrap_or_else(|| Written { row: inputs.rows[at].clone(), read: Prediction { class, confidence: 0.0 }, guided: false });
    if best.read.class == class {
        return Ok(best);
    }
    match guided(plain.classifier, plain.device, &best.row, class, |row| as_read(inputs, at, row))? {
        Some(row) => Ok(Written { read: read(&row)?, row, guided: true }),
        None => Ok(best),
    }
}

/// A purified row as the classifier will read it from the file.
fn as_read(inputs: &Inputs, at: usize, row: &[f32]) -> Vec<f32> {
    match &inputs.source {
        Source::Clips(clips) => centred(&restored(row, &clips[at].samples), row.len()),
        Source::Rows(..) => row.to_vec(),
    }
}

fn prediction(logits: &[f32]) -> Prediction {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let class = logits.iter().position(|&l| l == most).unwrap_or(0);
    let total: f64 = logits.iter().map(|&l| f64::from(l - most).exp()).sum();
    Prediction { class, confidence: 1.0 / total }
}

/// Signal to change, decibels; 120 where nothing changed.
fn snr(before: &[f32], after: &[f32]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let signal = power(&mut before.iter().map(|&v| f64::from(v)));
    let change = power(&mut before.iter().zip(after).map(|(b, a)| f64::from(b - a)));
    if change > signal * 1e-12 && signal > 0.0 { 10.0 * (signal / change).log10() } else { 120.0 }
}

fn table(found: &[Found]) -> String {
    let mut text = String::from("input\tbefore\tafter\tvotes\tbound\tshift\tsigma\tdetection\n");
    for f in found {
        let detection = f.detection.map_or_else(|| "-".to_owned(), |d| format!("{d:.2}"));
        text.push_str(&format!(
            "{}\t{} ({:.3})\t{} ({:.3})\t{:.0}/{}{}\t{:.3}\t{:.2}\t{:.5}\t{detection}\n",
            f.name,
            f.before.class,
            f.before.confidence,
            f.after.class,
            f.after.confidence,
            f.agreement * f.votes as f64,
            f.votes,
            if f.abstain { " abstains" } else { "" },
            f.agreement_bound,
            f.shift,
            f.sigma
        ));
    }
    text
}
