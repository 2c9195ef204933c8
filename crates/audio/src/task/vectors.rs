//! Recordings as codec vectors with the numbers of their conditions.

use rayon::prelude::*;

use crate::{
    Result,
    codec::{Codec, Features, Frontend},
    config::PriorConfig,
    data::Recordings,
};

/// Vectors and conditions of a set of recordings.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// Codec vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Numbers of label and speaker.
    pub conditions: Vec<(usize, usize)>,
}

impl Vectors {
    /// Encodes recordings with a codec. The config's vocabulary must be filled in.
    ///
    /// # Errors
    /// When a recording cannot be analysed or carries a name that the vocabulary lacks.
    pub fn encode(config: &PriorConfig, codec: &Codec, recordings: &Recordings) -> Result<Self> {
        let features = analyse(config, recordings)?;
        Ok(Self { vectors: features.par_iter().map(|f| codec.encode(f)).collect(), conditions: recordings.numbers(&config.vocabulary)? })
    }

    /// Fits a codec to recordings and encodes them with it.
    ///
    /// # Errors
    /// As [`Vectors::encode`].
    pub(super) fn fit(config: &PriorConfig, recordings: &Recordings) -> Result<(Codec, Self)> {
        let features = analyse(config, recordings)?;
        let codec = Codec::fit(&config.codec, config.sigma_data, &features)?;
        let vectors = features.par_iter().map(|f| codec.encode(f)).collect();
        Ok((codec, Self { vectors, conditions: recordings.numbers(&config.vocabulary)? }))
    }
}

fn analyse(config: &PriorConfig, recordings: &Recordings) -> Result<Vec<Features>> {
    let frontend = Frontend::new(&config.codec)?;
    recordings.clips.par_iter().map(|clip| frontend.analyse(clip)).collect()
}
