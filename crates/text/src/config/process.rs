//! The noise process of a text model: masking in continuous time, or a chain of classes with any of D3PM's kernels and schedules.

use std::str::FromStr;

use langevin_core::process::categorical::{CategoricalLoss, Chain, Form, exponents_for_information, kernel, schedule};
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::{Corpus, Error, Result, error::within};

/// The noise process of a text model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "a config has one")]
pub enum ProcessSpec {
    /// Tokens are hidden one after the other in a random order: D3PM's absorbing process in continuous time, whose bound needs no time,
    /// only the number of hidden tokens (Austin et al. 2021; Ou et al. 2024, arXiv:2406.03736).
    Masking {},
    /// A process of so many steps between classes (Austin et al. 2021, arXiv:2107.03006), always over the whole context.
    Chain(ChainSpec),
}

/// A process of so many steps between classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChainSpec {
    /// Which classes become which.
    pub kernel: KernelSpec,
    /// How fast.
    pub schedule: RateSpec,
    /// Steps `T`.
    pub steps: usize,
    /// How an estimate makes a reverse step.
    pub reverse: ReverseSpec,
    /// What is minimised.
    pub loss: CategoricalLoss,
}

/// How an estimate of the clean token makes a reverse step; `bayes` or `d3pm` as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReverseSpec {
    /// `sum_x0 q(x_{t-1} | x_t, x0) p(x0 | x_t)`, exact where the estimate is.
    #[default]
    Bayes,
    /// The official code's product, which is not.
    D3pm,
}

/// Which classes become which (Austin et al. 2021, appendix A.2); `uniform`, `absorbing`, `gaussian`, `band:W`, `mask-and-replace:GAMMA` or
/// `nearest:K` as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KernelSpec {
    /// Any class, evenly: a lazy random walk.
    Uniform {},
    /// The hidden class, which stays.
    Absorbing {},
    /// The hidden class with probability `gamma` times the rate, else any class.
    MaskAndReplace {
        /// Share of hiding, 0 to 1.
        gamma: f64,
    },
    /// Classes near in number, by a discretised normal distribution.
    Gaussian {},
    /// Classes at most `width` away in number.
    Band {
        /// Largest distance.
        width: usize,
    },
    /// Classes that stand beside the same classes in the training corpus.
    Nearest {
        /// Neighbours of a class.
        neighbours: usize,
        /// The neighbours; filled in from the training corpus when empty.
        #[serde(default)]
        graph: Vec<Vec<usize>>,
    },
}

/// How fast tokens are noised; `linear:START:END`, `cosine`, `cosine-squared`, `inverse-time`, `constant:BETA` or `mutual-information` as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RateSpec {
    /// From `start` to `end`, evenly.
    Linear {
        /// First rate.
        start: f64,
        /// Last rate.
        end: f64,
    },
    /// A cosine that is 0 at the end (Hoogeboom et al. 2021).
    Cosine {},
    /// Its square (Nichol & Dhariwal 2021).
    CosineSquared {},
    /// `1 / (T - t + 1)`: as many tokens in every step.
    InverseTime {},
    /// One rate.
    Constant {
        /// The rate.
        beta: f64,
    },
    /// As much information about the clean token lost in every step (Austin et al. 2021, section 3.1), for kernels that are walks in
    /// continuous time: `uniform`, `absorbing`, `nearest`.
    MutualInformation {
        /// Share of each class in the training corpus; filled in from it when empty.
        #[serde(default)]
        frequencies: Vec<f64>,
    },
}

/// Information that a schedule by mutual information leaves at the end, so that the walk needs no infinite time.
const LEFT: f64 = 1e-4;

impl Default for ProcessSpec {
    fn default() -> Self {
        Self::Masking {}
    }
}

impl Default for ChainSpec {
    fn default() -> Self {
        Self {
            kernel: KernelSpec::Uniform {},
            schedule: RateSpec::Cosine {},
            steps: 256,
            reverse: ReverseSpec::Bayes,
            loss: CategoricalLoss::default(),
        }
    }
}

