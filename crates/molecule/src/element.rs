//! The periodic table, as far as geometry and valence need it.

/// A chemical element, by atomic number 1 to 118; 0 is the wildcard `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element(pub u8);

/// What the table holds of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Properties {
    /// Symbol, capitalised.
    pub symbol: &'static str,
    /// Covalent radius in angstrom (Cordero et al. 2008, as far as curium).
    pub covalent_radius: f64,
    /// Van der Waals radius in angstrom (Blue Obelisk Data Repository).
    pub van_der_waals_radius: f64,
    /// Mass of the natural mixture in dalton.
    pub mass: f64,
    /// Electrons of the outer shell, d electrons of transition metals included.
    pub outer_electrons: u8,
    /// Allowed valences of the neutral atom, ascending; the first is the default. Empty where there is no rule.
    pub valences: &'static [u8],
    /// Any number of bonds is accepted.
    pub open: bool,
}

impl Element {
    /// The wildcard `*`.
    pub const ANY: Self = Self(0);
    /// Hydrogen.
    pub const H: Self = Self(1);
    /// Boron.
    pub const B: Self = Self(5);
    /// Carbon.
    pub const C: Self = Self(6);
    /// Nitrogen.
    pub const N: Self = Self(7);
    /// Oxygen.
    pub const O: Self = Self(8);
    /// Fluorine.
    pub const F: Self = Self(9);
    /// Phosphorus.
    pub const P: Self = Self(15);
    /// Sulfur.
    pub const S: Self = Self(16);
    /// Chlorine.
    pub const CL: Self = Self(17);
    /// Bromine.
    pub const BR: Self = Self(35);
    /// Iodine.
    pub const I: Self = Self(53);

    /// Row of the table; numbers above 118 get the wildcard's.
    pub fn properties(self) -> &'static Properties {
        let z = usize::from(self.0);
        if (1..=TABLE.len()).contains(&z) { &TABLE[z - 1] } else { &WILDCARD }
    }

    /// Symbol, `*` for the wildcard.
    pub fn symbol(self) -> &'static str {
        self.properties().symbol
    }

    /// The element of a capitalised symbol (`Cl`, not `CL` nor `cl`), or of `*`.
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        if symbol == WILDCARD.symbol {
            return Some(Self::ANY);
        }
        TABLE.iter().zip(1..).find(|(row, _)| row.symbol == symbol).map(|(_, z)| Self(z))
    }

    /// Covalent radius in angstrom.
    pub fn covalent_radius(self) -> f64 {
        self.properties().covalent_radius
    }

    /// Van der Waals radius in angstrom.
    pub fn van_der_waals_radius(self) -> f64 {
        self.properties().van_der_waals_radius
    }

    /// The usual valence of the neutral atom, `None` where there is no rule.
    pub fn default_valence(self) -> Option<u8> {
        self.properties().valences.first().copied()
    }
}

const WILDCARD: Properties =
    Properties { symbol: "*", covalent_radius: 0.76, van_der_waals_radius: 1.7, mass: 0.0, outer_electrons: 0, valences: &[], open: true };

