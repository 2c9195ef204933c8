//! A sampling run written down: a list of evaluations, linear combinations and noise draws with f64 coefficients.
//!
//! A solver compiles a grid of levels to a [`Plan`]; a short interpreter runs it on any [`State`]. A plan can be printed,
//! counted, saved and compared with a textbook. Loops that are not linear in this sense (correctors whose step depends on a
//! norm, adaptive steps, RePaint jumps) are drivers of their own.

use std::{fmt::Write as _, ops::ControlFlow};

use serde::{Deserialize, Serialize};

use crate::{Denoiser, Error, Level, State, noise::NoiseSource};

/// A register of the interpreter; [`Plan::STATE`] is the state itself.
pub type Reg = u16;

/// One operation of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op", deny_unknown_fields)]
pub enum Op {
    /// `dst = E[x0 | src]` at a level: one network evaluation.
    Eval {
        /// Register written.
        dst: Reg,
        /// Register read.
        src: Reg,
        /// Level of `src`.
        at: Level,
        /// Position in the schedule.
        node: u32,
    },
    /// `dst ~ N(0, I)` at the address `(node, stream)`.
    Noise {
        /// Register written.
        dst: Reg,
        /// Position in the schedule.
        node: u32,
        /// Stream of the noise source.
        stream: u32,
    },
    /// `dst = sum c * r`.
    Lin {
        /// Register written; may be among the terms.
        dst: Reg,
        /// Coefficients and registers read.
        terms: Vec<(f64, Reg)>,
    },
    /// Forgets a register, so that its memory can be used again.
    Free {
        /// Register forgotten.
        reg: Reg,
    },
}

/// A list of operations that turns a noised state into a sample, both in register [`Plan::STATE`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The operations, in order.
    pub ops: Vec<Op>,
    /// Number of registers.
    pub regs: Reg,
}

/// What an observer sees after each network evaluation.
#[derive(Debug)]
pub struct Seen<'a, S> {
    /// Evaluations done so far.
    pub evaluations: usize,
    /// Evaluations of the whole plan.
    pub total: usize,
    /// Level of the evaluated state.
    pub at: Level,
    /// Position in the schedule.
    pub node: u32,
    /// The evaluated state.
    pub x: &'a S,
    /// Its estimate.
    pub x0: &'a S,
}

impl Plan {
    /// The register that holds the state before and after.
    pub const STATE: Reg = 0;

    /// An empty plan whose only register is the state.
    pub const fn new() -> Self {
        Self { ops: Vec::new(), regs: 1 }
    }

    /// A new register.
    pub fn reg(&mut self) -> Reg {
        self.regs += 1;
        self.regs - 1
    }

    /// Appends `dst = E[x0 | src]`.
    pub fn eval(&mut self, dst: Reg, src: Reg, at: Level, node: usize) {
        self.ops.push(Op::Eval { dst, src, at, node: node as u32 });
    }

    /// Appends `dst ~ N(0, I)`.
    pub fn noise(&mut self, dst: Reg, node: usize, stream: u32) {
        self.ops.push(Op::Noise { dst, node: node as u32, stream });
    }

    /// Appends `dst = sum c * r`; terms with a zero coefficient are dropped, unless all are.
    pub fn lin(&mut self, dst: Reg, terms: impl IntoIterator<Item = (f64, Reg)>) {
        let mut terms: Vec<_> = terms.into_iter().collect();
        if terms.iter().any(|t| t.0 != 0.0) {
            terms.retain(|t| t.0 != 0.0);
        }
        self.ops.push(Op::Lin { dst, terms });
    }

    /// Number of network evaluations.
    pub fn nfe(&self) -> usize {
        self.ops.iter().filter(|op| matches!(op, Op::Eval { .. })).count()
    }

    /// Refuses a plan that reads a register before it is written or has a coefficient that is not finite.
    ///
    /// Plans made by this crate's solvers pass; plans from files must be checked before they run.
    ///
    /// # Errors
    /// [`Error::Register`] for the first bad operation, [`Error::OutOfRange`] for a coefficient.
    pub fn check(&self) -> Result<(), Error> {
        let mut live = vec![false; usize::from(self.regs)];
        if let Some(state) = live.first_mut() {
            *state = true;
        }
        let read = |live: &[bool], op: usize, reg: Reg| {
            if live.get(usize::from(reg)) == Some(&true) { Ok(()) } else { Err(Error::Register { op, reg }) }
        };
        for (i, op) in self.ops.iter().enumerate() {
            let written = match op {
                Op::Eval { dst, src, .. } => {
                    read(&live, i, *src)?;
                    Some(dst)
                }
                Op::Noise { dst, .. } => {
                    read(&live, i, Self::STATE)?;
                    Some(dst)
                }
                Op::Lin { dst, terms } => {
                    if terms.is_empty() {
                        return Err(Error::Register { op: i, reg: *dst });
                    }
                    for (c, reg) in terms {
                        read(&live, i, *reg)?;
                        if !c.is_finite() {
                            return Err(Error::OutOfRange { name: "coefficient of a plan", value: *c, range: "finite" });
                        }
                    }
                    Some(dst)
                }
                Op::Free { reg } => {
                    read(&live, i, *reg)?;
                    live[usize::from(*reg)] = false;
                    None
                }
            };
            if let Some(&dst) = written {
                *live.get_mut(usize::from(dst)).ok_or(Error::Register { op: i, reg: dst })? = true;
            }
        }
        read(&live, self.ops.len(), Self::STATE)
    }

