//! Which of the conformers drawn are kept: those that lie apart, so that few of them show more of what the molecule does.

use super::{Conformer, Job};
use crate::geometry::SymmetricRmsd;

/// Earlier conformers that a candidate is compared with, the last ones: a bound on the work of very many conformers.
const COMPARED: usize = 256;

/// Mitchell's best candidates (1991): the first conformer, then of each run of candidates the one farthest from all kept before, by RMSD of
/// heavy atoms; one that passes its checks before any that does not. What is kept does not depend on how many follow.
///
/// `drawn` are the conformers of a job in the order of their draws, one and then `candidates` for each other; what is kept is numbered anew.
pub fn spread(job: &Job, candidates: usize, drawn: Vec<Conformer>) -> Vec<Conformer> {
    if candidates < 2 || drawn.len() < 2 {
        return drawn;
    }
    let rmsd = SymmetricRmsd::new(&job.molecule, false);
    let mut kept: Vec<Conformer> = Vec::with_capacity(1 + (drawn.len() - 1) / candidates);
    let mut drawn = drawn.into_iter();
    kept.extend(drawn.next());
    loop {
        let run = drawn.by_ref().take(candidates);
        let apart = |candidate: &Conformer| {
            let earlier = kept.iter().rev().take(COMPARED);
            earlier.map(|kept| rmsd.rmsd(&candidate.positions, &kept.positions)).fold(f64::INFINITY, f64::min)
        };
        let worth = |candidate: Conformer| (candidate.validity.valid(), apart(&candidate), candidate);
        // The first of equals.
        let best = run.map(worth).reduce(|best, next| if (next.0, next.1) > (best.0, best.1) { next } else { best });
        let Some((_, _, best)) = best else { break };
        kept.push(Conformer { index: kept.len() as u32, ..best });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Molecule,
        geometry::{BoundsTable, Checker},
    };

    /// Butane's carbons with the last bond turned by an angle; hydrogens are left where they are, for only heavy atoms count.
    fn butane(angle: f64) -> (Molecule, Vec<[f64; 3]>) {
        let molecule = Molecule::from_smiles("CCCC").unwrap();
        let mut positions = vec![[9.0, 9.0, 9.0]; molecule.atoms.len()];
        positions[0] = [-0.5, 1.4, 0.0];
        positions[1] = [0.0, 0.0, 0.0];
        positions[2] = [1.5, 0.0, 0.0];
        positions[3] = [2.0, 1.4 * angle.cos(), 1.4 * angle.sin()];
        (molecule, positions)
    }

    fn conformer(angle: f64, index: u32) -> Conformer {
        let (molecule, positions) = butane(angle);
        // All alike to the checks.
        let validity = Checker::new(&molecule).check(&positions);
        Conformer { job: 0, index, positions, validity, strain: angle, draws: 1 }
    }

    #[test]
    fn the_farthest_candidates_are_kept_and_a_prefix_stays() {
        let job = Job::new("CCCC", butane(0.0).0, &BoundsTable::default(), None).unwrap();
        // After the first at 0: of 0.1 and 3 the latter, of 2.9 and 1.5 the latter, of two alike the first.
        let angles = [0.0, 0.1, 3.0, 2.9, 1.5, 0.5, 0.5];
        let drawn = |count: usize| angles[..count].iter().zip(0..).map(|(&angle, k)| conformer(angle, k)).collect::<Vec<_>>();
        let kept = |count: usize| spread(&job, 2, drawn(count)).iter().map(|c| (c.index, c.strain)).collect::<Vec<_>>();
        assert_eq!(kept(7), [(0, 0.0), (1, 3.0), (2, 1.5), (3, 0.5)]);
        assert_eq!(kept(5), kept(7)[..3]);
        assert_eq!(spread(&job, 1, drawn(3)).len(), 3);
    }
}
