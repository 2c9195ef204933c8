//! RePaint: in-painting with an unconditional model, by going back and forth.

use crate::{Denoiser, Error, Level, NoiseSource, State, noise::stream, solver::Reverse};

/// The order in which RePaint visits the steps (Lugmayr et al. 2022, algorithm 1 and appendix B): counts of steps still to go, from
/// `steps - 1` down to 0; a rise means that noise is put back.
///
/// After every `jump_length` steps it jumps back by as many, until each such place was passed `jump_samples` times.
pub fn jump_list(steps: usize, jump_length: usize, jump_samples: usize) -> Vec<usize> {
    let mut left = vec![0usize; steps];
    if jump_length > 0 {
        for place in (0..steps.saturating_sub(jump_length)).step_by(jump_length) {
            left[place] = jump_samples.saturating_sub(1);
        }
    }
    let (mut t, mut list) = (steps, Vec::new());
    while t > 0 {
        t -= 1;
        list.push(t);
        if left[t] > 0 {
            left[t] -= 1;
            for _ in 0..jump_length {
                t += 1;
                list.push(t);
            }
        }
    }
    list
}

/// In-painting around known values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RePaint {
    /// Steps of a jump; default 10.
    pub jump_length: usize,
    /// Times that each stretch is walked; default 10. 1 never goes back.
    pub jump_samples: usize,
    /// Noise of the downward steps, from 0 (DDIM) to 1 (DDPM, the default, as in the paper).
    pub eta: f64,
}

impl Default for RePaint {
    fn default() -> Self {
        Self { jump_length: 10, jump_samples: 10, eta: 1.0 }
    }
}

impl RePaint {
    /// One step down: DDIM for the unknown part, the known data noised to the new level for the rest.
    ///
    /// `blend(known, unknown)` takes each value from where it belongs. Both sides use the same noise `z`: a value has only one of them.
    pub fn down<S: State>(&self, x: &S, x0: &S, known: &S, z: &S, [from, to]: [Level; 2], blend: impl Fn(&S, &S) -> S) -> S {
        let variance = self.eta * self.eta * Reverse::between(from, to).variance;
        let of_x = (to.sigma * to.sigma - variance).max(0.0).sqrt() / from.sigma;
        let unknown = S::lincomb(&[(of_x, x), (to.alpha - of_x * from.alpha, x0), (variance.sqrt(), z)]);
        blend(&S::lincomb(&[(to.alpha, known), (to.sigma, z)]), &unknown)
    }

    /// Noise put back: the forward kernel from a level to a noisier one.
    pub fn up<S: State>(x: &S, z: &S, from: Level, to: Level) -> S {
        let ratio = to.alpha / from.alpha;
        let variance = (to.sigma * to.sigma - (ratio * from.sigma).powi(2)).max(0.0);
        S::lincomb(&[(ratio, x), (variance.sqrt(), z)])
    }

    /// Fills in what is not known, along nodes from most noise to least.
    ///
    /// Noise is addressed by the number of the visit, because a node is visited more than once.
    ///
    /// # Errors
    /// [`Error::Grid`] for nodes that cannot be walked, [`Error::OutOfRange`] for `eta`.
    pub fn fill<S: State>(
        &self,
        x: S,
        known: &S,
        nodes: &[Level],
        denoiser: &impl Denoiser<S>,
        noise: &dyn NoiseSource,
        blend: impl Fn(&S, &S) -> S,
    ) -> Result<S, Error> {
        crate::solver::check_nodes(nodes)?;
        crate::solver::check_unit("eta", self.eta)?;
        let steps = nodes.len() - 1;
        let (mut x, mut node) = (x, 0);
        for (visit, t) in jump_list(steps, self.jump_length, self.jump_samples).into_iter().enumerate() {
            // The step with `t` to go leaves node `steps - 1 - t`.
            let leaves = steps - 1 - t;
            let z = x.noise_like(noise, visit as u32, stream::STEP);
            if leaves == node {
                let x0 = denoiser.denoise(&x, nodes[node], node as u32);
                x = self.down(&x, &x0, known, &z, [nodes[node], nodes[node + 1]], &blend);
                node += 1;
            } else {
                x = Self::up(&x, &z, nodes[node], nodes[node - 1]);
                node -= 1;
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Philox, mixture::GaussianMixture};

    #[test]
    fn the_jump_list_by_hand() {
        // Six steps, jumps of 2, two passes: places 0 and 2 are passed twice.
        assert_eq!(jump_list(6, 2, 2), [5, 4, 3, 2, 3, 4, 3, 2, 1, 0, 1, 2, 1, 0]);
        assert_eq!(jump_list(4, 2, 1), [3, 2, 1, 0]);
        assert_eq!(jump_list(3, 0, 5), [2, 1, 0]);
        assert!(jump_list(0, 2, 2).is_empty());
    }

    /// Two components, told apart by the first coordinate: given it, the second follows that component's normal.
    #[test]
    fn the_unknown_part_follows_the_conditional() {
        let cov = vec![vec![0.04, 0.0], vec![0.0, 0.04]];
        let mixture = GaussianMixture::new(vec![0.5, 0.5], vec![vec![1.0, 1.0], vec![-1.0, -1.0]], vec![cov.clone(), cov]).unwrap();
        let nodes: Vec<Level> = (0..40).map(|i| Level::vp_of_lambda(-4.0 + 8.0 * f64::from(i) / 39.0)).chain([Level::clean()]).collect();
        let points = 300;
        let known: Vec<f64> = [1.0, 0.0].repeat(points);
        let noise = Philox::new(3);
        let x = known.noise_like(&noise, 0, stream::PRIOR);
        let blend = |known: &Vec<f64>, unknown: &Vec<f64>| -> Vec<f64> {
            known.iter().zip(unknown).enumerate().map(|(i, (k, u))| if i % 2 == 0 { *k } else { *u }).collect()
        };
        let repaint = RePaint { jump_length: 5, jump_samples: 4, eta: 1.0 };
        let y = repaint.fill(x, &known, &nodes, &mixture, &noise, blend).unwrap();
        assert!(y.iter().step_by(2).all(|v| *v == 1.0));
        let second: Vec<f64> = y.iter().skip(1).step_by(2).copied().collect();
        let mean = second.iter().sum::<f64>() / points as f64;
        // The other mode lies at -1; a few strays of 300 would move the mean by 0.02.
        assert!((mean - 1.0).abs() < 0.08, "mean {mean}");
    }
}
