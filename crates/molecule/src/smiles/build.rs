//! From atoms and bonds as written to a molecule: hydrogens, Kekule structure, aromaticity, stereo.

use super::{
    marks,
    read::{Draft, Symbol, wrong},
};
use crate::{
    Atom, Bond, Element, Molecule, Result,
    chem::{
        Rings, aromatic,
        kekulise::{Member, kekulise},
        stereo,
        valence::Site,
    },
};

/// The molecule of a draft.
pub(super) fn molecule(draft: &Draft) -> Result<Molecule> {
    let mut molecule = heavy(draft);
    let adjacency = molecule.adjacency();
    let rings = Rings::of_graph(&adjacency, molecule.bonds.len());
    let mut delocalised = aromatic_bonds(draft, &rings)?;
    let mut hydrogens = loop {
        let halves = halves(&molecule, &adjacency, &delocalised);
        if tidy(draft, &mut molecule, &adjacency, &halves) {
            continue;
        }
        break hydrogens(draft, &molecule, &adjacency, &delocalised, &halves)?;
    };
    kekule(draft, &mut molecule, &adjacency, &mut delocalised, &hydrogens)?;
    for (a, neighbours) in adjacency.iter().enumerate() {
        let orders: usize = neighbours.iter().map(|(_, bond)| usize::from(molecule.bonds[*bond].order)).sum();
        let atom = &molecule.atoms[a];
        let site = |count: usize| Site { element: atom.element, charge: atom.charge, aromatic: false, halves: 2 * (orders + count) };
        if atom.aromatic && draft.atoms[a].hydrogens.is_none() && atom.charge == 0 {
            // What is written aromatic but is not, as s in C1CCs1C, fills its valence after all.
            hydrogens[a] = site(0).implied().map_err(|reason| wrong(draft.atoms[a].at, reason))?;
        }
        let site = site(hydrogens[a]);
        // Aromatic atoms were allowed half a bond too many.
        site.explicit().map_err(|reason| wrong(draft.atoms[a].at, reason))?;
        if draft.atoms[a].hydrogens.is_some() {
            molecule.atoms[a].radicals = site.radicals(!neighbours.is_empty());
        }
    }
    let added = add_hydrogens(&mut molecule, &hydrogens);
    // Hydrogens make no rings, so the rings of the written atoms serve the whole molecule.
    let rings = if rings.atoms.is_empty() {
        Rings::of_graph(&vec![Vec::new(); molecule.atoms.len()], molecule.bonds.len())
    } else {
        Rings::new(&molecule)
    };
    aromatic::perceive(&mut molecule, &rings);
    marks::double_bonds(draft, &mut molecule)?;
    marks::centres(draft, &mut molecule, &added);
    stereo::clean(&mut molecule, &rings);
    Ok(molecule)
}

/// The written atoms; bonds that are written aromatic have order 1 for now.
fn heavy(draft: &Draft) -> Molecule {
    let atoms = draft.atoms.iter().map(|w| Atom {
        element: w.element,
        charge: w.charge,
        isotope: w.isotope,
        aromatic: w.aromatic,
        radicals: 0,
        class: w.class,
    });
    let bonds = draft.bonds.iter().map(|link| {
        let order = if let Symbol::Order(order) = link.symbol { order } else { 1 };
        Bond { atoms: link.atoms, order, aromatic: false }
    });
    Molecule { atoms: atoms.collect(), bonds: bonds.collect(), ..Molecule::default() }
}

/// Which bonds are to be kekulised: those inside rings, between aromatic atoms without a symbol, or written `:`.
fn aromatic_bonds(draft: &Draft, rings: &Rings) -> Result<Vec<bool>> {
    for (a, atom) in draft.atoms.iter().enumerate() {
        if atom.aromatic && rings.of_atom(a).is_empty() {
            return Err(wrong(atom.at, "an aromatic atom outside a ring"));
        }
    }
    let bond = |(k, link): (usize, &super::read::Link)| {
        let inside = !rings.of_bond(k).is_empty();
        match link.symbol {
            Symbol::Aromatic if !inside => Err(wrong(link.at, "an aromatic bond outside a ring")),
            Symbol::Aromatic => Ok(true),
            Symbol::Default | Symbol::Slanted(_) => {
                // A wildcard is as aromatic as its ring.
                let atoms = link.atoms.map(|a| &draft.atoms[a]);
                let fits = atoms.iter().all(|atom| atom.aromatic || atom.element == Element::ANY);
                Ok(inside && fits && atoms.iter().any(|atom| atom.aromatic))
            }
            Symbol::Order(_) => Ok(false),
        }
    };
    draft.bonds.iter().enumerate().map(bond).collect()
}

/// Twice the bond orders of every written atom, hydrogens left out.
fn halves(molecule: &Molecule, adjacency: &[Vec<(usize, usize)>], delocalised: &[bool]) -> Vec<usize> {
    let of = |bond: usize| if delocalised[bond] { 3 } else { 2 * usize::from(molecule.bonds[bond].order) };
    adjacency.iter().map(|neighbours| neighbours.iter().map(|(_, bond)| of(*bond)).sum()).collect()
}

