//! SDEdit: start from noised data instead of noise.

use crate::{Error, Level, NoiseSource, State, noise::stream};

/// Where an edit starts.
#[derive(Clone, Debug)]
pub struct Edit<'a, S> {
    /// The noised data, at the first of `nodes`.
    pub x: S,
    /// What is left of the grid; empty if the strength is 0 and nothing is to be done.
    pub nodes: &'a [Level],
}

/// Noises data to the level from which `strength` of the grid's steps are left (Meng et al. 2022, algorithm 1): strength 0 returns the
/// data, strength 1 samples from the first node.
///
/// # Errors
/// [`Error::Grid`] for nodes that cannot be walked, [`Error::OutOfRange`] for a strength outside `0..=1`.
pub fn sdedit<'a, S: State>(x0: &S, nodes: &'a [Level], strength: f64, noise: &dyn NoiseSource) -> Result<Edit<'a, S>, Error> {
    crate::solver::check_nodes(nodes)?;
    crate::solver::check_unit("strength", strength)?;
    let steps = nodes.len() - 1;
    let kept = (strength * steps as f64).round() as usize;
    if kept == 0 {
        return Ok(Edit { x: x0.clone(), nodes: &[] });
    }
    let nodes = &nodes[steps - kept..];
    let z = x0.noise_like(noise, (steps - kept) as u32, stream::PRIOR);
    Ok(Edit { x: S::lincomb(&[(nodes[0].alpha, x0), (nodes[0].sigma, &z)]), nodes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Philox;

    #[test]
    fn strength_goes_from_the_data_to_sampling() {
        let nodes = [Level::new(0.0, 1.0), Level::vp(0.5), Level::vp(0.9), Level::clean()];
        let (x0, noise) = (vec![0.5, -2.0], Philox::new(4));
        let none = sdedit(&x0, &nodes, 0.0, &noise).unwrap();
        assert_eq!((none.x, none.nodes.len()), (x0.clone(), 0));
        let all = sdedit(&x0, &nodes, 1.0, &noise).unwrap();
        assert_eq!(all.nodes, nodes);
        assert_eq!(all.x, x0.noise_like(&noise, 0, stream::PRIOR));
        let third = sdedit(&x0, &nodes, 0.34, &noise).unwrap();
        assert_eq!(third.nodes, &nodes[2..]);
        assert!(sdedit(&x0, &nodes, 1.5, &noise).is_err());
    }
}
