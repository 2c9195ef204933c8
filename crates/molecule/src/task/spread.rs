//! Which of the conformers drawn are kept: low ones, or ones that lie apart, so that few of them show more of what the molecule does.

use super::{Conformer, Job};
use crate::geometry::SymmetricRmsd;

/// Earlier conformers that a candidate is compared with, the last ones: a bound on the work of very many conformers.
const COMPARED: usize = 256;

/// Conformers nearer than this, in angstrom, show the same minimum.
const SAME: f64 = 0.25;

/// Of the candidates of each conformer the one worth most; one that passes its checks before any that does not. What is kept does not
/// depend on how many follow.
///
/// Where energies are known (see [`Job::has_field`]) that is the lowest of those that are at no minimum kept before. Elsewhere it is the one
/// farthest from all kept before, by RMSD of heavy atoms: Mitchell's best candidates (1991).
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
        let worth = |candidate: Conformer| {
            let apart = apart(&candidate);
            let worth = if job.has_field() { [f64::from(u8::from(apart > SAME)), -candidate.energy] } else { [apart, 0.0] };
            (candidate.validity.valid(), worth, candidate)
        };
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
        task::{Aim, Relax},
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
        Conformer { job: 0, index, positions, validity, energy: angle, relax: Relax::Bounds, draws: 1 }
    }

    #[test]
    fn the_farthest_candidates_are_kept_and_a_prefix_stays() {
        let job = Job::new("CCCC", butane(0.0).0, &BoundsTable::default(), None, Aim { level: 0, relax: Relax::Bounds }).unwrap();
        // After the first at 0: of 0.1 and 3 the latter, of 2.9 and 1.5 the latter, of two alike the first.
        let angles = [0.0, 0.1, 3.0, 2.9, 1.5, 0.5, 0.5];
        let drawn = |count: usize| angles[..count].iter().zip(0..).map(|(&angle, k)| conformer(angle, k)).collect::<Vec<_>>();
        let kept = |count: usize| spread(&job, 2, drawn(count)).iter().map(|c| (c.index, c.energy)).collect::<Vec<_>>();
        assert_eq!(kept(7), [(0, 0.0), (1, 3.0), (2, 1.5), (3, 0.5)]);
        assert_eq!(kept(5), kept(7)[..3]);
        assert_eq!(spread(&job, 1, drawn(3)).len(), 3);
    }

    #[test]
    fn with_energies_the_lowest_new_minimum_is_kept() {
        let aim = Aim { level: 0, relax: Relax::Mmff94s };
        let job = Job::new("CCCC", butane(0.0).0, &BoundsTable::default(), None, aim).unwrap();
        // Of a second at the first's minimum and a higher one elsewhere the latter; then of two elsewhere the lower; of two known ones the lower.
        let drawn = [(0.0, 1.0), (0.01, 0.9), (3.0, 4.0), (1.5, 3.0), (1.0, 2.0), (0.0, 0.5), (3.0, 0.4)];
        let drawn: Vec<_> = drawn.iter().zip(0..).map(|(&(angle, energy), k)| Conformer { energy, ..conformer(angle, k) }).collect();
        let kept: Vec<f64> = spread(&job, 2, drawn).iter().map(|c| c.energy).collect();
        assert_eq!(kept, [1.0, 4.0, 2.0, 0.4]);
    }
}
