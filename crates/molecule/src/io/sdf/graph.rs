//! The chemistry of a record that says it in other words than SMILES.

use super::SdfRecord;
use crate::{
    Atom, Bond, Centre, Element, Error, Molecule, Point, Result,
    chem::{
        Rings, aromatic,
        kekulise::{Member, kekulise},
        stereo,
        valence::{Site, problem},
    },
    geometry::vector::{add, norm, scale, sub, unit},
    io::{jsonl::difference, strip::without_hydrogens},
};

impl SdfRecord {
    /// The molecule with every hydrogen, aromaticity and configurations: from geometry in three dimensions, from wedges and the drawing in
    /// two. Hydrogens that the record leaves out come last, in the order of their atoms.
    ///
    /// # Errors
    /// [`Error::Geometry`]: a valence that cannot be, aromatic bonds without a Kekule structure.
    pub fn molecule(&self) -> Result<Molecule> {
        self.complete().map(|(molecule, _)| molecule)
    }

    /// The molecule that belongs to the record's positions, atom by atom: that of the SMILES in the field `smiles` or the title, if its
    /// atoms are those of the record with or without hydrogens, else the record's own graph, to which nothing is added.
    ///
    /// # Errors
    /// As [`molecule`](Self::molecule).
    pub fn conformer(&self) -> Result<Molecule> {
        for text in [self.field("smiles"), Some(&self.title)].into_iter().flatten() {
            let Ok(whole) = Molecule::from_smiles(text) else { continue };
            if difference(&whole, &self.molecule).is_none() {
                return Ok(whole);
            }
            let (heavy, _) = without_hydrogens(&whole, &[]);
            if difference(&heavy, &self.molecule).is_none() {
                return Ok(heavy);
            }
        }
        let (mut molecule, _) = self.complete()?;
        let n = self.molecule.atoms.len();
        if molecule.atoms.len() > n {
            // What was added stands last and was needed to see what is aromatic.
            let mut whole = self.molecule.clone();
            (whole.atoms, whole.bonds) = (molecule.atoms[..n].to_vec(), molecule.bonds[..self.molecule.bonds.len()].to_vec());
            (whole.centres, whole.double_bonds) = stereo::from_positions(&whole, &self.positions);
            molecule = whole;
        }
        Ok(molecule)
    }

    fn complete(&self) -> Result<(Molecule, Vec<Point>)> {
        let mut molecule = self.molecule.clone();
        let hydrogens = missing_hydrogens(&molecule)?;
        choose_orders(&mut molecule, &hydrogens)?;
        if let Some((atom, reason)) = problem(&molecule) {
            return Err(wrong(atom, &reason));
        }
        let mut positions = self.positions.clone();
        add_hydrogens(&mut molecule, &mut positions, &hydrogens);
        let rings = Rings::new(&molecule);
        aromatic::perceive(&mut molecule, &rings);
        (molecule.centres, molecule.double_bonds) = stereo::from_positions(&molecule, &positions);
        if !self.three_d {
            molecule.centres = wedged(&molecule, &positions, &self.wedges);
            stereo::clean(&mut molecule, &rings);
        }
        Ok((molecule, positions))
    }
}

fn wrong(atom: usize, reason: &str) -> Error {
    Error::Geometry { reason: format!("atom {}: {reason}", atom + 1) }
}

/// Twice the bond orders of an atom, and whether some are aromatic; before they have an order these count one and a half.
fn site(molecule: &Molecule, atom: usize) -> Site {
    let Atom { element, charge, aromatic, .. } = molecule.atoms[atom];
    let own = molecule.bonds.iter().filter(|b| b.atoms.contains(&atom));
    let halves = own.map(|b| if b.aromatic { 3 } else { 2 * usize::from(b.order) }).sum();
    Site { element, charge, aromatic, halves }
}

