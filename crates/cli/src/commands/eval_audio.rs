//! `langevin eval audio`.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use langevin_audio::{
    loudest_rms,
    task::{Generation, Guidance, Judge, Judged, Reference, Request, Scores, score},
};
use langevin_engine::{Cancel, Error, Workers, parallel::whole_micro_batches};
use langevin_nn::Sampler as _;

use super::{
    likelihood_audio::{self, Asked, OdeArgs},
    pairs_audio::{self, PairArgs},
};
use crate::{
    args::SeedArg,
    audio::{self, CheckpointArg},
    output,
    report::Failure,
    sampling::SamplingArgs,
    settings::Settings,
    values,
};

/// Loudness below which a clip counts as silent: half a step of 16 bits.
const SILENCE: f32 = 0.5 / 32768.0;
/// Clips judged in one batch.
const BATCH: usize = 32;

/// Score speech: labels and speakers heard, and how close the set is to recordings
///
/// Scores the WAV files of a folder (named {label}_{speaker}_{i}.wav), or, without one, a balanced set generated from a checkpoint.
/// The judge is a classifier trained on other features than the prior's; it is inside the program.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin eval audio out/ --train recordings/train --held-out recordings/test
Example: langevin eval audio vocoded/ --pairs recordings/")]
pub(crate) struct Args {
    /// Folder (or CSV manifest) of the clips to score
    #[arg(value_name = "DIR|CSV")]
    clips: Option<PathBuf>,
    /// Recordings the model was trained on: adds FAD, NDB and copies
    #[arg(long, value_name = "DIR|CSV", requires = "held_out")]
    train: Option<PathBuf>,
    /// Recordings it has not seen: adds precision, recall and the threshold of a copy
    #[arg(long, value_name = "DIR|CSV", requires = "train")]
    held_out: Option<PathBuf>,
    /// Judge: a shipped name or a file
    #[arg(long, value_name = "NAME|FILE", default_value = audio::JUDGE)]
    judge: PathBuf,
    /// Without a folder: clips for each pair of label and speaker
    #[arg(long, value_name = "N", default_value = "5", value_parser = values::whole(1..=10_000))]
    per_pair: u32,
    /// Instead: how probable these recordings are under the model; under a prior exactly and bounded for each variance of the reverse step, under
    /// a model of waveforms exactly, each by itself
    #[arg(long, value_name = "DIR|CSV|WAV", conflicts_with_all = ["clips", "train", "held_out"])]
    likelihood: Option<PathBuf>,
    #[command(flatten)]
    ode: OdeArgs,
    /// Steps of the chains whose likelihood is bounded
    #[arg(long, value_name = "N,..", default_value = "10,25,50,100", value_delimiter = ',', value_parser = values::whole(1..=10_000))]
    bound_steps: Vec<u32>,
    #[command(flatten)]
    pairs: PairArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    checkpoint: CheckpointArg,
    #[command(flatten)]
    seed: SeedArg,
}

/// Clips with the names that were asked for.
struct Set {
    clips: Vec<Vec<f32>>,
    names: Vec<(String, String)>,
    network_evaluations: Option<usize>,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    if let Some(recordings) = &args.likelihood {
        let asked = Asked {
            recordings,
            checkpoint: &args.checkpoint.checkpoint,
            label: None,
            speaker: None,
            ode: &args.ode,
            seed: &args.seed,
            bounds: Some((&args.sampling, &args.bound_steps)),
            dry_run: false,
        };
        return likelihood_audio::run(&asked, settings);
    }
    args.ode.refuse()?;
    if let (Some(clips), Some(recordings)) = (&args.clips, args.pairs.recordings()) {
        return pairs_audio::run(clips, recordings, &args.pairs, settings);
    }
    let device = settings.open_device()?;
    let cancel = settings.cancel();
    let workers = settings.workers()?;
    let (judge, checkpoint) = audio::open_judge(&args.judge, &device)?;
    let started = std::time::Instant::now();
    let set = match &args.clips {
        Some(folder) => {
            let found = audio::recordings(folder, judge.rate(), settings)?;
            for note in &found.notes {
                settings.talk(&format!("note: {note}"));
            }
            let names = found.items.into_iter().map(|item| (item.label, item.speaker)).collect();
            Set { clips: found.clips, names, network_evaluations: None }
        }
        None => generate(args, settings, &device, &workers, &cancel)?,
    };
    let generated_in = started.elapsed().as_secs_f64();
    let vocabulary = judge.vocabulary();
    let numbers = |(label, speaker): &(String, String)| Ok((vocabulary.label(label)?, vocabulary.speaker(speaker)?));
    let wanted = set.names.iter().map(numbers).collect::<Result<Vec<_>, langevin_audio::Error>>()?;
    let judged = judge_all(&judge, &set.clips, &workers)?;
    let silent = set.clips.iter().filter(|c| loudest_rms(c, judge.rate()) < SILENCE || c.iter().any(|v| !v.is_finite())).count();
    let embeddings = |folder: &Path| -> Result<Vec<Vec<f32>>, Failure> {
        let recordings = audio::recordings(folder, judge.rate(), settings)?;
        Ok(judge_all(&judge, &recordings.clips, &workers)?.into_iter().map(|j| j.embedding).collect())
    };
    let scores = match (&args.train, &args.held_out) {
        (Some(train), Some(held_out)) => {
            let (train, held_out) = (embeddings(train)?, embeddings(held_out)?);
            score(&judged, &wanted, silent, Some(Reference { train: &train, held_out: &held_out }))?
        }
        _ => score(&judged, &wanted, silent, None)?,
    };
    if settings.json {
        return output::json(&serde_json::json!({
            "scores": scores,
            "network_evaluations": set.network_evaluations,
            "judge": checkpoint.header.config.name,
            "judge_hash": checkpoint.hash,
            "generation_ms_per_clip": set.network_evaluations.map(|_| 1e3 * generated_in / set.clips.len() as f64),
        }));
    }
    output::data(table(&scores).as_bytes())
}

