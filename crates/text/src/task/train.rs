//! Training on windows of a corpus: tokens are noised, the network says what they were.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use langevin_core::{
    Philox,
    noise::{NoiseSource as _, stream},
    process::{
        Process as _,
        categorical::{CategoricalBatch, CategoricalLoss, Chain},
    },
};
use langevin_nn::{Init, Trainable};

use crate::{
    Error, Result, Tokenizer,
    config::{ProcessSpec, TextConfig},
    corpus::Corpus,
    model::{Conditions, TextNet},
};

/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;
/// Streams of a step's block size, of a row's label, of how much is hidden.
const BLOCK: u32 = stream::DOMAIN;
const LABEL: u32 = stream::DOMAIN + 1;
const COUNT: u32 = stream::DOMAIN + 2;
/// Sizes of blocks that validation measures beside the whole, as its names say.
const VALIDATED: [usize; 2] = [16, 1];
/// Windows that validate.
const WINDOWS: usize = 128;
/// Numbers of hidden tokens at which a window is measured as a whole.
const STRATA: usize = 2;
/// Fractional part of the golden ratio: its multiples spread evenly over 0 to 1 however many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Windows of a corpus and the loss.
#[derive(Debug)]
pub struct TextTask {
    config: TextConfig,
    tokenizer: Tokenizer,
    chain: Option<Chain>,
    noise: Philox,
    group: u32,
    train: Corpus,
    valid: Vec<(Vec<u32>, Option<usize>)>,
}

/// Windows of one length before and after noise.
#[derive(Default)]
struct Rows {
    clean: Vec<u32>,
    noised: Vec<u32>,
    labels: Vec<Option<usize>>,
    /// How much each token counts; those of a row that are all counted sum to 1.
    weights: Vec<f32>,
    /// Times of a chain.
    times: Vec<usize>,
}

/// A window that is to be noised.
#[derive(Clone, Copy)]
struct Drawn<'a> {
    window: &'a [u32],
    label: Option<usize>,
    /// How much noise, 0 to 1.
    place: f64,
    noise: Philox,
    /// Row and step of the noise.
    address: [u32; 2],
}

impl TextTask {
    /// A task for a checked config whose labels are those of the corpora. Amounts of noise are spread evenly over `group` rows, the micro-batch of
    /// the run.
    ///
    /// # Errors
    /// For a bad config, and a corpus shorter than a window.
    pub fn new(config: &TextConfig, seed: u64, group: u32, train: Corpus, valid: &Corpus) -> Result<Self> {
        config.check()?;
        for (name, corpus) in [("data", &train), ("valid", valid)] {
            if corpus.tokens().len() < config.context {
                let reason = format!("should hold {} tokens or more, one window, but holds {}", config.context, corpus.tokens().len());
                return Err(Error::Setting { name, reason });
            }
        }
        let tokenizer = Tokenizer::new(&config.tokenizer)?;
        let window = |start: usize| {
            let (tokens, label) = valid.window(start, config.context);
            (classes(tokens), label)
        };
        let valid = valid.evenly(WINDOWS, config.context).into_iter().map(window).collect();
        let chain = config.chain()?;
        if chain.is_none() && config.process != (ProcessSpec::Masking {}) {
            return Err(Error::Setting { name: "process", reason: "should have learned from the corpus first".to_owned() });
        }
        Ok(Self { chain, config: config.clone(), tokenizer, noise: Philox::new(seed), group: group.max(1), train, valid })
    }

    /// Numbers of tokens to learn from and of windows to validate on.
    pub fn len(&self) -> (usize, usize) {
        (self.train.tokens().len(), self.valid.len())
    }

    /// Whether there is nothing to learn from; a task that was made has something.
    pub const fn is_empty(&self) -> bool {
        self.valid.is_empty()
    }

    /// Size of the blocks of a step; the context for the whole.
    fn block(&self, step: u32) -> usize {
        let total: f64 = self.config.blocks.iter().map(|block| block.share).sum();
        let mut left = self.noise.uniform(0, step, BLOCK) * total;
        let found = self.config.blocks.iter().find(|block| {
            left -= block.share;
            left < 0.0
        });
        found.map_or(self.config.context, |block| self.size(block.size))
    }

    const fn size(&self, block: usize) -> usize {
        if block == 0 { self.config.context } else { block }
    }

    /// Adds a window of which every block has some tokens hidden, as many as a place of `0..1` says: `m` of `block` counted `1 / m` each, which
    /// makes the mean over places the bound of masking (Ou et al. 2024, arXiv:2406.03736).
    fn hide(&self, rows: &mut Rows, block: usize, drawn: Drawn<'_>) {
        let Drawn { window, label, place, noise, address: [row, step] } = drawn;
        let mut order = vec![0f32; window.len()];
        noise.fill(row, step, stream::TRAIN, &mut order);
        let blocks = window.len().div_ceil(block);
        for (k, (clean, order)) in window.chunks(block).zip(order.chunks(block)).enumerate() {
            let place = (place + k as f64 * GOLDEN).fract();
            let hidden = 1 + ((place * clean.len() as f64) as usize).min(clean.len() - 1);
            let mut ranked: Vec<usize> = (0..clean.len()).collect();
            ranked.sort_unstable_by(|&a, &b| order[a].total_cmp(&order[b]).then(a.cmp(&b)));
            let first = rows.noised.len();
            rows.noised.extend_from_slice(clean);
            rows.weights.resize(first + clean.len(), 0.0);
            for &at in &ranked[..hidden] {
                rows.noised[first + at] = self.tokenizer.hidden();
                rows.weights[first + at] = 1.0 / (hidden * blocks) as f32;
            }
        }
        rows.clean.extend_from_slice(window);
        rows.labels.push(label);
    }

