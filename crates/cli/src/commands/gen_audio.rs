//! `langevin gen audio`.

use std::path::{Path, PathBuf};

use langevin_audio::{
    WavFormat, encode_wav, loudest_rms,
    task::{Generation, Guidance, Judged, Prior, Request, Sound},
};
use langevin_core::recipe::Sampling;
use langevin_engine::{Checkpoint, Shard, parallel::whole_micro_batches, sample, shard::Manifest};
use langevin_nn::Sampler as _;
use serde::Serialize;

use crate::{
    args::{SeedArg, ShardArg, WriteArgs},
    audio::{self, CheckpointArg},
    output,
    report::Failure,
    sampling::SamplingArgs,
    settings::Settings,
    values,
};

/// Most clips of one command.
const MOST: u32 = 10_000_000;

/// Generate speech
///
/// Writes {label}_{speaker}_{i}.wav and manifest.json. Clip i depends on the seed and the settings only, not on -n, threads or shards.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: langevin gen audio --label 7 -n 8 -o out/")]
pub(crate) struct Args {
    /// What is said; drawn for each clip when absent
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// Who says it; drawn for each clip when absent
    #[arg(long, value_name = "NAME")]
    speaker: Option<String>,
    /// Number of clips
    #[arg(short, value_name = "N", default_value = "1", value_parser = values::whole(1..=MOST))]
    n: u32,
    /// Folder for the clips, or - for one clip on stdout
    #[arg(short, long, value_name = "DIR|-")]
    output: PathBuf,
    /// Guidance weight of the label alone
    #[arg(long, value_name = "W", value_parser = values::number(0.0..=20.0))]
    label_guidance: Option<f64>,
    /// Guidance weight of the speaker alone
    #[arg(long, value_name = "W", value_parser = values::number(0.0..=20.0))]
    speaker_guidance: Option<f64>,
    /// Duration in seconds; drawn with the sound when absent
    #[arg(long, value_name = "SECONDS", value_parser = values::number(0.001..=600.0))]
    duration: Option<f64>,
    /// Format of the samples in a file
    #[arg(long, value_enum, default_value = "pcm16")]
    format: Format,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    checkpoint: CheckpointArg,
    #[command(flatten)]
    seed: SeedArg,
    #[command(flatten)]
    shard: ShardArg,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// 16-bit integers with triangular dither
    Pcm16,
    /// 32-bit floats
    F32,
}

/// Effective settings: what, with the row, decides the bytes of a clip.
#[derive(Debug, Serialize)]
struct Effective {
    version: &'static str,
    checkpoint: String,
    checkpoint_hash: String,
    seed: u64,
    label: Option<String>,
    speaker: Option<String>,
    sampling: Sampling,
    network_evaluations: usize,
    label_guidance: f64,
    speaker_guidance: f64,
    duration: Option<f64>,
    rate: u32,
    device: &'static str,
    format: &'static str,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    #[serde(flatten)]
    settings: &'a Effective,
    clips: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    file: String,
    row: u32,
    label: String,
    speaker: String,
    seconds: f64,
    peak: f32,
    /// Root mean square of the loudest 0.2 s.
    rms: f32,
    /// What the built-in judge hears, where it knows the checkpoint's names.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard: Option<Heard>,
}

#[derive(Serialize)]
struct Heard {
    label: String,
    label_confidence: f64,
    speaker: String,
    speaker_confidence: f64,
}