impl ProcessSpec {
    /// The process with what it learns from the training corpus, of `classes` classes.
    pub fn learned(self, corpus: &Corpus, classes: usize) -> Result<Self> {
        let Self::Chain(mut spec) = self else { return Ok(self) };
        if let KernelSpec::Nearest { neighbours, graph } = &mut spec.kernel
            && graph.is_empty()
        {
            *graph = kernel::nearest(&contexts(corpus, classes), *neighbours)?;
        }
        if let RateSpec::MutualInformation { frequencies } = &mut spec.schedule
            && frequencies.is_empty()
        {
            let mut counts = vec![0.0; classes];
            corpus.tokens().iter().for_each(|&token| counts[usize::from(token)] += 1.0);
            *frequencies = counts.into_iter().map(|count: f64| count / corpus.tokens().len().max(1) as f64).collect();
        }
        Ok(Self::Chain(spec))
    }

    /// The chain over `classes` classes of data and the hidden one; none for masking, and none before a spec has [learned](Self::learned).
    ///
    /// # Errors
    /// For rates, kernels and steps that make no chain.
    pub fn chain(&self, classes: usize) -> Result<Option<Chain>> {
        match self {
            Self::Masking {} => Ok(None),
            Self::Chain(spec) => spec.chain(classes),
        }
    }
}

impl ChainSpec {
    fn chain(&self, classes: usize) -> Result<Option<Chain>> {
        within("steps", self.steps, 1, 4000)?;
        self.loss.check()?;
        if let KernelSpec::MaskAndReplace { gamma } = self.kernel
            && !(0.0..=1.0).contains(&gamma)
        {
            return Err(Error::Setting { name: "gamma", reason: format!("should be 0 to 1, but is {gamma}") });
        }
        let unlearned = matches!(&self.kernel, KernelSpec::Nearest { graph, .. } if graph.is_empty())
            || matches!(&self.schedule, RateSpec::MutualInformation { frequencies } if frequencies.is_empty());
        if unlearned {
            return Ok(None);
        }
        let form = if self.reverse == ReverseSpec::Bayes { Form::Mixture } else { Form::Product };
        Ok(Some(Chain::new(self.matrices(classes)?, form)?))
    }

    fn matrices(&self, classes: usize) -> Result<Vec<DMatrix<f64>>> {
        let steps = self.steps;
        let rates = match &self.schedule {
            RateSpec::Linear { start, end } => schedule::linear(*start, *end, steps),
            RateSpec::Cosine {} => schedule::cosine(0.008, 0.999, steps),
            RateSpec::CosineSquared {} => schedule::cosine_squared(0.008, 0.999, steps),
            RateSpec::InverseTime {} => schedule::inverse_time(steps),
            RateSpec::Constant { beta } => schedule::constant(*beta, steps),
            RateSpec::MutualInformation { frequencies } => return self.even_information(classes, frequencies),
        };
        if let Some(rate) = rates.iter().find(|rate| !(0.0..=1.0).contains(*rate)) {
            return Err(Error::Setting { name: "schedule", reason: format!("should give rates of 0 to 1, but gives {rate}") });
        }
        let all = classes + 1;
        let of = |rate: f64| -> Result<DMatrix<f64>> {
            Ok(match &self.kernel {
                KernelSpec::Uniform {} => with_hidden(&kernel::uniform(classes, rate)),
                KernelSpec::Absorbing {} => kernel::absorbing(all, classes, rate),
                KernelSpec::MaskAndReplace { gamma } => kernel::mask_and_replace(all, classes, gamma * rate, (1.0 - gamma) * rate),
                KernelSpec::Gaussian {} => with_hidden(&kernel::gaussian(classes, rate.max(1e-6))),
                KernelSpec::Band { width } => with_hidden(&kernel::band(classes, *width, rate)),
                // A walk that is over with the probability of the rate: `exp(time R)` with `exp(-time)` left.
                KernelSpec::Nearest { graph, .. } => {
                    with_hidden(&kernel::diffuse(&kernel::walk_rates(graph)?, -(1.0 - rate).max(1e-3).ln()))
                }
            })
        };
        rates.into_iter().map(of).collect()
    }

