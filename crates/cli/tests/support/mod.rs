//! Running the built program, and a small checkpoint to give it.

pub(crate) mod tables;
pub(crate) mod tones;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use langevin_engine::{
    Card, Checkpoint, RunConfig,
    checkpoint::{FORMAT, Header, HostTensor},
};

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with these arguments, in an environment without settings.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_langevin"));
    command.args(args).env_remove("LANGEVIN_DEVICE").env_remove("LANGEVIN_THREADS").env_remove("NO_COLOR");
    command
}

/// Runs a command to its end; a panic fails the test whatever the test is about.
pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    let run = Run { code: output.status.code().expect("ended by itself"), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!run.stderr.contains("panicked") && !run.stderr.contains("this is a bug") && run.code != 101, "{run:?}");
    run
}

/// Runs the program with these arguments.
pub(crate) fn langevin(args: &[&str]) -> Run {
    run(&mut command(args))
}

/// Runs the program with these arguments and environment variables.
pub(crate) fn with(args: &[&str], variables: &[(&str, &str)]) -> Run {
    run(command(args).envs(variables.iter().copied()))
}

/// Runs the program with a stdout whose reader is gone already.
pub(crate) fn into_closed_pipe(args: &[&str]) -> Run {
    let (reader, writer) = std::io::pipe().expect("pipes exist");
    drop(reader);
    run(command(args).stdout(writer))
}

/// A checkpoint of six parameters and one constant.
pub(crate) fn checkpoint(about: &str) -> Checkpoint {
    let config = RunConfig::parse(Path::new("tiny.toml"), "name = 'tiny'\ndomain = 'audio'\n[model]\nkind = 'prior'\n");
    let tensor = |shape: &[usize]| HostTensor { shape: shape.to_vec(), values: vec![0.25; shape.iter().product()] };
    Checkpoint {
        source: PathBuf::from("tiny"),
        hash: String::new(),
        header: Header { format: FORMAT, config: config.expect("valid"), card: Card { about: about.to_owned(), ..Card::default() } },
        tensors: BTreeMap::from([("model.w".to_owned(), tensor(&[2, 3])), ("codec.mean".to_owned(), tensor(&[4]))]),
    }
}

/// 24 tones: the label is the pitch, the speaker the overtone; takes differ in length.
pub(crate) fn write_tones(folder: &Path) {
    std::fs::create_dir_all(folder).expect("can be made");
    let spec = hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    for (label, pitch) in [("high", 900.0), ("low", 300.0)] {
        for (speaker, overtone) in [("ann", 0.6), ("bob", 0.0)] {
            for take in 0..6 {
                let mut writer = hound::WavWriter::create(folder.join(format!("{label}_{speaker}_{take}.wav")), spec).expect("writable");
                for n in 0..1600 + 160 * take {
                    let angle = std::f64::consts::TAU * (pitch + 5.0 * f64::from(take)) * f64::from(n) / 8000.0;
                    let value = 0.4 * (angle.sin() + overtone * (3.0 * angle).sin()) * (-f64::from(n) / 1500.0).exp();
                    writer.write_sample((value * 32767.0) as i16).expect("writable");
                }
                writer.finalize().expect("writable");
            }
        }
    }
}
