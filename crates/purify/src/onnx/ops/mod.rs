//! Operators, one family a file. Each reads its attributes once, when a file is opened, and gives what then runs.

mod activation;
mod compare;
mod convolution;
mod elementwise;
mod index;
mod norm;
mod pool;
mod product;
mod recurrent;
mod reduce;
mod shape;
mod window;

use super::{
    node::{Kernel, Spec},
    value::Fit,
};

/// What reads a node's attributes.
type Compile = fn(&Spec<'_>) -> Fit<Kernel>;

/// Operators of one family.
type Family = &'static [(&'static str, Compile)];

const FAMILIES: [Family; 11] = [
    activation::OPERATORS,
    compare::OPERATORS,
    convolution::OPERATORS,
    elementwise::OPERATORS,
    index::OPERATORS,
    norm::OPERATORS,
    pool::OPERATORS,
    product::OPERATORS,
    recurrent::OPERATORS,
    reduce::OPERATORS,
    shape::OPERATORS,
];

/// What reads the attributes of an operator, if there is such an operator.
pub(super) fn find(name: &str) -> Option<Compile> {
    FAMILIES.iter().flat_map(|family| family.iter()).find(|(found, _)| *found == name).map(|(_, compile)| *compile)
}

/// Names of all operators, sorted.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<&str> = FAMILIES.iter().flat_map(|family| family.iter()).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.into_iter()
}
