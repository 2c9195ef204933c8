//! The list of all solvers.

use serde::{Deserialize, Serialize};

use super::{
    Bh, Consistency, Coordinates, Ddim, Ddpm, Deis, Dpm2, DpmPp, DpmPp2S, DpmPpSingle, Edm, Euler, EulerAncestral, Form, Heun, Lms, Pndm,
    Sa, Smooth, UniPc, Variance, Walk, check_unit, ddpm::missing_moments,
};
use crate::{Error, Level, Plan, variance::ScoreMoments};

/// Any solver, as a config names it: a `kind` and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Solver {
    /// Ancestral sampling of DDPM.
    Ddpm(Ddpm),
    /// DDIM.
    Ddim(Ddim),
    /// Euler's method.
    Euler(Euler),
    /// Euler's method with ancestral noise.
    EulerAncestral(EulerAncestral),
    /// Heun's method.
    Heun(Heun),
    /// Midpoint method, ODE and ancestral.
    Dpm2(Dpm2),
    /// The stochastic sampler of EDM.
    Edm(Edm),
    /// Multistep DPM-Solver and DPM-Solver++, ODE and SDE.
    Dpmpp(DpmPp),
    /// DPM-Solver++(2S) with its own midpoints.
    Dpmpp2s(DpmPp2S),
    /// Singlestep DPM-Solver++ on the nodes of the grid.
    DpmppSingle(DpmPpSingle),
    /// UniPC.
    Unipc(UniPc),
    /// DEIS.
    Deis(Deis),
    /// Linear multistep.
    Lms(Lms),
    /// PNDM and PLMS.
    Pndm(Pndm),
    /// SA-Solver.
    Sa(Sa),
    /// Multistep consistency sampling.
    Consistency(Consistency),
}

impl Solver {
    /// Every short name with the solver it stands for.
    pub fn named() -> Vec<(&'static str, Self)> {
        let dpmpp = |order, smooth, sde| Self::Dpmpp(DpmPp { order, smooth, sde, ..DpmPp::default() });
        let single = |order| Self::DpmppSingle(DpmPpSingle { order, ..DpmPpSingle::default() });
        let unipc = |order, bh| Self::Unipc(UniPc { order, bh, ..UniPc::default() });
        let deis = |order| Self::Deis(Deis { order, ..Deis::default() });
        vec![
            ("ddpm", Self::Ddpm(Ddpm::default())),
            ("ddpm-large", Self::Ddpm(Ddpm { variance: Variance::Large })),
            ("ddpm-analytic", Self::Ddpm(Ddpm { variance: Variance::Analytic })),
            ("ddim", Self::Ddim(Ddim::default())),
            ("ddim-analytic", Self::Ddim(Ddim { analytic: true, ..Ddim::default() })),
            ("euler", Self::Euler(Euler {})),
            ("euler-a", Self::EulerAncestral(EulerAncestral::default())),
            ("heun", Self::Heun(Heun::default())),
            ("flow-heun", Self::Heun(Heun { coordinates: Coordinates::Flow })),
            ("dpmpp1m", dpmpp(1, Smooth::X0, false)),
            ("dpmpp2m", dpmpp(2, Smooth::X0, false)),
            ("dpmpp2m-heun", Self::Dpmpp(DpmPp { form: Form::Heun, ..DpmPp::default() })),
            ("dpmpp3m", dpmpp(3, Smooth::X0, false)),
            ("sde-dpmpp1m", dpmpp(1, Smooth::X0, true)),
            ("sde-dpmpp2m", dpmpp(2, Smooth::X0, true)),
            ("sde-dpmpp3m", dpmpp(3, Smooth::X0, true)),
            ("dpm1m", dpmpp(1, Smooth::Eps, false)),
            ("dpm2m", dpmpp(2, Smooth::Eps, false)),
            ("dpm3m", dpmpp(3, Smooth::Eps, false)),
            ("sde-dpm1m", dpmpp(1, Smooth::Eps, true)),
            ("sde-dpm2m", dpmpp(2, Smooth::Eps, true)),
            ("dpmpp2s", Self::Dpmpp2s(DpmPp2S {})),
            ("dpmpp-single2", single(2)),
            ("dpmpp-single3", single(3)),
            ("dpm2", Self::Dpm2(Dpm2 { eta: 0.0 })),
            ("dpm2-a", Self::Dpm2(Dpm2 { eta: 1.0 })),
            ("edm", Self::Edm(Edm { s_churn: 40.0, s_min: 0.05, s_max: Some(50.0), s_noise: 1.003, second_order: true })),
            ("unipc1", unipc(1, Bh::Bh2)),
            ("unipc2", unipc(2, Bh::Bh2)),
            ("unipc3", unipc(3, Bh::Bh2)),
            ("unipc2-bh1", unipc(2, Bh::Bh1)),
            ("unipc3-bh1", unipc(3, Bh::Bh1)),
            ("deis1", deis(1)),
            ("deis2", deis(2)),
            ("deis3", deis(3)),
            ("lms", Self::Lms(Lms::default())),
            ("plms", Self::Pndm(Pndm { runge_kutta: false })),
            ("pndm", Self::Pndm(Pndm { runge_kutta: true })),
            ("sa", Self::Sa(Sa::default())),
            ("consistency", Self::Consistency(Consistency::default())),
        ]
    }

