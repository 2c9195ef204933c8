//! The learned curve on the host.

use crate::{Level, schedule::Schedule};

/// A trained [`MonotoneGamma`](super::MonotoneGamma), frozen, on `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedGamma {
    ends: (f64, f64),
    slope: f64,
    units: Vec<[f64; 3]>,
    /// The unscaled curve at 0 and 1.
    raw: (f64, f64),
}

impl LearnedGamma {
    /// A curve between two values of `gamma` from its positive `a` and its hidden units' `[b, d, c]`.
    pub(super) fn new(ends: (f64, f64), slope: f64, units: Vec<[f64; 3]>) -> Self {
        let mut curve = Self { ends, slope, units, raw: (0.0, 1.0) };
        curve.raw = (curve.curve(0.0).0, curve.curve(1.0).0);
        curve
    }

    /// The unscaled curve and its slope.
    fn curve(&self, t: f64) -> (f64, f64) {
        let u = self.slope * t;
        let (mut y, mut dy) = (u, 1.0);
        for [rate, shift, height] in &self.units {
            let s = 1.0 / (1.0 + (-(rate * u + shift)).exp());
            y += height * s;
            dy += height * rate * s * (1.0 - s);
        }
        (y, dy * self.slope)
    }

    /// `gamma(t) = -ln snr` and its slope in time.
    pub fn gamma(&self, t: f64) -> (f64, f64) {
        let (y, dy) = self.curve(t);
        let scale = (self.ends.1 - self.ends.0) / (self.raw.1 - self.raw.0);
        (self.ends.0 + (y - self.raw.0) * scale, dy * scale)
    }
}

impl Schedule for LearnedGamma {
    fn level(&self, t: f64) -> Level {
        Level::vp_of_lambda(-0.5 * self.gamma(t).0)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        let wanted = -2.0 * lambda;
        let (mut low, mut high) = (0.0, 1.0);
        let mut t = ((wanted - self.ends.0) / (self.ends.1 - self.ends.0)).clamp(0.0, 1.0);
        // Newton's method, kept inside a bracket that each evaluation shrinks.
        for _ in 0..100 {
            let (gamma, slope) = self.gamma(t);
            if gamma < wanted {
                low = t;
            } else {
                high = t;
            }
            let newton = t - (gamma - wanted) / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - t).abs() < 1e-15 {
                return next;
            }
            t = next;
        }
        t
    }

    fn g2(&self, t: f64) -> f64 {
        self.gamma(t).1 * self.level(t).sigma.powi(2)
    }

    fn drift(&self, t: f64) -> f64 {
        -0.5 * self.g2(t)
    }

    fn span(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}