    fn even_information(&self, classes: usize, frequencies: &[f64]) -> Result<Vec<DMatrix<f64>>> {
        let unit = |kernel: DMatrix<f64>| {
            let size = kernel.nrows();
            kernel - DMatrix::identity(size, size)
        };
        let (rates, has_hidden) = match &self.kernel {
            KernelSpec::Uniform {} => (unit(kernel::uniform(classes, 1.0)), false),
            KernelSpec::Absorbing {} => (unit(kernel::absorbing(classes + 1, classes, 1.0)), true),
            KernelSpec::Nearest { graph, .. } => (kernel::walk_rates(graph)?, false),
            _ => {
                let reason = "mutual-information goes with the kernels uniform, absorbing and nearest".to_owned();
                return Err(Error::Setting { name: "schedule", reason });
            }
        };
        let mut initial = frequencies.to_vec();
        initial.resize(classes + usize::from(has_hidden), 0.0);
        let shares: Vec<f64> = (1..=self.steps).map(|t| t as f64 / self.steps as f64 * (1.0 - LEFT)).collect();
        let times = exponents_for_information(&rates, &initial, &shares)?;
        let before = std::iter::once(0.0).chain(times.iter().copied());
        let steps = times.iter().zip(before).map(|(time, before)| {
            let step = kernel::diffuse(&rates, time - before);
            if has_hidden { step } else { with_hidden(&step) }
        });
        Ok(steps.collect())
    }
}

/// A kernel over the classes of data that leaves the hidden class alone.
fn with_hidden(data: &DMatrix<f64>) -> DMatrix<f64> {
    let mut all = DMatrix::identity(data.nrows() + 1, data.ncols() + 1);
    all.view_mut((0, 0), data.shape()).copy_from(data);
    all
}

/// What stands before and after each class, as vectors whose inner product is the overlap of these distributions (Bhattacharyya 1943).
fn contexts(corpus: &Corpus, classes: usize) -> Vec<Vec<f64>> {
    let mut counts = vec![vec![0.0f64; 2 * classes]; classes];
    for pair in corpus.tokens().windows(2) {
        let [a, b] = [pair[0], pair[1]].map(usize::from);
        counts[a][classes + b] += 1.0;
        counts[b][a] += 1.0;
    }
    for row in &mut counts {
        for half in row.chunks_mut(classes) {
            let total: f64 = half.iter().sum();
            half.iter_mut().for_each(|count| *count = (*count / total.max(1.0)).sqrt());
        }
    }
    counts
}

