//! Training on strings: tokens are hidden at random, the network says what they were.

use std::{collections::HashSet, ops::Range};

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use langevin_core::{
    Philox,
    noise::stream,
    process::{
        Process as _,
        categorical::{CategoricalBatch, CategoricalLoss, Chain},
    },
};
use langevin_nn::{Constant, Init, Trainable};

use super::{Known, Sizes};
use crate::{
    Error, Molecule, Result,
    model::denovo::{DenovoConfig, DenovoNet, Vocabulary},
};

/// Seed of validation noise: the same for every run, so that runs can be compared.
const VALIDATION_SEED: u64 = 0x0076_616c_6964;
/// Stream that picks the rows beside an anchor.
const BESIDE: u32 = stream::DOMAIN;
/// Stream of the hidden condition.
const HIDE: u32 = stream::DOMAIN + 1;

/// Strings and the loss.
#[derive(Debug)]
pub struct DenovoTask {
    config: DenovoConfig,
    chain: Chain,
    noise: Philox,
    group: u32,
    train: Strings,
    valid: Strings,
    known: Known,
}

/// Encoded strings in the order of their length.
#[derive(Debug)]
struct Strings(Vec<Encoded>);

#[derive(Debug)]
struct Encoded {
    tokens: Vec<u32>,
    heavy: usize,
}

/// Strings of one length at their times.
struct Rows<'a> {
    clean: Vec<&'a [u32]>,
    noised: Vec<u32>,
    times: Vec<usize>,
    heavy: Vec<Option<usize>>,
}

impl DenovoTask {
    /// Strings to learn and to validate on; the config's tokens must be filled in. Rows of a step come in groups of `group` strings of one
    /// length: the micro-batch of the run, so that nothing is padded.
    ///
    /// Strings that are no molecule, too long, of an unknown token or beyond what tokens can say are left out: [`len`](Self::len) says how many
    /// remain.
    ///
    /// # Errors
    /// For a bad config, or when nothing remains.
    pub fn new(config: &DenovoConfig, seed: u64, group: u32, train: &[String], valid: &[String]) -> Result<Self> {
        config.check()?;
        let vocabulary = Vocabulary::new(&config.tokens)?;
        let (train, canonical) = Strings::read(config, &vocabulary, train, "training")?;
        let (valid, _) = Strings::read(config, &vocabulary, valid, "validation")?;
        let known = Known::of(canonical.iter().map(String::as_str));
        Ok(Self { config: config.clone(), chain: config.chain()?, noise: Philox::new(seed), group: group.max(1), train, valid, known })
    }

    /// Numbers of strings to learn and to validate on.
    pub fn len(&self) -> (usize, usize) {
        (self.train.0.len(), self.valid.0.len())
    }

    /// Never: a task has strings.
    pub fn is_empty(&self) -> bool {
        self.train.0.is_empty()
    }

    /// Room for rows.
    const fn rows(&self) -> Rows<'static> {
        Rows { clean: Vec::new(), noised: Vec::new(), times: Vec::new(), heavy: Vec::new() }
    }

    /// Loss of each row in nats a token, shape `[rows]`: with times drawn evenly the bound without the prior's part, which is zero.
    fn losses(&self, model: &DenovoNet, rows: &Rows<'_>, loss: CategoricalLoss, device: &Device) -> Tensor<1> {
        let (count, length) = (rows.clean.len(), rows.clean.first().map_or(0, |row| row.len()));
        let ints = |values: Vec<u32>| {
            let values: Vec<i32> = values.into_iter().map(|v| v as i32).collect();
            Tensor::<2, Int>::from_data(TensorData::new(values, [count, length]), device)
        };
        let times: Vec<f32> = rows.times.iter().map(|&t| t as f32 / self.config.steps as f32).collect();
        let logits = model.forward(&rows.noised, &times, &rows.heavy, device);
        // A token that is not hidden is known: the network's word on it counts for nothing.
        let hidden = self.config.tokens.len() as u32;
        let counted: Vec<bool> = rows.noised.iter().map(|&token| token == hidden).collect();
        let counted = Some(Tensor::<2, Bool>::from_data(TensorData::new(counted, [count, length]), device));
        let (x0, xt) = (ints(rows.clean.concat()), ints(rows.noised.clone()));
        let batch = CategoricalBatch { logits, x0, xt, times: &rows.times, counted };
        match loss.of(&self.chain.to_device(device), batch) {
            Ok(nats) => nats * (self.config.steps as f64 / length as f64),
            // Shapes, times and classes are ours, so this does not happen; were it so, the engine stops a run whose loss is not finite.
            Err(_) => Tensor::full([count], f32::NAN, device),
        }
    }
}