#[rustfmt::skip]
const TABLE: [Properties; 118] = [
    row("H", 0.31, 1.2, 1.008, 1, &[1], false),
    row("He", 0.28, 1.4, 4.003, 2, &[0], false),
    row("Li", 1.28, 2.2, 6.941, 1, &[1], true),
    row("Be", 0.96, 1.9, 9.012, 2, &[2], false),
    row("B", 0.84, 1.8, 10.812, 3, &[3], false),
    row("C", 0.76, 1.7, 12.011, 4, &[4], false),
    row("N", 0.71, 1.6, 14.007, 5, &[3], false),
    row("O", 0.66, 1.55, 15.999, 6, &[2], false),
    row("F", 0.57, 1.5, 18.998, 7, &[1], false),
    row("Ne", 0.58, 1.54, 20.18, 8, &[0], false),
    row("Na", 1.66, 2.4, 22.99, 1, &[1], true),
    row("Mg", 1.41, 2.2, 24.305, 2, &[2], true),
    row("Al", 1.21, 2.1, 26.982, 3, &[3], false),
    row("Si", 1.11, 2.1, 28.086, 4, &[4], false),
    row("P", 1.07, 1.95, 30.974, 5, &[3, 5], false),
    row("S", 1.05, 1.8, 32.067, 6, &[2, 4, 6], false),
    row("Cl", 1.02, 1.8, 35.453, 7, &[1], false),
    row("Ar", 1.06, 1.88, 39.948, 8, &[0], false),
    row("K", 2.03, 2.8, 39.098, 1, &[1], true),
    row("Ca", 1.76, 2.4, 40.078, 2, &[2], true),
    row("Sc", 1.7, 2.3, 44.956, 3, &[], true),
    row("Ti", 1.6, 2.15, 47.867, 4, &[], true),
    row("V", 1.52, 2.05, 50.944, 5, &[], true),
    row("Cr", 1.39, 2.05, 51.996, 6, &[], true),
    row("Mn", 1.39, 2.05, 54.938, 7, &[], true),
    row("Fe", 1.32, 2.05, 55.845, 8, &[], true),
    row("Co", 1.26, 2.0, 58.933, 9, &[], true),
    row("Ni", 1.24, 2.0, 58.693, 10, &[], true),
    row("Cu", 1.32, 2.0, 63.546, 11, &[], true),
    row("Zn", 1.22, 2.1, 65.39, 2, &[], true),
    row("Ga", 1.22, 2.1, 69.723, 3, &[3], false),
    row("Ge", 1.2, 2.1, 72.61, 4, &[4], false),
    row("As", 1.19, 2.05, 74.922, 5, &[3, 5], false),
    row("Se", 1.2, 1.9, 78.96, 6, &[2, 4, 6], false),
    row("Br", 1.2, 1.9, 79.904, 7, &[1], false),
    row("Kr", 1.16, 2.02, 83.8, 8, &[0], false),
    row("Rb", 2.2, 2.9, 85.468, 1, &[1], true),
    row("Sr", 1.95, 2.55, 87.62, 2, &[2], true),
    row("Y", 1.9, 2.4, 88.906, 3, &[], true),
    row("Zr", 1.75, 2.3, 91.224, 4, &[], true),
    row("Nb", 1.64, 2.15, 92.906, 5, &[], true),
    row("Mo", 1.54, 2.1, 95.94, 6, &[], true),
    row("Tc", 1.47, 2.05, 98.0, 7, &[], true),
    row("Ru", 1.46, 2.05, 101.07, 8, &[], true),
    row("Rh", 1.42, 2.0, 102.906, 9, &[], true),
    row("Pd", 1.39, 2.05, 106.42, 10, &[], true),
    row("Ag", 1.45, 2.1, 107.868, 11, &[], true),
    row("Cd", 1.44, 2.2, 112.412, 2, &[], true),
    row("In", 1.42, 2.2, 114.818, 3, &[3], false),
    row("Sn", 1.39, 2.25, 118.711, 4, &[2, 4], false),
    row("Sb", 1.39, 2.2, 121.76, 5, &[3, 5], false),
    row("Te", 1.38, 2.1, 127.6, 6, &[2, 4, 6], false),
    row("I", 1.39, 2.1, 126.904, 7, &[1, 3, 5], false),
    row("Xe", 1.4, 2.16, 131.29, 8, &[0, 2, 4, 6], false),
    row("Cs", 2.44, 3.0, 132.905, 1, &[1], false),
    row("Ba", 2.15, 2.7, 137.328, 2, &[2], true),
    row("La", 2.07, 2.5, 138.906, 3, &[], true),
    row("Ce", 2.04, 2.48, 140.116, 4, &[], true),
    row("Pr", 2.03, 2.47, 140.908, 3, &[], true),
    row("Nd", 2.01, 2.45, 144.24, 4, &[], true),
    row("Pm", 1.99, 2.43, 145.0, 5, &[], true),
    row("Sm", 1.98, 2.42, 150.36, 6, &[], true),
    row("Eu", 1.98, 2.4, 151.964, 7, &[], true),
    row("Gd", 1.96, 2.38, 157.25, 8, &[], true),
    row("Tb", 1.94, 2.37, 158.925, 9, &[], true),
    row("Dy", 1.92, 2.35, 162.5, 10, &[], true),
    row("Ho", 1.92, 2.33, 164.93, 11, &[], true),
    row("Er", 1.89, 2.32, 167.26, 12, &[], true),
    row("Tm", 1.9, 2.3, 168.934, 13, &[], true),
    row("Yb", 1.87, 2.28, 173.04, 14, &[], true),
    row("Lu", 1.87, 2.27, 174.967, 15, &[], true),
    row("Hf", 1.75, 2.25, 178.49, 4, &[], true),
    row("Ta", 1.7, 2.2, 180.948, 5, &[], true),
    row("W", 1.62, 2.1, 183.84, 6, &[], true),
    row("Re", 1.51, 2.05, 186.207, 7, &[], true),
    row("Os", 1.44, 2.0, 190.23, 8, &[], true),
    row("Ir", 1.41, 2.0, 192.217, 9, &[], true),
    row("Pt", 1.36, 2.05, 195.078, 10, &[], true),
    row("Au", 1.36, 2.1, 196.967, 11, &[], true),
    row("Hg", 1.32, 2.05, 200.59, 2, &[], true),
    row("Tl", 1.45, 2.2, 204.383, 3, &[], true),
    row("Pb", 1.46, 2.3, 207.2, 4, &[2, 4], false),
    row("Bi", 1.48, 2.3, 208.98, 5, &[3, 5], false),
    row("Po", 1.4, 2.0, 209.0, 6, &[2, 4, 6], false),
    row("At", 1.5, 2.0, 210.0, 7, &[1, 3, 5], false),
    row("Rn", 1.5, 2.0, 222.0, 8, &[0], false),
    row("Fr", 2.6, 2.0, 223.0, 1, &[1], false),
    row("Ra", 2.2, 2.0, 226.0, 2, &[2], true),
    row("Ac", 2.15, 2.0, 227.0, 3, &[], true),
    row("Th", 2.06, 2.4, 232.038, 4, &[], true),
    row("Pa", 2.0, 2.0, 231.036, 3, &[], true),
    row("U", 1.96, 2.3, 238.029, 4, &[], true),
    row("Np", 1.9, 2.0, 237.0, 5, &[], true),
    row("Pu", 1.87, 2.0, 244.0, 6, &[], true),
    row("Am", 1.8, 2.0, 243.0, 7, &[], true),
    row("Cm", 1.69, 2.0, 247.0, 8, &[], true),
    row("Bk", 1.9, 2.0, 247.0, 9, &[], true),
    row("Cf", 1.9, 2.0, 251.0, 10, &[], true),
    row("Es", 1.9, 2.0, 252.0, 11, &[], true),
    row("Fm", 1.9, 2.0, 257.0, 12, &[], true),
    row("Md", 1.9, 2.0, 258.0, 13, &[], true),
    row("No", 1.9, 2.0, 259.0, 14, &[], true),
    row("Lr", 1.9, 2.0, 262.0, 15, &[], true),
    row("Rf", 1.9, 2.0, 267.0, 2, &[], true),
    row("Db", 1.9, 2.0, 268.0, 2, &[], true),
    row("Sg", 1.9, 2.0, 269.0, 2, &[], true),
    row("Bh", 1.9, 2.0, 270.0, 2, &[], true),
    row("Hs", 1.9, 2.0, 269.0, 2, &[], true),
    row("Mt", 1.9, 2.0, 278.0, 2, &[], true),
    row("Ds", 1.9, 2.0, 281.0, 2, &[], true),
    row("Rg", 1.9, 2.0, 281.0, 2, &[], true),
    row("Cn", 1.9, 2.0, 285.0, 2, &[], true),
    row("Nh", 1.36, 2.0, 284.0, 2, &[], true),
    row("Fl", 1.43, 2.0, 289.0, 2, &[], true),
    row("Mc", 1.62, 2.0, 288.0, 2, &[], true),
    row("Lv", 1.75, 2.0, 293.0, 2, &[], true),
    row("Ts", 1.65, 2.0, 292.0, 2, &[], true),
    row("Og", 1.57, 2.0, 294.0, 2, &[], true),
];

const fn row(
    symbol: &'static str,
    covalent_radius: f64,
    van_der_waals_radius: f64,
    mass: f64,
    outer_electrons: u8,
    valences: &'static [u8],
    open: bool,
) -> Properties {
    Properties { symbol, covalent_radius, van_der_waals_radius, mass, outer_electrons, valences, open }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_round_trip() {
        for z in 0..=118 {
            assert_eq!(Element::from_symbol(Element(z).symbol()), Some(Element(z)));
        }
        assert_eq!(Element::from_symbol("cl"), None);
        assert_eq!(Element::from_symbol("D"), None);
        assert_eq!(Element(200).symbol(), "*");
    }

    #[test]
    fn a_few_rows() {
        assert_eq!(Element::C.covalent_radius(), 0.76);
        assert_eq!(Element::S.properties().valences, [2, 4, 6]);
        assert_eq!(Element::BR.default_valence(), Some(1));
        assert_eq!(Element(26).default_valence(), None);
        assert_eq!(Element(92).symbol(), "U");
    }
}