    /// Runs the plan: `x` at the first level in, a sample out.
    ///
    /// # Panics
    /// When [`Plan::check`] would have refused the plan.
    pub fn run<S: State>(&self, x: S, denoiser: &impl Denoiser<S>, noise: &dyn NoiseSource) -> S {
        match self.run_observed(x, denoiser, noise, |_| ControlFlow::Continue(())) {
            ControlFlow::Continue(sample) => sample,
            ControlFlow::Break(()) => unreachable!("the observer never breaks"),
        }
    }

    /// As [`Plan::run`], showing each evaluation to an observer that may stop the run (progress bars, traces, cancellation).
    ///
    /// # Panics
    /// When [`Plan::check`] would have refused the plan.
    pub fn run_observed<S: State>(
        &self,
        x: S,
        denoiser: &impl Denoiser<S>,
        noise: &dyn NoiseSource,
        mut observe: impl FnMut(Seen<'_, S>) -> ControlFlow<()>,
    ) -> ControlFlow<(), S> {
        const CHECKED: &str = "a checked plan writes a register before it reads it";
        let total = self.nfe();
        let mut evaluations = 0;
        let mut regs: Vec<Option<S>> = vec![None; usize::from(self.regs)];
        regs[0] = Some(x);
        for op in &self.ops {
            let (dst, value) = match op {
                Op::Eval { dst, src, at, node } => {
                    let x = regs[usize::from(*src)].as_ref().expect(CHECKED);
                    let x0 = denoiser.denoise(x, *at, *node);
                    evaluations += 1;
                    observe(Seen { evaluations, total, at: *at, node: *node, x, x0: &x0 })?;
                    (dst, Some(x0))
                }
                Op::Noise { dst, node, stream } => (dst, Some(regs[0].as_ref().expect(CHECKED).noise_like(noise, *node, *stream))),
                Op::Lin { dst, terms } => {
                    let terms: Vec<(f64, &S)> =
                        terms.iter().map(|(c, reg)| (*c, regs[usize::from(*reg)].as_ref().expect(CHECKED))).collect();
                    (dst, Some(S::lincomb(&terms)))
                }
                Op::Free { reg } => (reg, None),
            };
            regs[usize::from(*dst)] = value;
        }
        ControlFlow::Continue(regs[0].take().expect(CHECKED))
    }

    /// The plan as text, one operation a line, and its cost in the last line.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        let name = |reg: Reg| if reg == Self::STATE { "x".to_owned() } else { format!("r{reg}") };
        for op in &self.ops {
            let line = match op {
                Op::Eval { dst, src, at, node } => {
                    format!("{} = D({}; alpha {:.6}, sigma {:.6})  node {node}", name(*dst), name(*src), at.alpha, at.sigma)
                }
                Op::Noise { dst, node, stream } => format!("{} = noise(node {node}, stream {stream})", name(*dst)),
                Op::Lin { dst, terms } => {
                    let sum: Vec<String> = terms.iter().map(|(c, reg)| format!("{c:+.9} {}", name(*reg))).collect();
                    format!("{} = {}", name(*dst), sum.join(" "))
                }
                Op::Free { reg } => format!("free {}", name(*reg)),
            };
            text.push_str(&line);
            text.push('\n');
        }
        let noises = self.ops.iter().filter(|op| matches!(op, Op::Noise { .. })).count();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} network evaluations, {noises} noise draws, {} registers", self.nfe(), self.regs);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Philox;

    struct Half;

    impl Denoiser<Vec<f64>> for Half {
        fn denoise(&self, x: &Vec<f64>, _: Level, _: u32) -> Vec<f64> {
            x.iter().map(|v| v * 0.5).collect()
        }
    }

    fn two_steps() -> Plan {
        let mut plan = Plan::new();
        let d = plan.reg();
        for node in 0..2 {
            plan.eval(d, Plan::STATE, Level::ve(1.0), node);
            plan.lin(Plan::STATE, [(2.0, Plan::STATE), (1.0, d)]);
        }
        plan
    }

    #[test]
    fn interprets_by_hand() {
        // x -> 2x + x/2 twice.
        assert_eq!(two_steps().run(vec![4.0], &Half, &Philox::new(0)), vec![25.0]);
        assert_eq!(two_steps().nfe(), 2);
    }

    #[test]
    fn an_observer_can_stop() {
        let mut seen = Vec::new();
        let stopped = two_steps().run_observed(vec![4.0], &Half, &Philox::new(0), |s| {
            seen.push((s.evaluations, s.total, s.x0[0]));
            ControlFlow::Break(())
        });
        assert!(stopped.is_break());
        assert_eq!(seen, [(1, 2, 2.0)]);
    }

    #[test]
    fn checks_registers_and_coefficients() {
        assert_eq!(two_steps().check(), Ok(()));
        let reads_unwritten = Plan { ops: vec![Op::Lin { dst: 0, terms: vec![(1.0, 1)] }], regs: 2 };
        assert_eq!(reads_unwritten.check(), Err(Error::Register { op: 0, reg: 1 }));
        let outside = Plan { ops: vec![Op::Noise { dst: 7, node: 0, stream: 0 }], regs: 2 };
        assert!(outside.check().is_err());
        let freed = Plan { ops: vec![Op::Free { reg: 0 }], regs: 1 };
        assert!(freed.check().is_err());
        let nan = Plan { ops: vec![Op::Lin { dst: 0, terms: vec![(f64::NAN, 0)] }], regs: 1 };
        assert!(nan.check().is_err());
        assert!(Plan { ops: vec![], regs: 0 }.check().is_err());
    }

    #[test]
    fn explains_each_operation_and_the_cost() {
        let text = two_steps().explain();
        assert_eq!(text.lines().count(), 5);
        assert!(text.ends_with("2 network evaluations, 0 noise draws, 2 registers\n"), "{text}");
    }
}