/// Rewrites one group that is habitually drawn without charges; false when there is none left.
fn tidy(draft: &Draft, molecule: &mut Molecule, adjacency: &[Vec<(usize, usize)>], halves: &[usize]) -> bool {
    for (a, neighbours) in adjacency.iter().enumerate() {
        let halves = halves[a] + 2 * usize::from(draft.atoms[a].hydrogens.unwrap_or(0));
        let Atom { element, charge: 0, .. } = molecule.atoms[a] else { continue };
        let terminal = |b: usize, wanted: Element| molecule.atoms[b].element == wanted && molecule.atoms[b].charge == 0;
        let order = |bond: usize| molecule.bonds[bond].order;
        // Nitro, N-oxide, azide, diazo; phosphine oxides drawn with two double bonds.
        let moved = match element {
            Element::N if halves.div_ceil(2) == 5 => neighbours
                .iter()
                .find(|&&(b, bond)| (terminal(b, Element::O) && order(bond) == 2) || (terminal(b, Element::N) && order(bond) == 3))
                .copied(),
            Element::P if halves == 10 && neighbours.len() == 3 => {
                let ylide = |&(b, bond): &(usize, usize)| {
                    order(bond) == 2 && (terminal(b, Element::C) || terminal(b, Element::N)) && adjacency[b].len() >= 2
                };
                neighbours
                    .iter()
                    .any(ylide)
                    .then(|| neighbours.iter().find(|&&(b, bond)| terminal(b, Element::O) && order(bond) == 2).copied())
                    .flatten()
            }
            Element::CL | Element::BR | Element::I
                if halves > 2 && neighbours.iter().all(|&(b, _)| molecule.atoms[b].element == Element::O) =>
            {
                let valence = halves / 2;
                let double = neighbours.iter().find(|&&(b, bond)| terminal(b, Element::O) && order(bond) == 2).copied();
                if matches!(valence, 3 | 5 | 7) { double.map(|_| (usize::MAX, 0)) } else { None }
            }
            _ => None,
        };
        match moved {
            Some((usize::MAX, _)) => {
                for &(b, bond) in neighbours {
                    if molecule.bonds[bond].order == 2 {
                        molecule.bonds[bond].order = 1;
                        molecule.atoms[b].charge = -1;
                        molecule.atoms[a].charge += 1;
                    }
                }
                return true;
            }
            Some((b, bond)) => {
                molecule.bonds[bond].order -= 1;
                molecule.atoms[b].charge = -1;
                molecule.atoms[a].charge = 1;
                return true;
            }
            None => {}
        }
    }
    false
}

/// Hydrogens of every written atom; checks valences.
fn hydrogens(
    draft: &Draft,
    molecule: &Molecule,
    adjacency: &[Vec<(usize, usize)>],
    delocalised: &[bool],
    halves: &[usize],
) -> Result<Vec<usize>> {
    let one = |a: usize| {
        let (written, atom) = (&draft.atoms[a], &molecule.atoms[a]);
        let aromatic = written.aromatic || adjacency[a].iter().any(|(_, bond)| delocalised[*bond]);
        let given = usize::from(written.hydrogens.unwrap_or(0));
        let site = Site { element: atom.element, charge: atom.charge, aromatic, halves: halves[a] + 2 * given };
        let count = if written.hydrogens.is_some() || atom.charge != 0 { site.explicit().map(|_| given) } else { site.implied() };
        count.map_err(|reason| wrong(written.at, reason))
    };
    (0..draft.atoms.len()).map(one).collect()
}

/// Gives every delocalised bond an order.
fn kekule(
    draft: &Draft,
    molecule: &mut Molecule,
    adjacency: &[Vec<(usize, usize)>],
    delocalised: &mut [bool],
    hydrogens: &[usize],
) -> Result<()> {
    let member = |a: usize| {
        let neighbours = &adjacency[a];
        (draft.atoms[a].aromatic || neighbours.iter().any(|(_, bond)| delocalised[*bond])).then(|| {
            let orders: usize = neighbours.iter().map(|(_, bond)| usize::from(molecule.bonds[*bond].order)).sum();
            let atom = &molecule.atoms[a];
            Member {
                element: atom.element,
                charge: atom.charge,
                singles: orders + hydrogens[a],
                bracket: draft.atoms[a].hydrogens.is_some(),
            }
        })
    };
    let members: Vec<Option<Member>> = (0..molecule.atoms.len()).map(member).collect();
    let chosen: Vec<usize> = (0..delocalised.len()).filter(|k| delocalised[*k]).collect();
    let pairs: Vec<[usize; 2]> = chosen.iter().map(|&k| molecule.bonds[k].atoms).collect();
    let doubles = kekulise(&members, &pairs).map_err(|a| {
        wrong(draft.atoms[a].at, "this aromatic ring has no alternating single and double bonds; a hydrogen may be missing, as in [nH]")
    })?;
    for (k, double) in chosen.into_iter().zip(doubles) {
        molecule.bonds[k].order = if double { 2 } else { 1 };
    }
    Ok(())
}

/// Appends hydrogens; the range of each atom's.
fn add_hydrogens(molecule: &mut Molecule, hydrogens: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::with_capacity(hydrogens.len());
    for (a, &count) in hydrogens.iter().enumerate() {
        let start = molecule.atoms.len();
        for h in start..start + count {
            molecule.atoms.push(Atom { element: Element::H, charge: 0, isotope: 0, aromatic: false, radicals: 0, class: 0 });
            molecule.bonds.push(Bond { atoms: [a, h], order: 1, aromatic: false });
        }
        ranges.push(start..start + count);
    }
    ranges
}
