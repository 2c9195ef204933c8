//! Hybridisation and conjugation, as RDKit assigns them.

use crate::{Element, Molecule};

/// How an atom's orbitals mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hybrid {
    /// No direction: hydrogen, bare ions.
    S,
    /// Linear.
    Sp,
    /// Flat, conjugated lone pairs included.
    Sp2,
    /// Tetrahedral.
    Sp3,
    /// Trigonal bipyramid.
    Sp3d,
    /// Octahedron.
    Sp3d2,
    /// None of these.
    Other,
}

/// Counts that several rules share, per atom.
pub(crate) struct Counts {
    pub(crate) degree: Vec<usize>,
    pub(crate) valence: Vec<usize>,
}

impl Counts {
    pub(crate) fn new(molecule: &Molecule) -> Self {
        let mut counts = Self { degree: vec![0; molecule.atoms.len()], valence: vec![0; molecule.atoms.len()] };
        for bond in &molecule.bonds {
            for &a in &bond.atoms {
                counts.degree[a] += 1;
                counts.valence[a] += usize::from(bond.order);
            }
        }
        counts
    }

    /// Electrons that an atom has for pi bonds, lone pairs included; negative when it can have none.
    pub(crate) fn pi_electrons(&self, molecule: &Molecule, atom: usize) -> i32 {
        let this = &molecule.atoms[atom];
        let Some(default) = this.element.default_valence().filter(|v| *v > 1) else { return -1 };
        if self.degree[atom] > 3 {
            return -1;
        }
        let default = i32::from(default);
        let lone = (i32::from(this.element.properties().outer_electrons) - default - i32::from(this.charge)).max(0);
        let free = default - signed(self.degree[atom]) + lone - i32::from(this.radicals);
        // Of a triple bond only one electron counts.
        if free > 1 && self.valence[atom] - self.degree[atom] > 1 { 1 } else { free }
    }

    fn orbitals(&self, molecule: &Molecule, atom: usize) -> i32 {
        let this = &molecule.atoms[atom];
        let degree = signed(self.degree[atom]);
        if this.element.0 <= 1 || this.element.0 >= 89 {
            return degree;
        }
        let outer = i32::from(this.element.properties().outer_electrons);
        let (valence, charge) = (signed(self.valence[atom]), i32::from(this.charge));
        let free = outer - (valence + charge);
        if valence + outer - charge < 8 {
            let radicals = i32::from(this.radicals);
            degree + (free - radicals) / 2 + radicals
        } else {
            degree + free / 2
        }
    }
}

fn signed(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX / 4)
}

/// Which bonds are conjugated.
pub fn conjugated(molecule: &Molecule) -> Vec<bool> {
    let counts = Counts::new(molecule);
    let adjacency = molecule.adjacency();
    let candidate: Vec<bool> = (0..molecule.atoms.len())
        .map(|a| {
            let element = molecule.atoms[a].element;
            let outer = element.properties().outer_electrons;
            (element.0 <= 10 || !matches!(outer, 5 | 6) || (outer == 6 && counts.degree[a] < 2)) && counts.pi_electrons(molecule, a) > 0
        })
        .collect();
    let mut conjugated: Vec<bool> = molecule.bonds.iter().map(|bond| bond.aromatic).collect();
    for (a, neighbours) in adjacency.iter().enumerate() {
        if !candidate[a] || !(2..=3).contains(&counts.degree[a]) {
            continue;
        }
        for &(b, multiple) in neighbours {
            let bond = &molecule.bonds[multiple];
            if !(bond.order > 1 || bond.aromatic) || !candidate[b] {
                continue;
            }
            for &(c, other) in neighbours {
                if other != multiple && counts.degree[c] <= 3 && candidate[c] {
                    conjugated[multiple] = true;
                    conjugated[other] = true;
                }
            }
        }
    }
    conjugated
}

/// Hybridisation of every atom.
pub fn hybrids(molecule: &Molecule) -> Vec<Hybrid> {
    let counts = Counts::new(molecule);
    let mut touched = vec![false; molecule.atoms.len()];
    for (bond, _) in molecule.bonds.iter().zip(conjugated(molecule)).filter(|(_, conjugated)| *conjugated) {
        bond.atoms.iter().for_each(|&a| touched[a] = true);
    }
    (0..molecule.atoms.len())
        .map(|a| match counts.orbitals(molecule, a) {
            _ if molecule.atoms[a].element == Element::ANY => Hybrid::Other,
            0 | 1 => Hybrid::S,
            2 => Hybrid::Sp,
            3 => Hybrid::Sp2,
            4 if counts.degree[a] <= 3 && touched[a] => Hybrid::Sp2,
            4 => Hybrid::Sp3,
            5 => Hybrid::Sp3d,
            6 => Hybrid::Sp3d2,
            _ => Hybrid::Other,
        })
        .collect()
}
