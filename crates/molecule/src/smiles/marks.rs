//! Stereo marks of the string: `@`, `@@`, `/`, `\`.

use super::read::{Draft, Port, Symbol, wrong};
use crate::{Centre, DoubleBond, Molecule, Result};
use std::ops::Range;

/// Reads `/` and `\` around double bonds.
pub(super) fn double_bonds(draft: &Draft, molecule: &mut Molecule) -> Result<()> {
    let slanted = draft.bonds.iter().any(|link| matches!(link.symbol, Symbol::Slanted(_)));
    if !slanted {
        return Ok(());
    }
    let adjacency = molecule.adjacency();
    for k in 0..draft.bonds.len() {
        let bond = molecule.bonds[k];
        if bond.order != 2 || bond.aromatic {
            continue;
        }
        let [a, b] = bond.atoms;
        let (left, right) = (slanted_neighbours(draft, &adjacency[a], a), slanted_neighbours(draft, &adjacency[b], b));
        let ([first, ..], [second, ..]) = (&left[..], &right[..]) else { continue };
        for side in [&left, &right] {
            if let [p, q] = &side[..]
                && p.above == q.above
            {
                return Err(wrong(q.at, "two bonds of one double-bonded atom cannot both point this way"));
            }
        }
        let found = DoubleBond { atoms: [a, b], ends: [first.atom, second.atom], cis: first.above == second.above };
        molecule.double_bonds.push(found);
    }
    Ok(())
}

struct Slanted {
    atom: usize,
    above: bool,
    at: usize,
}

/// Neighbours of `atom` whose bonds are slanted, and whether they lie above it.
fn slanted_neighbours(draft: &Draft, neighbours: &[(usize, usize)], atom: usize) -> Vec<Slanted> {
    let one = |&(other, bond): &(usize, usize)| {
        let link = draft.bonds.get(bond)?;
        let Symbol::Slanted(up) = link.symbol else { return None };
        Some(Slanted { atom: other, above: up == (link.atoms[0] == atom), at: link.at })
    };
    neighbours.iter().filter_map(one).collect()
}

/// Reads `@` and `@@`; `added[a]` are the hydrogens of atom `a` that the string implies.
pub(super) fn centres(draft: &Draft, molecule: &mut Molecule, added: &[Range<usize>]) {
    for (a, written) in draft.atoms.iter().enumerate() {
        let Some(anticlockwise) = written.anticlockwise else { continue };
        let neighbours: Vec<usize> = draft.ports[a]
            .iter()
            .map(|port| match port {
                Port::Atom(b) => *b,
                Port::Hydrogen => added[a].start,
            })
            .collect();
        if !matches!(neighbours.len(), 3 | 4) || added[a].len() > 1 {
            continue;
        }
        // Looked at from the first neighbour the others turn anticlockwise: a positive volume.
        let turned = turned(molecule, a, draft.closures[a]);
        molecule.centres.push(Centre { atom: a, neighbours, positive: anticlockwise != turned });
    }
}

/// Whether the lone pair of atom `a`, which opens or closes `closures` rings, counts as its first neighbour and not its last.
///
/// RDKit reads and writes saturated atoms with one ring digit so, and thus everybody's data does.
pub(super) fn turned(molecule: &Molecule, a: usize, closures: usize) -> bool {
    let mut bonds = molecule.bonds.iter().filter(|bond| bond.atoms.contains(&a));
    closures == 1 && bonds.by_ref().take(4).try_fold(0, |n, bond| (bond.order == 1).then_some(n + 1)) == Some(3)
}
