//! The last few evaluations of a multistep method, in a ring of registers.

use crate::{Plan, plan::Reg};

/// Ring of registers with the abscissa (half log-SNR, noise, time) of each value; number 0 is the newest.
#[derive(Debug)]
pub(super) struct History {
    regs: Vec<Reg>,
    /// Abscissas of all values pushed so far, oldest first.
    at: Vec<f64>,
}

impl History {
    /// A history of at most `size` values (at least 1).
    pub(super) fn new(plan: &mut Plan, size: usize) -> Self {
        Self { regs: (0..size.max(1)).map(|_| plan.reg()).collect(), at: Vec::new() }
    }

    /// Values that can be used: the newest, and those before it as far as their abscissas are finite (pure noise, at the start of
    /// a grid, lies at minus infinity and takes no part in a difference).
    pub(super) fn len(&self) -> usize {
        let finite = self.at.iter().rev().take(self.regs.len()).take_while(|at| at.is_finite()).count();
        finite.max(usize::from(!self.at.is_empty()))
    }

    /// Makes room for a new value and returns its register, to be written at once.
    pub(super) fn push(&mut self, at: f64) -> Reg {
        self.at.push(at);
        self.reg(0)
    }

    /// Register of the value pushed `back` pushes ago.
    pub(super) fn reg(&self, back: usize) -> Reg {
        self.regs[(self.at.len() - 1 - back) % self.regs.len()]
    }

    /// Abscissa of the value pushed `back` pushes ago.
    pub(super) fn at(&self, back: usize) -> f64 {
        self.at[self.at.len() - 1 - back]
    }

    /// Appends the terms of `phi_0 m + phi_1 m' h + phi_2 m'' h^2`, where the derivatives at the newest value are divided
    /// differences over the older ones, and zero weights ask for no older value (Lu et al. 2022 b, algorithm 2 and appendix B).
    pub(super) fn taylor(&self, [first, second, third]: [f64; 3], h: f64, terms: &mut Vec<(f64, Reg)>) {
        if second == 0.0 && third == 0.0 {
            terms.push((first, self.reg(0)));
            return;
        }
        let r0 = (self.at(0) - self.at(1)) / h;
        if third == 0.0 {
            let slope = second / r0;
            terms.extend([(first + slope, self.reg(0)), (-slope, self.reg(1))]);
            return;
        }
        let r1 = (self.at(1) - self.at(2)) / h;
        // slope = d0 + k (d0 - d1), curvature = (d0 - d1) / (r0 + r1), with d0 and d1 the newer and the older slope.
        let k = r0 / (r0 + r1);
        let older = second * k + third / (r0 + r1);
        let newer = second + older;
        terms.extend([(first + newer / r0, self.reg(0)), (-newer / r0 - older / r1, self.reg(1)), (older / r1, self.reg(2))]);
    }
}
