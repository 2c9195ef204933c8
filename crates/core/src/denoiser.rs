//! A denoiser estimates `E[x0 | x]`; combinators build new denoisers from old ones.

use crate::{Level, Param, State};

/// Estimates the clean data behind a noised state.
///
/// Clipping, thresholds, masks, valence rules, guidance and in-painting all live here, at `x0`, where they mean something.
pub trait Denoiser<S> {
    /// `E[x0 | x]` at a level; `node` is the position in the schedule and addresses any noise a denoiser draws.
    fn denoise(&self, x: &S, at: Level, node: u32) -> S;
}

impl<S, D: Denoiser<S> + ?Sized> Denoiser<S> for &D {
    fn denoise(&self, x: &S, at: Level, node: u32) -> S {
        (**self).denoise(x, at, node)
    }
}

impl<S, D: Denoiser<S> + ?Sized> Denoiser<S> for Box<D> {
    fn denoise(&self, x: &S, at: Level, node: u32) -> S {
        (**self).denoise(x, at, node)
    }
}

/// A raw network with its parameterisation: `D(x) = skip * x + out * F(input * x, at)`.
#[derive(Clone, Debug)]
pub struct Precond<F> {
    /// The network `F`, a function of the scaled state and of the level (from which it makes its time embedding).
    pub net: F,
    /// What the network predicts.
    pub param: Param,
}

impl<S: State, F: Fn(&S, Level) -> S> Denoiser<S> for Precond<F> {
    fn denoise(&self, x: &S, at: Level, _node: u32) -> S {
        let c = self.param.coef(at);
        let raw = if c.input == 1.0 { (self.net)(x, at) } else { (self.net)(&S::lincomb(&[(c.input, x)]), at) };
        S::lincomb(&[(c.skip, x), (c.out, &raw)])
    }
}

/// Applies a function to every estimate: thresholds, hard constraints, replacement of known values.
#[derive(Clone, Debug)]
pub struct MapX0<D, M> {
    /// The denoiser whose estimates are edited.
    pub base: D,
    /// The edit, given the estimate and its level.
    pub map: M,
}

impl<S, D: Denoiser<S>, M: Fn(S, Level) -> S> Denoiser<S> for MapX0<D, M> {
    fn denoise(&self, x: &S, at: Level, node: u32) -> S {
        (self.map)(self.base.denoise(x, at, node), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_network_of_any_kind_denoises_perfectly() {
        let (x0, eps) = (vec![0.7, -0.2], vec![-1.3, 0.4]);
        let at = Level::new(0.6, 0.8);
        let x = Vec::lincomb(&[(at.alpha, &x0), (at.sigma, &eps)]);
        for param in [Param::Eps, Param::X0, Param::V, Param::Score, Param::Flow, Param::Edm { sigma_data: 0.5 }] {
            let t = param.target(at);
            let net = |_: &Vec<f64>, _: Level| Vec::lincomb(&[(t.of_x0, &x0), (t.of_eps, &eps)]);
            let got = Precond { net, param }.denoise(&x, at, 0);
            assert!(got.iter().zip(&x0).all(|(g, e)| (g - e).abs() < 1e-12), "{param:?}");
        }
    }

    #[test]
    fn maps_nest_from_the_inside_out() {
        let base = MapX0 {
            base: Precond { net: |x: &Vec<f64>, _: Level| x.clone(), param: Param::X0 },
            map: |x: Vec<f64>, _: Level| vec![x[0] + 1.0],
        };
        let nested = MapX0 { base, map: |x: Vec<f64>, _: Level| vec![x[0] * 10.0] };
        assert_eq!(nested.denoise(&vec![2.0], Level::clean(), 0), vec![30.0]);
    }
}