    /// Adds a window at the time of a chain that a place of `0..1` says.
    fn corrupt(rows: &mut Rows, chain: &Chain, drawn: Drawn<'_>) {
        let Drawn { window, label, place, noise, address: [row, step] } = drawn;
        let t = 1 + ((place * chain.len() as f64) as usize).min(chain.len() - 1);
        rows.noised.extend(chain.corrupt(&window.to_vec(), t, &noise.rows_from(row), step));
        rows.clean.extend_from_slice(window);
        rows.labels.push(label);
        rows.times.push(t);
    }

    fn noised(&self, rows: &mut Rows, block: usize, drawn: Drawn<'_>) {
        match &self.chain {
            Some(chain) => Self::corrupt(rows, chain, drawn),
            None => self.hide(rows, block, drawn),
        }
    }

    /// Loss of each row in nats a token, shape `[rows]`.
    fn losses(&self, model: &TextNet, rows: &Rows, block: usize, loss: Option<CategoricalLoss>, device: &Device) -> Tensor<1> {
        let (count, length) = (rows.labels.len(), self.config.context);
        let ints = |values: &[u32]| {
            let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
            Tensor::<2, Int>::from_data(TensorData::new(values, [count, length]), device)
        };
        let Some(chain) = &self.chain else {
            let conditions = Conditions { labels: &rows.labels, times: &[] };
            let logits = if block == length {
                model.whole(&rows.noised, conditions, device)
            } else {
                model.blocks(&rows.noised, &rows.clean, block, conditions, device)
            };
            let own = activation::log_softmax(logits, 2).gather(2, ints(&rows.clean).unsqueeze_dim(2));
            let weights = Tensor::<2>::from_data(TensorData::new(rows.weights.clone(), [count, length]), device);
            return (own.squeeze_dim::<2>(2) * weights).sum_dim(1).squeeze_dim::<1>(1).neg();
        };
        let times: Vec<f32> = rows.times.iter().map(|&t| t as f32 / chain.len() as f32).collect();
        let logits = model.whole(&rows.noised, Conditions { labels: &rows.labels, times: &times }, device);
        let batch = CategoricalBatch { logits, x0: ints(&rows.clean), xt: ints(&rows.noised), times: &rows.times, counted: None };
        match loss.unwrap_or(CategoricalLoss::Vlb {}).of(&chain.to_device(device), batch) {
            // With the time drawn evenly, `T` times the mean of the terms is the bound.
            Ok(nats) => nats * (chain.len() as f64 / length as f64),
            // Shapes, times and classes are ours, so this does not happen; were it so, the engine stops a run whose loss is not finite.
            Err(_) => Tensor::full([count], f32::NAN, device),
        }
    }

    fn loss_kind(&self) -> Option<CategoricalLoss> {
        match &self.config.process {
            ProcessSpec::Chain(spec) => Some(spec.loss),
            ProcessSpec::Masking {} => None,
        }
    }

    /// Validation windows with one of `of` strata of noise each.
    fn validation(&self, windows: Range<u32>, block: usize, stratum: usize, of: usize) -> Rows {
        let noise = Philox::new(VALIDATION_SEED);
        let mut rows = Rows::default();
        for row in windows {
            let (window, label) = &self.valid[row as usize];
            let place = ((f64::from(row) + 0.5) * GOLDEN).fract();
            let place = (stratum as f64 + place) / of as f64;
            let address = [row, (stratum * self.config.context + block) as u32];
            self.noised(&mut rows, block, Drawn { window, label: *label, place, noise, address });
        }
        rows
    }
}

impl Trainable for TextTask {
    type Model = TextNet;

    fn init(&self, seed: u64, device: &Device) -> TextNet {
        TextNet::new(&self.config, &self.tokenizer, &mut Init::new(seed, device))
    }

    /// Windows begin anywhere; all rows of a step have blocks of one size.
    fn loss(&self, model: &TextNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let count = rows.len() as f64;
        let block = self.block(step);
        let mut drawn = Rows::default();
        for row in rows {
            let group = row / self.group;
            let offset = self.noise.uniform(group, step, COUNT);
            let place = (offset + f64::from(row % self.group) / f64::from(self.group)).fract();
            let starts = self.train.tokens().len() - self.config.context + 1;
            let (window, label) = self.train.window(self.noise.below(starts, row, step, stream::DATA), self.config.context);
            let label = label.filter(|_| self.noise.uniform(row, step, LABEL) >= self.config.drop);
            let window = classes(window);
            self.noised(&mut drawn, block, Drawn { window: &window, label, place, noise: self.noise, address: [row, step] });
        }
        self.losses(model, &drawn, block, self.loss_kind(), device).sum() / count
    }

    fn validation_rows(&self) -> u32 {
        self.valid.len() as u32
    }

    /// The bound in bits a token: of the whole, then by blocks.
    fn validate(&self, model: &TextNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let bits = |block: usize, strata: usize| {
            let sums = (0..strata).map(|stratum| {
                let rows = self.validation(rows.clone(), block, stratum, strata);
                self.losses(model, &rows, block, None, device).sum().into_data().iter::<f64>().sum::<f64>()
            });
            sums.sum::<f64>() / strata as f64 / std::f64::consts::LN_2
        };
        let mut sums = vec![bits(self.config.context, STRATA)];
        if self.chain.is_none() {
            sums.extend(VALIDATED.map(|block| if self.config.context.is_multiple_of(block) { bits(block, 1) } else { f64::NAN }));
        }
        sums
    }

    fn validation_names(&self) -> &'static [&'static str] {
        if self.chain.is_none() { &["bits in blocks of 16", "bits left to right"] } else { &[] }
    }
}

fn classes(tokens: &[u16]) -> Vec<u32> {
    tokens.iter().map(|&token| u32::from(token)).collect()
}
