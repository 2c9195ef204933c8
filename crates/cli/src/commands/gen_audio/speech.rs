//! `gen audio` without a source: speech from a prior, one clip after the other or joined to sentences.

use std::{ops::Range, path::Path};

use langevin_audio::{
    encode_wav, loudest_rms, png,
    task::{Generation, Guidance, Prior, Request, Sound, dither},
};
use langevin_engine::{Checkpoint, Shard, parallel::whole_micro_batches, sample};
use langevin_nn::Sampler as _;

use super::{
    Args, format_name,
    listen::{Heard, Listener, choose},
    maker::About,
    manifest::{Document, DryRun, Effective, Entry, names, part},
    uses::Vocoder,
    waves::{Waves, vocoder},
};
use crate::{audio, output, report::Failure, settings::Settings};

/// Silence between the words of a sentence, seconds.
const PAUSE: f64 = 0.12;

/// A finished clip: a word, or a sentence.
struct Clip {
    row: u32,
    label: String,
    speaker: String,
    samples: Vec<f32>,
}

pub(super) fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let count = args.n.unwrap_or(1);
    let to_stdout = args.output() == Path::new(output::STDOUT);
    if to_stdout && count != 1 {
        return Err(Failure::usage("output", format!("-o - writes one clip, but -n asks for {count}")).help("give a folder, or -n 1"));
    }
    if to_stdout && args.png {
        return Err(Failure::usage("output", "-o - writes one WAV file, but --png draws beside it").help("give a folder"));
    }
    let cancel = settings.cancel();
    let device = settings.open_device()?;
    let (prior, checkpoint) = audio::open_prior(args.checkpoint_or(audio::PRIOR), &device)?;
    let seed = args.seed.chosen(None, settings);
    let request = request(args, &prior, seed)?;
    let words = request.labels.len().max(1) as u32;
    let each = words.saturating_mul(request.takes);
    if count.checked_mul(each).is_none() {
        return Err(Failure::usage("n", format!("{count} clips of {words} words, the best of {} each, are too many", request.takes)));
    }
    let waves = match args.uses.vocoder() {
        Vocoder::Diffusion => Some(Waves::open_vocoder(args, seed, &device)?),
        Vocoder::GriffinLim => None,
    };
    let vocode = waves.as_ref().map(|(waves, _)| vocoder(waves, prior.codec.frontend(), seed)).transpose()?;
    let generation = Generation::new(&prior, &request)?;
    let generation = match &vocode {
        Some(vocode) => generation.vocoded_by(vocode),
        None => generation,
    };
    settings.explain(&generation.run().explain());
    let effective = effective(args, settings, &request, &generation, &prior, &checkpoint, waves.as_ref())?;
    let shard = args.shard.part();
    let clips = shard.rows(count);
    let rows = clips.start * each..clips.end * each;
    if args.write.dry_run {
        let network_rows = whole_micro_batches(rows, generation.micro_batch()).len() as u32 * generation.micro_batch();
        return output::json(&DryRun::new(&effective, clips.len() as u32, network_rows, generation.run().nfe(), &prior));
    }

    let part = part(&effective, count, shard)?;
    let folder = if to_stdout { None } else { Some(output::Folder::claim(args.output())?) };
    let (list, done) = names(shard);
    if let Some(folder) = &folder {
        if shard != Shard::WHOLE && part.is_done(&folder.path().join(&done))? {
            settings.talk(&format!("part {}/{} is already there", shard.index, shard.count));
            return Ok(());
        }
        folder.file(&list, args.write.force)?;
    }
    let listener = Listener::open(&prior, &device)?;
    if listener.is_none() && request.takes > 1 {
        return Err(Failure::data(
            "best-of",
            "the built-in judge does not know the labels and speakers of this checkpoint, so it cannot choose",
        ));
    }
    let started = std::time::Instant::now();
    let batches = whole_micro_batches(rows.clone(), generation.micro_batch()).len() as u64;
    let progress = settings.progress(batches * generation.run().nfe() as u64, "evaluations");
    let sounds = sample(&generation, rows, &settings.workers()?, &cancel, &|| progress.advance());
    progress.finish();
    let sounds = sounds?.into_iter().collect::<Result<Vec<Sound>, _>>()?;
    let chosen = choose(sounds, request.takes, listener.as_ref())?;
    let heard = match (&folder, &listener) {
        (Some(_), Some(listener)) => listener.hear(&chosen, words as usize)?.into_iter().map(Some).collect(),
        _ => clips.clone().map(|_| None).collect::<Vec<_>>(),
    };
    let clips = join(chosen, clips, words, prior.config.codec.rate);

    let (rate, format) = (prior.config.codec.rate, args.wav_format());
    let files = clips.iter().map(|clip| encode_wav(&clip.samples, rate, format, dither(seed, clip.row))).collect::<Result<Vec<_>, _>>()?;
    let Some(folder) = folder else { return output::data(&files[0]) };
    let stem = |clip: &Clip| format!("{}_{}_{}", clip.label.replace(' ', "-"), clip.speaker, clip.row);
    // Every name is claimed before the first file is written.
    let mut writes = Vec::new();
    for (clip, file) in clips.iter().zip(files) {
        writes.push((folder.file(&format!("{}.wav", stem(clip)), args.write.force)?, file));
        if args.png {
            let picture = png(&clip.samples, rate)?;
            writes.push((folder.file(&format!("{}.png", stem(clip)), args.write.force)?, picture));
        }
    }
    for (path, file) in &writes {
        output::put(path, file)?;
    }
    let entry = |(clip, heard): (&Clip, Option<Heard>)| Entry {
        file: format!("{}.wav", stem(clip)),
        row: clip.row,
        label: clip.label.clone(),
        speaker: clip.speaker.clone(),
        seconds: clip.samples.len() as f64 / f64::from(rate),
        peak: clip.samples.iter().fold(0.0, |most, v| most.max(v.abs())),
        rms: loudest_rms(&clip.samples, rate),
        heard,
    };
    let document =
        Document { schema_version: output::SCHEMA_VERSION, settings: &effective, clips: clips.iter().zip(heard).map(entry).collect() };
    output::put(&folder.path().join(&list), &document.pretty()?)?;
    if shard != Shard::WHOLE {
        part.write(&folder.path().join(&done))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    settings.talk(&format!(
        "{} clips in {}, {:.0} ms each",
        clips.len(),
        args.output().display(),
        1e3 * seconds / clips.len().max(1) as f64
    ));
    if settings.json { output::json(&document.clips_only()) } else { Ok(()) }
}