#[derive(Serialize)]
struct DryRun<'a> {
    #[serde(flatten)]
    settings: &'a Effective,
    clips: u32,
    parameters: usize,
    vector: usize,
    estimated_cpu_seconds: f64,
    estimated_memory_mb: f64,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let to_stdout = args.output == Path::new(output::STDOUT);
    if to_stdout && args.n != 1 {
        return Err(Failure::usage("output", format!("-o - writes one clip, but -n asks for {}", args.n)).help("give a folder, or -n 1"));
    }
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let (prior, checkpoint) = audio::open_prior(&args.checkpoint.checkpoint, &device)?;
    let seed = args.seed.chosen(None, settings);
    let sampling = args.sampling.chosen(&prior.config.sampling)?;
    let weight = |own: Option<f64>| own.unwrap_or(sampling.guidance);
    let request = Request {
        label: args.label.clone(),
        speaker: args.speaker.clone(),
        guidance: Guidance { label: weight(args.label_guidance), speaker: weight(args.speaker_guidance) },
        sampling,
        seconds: args.duration,
        seed,
    };
    let generation = Generation::new(&prior, &request)?;
    settings.explain(&generation.run().explain());
    let effective = effective(args, settings, &request, &generation, &prior, &checkpoint);
    let shard = args.shard.part();
    let rows = shard.rows(args.n);
    if args.write.dry_run {
        let network_rows = whole_micro_batches(rows.clone(), generation.micro_batch()).len() as u32 * generation.micro_batch();
        return dry_run(&effective, rows.len() as u32, network_rows, &prior);
    }

    let part = part(&effective, args.n, shard)?;
    let folder = if to_stdout { None } else { Some(output::Folder::claim(&args.output)?) };
    let (list, done) = names(shard);
    if let Some(folder) = &folder {
        if shard != Shard::WHOLE && part.is_done(&folder.path().join(&done))? {
            settings.talk(&format!("part {}/{} is already there", shard.index, shard.count));
            return Ok(());
        }
        folder.file(&list, args.write.force)?;
    }
    let started = std::time::Instant::now();
    let batches = whole_micro_batches(rows.clone(), generation.micro_batch()).len() as u64;
    let progress = settings.progress(batches * generation.run().nfe() as u64, "evaluations");
    let sounds = sample(&generation, rows, &settings.workers()?, &cancel, &|| progress.advance());
    progress.finish();
    let sounds = sounds?.into_iter().collect::<Result<Vec<Sound>, _>>()?;

    let format = match args.format {
        Format::Pcm16 => WavFormat::Pcm16,
        Format::F32 => WavFormat::Float32,
    };
    let rate = prior.config.codec.rate;
    let mut files = Vec::with_capacity(sounds.len());
    for sound in &sounds {
        files.push(encode_wav(&sound.samples, rate, format, generation.dither(sound.row))?);
    }
    let Some(folder) = folder else { return output::data(&files[0]) };
    let named = |sound: &Sound| format!("{}_{}_{}.wav", sound.label, sound.speaker, sound.row);
    // Every name is claimed before the first file is written.
    let paths = sounds.iter().map(|sound| folder.file(&named(sound), args.write.force)).collect::<Result<Vec<_>, _>>()?;
    let heard = listen(&sounds, &prior, &device)?;
    for (path, file) in paths.iter().zip(&files) {
        output::put(path, file)?;
    }
    let entry = |(sound, heard): (&Sound, Option<Heard>)| Entry {
        file: named(sound),
        row: sound.row,
        label: sound.label.clone(),
        speaker: sound.speaker.clone(),
        seconds: sound.samples.len() as f64 / f64::from(rate),
        peak: sound.samples.iter().fold(0.0, |most, v| most.max(v.abs())),
        rms: loudest_rms(&sound.samples, rate),
        heard,
    };
    let document =
        Document { schema_version: output::SCHEMA_VERSION, settings: &effective, clips: sounds.iter().zip(heard).map(entry).collect() };
    let json = serde_json::to_vec_pretty(&document).map_err(|e| Failure::data("json", "the manifest cannot be written").because(e))?;
    output::put(&folder.path().join(&list), &json)?;
    if shard != Shard::WHOLE {
        part.write(&folder.path().join(&done))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    settings.talk(&format!(
        "{} clips in {}, {:.0} ms each",
        sounds.len(),
        args.output.display(),
        1e3 * seconds / sounds.len().max(1) as f64
    ));
    if settings.json { output::json(&document.clips_only()) } else { Ok(()) }
}

