//! How probable a text is under a model: bounds and exact values in nats, whose errors are known.

use std::{fmt, str::FromStr};

use burn::tensor::{Device, Int, Tensor, TensorData};
use langevin_core::{
    Philox,
    noise::{NoiseSource as _, stream},
    process::{
        Process as _,
        categorical::{CategoricalBatch, Chain, DeviceChain, divergence},
    },
};
use serde::Serialize;

use crate::{
    Error, Result, Tokenizer,
    config::TextConfig,
    corpus::{Corpus, Segment},
    error::within,
    model::{Conditions, TextModel},
};

/// Fractional part of the golden ratio: its multiples spread evenly over 0 to 1 however many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Which value of a likelihood; `nelbo`, `l2r` or `order:random` as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Bound {
    /// The variational bound. For masking: the mean over numbers of hidden tokens `m` and sets `M` of that size of `n / m` times the cross entropy on `M`
    /// (Ou et al. 2024, arXiv:2406.03736), which equals the mean of the exact values over all orders.
    #[default]
    #[serde(rename = "nelbo")]
    Nelbo,
    /// The exact value of writing from left to right, inside each block.
    #[serde(rename = "l2r")]
    LeftToRight,
    /// The exact value of writing in one random order, inside each block.
    #[serde(rename = "order:random")]
    RandomOrder,
}

impl FromStr for Bound {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "nelbo" => Ok(Self::Nelbo),
            "l2r" => Ok(Self::LeftToRight),
            "order:random" => Ok(Self::RandomOrder),
            _ => Err(Error::Setting { name: "bound", reason: format!("should be nelbo, l2r or order:random, but is '{text}'") }),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nelbo => "nelbo",
            Self::LeftToRight => "l2r",
            Self::RandomOrder => "order:random",
        })
    }
}

/// How a likelihood is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Which value.
    pub bound: Bound,
    /// Tokens of a block, which is given all tokens before it; 0 is the whole context.
    pub block: usize,
    /// Numbers of hidden tokens, or times of a chain, at which each window is measured for the bound; each has its share of the range to itself.
    pub strata: usize,
    /// Draws what is hidden, and orders.
    pub seed: u64,
}

/// What a network is asked: rows of one length, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Tokens as the network sees them.
    pub noised: &'a [u32],
    /// What they were; a block sees that of the blocks before it.
    pub clean: &'a [u32],
    /// Tokens of a block; the length of a row for the whole.
    pub block: usize,
    /// Labels and times of the rows.
    pub conditions: Conditions<'a>,
}

/// Something that says what tokens were before noise.
pub trait Estimator: Sync {
    /// Log-probabilities of the clean tokens, row-major `[rows, length, V]`.
    fn estimate(&self, query: Query<'_>) -> Vec<f32>;
}

impl Estimator for TextModel {
    fn estimate(&self, query: Query<'_>) -> Vec<f32> {
        let Query { noised, clean, block, conditions } = query;
        if block * conditions.labels.len() >= noised.len() {
            self.whole(noised, conditions)
        } else {
            self.blocks(noised, clean, block, conditions)
        }
    }
}

/// A piece of text that is measured as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its place among all windows: noise depends on it.
    pub place: u32,
    /// Where in the corpus it begins, in tokens.
    pub start: usize,
    /// Classes.
    pub tokens: Vec<u32>,
    /// Number of its label, if it is given one.
    pub label: Option<usize>,
}

/// What a window is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Negative log-likelihood, or its bound, nats.
    pub nats: f64,
    /// Tokens of the window.
    pub tokens: usize,
    /// Characters of the window.
    pub characters: usize,
}

/// Bits a character over windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bits {
    /// Bits a character.
    pub bits_per_char: f64,
    /// Standard error over windows, bits a character; none for a single window.
    pub standard_error: Option<f64>,
    /// Characters that were measured.
    pub characters: usize,
    /// Windows that were measured.
    pub windows: usize,
    /// Two to the power of the bits a token.
    pub perplexity: f64,
}

impl Bits {
    /// The ratio of all bits to all characters; its error counts each window as one draw (a ratio estimator's, Cochran 1977, eq. 6.13).
    pub fn of(scores: &[Score]) -> Self {
        let sum = |of: fn(&Score) -> f64| scores.iter().map(of).sum::<f64>() / std::f64::consts::LN_2;
        let (bits, characters) = (sum(|s| s.nats), scores.iter().map(|s| s.characters).sum::<usize>());
        let tokens = scores.iter().map(|s| s.tokens).sum::<usize>().max(1) as f64;
        let (n, ratio) = (scores.len() as f64, bits / characters.max(1) as f64);
        let squares: f64 = scores.iter().map(|s| (s.nats / std::f64::consts::LN_2 - ratio * s.characters as f64).powi(2)).sum();
        let standard_error = (scores.len() > 1).then(|| (n / (n - 1.0) * squares).sqrt() / characters.max(1) as f64);
        Self { bits_per_char: ratio, standard_error, characters, windows: scores.len(), perplexity: (bits / tokens).exp2() }
    }
}

