//! The `[model]` table of a molecule config.

use langevin_core::{
    Param,
    loss::{TimeSampler, Weight},
    recipe::{Objective, Sampling},
    schedule::ScheduleSpec,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    model::{denovo::DenovoConfig, geodiff::GeoDiffConfig},
};

/// A molecule model by architecture; `kind` is the tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "a run has one")]
pub enum ModelConfig {
    /// Conformers of a molecule, with its stereochemistry.
    Conformer(ConformerConfig),
    /// GeoDiff, as published.
    Geodiff(GeoDiffConfig),
    /// New molecules as strings.
    Denovo(DenovoConfig),
}

impl ModelConfig {
    /// Refuses settings out of range and choices that do not go together.
    ///
    /// # Errors
    /// As the architecture's own check.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Conformer(config) => config.check(),
            Self::Geodiff(config) => config.check(),
            Self::Denovo(config) => config.check(),
        }
    }
}

/// Settings of the conformer model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConformerConfig {
    /// Width of an atom.
    pub width: usize,
    /// Heads of attention; also the number of sums of directions.
    pub heads: usize,
    /// Vectors of an atom; a multiple of `heads`.
    pub vectors: usize,
    /// Width of a pair.
    pub pair: usize,
    /// Width inside a block.
    pub hidden: usize,
    /// Width of the condition (noise level, level of theory) that modulates the blocks.
    pub condition: usize,
    /// Looks at positions: the noised ones, then the network's own estimates of them.
    pub rounds: usize,
    /// Blocks of a round.
    pub blocks: usize,
    /// Standard deviation of a coordinate, in angstrom.
    pub sigma_data: f64,
    /// Levels of theory that the network tells apart; the first is what is sampled when a request says nothing else.
    pub levels: Vec<String>,
    /// Shares of the training rows that come from each data set, in the order they are given; by their sizes when empty.
    pub shares: Vec<f64>,
    /// Share of training conformers drawn by Boltzmann weight; the others are drawn evenly.
    pub boltzmann: f64,
    /// Weight of the errors of distances of pairs at most three bonds apart.
    pub distances: f64,
    /// Weight of the errors of the rounds before the last.
    pub early: f64,
    /// How it is trained.
    pub objective: Objective,
    /// How it is sampled when a request says nothing else.
    pub sampling: Sampling,
}

impl Default for ConformerConfig {
    fn default() -> Self {
        let sigma_data = 2.0;
        Self {
            width: 128,
            heads: 8,
            vectors: 16,
            pair: 32,
            hidden: 256,
            condition: 64,
            rounds: 2,
            blocks: 3,
            sigma_data,
            levels: vec!["gfn2".to_owned(), "mmff".to_owned()],
            shares: Vec::new(),
            boltzmann: 0.5,
            distances: 0.5,
            early: 0.3,
            objective: Objective {
                schedule: ScheduleSpec::Edm { sigma_min: 0.002, sigma_max: 16.0 },
                param: Param::Edm { sigma_data },
                weight: Weight::Unit,
                times: TimeSampler::LogNormal { p_mean: -0.8, p_std: 1.4 },
                importance: None,
                learned_variance: None,
                learned_schedule: None,
            },
            sampling: Sampling::default(),
        }
    }
}

impl ConformerConfig {
    /// Refuses settings out of range and choices that do not go together.
    ///
    /// # Errors
    /// [`Error::Setting`] or what the core refuses.
    pub fn check(&self) -> Result<()> {
        let within = |name: &'static str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::Setting { name, reason: format!("should be {least} to {most}, but is {value}") })
        };
        within("width", self.width, 8, 4096)?;
        within("heads", self.heads, 1, 64)?;
        within("vectors", self.vectors, 1, 512)?;
        within("pair", self.pair, 4, 1024)?;
        within("hidden", self.hidden, 8, 16384)?;
        within("condition", self.condition, 4, 4096)?;
        within("rounds", self.rounds, 1, 8)?;
        within("blocks", self.blocks, 1, 64)?;
        within("levels", self.levels.len(), 1, 64)?;
        for (name, value) in [("width", self.width), ("vectors", self.vectors)] {
            if !value.is_multiple_of(self.heads) {
                return Err(Error::Setting { name, reason: format!("should be a multiple of heads = {}, but is {value}", self.heads) });
            }
        }
        let shares = [
            ("boltzmann", self.boltzmann, 1.0),
            ("distances", self.distances, 100.0),
            ("early", self.early, 100.0),
            ("sigma_data", self.sigma_data, 100.0),
        ];
        for (name, value, most) in shares {
            if !(0.0..=most).contains(&value) {
                return Err(Error::Setting { name, reason: format!("should be 0 to {most}, but is {value}") });
            }
        }
        if let Param::Edm { sigma_data } | Param::Consistency { sigma_data, .. } = self.objective.param
            && sigma_data != self.sigma_data
        {
            let reason = format!("param says sigma_data = {sigma_data}, but the model has {}", self.sigma_data);
            return Err(langevin_core::Error::Invalid { what: "objective", reason }.into());
        }
        if self.objective.learned_variance.is_some() || self.objective.learned_schedule.is_some() || self.objective.importance.is_some() {
            let reason = "a conformer model has no learned variance, learned schedule or importance sampling".to_owned();
            return Err(langevin_core::Error::Invalid { what: "objective", reason }.into());
        }
        self.objective.check()?;
        self.sampling.check()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let refused = |change: fn(&mut ConformerConfig)| {
            let mut config = ConformerConfig::default();
            assert!(config.check().is_ok());
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|c| c.heads = 7));
        assert!(refused(|c| c.vectors = 12));
        assert!(refused(|c| c.rounds = 0));
        assert!(refused(|c| c.levels.clear()));
        assert!(refused(|c| c.boltzmann = 1.5));
        assert!(refused(|c| c.sigma_data = 1.0));
        assert!(refused(|c| c.objective.learned_variance = Some(langevin_core::recipe::LearnedVariance::default())));
    }
}