/// Hydrogens that each atom wants beside those drawn: an ion as many as the neutral element with as many electrons, a metal none.
fn missing_hydrogens(molecule: &Molecule) -> Result<Vec<usize>> {
    let one = |atom: usize| {
        let Atom { element, charge, radicals, .. } = molecule.atoms[atom];
        if !matches!(element.0, 5..=9 | 14..=17 | 33..=35 | 52 | 53) {
            return Ok(0);
        }
        let like = u8::try_from(i16::from(element.0) - i16::from(charge)).map_err(|_| wrong(atom, "a charge beyond its electrons"))?;
        let site = site(molecule, atom);
        let count = if charge == 0 { site.implied() } else { Site { element: Element(like), charge: 0, ..site }.implied() };
        // An atom that its rule refuses is named after its bonds have orders.
        Ok(count.unwrap_or(0).saturating_sub(usize::from(radicals)))
    };
    (0..molecule.atoms.len()).map(one).collect()
}

/// Gives bonds of the type "aromatic" their orders.
fn choose_orders(molecule: &mut Molecule, hydrogens: &[usize]) -> Result<()> {
    let adjacency = molecule.adjacency();
    let member = |atom: usize| {
        let orders: usize = adjacency[atom].iter().map(|&(_, k)| usize::from(molecule.bonds[k].order)).sum();
        let Atom { element, charge, aromatic, .. } = molecule.atoms[atom];
        aromatic.then_some(Member { element, charge, singles: orders + hydrogens[atom], bracket: false })
    };
    let members: Vec<Option<Member>> = (0..molecule.atoms.len()).map(member).collect();
    let chosen: Vec<usize> = (0..molecule.bonds.len()).filter(|&k| molecule.bonds[k].aromatic).collect();
    let pairs: Vec<[usize; 2]> = chosen.iter().map(|&k| molecule.bonds[k].atoms).collect();
    let double = kekulise(&members, &pairs).map_err(|atom| {
        wrong(atom, "its aromatic bonds have no alternating single and double form; a hydrogen may be missing on nitrogen")
    })?;
    chosen.into_iter().zip(double).for_each(|(k, double)| molecule.bonds[k].order = 1 + u8::from(double));
    Ok(())
}

/// Appends hydrogens, each opposite to the other neighbours of its atom: enough to see configurations.
fn add_hydrogens(molecule: &mut Molecule, positions: &mut Vec<Point>, hydrogens: &[usize]) {
    let adjacency = molecule.adjacency();
    for (atom, &count) in hydrogens.iter().enumerate() {
        let away = adjacency[atom].iter().filter_map(|&(b, _)| unit(sub(positions[b], positions[atom]))).fold([0.0; 3], add);
        let direction = unit(away).map_or([0.0, 0.0, 1.0], |d| scale(d, -1.0));
        for _ in 0..count {
            molecule.bonds.push(Bond { atoms: [atom, molecule.atoms.len()], order: 1, aromatic: false });
            molecule.atoms.push(Atom { element: Element::H, charge: 0, isotope: 0, aromatic: false, radicals: 0, class: 0 });
            positions.push(add(positions[atom], direction));
        }
    }
}

/// Centres with a wedge that begins at them, seen with the wedge's wide end lifted or lowered.
fn wedged(molecule: &Molecule, positions: &[Point], wedges: &[(usize, bool)]) -> Vec<Centre> {
    let adjacency = molecule.adjacency();
    let mut centres: Vec<Centre> = Vec::new();
    for &(bond, _) in wedges {
        let atom = molecule.bonds[bond].atoms[0];
        if centres.iter().any(|c| c.atom == atom) || !matches!(adjacency[atom].len(), 3 | 4) {
            continue;
        }
        let mut local = positions.to_vec();
        for &(k, towards) in wedges.iter().filter(|w| molecule.bonds[w.0].atoms[0] == atom) {
            let end = molecule.bonds[k].atoms[1];
            let length = norm(sub(positions[end], positions[atom]));
            local[end][2] += if towards { length } else { -length };
        }
        // An added hydrogen leans away from the wedge.
        let lifted: f64 = adjacency[atom].iter().map(|&(b, _)| local[b][2]).sum();
        for &(b, _) in &adjacency[atom] {
            if molecule.atoms[b].element == Element::H && local[b] == positions[b] {
                local[b][2] -= lifted;
            }
        }
        let neighbours: Vec<usize> = adjacency[atom].iter().map(|e| e.0).collect();
        let mut centre = Centre { atom, neighbours, positive: true };
        let volume = stereo::volume(&centre, &local);
        centre.positive = volume > 0.0;
        if volume.abs() >= stereo::MIN_VOLUME / 2.0 {
            centres.push(centre);
        }
    }
    centres
}
