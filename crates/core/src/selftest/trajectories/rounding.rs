//! How far rounding alone moves a run: the same plan, with every product off by one unit in the last place.

use crate::{Level, NoiseSource, State};

/// A state whose arithmetic is off by `2^-BITS` of the largest state or term of each sum, up or down as the bits fall.
///
/// Another program may add an increment to the state where ours weighs state and estimate: a large state then leaves its own rounding in
/// a small result. So two programs differ by about as much as a run in this arithmetic differs from one without.
#[derive(Clone, Debug)]
pub(super) struct Rounded<const BITS: i32>(pub(super) Vec<f64>);

impl<const BITS: i32> Rounded<BITS> {
    /// Whether this is the arithmetic of a device in f32.
    const NARROW: bool = BITS <= f32::MANTISSA_DIGITS as i32;

    /// A number off by a unit of `size`.
    fn shake(v: f64, size: f64) -> f64 {
        // Multiplicative hashing spreads the low bits over the sign.
        let up = v.to_bits().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 0;
        v + if up { size } else { -size } * 2f64.powi(-BITS)
    }

    /// An estimate of `x0` at a level, from a network whose output is off by a unit: noise of the size of `x / alpha` becomes data there.
    ///
    /// `lost` is the size of what else another program's host arithmetic rounds. On a device in f32 the estimates come from the host and are
    /// only rounded.
    pub(super) fn estimate(x0: Vec<f64>, x: &Self, at: Level, lost: f64) -> Self {
        let reach = if !Self::NARROW && at.alpha > 0.0 { 1.0 / at.alpha } else { 0.0 };
        let least = if Self::NARROW { 0.0 } else { lost };
        Self(x0.into_iter().zip(&x.0).map(|(d, x)| Self::shake(d, d.abs().max(reach * x.abs()).max(least))).collect())
    }

    /// Each number off by a unit of `size`, if this is host arithmetic.
    pub(super) fn moved(self, size: f64) -> Self {
        if Self::NARROW { self } else { Self(self.0.into_iter().map(|v| Self::shake(v, size)).collect()) }
    }

    /// Each number off by a unit.
    pub(super) fn shaken(self) -> Self {
        Self(self.0.into_iter().map(|v| Self::shake(v, v.abs())).collect())
    }
}

impl<const BITS: i32> State for Rounded<BITS> {
    fn lincomb(terms: &[(f64, &Self)]) -> Self {
        let sum = |i: usize| {
            let size = terms.iter().map(|(c, x)| x.0[i].abs().max((c * x.0[i]).abs())).fold(0.0, f64::max);
            Self::shake(terms.iter().map(|(c, x)| c * x.0[i]).sum(), size)
        };
        Self((0..terms[0].1.0.len()).map(sum).collect())
    }

    fn noise_like(&self, source: &dyn NoiseSource, node: u32, stream: u32) -> Self {
        Self(self.0.noise_like(source, node, stream)).shaken()
    }
}
