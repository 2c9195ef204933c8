//! Training state on disk: one file, replaced whole, that continues a run to the same bits.

use std::{collections::HashMap, path::Path};

use langevin_nn::{Constant, Layout};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    checkpoint::write_whole,
    config::RunConfig,
    optim::{Optimiser, Slot},
    train::Counters,
};

/// Name of the state inside a run's folder.
pub const STATE_FILE: &str = "state.safetensors";
const KEY: &str = "langevin-state";
const CODEC: &str = "codec.";
const MEMORY: &str = "memory.";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    config: RunConfig,
    counters: Counters,
}

/// Names of a slot's arrays in the file.
const PARTS: [&str; 4] = ["raw", "ema", "first", "second"];

fn part(slot: &Slot, index: usize) -> &Vec<f32> {
    [&slot.raw, &slot.ema, &slot.first, &slot.second][index]
}

/// Saves weights, averages, moments, counters, the codec's constants and the task's memory.
///
/// # Errors
/// [`Error::Io`]; an older state is then untouched.
pub fn write(
    folder: &Path,
    config: &RunConfig,
    optimiser: &Optimiser,
    counters: &Counters,
    constants: &[Constant],
    memory: &[Constant],
) -> Result<()> {
    let path = folder.join(STATE_FILE);
    let broken = |e: &dyn std::fmt::Display| Error::NotACheckpoint { path: path.clone(), reason: e.to_string() };
    let header = Header { config: config.clone(), counters: counters.clone() };
    let json = serde_json::to_string(&header).map_err(|e| broken(&e))?;
    let arrays: Vec<Vec<Vec<u8>>> = (0..PARTS.len())
        .map(|k| optimiser.collect(|slot| part(slot, k)).into_iter().map(|v| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect())
        .collect();
    let mut views = Vec::new();
    for (name, arrays) in PARTS.iter().zip(&arrays) {
        for (layout, bytes) in optimiser.layout().iter().zip(arrays) {
            let view = TensorView::new(Dtype::F32, layout.shape.clone(), bytes).map_err(|e| broken(&e))?;
            views.push((format!("{name}.{}", layout.name), view));
        }
    }
    let kept = constants.iter().map(|c| (CODEC, c)).chain(memory.iter().map(|c| (MEMORY, c)));
    let kept: Vec<_> = kept.map(|(of, c)| (of, c, c.values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())).collect();
    for (of, constant, bytes) in &kept {
        let view = TensorView::new(Dtype::F32, constant.shape.clone(), bytes).map_err(|e| broken(&e))?;
        views.push((format!("{of}{}", constant.name), view));
    }
    let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)]))).map_err(|e| broken(&e))?;
    write_whole(&path, &bytes)
}

/// Reads the state of a folder for a config and a network.
///
/// # Errors
/// [`Error::ResumeMismatch`] when the state is of another config, [`Error::NotACheckpoint`] or [`Error::Tensor`] when it is damaged.
pub fn read(folder: &Path, config: &RunConfig, layout: &[Layout]) -> Result<(Vec<Slot>, Counters)> {
    let path = folder.join(STATE_FILE);
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let broken = |e: &dyn std::fmt::Display| Error::NotACheckpoint { path: path.clone(), reason: e.to_string() };
    let header = header(&path, &bytes)?;
    // More steps than before is a continuation; everything else must be the same run.
    let same = RunConfig { train: crate::config::TrainConfig { steps: config.train.steps, ..header.config.train }, ..header.config };
    if same != *config {
        let what = if same.model != config.model {
            "[model]"
        } else if same.train != config.train {
            "[train]"
        } else {
            "name, seed or card"
        };
        return Err(Error::ResumeMismatch { path: folder.to_owned(), what });
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|e| broken(&e))?;
    let array = |name: &str, layout: &Layout| -> Result<Vec<f32>> {
        let name = format!("{name}.{}", layout.name);
        let view = file.tensor(&name).map_err(|e| broken(&e))?;
        if view.shape() != layout.shape {
            return Err(Error::Tensor {
                path: path.clone(),
                name,
                problem: format!("has shape {:?}, not {:?}", view.shape(), layout.shape),
            });
        }
        floats(&path, &name, &view)
    };
    let slot =
        |l: &Layout| Ok(Slot { raw: array("raw", l)?, ema: array("ema", l)?, first: array("first", l)?, second: array("second", l)? });
    Ok((layout.iter().map(slot).collect::<Result<_>>()?, header.counters))
}

/// The config that made the state of a folder, so that `--resume DIR` needs no other file.
///
/// # Errors
/// [`Error::Io`] when there is no state, [`Error::NotACheckpoint`] when it is damaged.
pub fn config_of(folder: &Path) -> Result<RunConfig> {
    let path = folder.join(STATE_FILE);
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    Ok(header(&path, &bytes)?.config)
}

/// The constants of the codec that a run was started with: a resumed run must not fit new ones.
///
/// # Errors
/// As [`config_of`].
pub fn constants_of(folder: &Path) -> Result<Vec<Constant>> {
    arrays_of(folder, CODEC)
}

/// What the task had learned from its losses.
///
/// # Errors
/// As [`config_of`].
pub fn memory_of(folder: &Path) -> Result<Vec<Constant>> {
    arrays_of(folder, MEMORY)
}

fn arrays_of(folder: &Path, prefix: &str) -> Result<Vec<Constant>> {
    let path = folder.join(STATE_FILE);
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| Error::NotACheckpoint { path: path.clone(), reason: e.to_string() })?;
    let mut constants = Vec::new();
    for (name, view) in file.iter() {
        if let Some(name) = name.strip_prefix(prefix) {
            let values = floats(&path, name, &view)?;
            constants.push(Constant { name: name.to_owned(), shape: view.shape().to_vec(), values });
        }
    }
    Ok(constants)
}

/// Values of a tensor that must be f32.
fn floats(path: &Path, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
    if view.dtype() != Dtype::F32 {
        return Err(Error::Tensor {
            path: path.to_owned(),
            name: name.to_owned(),
            problem: format!("has type {:?}, not F32", view.dtype()),
        });
    }
    Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let broken = |reason: String| Error::NotACheckpoint { path: path.to_owned(), reason };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| broken(e.to_string()))?;
    let json =
        metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| broken("not a training state of langevin".to_owned()))?;
    serde_json::from_str(json).map_err(|e| broken(e.to_string()))
}
