//! Solvers: functions from a grid of levels to a [`Plan`]. One file, one idea.
//!
//! Nodes go from most noise to least; the last may be clean. Noise of a step is keyed on the node it leaves, so two solvers on one
//! grid share their noise.

mod between;
mod consistency;
mod ddim;
mod ddpm;
mod deis;
mod dpm2;
mod dpmpp;
mod edm;
mod euler;
mod heun;
mod history;
mod kernel;
mod lagrange;
mod lms;
mod pndm;
mod registry;
mod sa;
mod single;
mod unipc;

pub use consistency::Consistency;
pub use ddim::Ddim;
pub use ddpm::{Ddpm, Variance};
pub use deis::Deis;
pub use dpm2::Dpm2;
pub(crate) use dpmpp::SHORT;
pub use dpmpp::{DpmPp, Form, Smooth};
pub use edm::Edm;
pub use euler::{Euler, EulerAncestral};
pub use heun::{Coordinates, Heun};
pub use kernel::Reverse;
pub use lms::Lms;
pub use pndm::Pndm;
pub use registry::Solver;
pub use sa::Sa;
pub use single::{DpmPp2S, DpmPpSingle};
pub use unipc::{Bh, UniPc};

pub(crate) use between::level_between;

use crate::{Error, Level};

/// A grid that was checked: valid levels, each with less noise than the one before.
#[derive(Clone, Copy, Debug)]
struct Walk<'a> {
    nodes: &'a [Level],
}

impl<'a> Walk<'a> {
    /// Checks a grid.
    fn new(nodes: &'a [Level]) -> Result<Self, Error> {
        if nodes.len() < 2 {
            return Err(Error::Grid { node: nodes.len(), reason: "a grid needs at least two nodes" });
        }
        for (node, at) in nodes.iter().enumerate() {
            if !at.is_valid() {
                return Err(Error::Grid { node, reason: "alpha and sigma must be finite, not negative, and not both zero" });
            }
            // alpha/sigma orders levels also where alpha is 0.
            if node > 0 && at.sigma * nodes[node - 1].alpha >= nodes[node - 1].sigma * at.alpha {
                return Err(Error::Grid { node, reason: "noise (sigma / alpha) must fall from each node to the next" });
            }
        }
        Ok(Self { nodes })
    }

    /// The noisiest level.
    fn first(self) -> Level {
        self.nodes[0]
    }

    /// A node.
    fn at(self, node: usize) -> Level {
        self.nodes[node]
    }

    /// Number of steps.
    fn len(self) -> usize {
        self.nodes.len() - 1
    }

    /// The steps: number, level left, level reached.
    fn steps(self) -> impl Iterator<Item = (usize, Level, Level)> + 'a {
        self.nodes.windows(2).enumerate().map(|(i, pair)| (i, pair[0], pair[1]))
    }
}

/// Refuses a grid that no solver can walk.
pub(crate) fn check_nodes(nodes: &[Level]) -> Result<(), Error> {
    Walk::new(nodes).map(|_| ())
}

/// Refuses an order outside `1..=most`.
fn check_order(order: u8, most: u8) -> Result<(), Error> {
    if (1..=most).contains(&order) {
        return Ok(());
    }
    let range = match most {
        2 => "1 or 2",
        3 => "1, 2 or 3",
        _ => "1, 2, 3 or 4",
    };
    Err(Error::OutOfRange { name: "order of the solver", value: f64::from(order), range })
}

/// Refuses a setting outside `0..=1`.
pub(crate) fn check_unit(name: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(Error::OutOfRange { name, value, range: "between 0 and 1" }) }
}