impl FromStr for KernelSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let reason = format!(
                "should be uniform, absorbing, gaussian, band:WIDTH, mask-and-replace:GAMMA or nearest:NEIGHBOURS, but is '{text}'"
            );
            Error::Setting { name: "kernel", reason }
        };
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("uniform", None) => Ok(Self::Uniform {}),
            ("absorbing", None) => Ok(Self::Absorbing {}),
            ("gaussian", None) => Ok(Self::Gaussian {}),
            ("band", Some(width)) => Ok(Self::Band { width: width.parse().map_err(|_| wrong())? }),
            ("mask-and-replace", Some(gamma)) => Ok(Self::MaskAndReplace { gamma: gamma.parse().map_err(|_| wrong())? }),
            ("nearest", Some(count)) => Ok(Self::Nearest { neighbours: count.parse().map_err(|_| wrong())?, graph: Vec::new() }),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for RateSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let reason = format!(
                "should be linear:START:END, cosine, cosine-squared, inverse-time, constant:BETA or mutual-information, but is '{text}'"
            );
            Error::Setting { name: "schedule", reason }
        };
        let parts: Vec<&str> = text.split(':').collect();
        let number = |text: &str| text.parse().map_err(|_| wrong());
        match parts[..] {
            ["linear", start, end] => Ok(Self::Linear { start: number(start)?, end: number(end)? }),
            ["cosine"] => Ok(Self::Cosine {}),
            ["cosine-squared"] => Ok(Self::CosineSquared {}),
            ["inverse-time"] => Ok(Self::InverseTime {}),
            ["constant", beta] => Ok(Self::Constant { beta: number(beta)? }),
            ["mutual-information"] => Ok(Self::MutualInformation { frequencies: Vec::new() }),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for ReverseSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bayes" => Ok(Self::Bayes),
            "d3pm" => Ok(Self::D3pm),
            _ => Err(Error::Setting { name: "reverse", reason: format!("should be bayes or d3pm, but is '{text}'") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use langevin_core::process::categorical::information_removed;

    use super::*;
    use crate::{Tokenizer, TokenizerSpec};

    fn corpus() -> Corpus {
        Corpus::from_text(
            &"the cat sat on the mat and the dog sat on the log ".repeat(20),
            &Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn every_kernel_goes_with_every_schedule_that_it_can() {
        let corpus = corpus();
        for kernel in ["uniform", "absorbing", "gaussian", "band:3", "mask-and-replace:0.5", "nearest:4"] {
            for rate in ["linear:0.02:0.5", "cosine", "cosine-squared", "inverse-time", "constant:0.3", "mutual-information"] {
                let spec = ChainSpec { kernel: kernel.parse().unwrap(), schedule: rate.parse().unwrap(), steps: 6, ..ChainSpec::default() };
                let walks = ["uniform", "absorbing", "nearest:4"].contains(&kernel);
                let process = ProcessSpec::Chain(spec).learned(&corpus, 27).unwrap();
                let chain = process.chain(27);
                if rate == "mutual-information" && !walks {
                    assert!(chain.unwrap_err().to_string().contains("mutual-information"));
                    continue;
                }
                let chain = chain.unwrap().expect("it has learned");
                assert_eq!((chain.classes(), chain.len()), (28, 6), "{kernel} {rate}");
                // The hidden class comes from data or not at all.
                let hides = chain.marginal(6)[(3, 27)] > 0.0;
                assert_eq!(hides, kernel == "absorbing" || kernel.starts_with("mask"), "{kernel} {rate}");
            }
        }
        assert!(ProcessSpec::Masking {}.chain(27).unwrap().is_none());
    }

    #[test]
    fn information_goes_evenly() {
        let corpus = corpus();
        for kernel in ["uniform", "absorbing", "nearest:4"] {
            let spec = ChainSpec {
                kernel: kernel.parse().unwrap(),
                schedule: "mutual-information".parse().unwrap(),
                steps: 4,
                ..ChainSpec::default()
            };
            assert!(ProcessSpec::Chain(spec.clone()).chain(27).unwrap().is_none(), "it has not learned yet");
            let ProcessSpec::Chain(spec) = ProcessSpec::Chain(spec).learned(&corpus, 27).unwrap() else { unreachable!() };
            let RateSpec::MutualInformation { frequencies } = &spec.schedule else { unreachable!() };
            let mut initial = frequencies.clone();
            initial.push(0.0);
            let chain = spec.chain(27).unwrap().unwrap();
            for t in 1..=4 {
                let removed = information_removed(chain.marginal(t), &initial);
                assert!((removed - t as f64 / 4.0 * (1.0 - LEFT)).abs() < 1e-6, "{kernel} {t} {removed}");
            }
        }
    }

    #[test]
    fn letters_in_like_places_are_neighbours() {
        // b and d stand between the same letters, x elsewhere.
        let text = "abacadaeabadab xyx".repeat(3);
        let corpus = Corpus::from_text(&text, &Tokenizer::new(&TokenizerSpec::Char27 {}).unwrap()).unwrap();
        let spec = ChainSpec { kernel: "nearest:1".parse().unwrap(), ..ChainSpec::default() };
        let ProcessSpec::Chain(spec) = ProcessSpec::Chain(spec).learned(&corpus, 27).unwrap() else { unreachable!() };
        let KernelSpec::Nearest { graph, .. } = spec.kernel else { unreachable!() };
        assert!([2, 3, 4, 5].contains(&graph[2][0]) && graph[2][0] != 2, "{:?}", graph[2]);
    }

    #[test]
    fn what_no_process_is_called_is_refused() {
        for text in ["", "unifrom", "band", "band:x", "nearest:"] {
            assert!(text.parse::<KernelSpec>().is_err(), "{text}");
        }
        for text in ["linear:1", "cosine:2", "constant:x"] {
            assert!(text.parse::<RateSpec>().is_err(), "{text}");
        }
        assert!("bayse".parse::<ReverseSpec>().is_err());
        let bad = |spec: ChainSpec| ProcessSpec::Chain(spec).chain(27).is_err();
        assert!(bad(ChainSpec { steps: 0, ..ChainSpec::default() }));
        assert!(bad(ChainSpec { schedule: RateSpec::Constant { beta: 1.5 }, ..ChainSpec::default() }));
        assert!(bad(ChainSpec { kernel: KernelSpec::MaskAndReplace { gamma: -0.1 }, ..ChainSpec::default() }));
    }
}
