//! What can be wrong with a request to the core.

use crate::{Level, Param};

/// Errors of the core: every one is found before the first network evaluation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameterisation divides by zero at a level.
    #[error("{param:?} divides by zero at alpha = {}, sigma = {}; use `v`, `x0` or `flow` there, or end the grid earlier", at.alpha, at.sigma)]
    ParamAtLevel {
        /// The parameterisation.
        param: Param,
        /// The level it cannot express.
        at: Level,
    },
    /// A number outside its range.
    #[error("{name} should be {range}, but is {value}")]
    OutOfRange {
        /// Name of the setting.
        name: &'static str,
        /// Value found.
        value: f64,
        /// Range in words.
        range: &'static str,
    },
    /// A grid that a solver cannot walk.
    #[error("the grid is not walkable at node {node}: {reason}")]
    Grid {
        /// Index of the offending node.
        node: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A plan (from a file) that reads a register before it is written, or one that does not exist.
    #[error("operation {op} of the plan uses register {reg}, which holds nothing there")]
    Register {
        /// Index of the operation.
        op: usize,
        /// The register.
        reg: u16,
    },
    /// A name that is not in a list.
    #[error("there is no {kind} named '{name}'; known: {known}")]
    UnknownName {
        /// What kind of thing was asked for.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The names that exist, separated by commas.
        known: String,
    },
    /// Something whose parts do not fit together.
    #[error("invalid {what}: {reason}")]
    Invalid {
        /// What was given.
        what: &'static str,
        /// What is wrong with it, with its numbers.
        reason: String,
    },
}