impl<'a> Rows<'a> {
    fn push(&mut self, chain: &Chain, of: &'a Encoded, t: usize, heavy: Option<usize>, noise: Philox, [row, node]: [u32; 2]) {
        self.noised.extend(chain.corrupt(&of.tokens, t, &noise.rows_from(row), node));
        self.clean.push(&of.tokens);
        self.times.push(t);
        self.heavy.push(heavy);
    }
}

impl Strings {
    /// The strings that can be learned, and their molecules as canonical SMILES.
    fn read(config: &DenovoConfig, vocabulary: &Vocabulary, strings: &[String], set: &str) -> Result<(Self, HashSet<String>)> {
        let mut canonical = HashSet::new();
        let mut encoded = Vec::new();
        for smiles in strings {
            let read = |smiles: &str| Molecule::from_smiles(smiles).ok().map(|molecule| molecule.to_smiles());
            let (Some(tokens), Some(whole)) = (vocabulary.encode(smiles), read(smiles)) else { continue };
            // Tokens order neighbours anew: a configuration that they cannot say would be learned as its opposite.
            let same = || vocabulary.decode(&tokens).and_then(|back| read(&back)).is_some_and(|back| back == whole);
            if tokens.len() <= config.max_length && same() {
                canonical.insert(whole);
                encoded.push(Encoded { heavy: vocabulary.heavy(&tokens), tokens });
            }
        }
        if encoded.is_empty() {
            let reason = format!("none of the {} {set} strings is a molecule of the config's tokens and length", strings.len());
            return Err(Error::Setting { name: "data", reason });
        }
        encoded.sort_by_key(|one| one.tokens.len());
        Ok((Self(encoded), canonical))
    }

    /// Those as long as the one at a place.
    fn beside(&self, place: usize) -> &[Encoded] {
        let length = self.0[place].tokens.len();
        let first = self.0.partition_point(|one| one.tokens.len() < length);
        let end = self.0.partition_point(|one| one.tokens.len() <= length);
        &self.0[first..end]
    }
}

impl Trainable for DenovoTask {
    type Model = DenovoNet;

    fn init(&self, seed: u64, device: &Device) -> DenovoNet {
        DenovoNet::new(&self.config, &mut Init::new(seed, device))
    }

    /// A group's anchor is any string, and its rows are drawn with replacement from those as long: every string is as likely as another.
    /// Times are spread evenly over a group.
    fn loss(&self, model: &DenovoNet, step: u32, rows: Range<u32>, device: &Device) -> Tensor<1> {
        let total = rows.len() as f64;
        let mut sum = Tensor::zeros([1], device);
        let mut rows = rows.peekable();
        while let Some(&first) = rows.peek() {
            let group = first / self.group;
            let of_length = self.train.beside(self.noise.below(self.train.0.len(), group, step, stream::DATA));
            let offset = self.noise.uniform(group, step, stream::TIME);
            let mut drawn = self.rows();
            while let Some(row) = rows.next_if(|row| row / self.group == group) {
                let one = &of_length[self.noise.below(of_length.len(), row, step, BESIDE)];
                let place = (offset + f64::from(row % self.group) / f64::from(self.group)).fract();
                let t = 1 + ((place * self.config.steps as f64) as usize).min(self.config.steps - 1);
                let heavy = (self.noise.uniform(row, step, HIDE) >= self.config.drop).then_some(one.heavy);
                drawn.push(&self.chain, one, t, heavy, self.noise, [row, step]);
            }
            sum = sum + self.losses(model, &drawn, self.config.loss, device).sum();
        }
        sum / total
    }

    fn validation_rows(&self) -> u32 {
        self.valid.0.len() as u32
    }

    /// The bound in nats a token, each string at one time.
    fn validate(&self, model: &DenovoNet, rows: Range<u32>, device: &Device) -> Vec<f64> {
        let noise = Philox::new(VALIDATION_SEED);
        let mut sum = 0.0;
        let mut rows = rows.peekable();
        while let Some(&first) = rows.peek() {
            let length = self.valid.0[first as usize].tokens.len();
            let mut drawn = self.rows();
            while let Some(row) = rows.next_if(|&row| self.valid.0[row as usize].tokens.len() == length) {
                let one = &self.valid.0[row as usize];
                let t = 1 + noise.below(self.config.steps, row, 0, stream::TIME);
                drawn.push(&self.chain, one, t, Some(one.heavy), noise, [row, 0]);
            }
            let losses = self.losses(model, &drawn, CategoricalLoss::Vlb {}, device);
            sum += losses.into_data().iter::<f64>().sum::<f64>();
        }
        vec![sum]
    }

    fn constants(&self) -> Vec<Constant> {
        let sizes = Sizes::of(self.train.0.iter().map(|one| (one.tokens.len(), one.heavy)));
        vec![sizes.to_constant(), self.known.to_constant()]
    }
}
