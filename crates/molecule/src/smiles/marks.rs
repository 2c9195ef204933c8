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
        if let (Some(left), Some(right)) = (side(draft, &adjacency[a], a, k)?, side(draft, &adjacency[b], b, k)?) {
            let found = DoubleBond { atoms: [a, b], ends: [left.0, right.0], cis: left.1 == right.1 };
            molecule.double_bonds.push(found);
        }
    }
    Ok(())
}

/// A neighbour of `atom` whose bond is slanted, and whether it lies above; the double bond itself is `skip`.
fn side(draft: &Draft, neighbours: &[(usize, usize)], atom: usize, skip: usize) -> Result<Option<(usize, bool)>> {
    let mut found: Option<(usize, bool)> = None;
    for &(other, bond) in neighbours.iter().filter(|(_, bond)| *bond != skip) {
        let Some(link) = draft.bonds.get(bond) else { continue };
        let Symbol::Slanted(up) = link.symbol else { continue };
        let above = up == (link.atoms[0] == atom);
        match found {
            Some((_, first)) if first == above => {
                return Err(wrong(link.at, "two bonds of one double-bonded atom cannot both point this way"));
            }
            Some(_) => {}
            None => found = Some((other, above)),
        }
    }
    Ok(found)
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
        // Looked at from the first neighbour the others turn anticlockwise: a positive volume. A lone pair comes last, but for the
        // saturated atom that closes or opens one ring RDKit writes it first, and so does everybody's data.
        let saturated = molecule.bonds.iter().all(|bond| bond.order == 1 || bond.other(a).is_none());
        let turned = neighbours.len() == 3 && draft.closures[a] == 1 && saturated;
        molecule.centres.push(Centre { atom: a, neighbours, positive: anticlockwise != turned });
    }
}
