//! In place of `factor.rs` on processors that products lay nothing out for.

use super::gemm::Place;

#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Left,
    Right,
}

/// There is none.
#[derive(Clone, Debug)]
pub(super) enum Factor {}

pub(super) enum Left<'a> {
    Laid(&'a Factor),
    Here(usize, &'a [f32], Place),
}

const NEVER: &str = "callers ask what suits them";

pub(super) fn suits(_: [usize; 3], _: usize) -> bool {
    false
}

pub(super) fn whole_lanes(lanes: usize) -> usize {
    lanes
}

pub(super) fn whole_terms(terms: usize) -> usize {
    terms
}

impl Factor {
    pub(super) fn empty(_: Side) -> Self {
        unreachable!("{NEVER}")
    }

    pub(super) fn begin(&mut self, _: usize, _: usize) {
        match *self {}
    }

    pub(super) fn put(&mut self, _: [usize; 2], _: usize, _: usize, _: &[f32], _: Place) {
        match *self {}
    }

    pub(super) fn fill(&mut self, _: usize, _: usize, _: &[f32], _: Place) {
        match *self {}
    }
}

pub(super) fn with_right<T>(_: impl FnOnce(&mut Factor) -> T) -> T {
    unreachable!("{NEVER}")
}

pub(super) fn product(_: Left<'_>, b: &Factor, _: f32, _: (&mut [f32], Place), _: bool, _: Option<&[f32]>) {
    match *b {}
}

pub(super) fn product_of_places(_: [usize; 3], _: f32, _: (&[f32], Place), _: (&[f32], Place), _: (&mut [f32], Place), _: bool) {
    unreachable!("{NEVER}")
}

/// There are no tiles to configure.
#[derive(Debug)]
pub(super) struct Configured;

impl Configured {
    pub(super) fn ahead() -> Option<Self> {
        None
    }
}