fn generate(args: &Args, settings: &Settings, device: &burn::tensor::Device, workers: &Workers, cancel: &Cancel) -> Result<Set, Failure> {
    let (prior, _) = audio::open_prior(&args.checkpoint.checkpoint, device)?;
    let sampling = args.sampling.chosen(&prior.config.sampling)?;
    let weight = sampling.guidance;
    let seed = args.seed.chosen(None, settings);
    let vocabulary = prior.config.vocabulary.clone();
    let pairs: Vec<_> = vocabulary.labels.iter().flat_map(|l| vocabulary.speakers.iter().map(move |s| (l.clone(), s.clone()))).collect();
    let request = |(label, speaker): &(String, String)| Request {
        labels: vec![label.clone()],
        takes: 1,
        speaker: Some(speaker.clone()),
        guidance: Guidance { label: weight, speaker: weight },
        sampling: sampling.clone(),
        seconds: None,
        seed,
    };
    let generations = pairs.iter().map(|pair| Generation::new(&prior, &request(pair))).collect::<Result<Vec<_>, _>>()?;
    let micro_batch = generations.first().map_or(1, Generation::micro_batch);
    let batches = whole_micro_batches(0..args.per_pair, micro_batch);
    let progress = settings.progress((pairs.len() * batches.len()) as u64, "micro-batches");
    // Counted, because the adaptive ODE is known by its evaluations only after it has run.
    let evaluations = AtomicU64::new(0);
    let observe = || {
        evaluations.fetch_add(1, Ordering::Relaxed);
        cancel.check()
    };
    let parts = workers.map(pairs.len() * batches.len(), |k| {
        let (generation, batch) = (&generations[k / batches.len()], batches[k % batches.len()].clone());
        let raw = generation.sample(batch.clone(), &observe)?;
        let wanted = batch.zip(raw).filter(|(row, _)| *row < args.per_pair);
        let sounds = wanted.map(|(row, raw)| generation.finish(row, raw)).collect::<Result<Vec<_>, _>>();
        progress.advance();
        ControlFlow::Continue(sounds)
    });
    progress.finish();
    let mut set = Set { clips: Vec::new(), names: Vec::new(), network_evaluations: None };
    set.network_evaluations = Some(evaluations.into_inner().div_ceil(parts.len().max(1) as u64) as usize);
    for part in parts {
        let ControlFlow::Continue(sounds) = part else { return Err(Error::Interrupted { saved: None }.into()) };
        for sound in sounds? {
            set.names.push((sound.label, sound.speaker));
            set.clips.push(sound.samples);
        }
    }
    Ok(set)
}

fn judge_all(judge: &Judge, clips: &[Vec<f32>], workers: &Workers) -> Result<Vec<Judged>, Failure> {
    let batches: Vec<Vec<&[f32]>> = clips.chunks(BATCH).map(|batch| batch.iter().map(Vec::as_slice).collect()).collect();
    let mut judged = Vec::with_capacity(clips.len());
    for part in workers.map(batches.len(), |k| judge.judge(&batches[k])) {
        judged.extend(part?);
    }
    Ok(judged)
}

fn table(scores: &Scores) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{name:<18} {value}\n"));
        }
    };
    row("clips", Some(scores.clips.to_string()));
    row("label accuracy", Some(format!("{:.4}", scores.label_accuracy)));
    row("speaker accuracy", Some(format!("{:.4}", scores.speaker_accuracy)));
    row("silent", Some(scores.silent.to_string()));
    row("FAD", scores.fad.map(|v| format!("{v:.3}")));
    row("NDB of 30", scores.ndb.map(|v| v.to_string()));
    row("precision", scores.precision.map(|v| format!("{v:.3}")));
    row("recall", scores.recall.map(|v| format!("{v:.3}")));
    row("copies", scores.copies.map(|v| format!("{v:.4}")));
    text
}