fn request(args: &Args, prior: &Prior, seed: u64) -> Result<Request, Failure> {
    let sampling = args.sampling.chosen(&prior.config.sampling)?;
    let weight = |own: Option<f64>| own.unwrap_or(sampling.guidance);
    let labels: Vec<String> = match &args.uses.text {
        Some(text) => text.split_whitespace().map(str::to_owned).collect(),
        None => args.label.iter().cloned().collect(),
    };
    if args.uses.text.is_some() && labels.is_empty() {
        let known = prior.config.vocabulary.labels.join(", ");
        return Err(Failure::usage("text", "--text has no words").help(format!("this checkpoint knows: {known}")));
    }
    Ok(Request {
        labels,
        takes: args.best_of.unwrap_or(1),
        speaker: args.speaker.clone(),
        guidance: Guidance { label: weight(args.label_guidance), speaker: weight(args.speaker_guidance) },
        sampling,
        seconds: args.duration,
        seed,
    })
}

/// Sentences of `words` sounds each, numbered as `clips` says, with pauses between the words.
fn join(sounds: Vec<Sound>, clips: Range<u32>, words: u32, rate: u32) -> Vec<Clip> {
    let pause = (PAUSE * f64::from(rate)).round() as usize;
    let mut sounds = sounds.into_iter();
    let mut sentence = |row: u32| {
        let words: Vec<Sound> = sounds.by_ref().take(words as usize).collect();
        let silence = vec![0.0; pause];
        Clip {
            row,
            label: words.iter().map(|s| s.label.as_str()).collect::<Vec<_>>().join(" "),
            speaker: words.first().map(|s| s.speaker.clone()).unwrap_or_default(),
            samples: words.iter().map(|s| s.samples.as_slice()).collect::<Vec<_>>().join(silence.as_slice()),
        }
    };
    clips.map(&mut sentence).collect()
}

fn effective(
    args: &Args,
    settings: &Settings,
    request: &Request,
    generation: &Generation<'_>,
    prior: &Prior,
    checkpoint: &Checkpoint,
    waves: Option<&(Waves, About)>,
) -> Result<Effective, Failure> {
    let sounds = request.labels.len().max(1) * request.takes as usize;
    let vocoding = waves.map(|(waves, _)| waves.evaluations()).transpose()?;
    Ok(Effective {
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: checkpoint.header.config.name.clone(),
        checkpoint_hash: checkpoint.hash.clone(),
        seed: request.seed,
        label: args.label.clone(),
        text: args.uses.text.clone(),
        speaker: request.speaker.clone(),
        sampling: request.sampling.clone(),
        network_evaluations: generation.run().nfe() * sounds,
        vocoder: waves.map(|(_, about)| about.clone()),
        vocoder_evaluations: vocoding.map(|evaluations| evaluations * sounds),
        best_of: args.best_of,
        judge_evaluations: args.best_of.map(|_| sounds),
        label_guidance: request.guidance.label,
        speaker_guidance: request.guidance.speaker,
        duration: request.seconds,
        rate: prior.config.codec.rate,
        device: settings.device.name,
        format: format_name(args.wav_format()),
    })
}
