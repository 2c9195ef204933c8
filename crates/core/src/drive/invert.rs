//! DDIM inversion: from data to the noise that gives it.

use crate::{Error, Level, Plan};

/// A plan that runs DDIM backwards, along nodes from least noise to most; the first may be clean.
///
/// DDIM's step from `t` to the cleaner `s` is `x_s = (alpha_s / alpha_t) x_t + (sigma_s - alpha_s sigma_t / alpha_t) eps(x_t)`. Solved
/// for `x_t` it needs the noise estimate at the point it looks for; `refinements = 0` takes it at `x_s` instead (Song et al. 2021,
/// section 4.3; Mokady et al. 2023), each refinement takes it at the point found before (a fixed-point iteration, one more evaluation a
/// step). With enough refinements, DDIM with `eta = 0` on the same nodes returns the input to rounding, where the iteration contracts
/// and the first node is not clean (into clean data DDIM forgets what it came from).
///
/// # Errors
/// [`Error::Grid`] for fewer than two nodes, a level that is not valid, or noise that does not rise.
pub fn invert(nodes: &[Level], refinements: usize) -> Result<Plan, Error> {
    if nodes.len() < 2 {
        return Err(Error::Grid { node: nodes.len(), reason: "a grid needs at least two nodes" });
    }
    let mut plan = Plan::new();
    let (d, guess) = (plan.reg(), plan.reg());
    for (i, pair) in nodes.windows(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        if !from.is_valid() || !to.is_valid() || from.sigma * to.alpha >= to.sigma * from.alpha {
            return Err(Error::Grid { node: i + 1, reason: "noise (sigma / alpha) must rise from each node to the next" });
        }
        if to.alpha == 0.0 {
            return Err(Error::Grid { node: i + 1, reason: "data cannot be found again in pure noise; end at alpha > 0" });
        }
        let ratio = to.alpha / from.alpha;
        let of_eps = (to.sigma - ratio * from.sigma) / to.sigma;
        let mut at = Plan::STATE;
        for turn in 0..=refinements {
            plan.eval(d, at, to, i + 1);
            let dst = if turn == refinements { Plan::STATE } else { guess };
            plan.lin(dst, [(ratio, Plan::STATE), (of_eps, at), (-of_eps * to.alpha, d)]);
            at = guess;
        }
    }
    plan.check()?;
    Ok(plan)
}