    /// The solver of a short name, with its default settings; case, `-` and `_` do not matter, and `sde-dpmpp2m` may be written
    /// `dpmpp2m-sde`.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the names there are.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        let fold = |s: &str| s.to_lowercase().replace(['-', '_', ' '], "").replace("++", "pp");
        let wanted = fold(name);
        let swapped = wanted.strip_suffix("sde").map(|rest| format!("sde{rest}"));
        let named = Self::named();
        let found = named.iter().find(|(known, _)| fold(known) == wanted || swapped.as_deref() == Some(&fold(known)));
        found.map(|(_, solver)| *solver).ok_or_else(|| Error::UnknownName {
            kind: "solver",
            name: name.to_owned(),
            known: named.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", "),
        })
    }

    /// Whether the solver's variance comes from the [`ScoreMoments`] of a checkpoint, so that it is compiled by [`Solver::plan_with`].
    pub fn needs_moments(&self) -> bool {
        matches!(self, Self::Ddpm(Ddpm { variance: Variance::Analytic }) | Self::Ddim(Ddim { analytic: true, .. }))
    }

    /// [`Solver::plan_with`] for a checkpoint without score moments.
    ///
    /// # Errors
    /// As there.
    pub fn plan(&self, nodes: &[Level]) -> Result<Plan, Error> {
        self.plan_with(nodes, None)
    }

    /// Compiles the solver for a grid; nodes go from most noise to least, the last may be clean.
    ///
    /// Steps into clean data are of order 1 for every method that would divide by the noise there. Cost: the plan of 1000 steps takes well under a millisecond.
    ///
    /// # Errors
    /// [`Error::Grid`] for a grid that cannot be walked (fewer than two nodes, noise that does not fall, a level that is not
    /// finite, `alpha = 0` where the solver divides by it), [`Error::OutOfRange`] for a setting, [`Error::Invalid`] for a solver that
    /// [needs moments](Solver::needs_moments) where there are none or they are empty.
    pub fn plan_with(&self, nodes: &[Level], moments: Option<&ScoreMoments>) -> Result<Plan, Error> {
        let walk = Walk::new(nodes)?;
        self.check()?;
        if nodes[0].alpha == 0.0 && self.divides_by_alpha() {
            return Err(Error::Grid { node: 0, reason: "this solver divides by alpha; start at alpha > 0" });
        }
        if self.needs_moments() && moments.is_none_or(|m| !m.is_complete()) {
            return Err(missing_moments());
        }
        let plan = match *self {
            Self::Ddpm(s) => s.compile(walk, moments)?,
            Self::Ddim(s) => s.compile(walk, moments)?,
            Self::Euler(s) => s.compile(walk)?,
            Self::EulerAncestral(s) => s.compile(walk),
            Self::Heun(s) => s.compile(walk),
            Self::Dpm2(s) => s.compile(walk),
            Self::Edm(s) => s.compile(walk),
            Self::Dpmpp(s) => s.compile(walk),
            Self::Dpmpp2s(s) => s.compile(walk),
            Self::DpmppSingle(s) => s.compile(walk),
            Self::Unipc(s) => s.compile(walk),
            Self::Deis(s) => s.compile(walk),
            Self::Lms(s) => s.compile(walk),
            Self::Pndm(s) => {
                s.check(walk)?;
                s.compile(walk)
            }
            Self::Sa(s) => s.compile(walk),
            Self::Consistency(s) => s.compile(walk),
        };
        plan.check()?;
        Ok(plan)
    }

    /// Refuses settings outside their range.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] names the setting.
    pub fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Ddpm(_) | Self::Euler(_) | Self::Heun(_) | Self::Dpmpp2s(_) | Self::Pndm(_) => Ok(()),
            Self::Ddim(Ddim { eta, .. }) | Self::EulerAncestral(EulerAncestral { eta }) | Self::Dpm2(Dpm2 { eta }) => {
                check_unit("eta", eta)
            }
            Self::Edm(s) => s.check(),
            Self::Dpmpp(s) => s.check(),
            Self::DpmppSingle(s) => s.check(),
            Self::Unipc(s) => s.check(),
            Self::Deis(s) => s.check(),
            Self::Lms(s) => s.check(),
            Self::Sa(s) => s.check(),
            Self::Consistency(s) => s.check(),
        }
    }

    /// Whether the solver adds noise on the way.
    pub fn is_stochastic(&self) -> bool {
        match *self {
            Self::Ddpm(_) | Self::Consistency(_) => true,
            Self::Ddim(Ddim { eta, analytic }) => eta > 0.0 || analytic,
            Self::EulerAncestral(EulerAncestral { eta }) | Self::Dpm2(Dpm2 { eta }) => eta > 0.0,
            Self::Edm(s) => s.s_churn > 0.0,
            Self::Dpmpp(s) => s.sde,
            Self::DpmppSingle(s) => s.sde,
            Self::Sa(s) => s.tau > 0.0,
            Self::Euler(_) | Self::Heun(_) | Self::Dpmpp2s(_) | Self::Unipc(_) => false,
            Self::Deis(_) | Self::Lms(_) | Self::Pndm(_) => false,
        }
    }

    fn divides_by_alpha(&self) -> bool {
        match *self {
            // The best variance of a step out of pure noise is a moment of the data that the score there does not hold.
            Self::Ddpm(_) | Self::Ddim(_) => self.needs_moments(),
            Self::Euler(_) | Self::Sa(_) | Self::Consistency(_) => false,
            Self::Heun(s) => s.coordinates == Coordinates::Exploding,
            Self::Dpmpp(s) => s.divides_by_alpha(),
            Self::DpmppSingle(s) => s.divides_by_alpha(),
            Self::Unipc(s) => s.divides_by_alpha(),
            Self::EulerAncestral(_) | Self::Dpm2(_) | Self::Edm(_) | Self::Dpmpp2s(_) => true,
            Self::Deis(_) | Self::Lms(_) | Self::Pndm(_) => true,
        }
    }
}

impl std::str::FromStr for Solver {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::from_name(name)
    }
}
