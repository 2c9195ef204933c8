//! How exact large matrix products are on processors that multiply bfloat16 numbers.

use std::{cell::Cell, marker::PhantomData};

use serde::{Deserialize, Serialize};

/// Significant bits of the factors of matrix products on matrix tiles (`tiles`) and in vectors of pairs (`panels`); sums are of f32 always.
///
/// Processors without either, and small products, are exact to f32 whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// 24, as f32.
    #[default]
    #[serde(rename = "float32")]
    Full,
    /// 8, as in mixed-precision training (Micikevicius et al. 2018, arXiv:1710.03740; Kalamkar et al. 2019, arXiv:1905.12322): a sixth of the
    /// work on tiles, half of it in vectors.
    #[serde(rename = "bfloat16")]
    Bfloat16,
}

thread_local! {
    static CHOSEN: Cell<Precision> = const { Cell::new(Precision::Full) };
}

impl Precision {
    /// Bfloat16 numbers that a number is cut into.
    pub(super) const fn parts(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Bfloat16 => 1,
        }
    }

    /// That of the calling thread.
    pub(super) fn of_thread() -> Self {
        CHOSEN.get()
    }

    /// Computes at this precision on the calling thread until the result is dropped.
    #[must_use = "the precision ends with the result"]
    pub fn enter(self) -> Entered {
        Entered { before: CHOSEN.replace(self), of_thread: PhantomData }
    }
}

/// A thread that computes at a [`Precision`].
#[derive(Debug)]
pub struct Entered {
    before: Precision,
    of_thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CHOSEN.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_ends_where_it_is_left() {
        {
            let _outer = Precision::Bfloat16.enter();
            {
                let _inner = Precision::Full.enter();
                assert_eq!(Precision::of_thread(), Precision::Full);
            }
            assert_eq!(Precision::of_thread(), Precision::Bfloat16);
            assert_eq!(std::thread::spawn(Precision::of_thread).join().expect("it does not panic"), Precision::Full);
        }
        assert_eq!(Precision::of_thread(), Precision::Full);
    }
}
