//! How far rounding alone moves a run: the same plan, with every product off by one unit in the last place.

use crate::{NoiseSource, State};

/// A state whose arithmetic is off by `2^-BITS` of each term, up or down as the bits of the term fall.
///
/// Two programs that evaluate one formula in another order differ by about as much as a run in this arithmetic differs from one without.
#[derive(Clone, Debug)]
pub(super) struct Rounded<const BITS: i32>(pub(super) Vec<f64>);

impl<const BITS: i32> Rounded<BITS> {
    fn shake(v: f64) -> f64 {
        // Multiplicative hashing spreads the low bits over the sign.
        let up = v.to_bits().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 0;
        v * (1.0 + if up { 1.0 } else { -1.0 } * 2f64.powi(-BITS))
    }

    /// Each number off by a unit.
    pub(super) fn shaken(self) -> Self {
        Self(self.0.into_iter().map(Self::shake).collect())
    }
}

impl<const BITS: i32> State for Rounded<BITS> {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let sum = |i: usize| Self::shake(terms.iter().map(|(c, x)| Self::shake(c * x.0[i])).sum());
        Self((0..terms[0].1.0.len()).map(sum).collect())
    }

    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        Self(self.0.noise_like(source, node, stream)).shaken()
    }
}
