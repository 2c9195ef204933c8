//! Anchors for pools, fitted as they are when a table is filled.

use super::{Anchoring, Prepared};
use crate::{
    Frame, Result,
    anchor::{Anchor, Settings},
};

/// Fits an anchor to each table, whose season the data suggest.
#[derive(Clone, Copy, Debug)]
pub struct ByAnchor {
    /// Seed of the cells that anchors are tried on.
    pub seed: u64,
    /// Share of the observed cells that anchors are tried on.
    pub held_out: f64,
}

impl Anchoring for ByAnchor {
    fn prepare(&self, masked: &Frame, truth: &Frame) -> Result<Prepared> {
        let settings = Settings { periods: Vec::new(), held_out: self.held_out, seed: self.seed };
        let anchor = Anchor::fit(std::slice::from_ref(masked), &settings)?.0;
        Ok(Prepared {
            values: anchor.scaler().forward(masked),
            truth: anchor.scaler().forward(truth),
            anchored: anchor.apply(masked),
            period: anchor.period().map(|period| period as f64),
        })
    }
}