/// The windows of a corpus, or some spread evenly over it when `limit` characters are fewer than it has.
pub fn windows(corpus: &Corpus, context: usize, limit: Option<usize>) -> Vec<Window> {
    let cover = corpus.cover(context);
    let per_window = corpus.characters() as f64 / cover.len().max(1) as f64;
    let count = limit.map_or(cover.len(), |limit| ((limit as f64 / per_window).ceil() as usize).clamp(1, cover.len().max(1)));
    let pick = |i: usize| {
        let Segment { range, label } = cover.get((2 * i + 1) * cover.len() / (2 * count))?;
        let tokens = corpus.tokens()[range.clone()].iter().map(|&token| u32::from(token)).collect();
        Some(Window { place: i as u32, start: range.start, tokens, label: *label })
    };
    (0..count).filter_map(pick).collect()
}

/// Parts of up to `most` windows of one length each, in order.
pub fn parts(windows: &[Window], most: usize) -> Vec<&[Window]> {
    windows.chunk_by(|a, b| a.tokens.len() == b.tokens.len()).flat_map(|same| same.chunks(most.max(1))).collect()
}

/// The likelihood of texts under an estimator.
#[derive(Debug)]
pub struct Likelihood<'a, E> {
    estimator: &'a E,
    tokenizer: Tokenizer,
    chain: Option<(Chain, DeviceChain)>,
    block: usize,
    measure: Measure,
    noise: Philox,
    device: Device,
}

impl<'a, E: Estimator> Likelihood<'a, E> {
    /// Measures with an estimator that has the tokenizer and the process of a config.
    ///
    /// # Errors
    /// For blocks that do not divide the context, and for anything but the bound of the whole when the process is a chain of classes.
    pub fn new(estimator: &'a E, config: &TextConfig, device: &Device, measure: Measure) -> Result<Self> {
        within("stratified", measure.strata, 1, 100_000)?;
        let block = if measure.block == 0 { config.context } else { measure.block };
        if block > config.context || !config.context.is_multiple_of(block) {
            return Err(Error::Setting { name: "block", reason: format!("should divide context = {}, but is {block}", config.context) });
        }
        let chain = config.chain()?;
        if chain.is_some() && (measure.bound != Bound::Nelbo || block != config.context) {
            let reason = "should be nelbo of the whole context: this model diffuses all tokens at once".to_owned();
            return Err(Error::Setting { name: "bound", reason });
        }
        let chain = chain.map(|chain| {
            let on_device = chain.to_device(device);
            (chain, on_device)
        });
        let noise = Philox::new(measure.seed);
        Ok(Self { estimator, tokenizer: Tokenizer::new(&config.tokenizer)?, chain, block, measure, noise, device: device.clone() })
    }

    /// Steps of the chain; none for masking, whose bound is that of infinitely many.
    pub fn steps(&self) -> Option<usize> {
        self.chain.as_ref().map(|(chain, _)| chain.len())
    }

    /// Passes over the network that a window of a length takes.
    pub fn passes(&self, length: usize) -> usize {
        let block = self.block.min(length);
        match (&self.chain, self.measure.bound) {
            (Some((chain, _)), _) => self.measure.strata.min(chain.len()),
            (None, Bound::Nelbo) => self.measure.strata.min(block),
            (None, _) => block,
        }
    }

    /// The scores of windows of one length.
    ///
    /// # Errors
    /// What the core refuses.
    pub fn scores(&self, windows: &[Window]) -> Result<Vec<Score>> {
        let length = windows.first().map_or(0, |window| window.tokens.len());
        let mut nats = vec![0.0; windows.len()];
        let passes = self.passes(length);
        for pass in 0..passes {
            let of_pass = match &self.chain {
                Some((chain, on_device)) => self.chain_pass(chain, on_device, windows, pass, passes)?,
                None => self.masked_pass(windows, pass, passes),
            };
            nats.iter_mut().zip(of_pass).for_each(|(sum, nats)| *sum += nats);
        }
        if let Some((chain, _)) = &self.chain {
            nats.iter_mut().zip(windows).for_each(|(sum, window)| *sum += prior_terms(chain, &window.tokens));
        }
        let score = |(nats, window): (f64, &Window)| Score {
            nats,
            tokens: window.tokens.len(),
            characters: self.tokenizer.characters(&window.tokens),
        };
        Ok(nats.into_iter().zip(windows).map(score).collect())
    }

    /// A place in `0..1` for a stratum of a window; windows share each stratum out among them.
    fn place(&self, window: u32, stratum: usize, of: usize) -> f64 {
        let offset = (self.noise.uniform(0, 0, stream::TIME) + f64::from(window) * GOLDEN).fract();
        (stratum as f64 + offset) / of as f64
    }

