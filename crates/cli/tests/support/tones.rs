//! Recordings of tones, a small prior trained on them once for a test program, and what tests say about runs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use tempfile::TempDir;

use super::{Run, langevin, write_tones};

/// A network that trains in a second on 22 clips.
pub(crate) const CONFIG: &str = r#"
name = "tones"
domain = "audio"
seed = 3
[model]
kind = "prior"
width = 16
hidden = 24
blocks = 1
[model.sampling]
solver = "dpmpp2m"
steps = 6
guidance = 1.5
[model.codec]
n_fft = 256
window = 160
hop = 64
mels = 12
frames = 10
components = 6
griffin_lim = 4
[train]
steps = 600
batch = 8
micro_batch = 4
learning_rate = 2e-3
warmup = 10
validate_every = 100
save_every = 250
log_every = 20
"#;

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|e| e.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Every file of a folder with its bytes.
pub(crate) fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    names(folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).expect("a file"))).collect()
}

pub(crate) fn done(args: &[&str]) -> Run {
    let run = langevin(args);
    assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    run
}

/// A failure that explains itself and leaves nothing at `output`.
pub(crate) fn refused(args: &[&str], output: &Path, code: i32, words: &[&str]) {
    assert!(!output.exists());
    let run = langevin(args);
    assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{args:?}: {}", run.stderr);
    for word in words {
        assert!(run.stderr.contains(word), "{args:?}: '{word}' is not in: {}", run.stderr);
    }
    assert!(!output.exists(), "{args:?} left {} behind", output.display());
}

/// Recordings, a config and a whole training run, made once for all tests here.
pub(crate) struct Tones {
    folder: TempDir,
}

impl Tones {
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `train audio` on the tones with the config, and these arguments.
    pub(crate) fn train<'a>(data: &'a str, config: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["train", "audio", "--data", data, "--config", config, "--quiet", "--threads", "2"], more].concat()
    }
}

pub(crate) static TONES: LazyLock<Tones> = LazyLock::new(|| {
    let tones = Tones { folder: tempfile::tempdir().expect("temporary folder") };
    write_tones(&tones.at("data"));
    fs::write(tones.at("tones.toml"), CONFIG).expect("writable");
    let (data, config, run) = (tones.at("data"), tones.at("tones.toml"), tones.at("run"));
    done(&Tones::train(text(&data), text(&config), &["-o", text(&run)]));
    tones
});
