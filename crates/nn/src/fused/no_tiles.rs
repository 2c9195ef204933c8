//! In place of `tiles.rs` on processors that have none.

use super::gemm::Place;

/// To what numbers of channels are rounded up.
pub(super) const LANES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Left,
    Right,
}

#[derive(Clone, Debug)]
pub(super) struct Packed;

pub(super) fn available() -> bool {
    false
}

impl Packed {
    pub(super) const fn empty(_: Side) -> Self {
        Self
    }

    pub(super) fn begin(&mut self, _: usize, _: usize) {}

    pub(super) fn put(&mut self, _: [usize; 2], _: usize, _: usize, _: &[f32], _: Place) {
        unreachable!("callers ask whether tiles are available");
    }

    pub(super) fn fill_like(&mut self, _: &Self, _: usize, _: usize, _: &[f32], _: Place) {
        unreachable!("callers ask whether tiles are available");
    }

    pub(super) fn fill(&mut self, _: usize, _: usize, _: &[f32], _: Place) {
        unreachable!("callers ask whether tiles are available");
    }
}

pub(super) fn product(_: &Packed, _: &Packed, _: f32, _: &mut [f32], _: Place, _: bool, _: Option<&[f32]>) {
    unreachable!("callers ask whether tiles are available");
}

/// There are none to configure.
#[derive(Debug)]
pub(super) struct Configured;

impl Configured {
    pub(super) fn ahead() -> Option<Self> {
        None
    }
}