    /// The nats that one pattern of hidden tokens adds to each window.
    fn masked_pass(&self, windows: &[Window], pass: usize, passes: usize) -> Vec<f64> {
        let clean: Vec<u32> = windows.iter().flat_map(|window| window.tokens.iter().copied()).collect();
        let mut noised = clean.clone();
        let mut weights = vec![0.0; clean.len()];
        let mut first = 0;
        for window in windows {
            let orders = self.orders(window, pass);
            for (k, order) in orders.iter().enumerate() {
                let (hidden, weight) = match self.measure.bound {
                    Bound::Nelbo => {
                        let place = (self.place(window.place, pass, passes) + k as f64 * GOLDEN).fract();
                        let hidden = 1 + ((place * order.len() as f64) as usize).min(order.len() - 1);
                        (&order[..hidden], order.len() as f64 / (hidden * passes) as f64)
                    }
                    // A shorter last block is done earlier.
                    _ => (order.get(pass..).unwrap_or_default(), 0.0),
                };
                for &at in hidden {
                    noised[first + at] = self.tokenizer.hidden();
                    weights[first + at] = weight;
                }
                if let (true, Some(&next)) = (self.measure.bound != Bound::Nelbo, hidden.first()) {
                    weights[first + next] = 1.0;
                }
                first += order.len();
            }
        }
        let length = clean.len() / windows.len().max(1);
        let labels: Vec<Option<usize>> = windows.iter().map(|window| window.label).collect();
        let conditions = Conditions { labels: &labels, times: &[] };
        let said = self.estimator.estimate(Query { noised: &noised, clean: &clean, block: self.block.min(length), conditions });
        let classes = self.tokenizer.classes();
        let term = |at: usize| if weights[at] == 0.0 { 0.0 } else { -weights[at] * f64::from(said[at * classes + clean[at] as usize]) };
        (0..windows.len()).map(|row| (row * length..(row + 1) * length).map(term).sum()).collect()
    }

    /// The order of the places in each block of a window: for the bound that of a pass, else the one in which they are written.
    fn orders(&self, window: &Window, pass: usize) -> Vec<Vec<usize>> {
        let mut keys = vec![0f32; window.tokens.len()];
        match self.measure.bound {
            Bound::Nelbo => self.noise.fill(window.place, pass as u32, stream::TRAIN, &mut keys),
            Bound::RandomOrder => self.noise.fill(window.place, 0, stream::TRAIN, &mut keys),
            Bound::LeftToRight => {}
        }
        let order = |keys: &[f32]| {
            let mut order: Vec<usize> = (0..keys.len()).collect();
            order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
            order
        };
        keys.chunks(self.block).map(order).collect()
    }

    /// The nats that one time of the chain adds to each window: `T` times its term, over the passes.
    fn chain_pass(&self, chain: &Chain, on_device: &DeviceChain, windows: &[Window], pass: usize, passes: usize) -> Result<Vec<f64>> {
        let (rows, steps) = (windows.len(), chain.len());
        let length = windows.first().map_or(0, |window| window.tokens.len());
        let time = |window: &Window| 1 + ((self.place(window.place, pass, passes) * steps as f64) as usize).min(steps - 1);
        let times: Vec<usize> = windows.iter().map(time).collect();
        let corrupt = |(window, &t): (&Window, &usize)| chain.corrupt(&window.tokens, t, &self.noise.rows_from(window.place), pass as u32);
        let noised: Vec<u32> = windows.iter().zip(&times).flat_map(corrupt).collect();
        let clean: Vec<u32> = windows.iter().flat_map(|window| window.tokens.iter().copied()).collect();
        let labels: Vec<Option<usize>> = windows.iter().map(|window| window.label).collect();
        let shares: Vec<f32> = times.iter().map(|&t| t as f32 / steps as f32).collect();
        let conditions = Conditions { labels: &labels, times: &shares };
        let said = self.estimator.estimate(Query { noised: &noised, clean: &clean, block: length, conditions });
        let ints = |values: &[u32]| {
            let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
            Tensor::<2, Int>::from_data(TensorData::new(values, [rows, length]), &self.device)
        };
        let logits = Tensor::<3>::from_data(TensorData::new(said, [rows, length, self.tokenizer.classes()]), &self.device);
        let batch = CategoricalBatch { logits, x0: ints(&clean), xt: ints(&noised), times: &times, counted: None };
        let terms = on_device.terms(batch)?.vlb;
        Ok(terms.into_data().iter::<f64>().map(|nats| nats * steps as f64 / passes as f64).collect())
    }
}

/// `KL(q(x_T | x0) || prior)` of a text, nats, with what the chain makes of evenly frequent classes of data as the prior.
fn prior_terms(chain: &Chain, tokens: &[u32]) -> f64 {
    let last = chain.marginal(chain.len());
    let data = chain.classes() - 1;
    let prior: Vec<f64> = (0..chain.classes()).map(|j| (0..data).map(|i| last[(i, j)]).sum::<f64>() / data as f64).collect();
    let rows: Vec<f64> = (0..data).map(|i| divergence(&last.row(i).iter().copied().collect::<Vec<f64>>(), &prior)).collect();
    tokens.iter().map(|&token| rows[token as usize]).sum()
}
