//! Checkpoints: one safetensors file with the weights, the config that built the model, and the model card inside.
//!
//! Everything that is not a tensor is one JSON document under the metadata key `langevin`. Reading is bounded: lengths are checked
//! against the file before anything is allocated, versions, names, shapes and values are checked before a model sees them.

use std::{borrow::Cow, collections::BTreeMap, collections::HashMap, io::Write as _, path::Path, path::PathBuf};

use burn::module::Module;
use half::{f16, slice::HalfFloatSliceExt as _};
use langevin_nn::{Constant, weights};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, card::Card, config::RunConfig};

/// Newest format this program writes and reads.
pub const FORMAT: u32 = 1;
/// Largest file accepted, in bytes.
const MAX_BYTES: u64 = 2 << 30;
/// Most numbers of a tensor that is never stored in half precision.
const SMALL: usize = 1024;
const KEY: &str = "langevin";

/// How weights are stored; arithmetic is f32 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Half precision: half the size; values beyond 65504 are refused. Tensors of up to 1024 numbers stay in single precision: they cost
    /// nothing, and normalisers and moments are among them.
    F16,
    /// Single precision.
    F32,
}

/// What a checkpoint holds beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this layout.
    pub format: u32,
    /// The config that made the checkpoint; its `domain` and `[model]` rebuild the network.
    pub config: RunConfig,
    /// The model card.
    pub card: Card,
}

/// A named tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// A trained model on the host: header and tensors by name.
///
/// Names starting with `model.` are the network's parameters, `codec.` the constants of its codec.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Where it came from, for messages.
    pub source: PathBuf,
    /// First 16 hexadecimal digits of the BLAKE3 hash of the file; empty until written or read.
    pub hash: String,
    /// Config and card.
    pub header: Header,
    /// Tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
}

impl Checkpoint {
    /// A checkpoint of a trained network and its codec's constants.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the device cannot return the weights.
    pub fn of<M: Module>(model: &M, constants: Vec<Constant>, config: RunConfig, card: Card) -> Result<Self> {
        let values =
            weights::export(model).map_err(|e| Error::Tensor { path: PathBuf::from(&config.name), name: e.name, problem: e.reason })?;
        let weights = weights::layout(model).into_iter().zip(values);
        let tensors = weights.map(|(l, values)| (format!("model.{}", l.name), HostTensor { shape: l.shape, values })).collect();
        let source = PathBuf::from(&config.name);
        Ok(Self { source, hash: String::new(), header: Header { format: FORMAT, config, card }, tensors }.with_constants(constants))
    }

    /// The checkpoint with more constants, which replace those of the same names.
    #[must_use]
    pub fn with_constants(mut self, constants: Vec<Constant>) -> Self {
        self.tensors.extend(constants.into_iter().map(|c| (format!("codec.{}", c.name), HostTensor { shape: c.shape, values: c.values })));
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; as [`Checkpoint::from_bytes`] when it is not a checkpoint.
    pub fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(Error::io(path))?;
        if !size.is_file() {
            return Err(not(path, &"it is not a file"));
        }
        if size.len() > MAX_BYTES {
            return Err(not(path, &format!("{} bytes is more than the {MAX_BYTES} a checkpoint may have", size.len())));
        }
        Self::from_bytes(path, &std::fs::read(path).map_err(Error::io(path))?)
    }