impl Document<'_> {
    /// What `--json` prints: the clips and where their manifest says more.
    fn clips_only(&self) -> serde_json::Value {
        serde_json::json!({ "clips": self.clips, "seed": self.settings.seed, "network_evaluations": self.settings.network_evaluations })
    }
}

fn effective(
    args: &Args,
    settings: &Settings,
    request: &Request,
    generation: &Generation<'_>,
    prior: &Prior,
    checkpoint: &Checkpoint,
) -> Effective {
    Effective {
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: checkpoint.header.config.name.clone(),
        checkpoint_hash: checkpoint.hash.clone(),
        seed: request.seed,
        label: request.label.clone(),
        speaker: request.speaker.clone(),
        sampling: request.sampling.clone(),
        network_evaluations: generation.run().nfe(),
        label_guidance: request.guidance.label,
        speaker_guidance: request.guidance.speaker,
        duration: request.seconds,
        rate: prior.config.codec.rate,
        device: settings.device.name,
        format: match args.format {
            Format::Pcm16 => "pcm16",
            Format::F32 => "f32",
        },
    }
}

fn dry_run(effective: &Effective, clips: u32, network_rows: u32, prior: &Prior) -> Result<(), Failure> {
    // Two passes under guidance, two operations a parameter, about 10^10 operations a second and core; 5 ms of phase search a clip.
    let evaluations = 2.0 * effective.network_evaluations as f64 * f64::from(network_rows);
    output::json(&DryRun {
        settings: effective,
        clips,
        parameters: prior.parameters(),
        vector: prior.codec.width(),
        estimated_cpu_seconds: evaluations * 2.0 * prior.parameters() as f64 / 1e10 + 0.005 * f64::from(clips),
        estimated_memory_mb: 40.0 + prior.parameters() as f64 * 8.0 / 1e6,
    })
}

/// Names of the list of clips and of the mark that a part is complete.
fn names(shard: Shard) -> (String, String) {
    if shard == Shard::WHOLE {
        ("manifest.json".to_owned(), String::new())
    } else {
        (format!("manifest-{}-of-{}.json", shard.index, shard.count), format!("part-{}-of-{}.json", shard.index, shard.count))
    }
}

fn part(effective: &Effective, total: u32, shard: Shard) -> Result<Manifest, Failure> {
    let config = serde_json::to_string(effective).map_err(|e| Failure::data("json", "the settings cannot be written").because(e))?;
    let rows = shard.rows(total);
    Ok(Manifest {
        schema_version: output::SCHEMA_VERSION,
        input: String::new(),
        config,
        checkpoint: effective.checkpoint_hash.clone(),
        seed: effective.seed,
        total,
        first: rows.start,
        end: rows.end,
    })
}

/// What the built-in judge hears, when it knows every name of the prior.
fn listen(sounds: &[Sound], prior: &Prior, device: &burn::tensor::Device) -> Result<Vec<Option<Heard>>, Failure> {
    let (judge, _) = audio::open_judge(Path::new(audio::JUDGE), device)?;
    let names = judge.vocabulary();
    let known = prior.config.vocabulary.labels.iter().all(|l| names.labels.contains(l))
        && prior.config.vocabulary.speakers.iter().all(|s| names.speakers.contains(s))
        && judge.rate() == prior.config.codec.rate;
    if !known {
        return Ok(sounds.iter().map(|_| None).collect());
    }
    let mut judged: Vec<Judged> = Vec::with_capacity(sounds.len());
    for batch in sounds.chunks(32) {
        judged.extend(judge.judge(&batch.iter().map(|s| s.samples.as_slice()).collect::<Vec<_>>())?);
    }
    let heard = |j: Judged| Heard {
        label: names.labels[j.label.0].clone(),
        label_confidence: j.label.1,
        speaker: names.speakers[j.speaker.0].clone(),
        speaker_confidence: j.speaker.1,
    };
    Ok(judged.into_iter().map(|j| Some(heard(j))).collect())
}