    /// Reads a checkpoint from memory; `source` names it in messages.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`], [`Error::FormatVersion`], or [`Error::Tensor`] for a type or value that no network has.
    pub fn from_bytes(source: &Path, bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(not(source, &"the file is empty"));
        }
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| not(source, &e))?;
        let json = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| not(source, &"a safetensors file, but not one of langevin's"))?;
        // The version first: a later format may have a header that this program cannot parse.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let found = serde_json::from_str::<Version>(json).map_err(|e| not(source, &e))?.format;
        if found != FORMAT {
            return Err(Error::FormatVersion { path: source.to_owned(), found, known: FORMAT });
        }
        let header: Header = serde_json::from_str(json).map_err(|e| not(source, &e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| not(source, &e))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let bad = |problem: &str| Error::Tensor { path: source.to_owned(), name: name.to_owned(), problem: problem.to_owned() };
            let values = match view.dtype() {
                Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<_>>(),
                Dtype::F16 => {
                    // Through a small buffer: a second array of the whole tensor would cost more than the conversion.
                    let mut values = Vec::with_capacity(view.data().len() / 2);
                    let (mut halves, mut floats) = ([f16::ZERO; 1024], [0f32; 1024]);
                    for block in view.data().chunks(2 * halves.len()) {
                        let count = block.len() / 2;
                        halves.iter_mut().zip(block.chunks_exact(2)).for_each(|(h, b)| *h = f16::from_le_bytes([b[0], b[1]]));
                        halves[..count].convert_to_f32_slice(&mut floats[..count]);
                        values.extend_from_slice(&floats[..count]);
                    }
                    values
                }
                other => return Err(bad(&format!("has type {other:?}, but weights are F16 or F32"))),
            };
            if values.iter().any(|v| !v.is_finite()) {
                return Err(bad("holds NaN or infinity"));
            }
            tensors.insert(name.to_owned(), HostTensor { shape: view.shape().to_vec(), values });
        }
        let hash = blake3::hash(bytes).to_hex()[..16].to_owned();
        Ok(Self { source: source.to_owned(), hash, header, tensors })
    }

    /// The file's bytes at a precision; equal checkpoints give equal bytes.
    ///
    /// # Errors
    /// [`Error::Tensor`] for a value that half precision cannot hold.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>> {
        let json = serde_json::to_string(&self.header).map_err(|e| not(&self.source, &e))?;
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let (dtype, data) = match precision {
                Precision::F16 if tensor.values.len() > SMALL => {
                    let halves: Vec<f16> = tensor.values.iter().map(|v| f16::from_f32(*v)).collect();
                    if halves.iter().any(|v| !v.is_finite()) {
                        return Err(Error::Tensor {
                            path: self.source.clone(),
                            name: name.clone(),
                            problem: "does not fit half precision; store f32".to_owned(),
                        });
                    }
                    (Dtype::F16, halves.iter().flat_map(|v| v.to_le_bytes()).collect())
                }
                _ => (Dtype::F32, tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()),
            };
            views.push((name.clone(), Raw { dtype, shape: tensor.shape.clone(), data }));
        }
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| not(&self.source, &e))
    }

    /// Writes the file whole or not at all, and notes its hash.
    ///
    /// # Errors
    /// [`Error::Io`], or as [`Checkpoint::to_bytes`].
    pub fn write(&mut self, path: &Path, precision: Precision) -> Result<()> {
        let bytes = self.to_bytes(precision)?;
        self.hash = blake3::hash(&bytes).to_hex()[..16].to_owned();
        write_whole(path, &bytes)
    }

    /// Moves the weights into a freshly built network of the checkpoint's own config.
    ///
    /// # Errors
    /// [`Error::Tensor`] for the first parameter that is missing or has another shape.
    pub fn load<M: Module>(&mut self, model: M) -> Result<M> {
        let mut values = Vec::new();
        for slot in weights::layout(&model) {
            let name = format!("model.{}", slot.name);
            self.tensor(&name, &slot.shape)?;
            values.extend(self.tensors.remove(&name).map(|tensor| tensor.values));
        }
        Ok(weights::import(model, values))
    }

    /// Values of a tensor of a known shape.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let problem = match self.tensors.get(name) {
            Some(tensor) if tensor.shape == shape => return Ok(&tensor.values),
            Some(tensor) => format!("has shape {:?}, but the config asks for {shape:?}", tensor.shape),
            None => "is missing".to_owned(),
        };
        Err(Error::Tensor { path: self.source.clone(), name: name.to_owned(), problem })
    }

    /// The constants of the codec, by name without its prefix.
    pub fn constants(&self) -> Vec<Constant> {
        let of_codec = |(name, t): (&String, &HostTensor)| {
            name.strip_prefix("codec.").map(|name| Constant { name: name.to_owned(), shape: t.shape.clone(), values: t.values.clone() })
        };
        self.tensors.iter().filter_map(of_codec).collect()
    }

    /// Number of network parameters.
    pub fn parameters(&self) -> usize {
        self.tensors.iter().filter(|(name, _)| name.starts_with("model.")).map(|(_, t)| t.values.len()).sum()
    }
}

/// Writes a file whole or not at all: into a neighbour first, then renamed over.
///
/// # Errors
/// [`Error::Io`]; the old file, if any, is then untouched.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = Part::beside(path)?;
    part.write_all(bytes).map_err(Error::io(path))?;
    part.put(path)
}

/// BLAKE3 hash of a file, read as a stream, in hexadecimal digits.
///
/// # Errors
/// [`Error::Io`].
pub fn hash_of(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = std::fs::File::open(path).map_err(Error::io(path))?;
    std::io::copy(&mut file, &mut hasher).map_err(Error::io(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A file that is being written: hidden beside the place where it will appear, gone if it is dropped.
#[derive(Debug)]
pub struct Part(tempfile::NamedTempFile);

impl Part {
    /// Starts a file beside `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn beside(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = tempfile::Builder::new().prefix(".langevin-").suffix(".part").tempfile_in(folder);
        part.map(Self).map_err(Error::io(path))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn put(self, path: &Path) -> Result<()> {
        let put = || -> std::io::Result<()> {
            self.0.as_file().sync_all()?;
            // The temporary is private to its owner; a result is an ordinary file.
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                self.0.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
            }
            self.0.persist(path)?;
            Ok(())
        };
        put().map_err(Error::io(path))
    }
}

impl std::io::Write for Part {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

struct Raw {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for Raw {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}

fn not(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::NotACheckpoint { path: path.to_owned(), reason: reason.to_string() }
}
