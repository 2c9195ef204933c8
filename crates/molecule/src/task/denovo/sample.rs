//! Drawing strings. A hidden token stays hidden for a time that does not depend on the network (Austin et al. 2021, appendix A.3), so that
//! time is drawn first and a string is shown to the network only when one of its tokens is about to appear.

use std::{
    collections::BTreeMap,
    ops::{ControlFlow, Range, RangeInclusive},
};

use burn::tensor::{Device, activation};
use langevin_core::{Philox, noise::stream, process::categorical::Chain};
use langevin_nn::{Constant, Sampler};

use super::{Collector, DenovoReport, Formula, Known, Sizes};
use crate::{
    Error, Result,
    model::denovo::{DenovoConfig, DenovoNet, Vocabulary},
};

/// Strings drawn together.
const MICRO_BATCH: u32 = 64;
/// Streams of a string's size, of the time at which a token appears, and of the token.
const SIZE: u32 = stream::DOMAIN;
const APPEARS: u32 = stream::DOMAIN + 1;
const TOKEN: u32 = stream::DOMAIN + 2;

/// A trained model of new molecules.
#[derive(Debug)]
pub struct Denovo {
    config: DenovoConfig,
    net: DenovoNet,
    vocabulary: Vocabulary,
    chain: Chain,
    sizes: Sizes,
    known: Known,
    device: Device,
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct DenovoRequest {
    /// Different molecules wanted.
    pub count: usize,
    /// Seed: with the number of a draw all that its string depends on.
    pub seed: u64,
    /// Heavy atoms wanted.
    pub heavy: Option<RangeInclusive<usize>>,
    /// Formula wanted.
    pub formula: Option<Formula>,
    /// Steps, at most those of the process; with fewer, more tokens appear at once, without seeing one another.
    pub steps: usize,
    /// Weight of guidance by the number of heavy atoms; 1 is none.
    pub guidance: f64,
    /// Most strings to draw.
    pub most_drawn: usize,
}

impl DenovoRequest {
    /// So many molecules with the usual settings: 128 steps, no guidance, up to 100 strings for each and 1000 more.
    pub const fn new(count: usize, seed: u64) -> Self {
        let most_drawn = count.saturating_mul(100).saturating_add(1000);
        Self { count, seed, heavy: None, formula: None, steps: 128, guidance: 1.0, most_drawn }
    }
}

impl Denovo {
    /// A network with the config and the constants of its checkpoint, on a device.
    ///
    /// # Errors
    /// For a bad config or constants that do not fit it.
    pub fn new(config: DenovoConfig, net: DenovoNet, constants: &[Constant], device: Device) -> Result<Self> {
        config.check()?;
        let vocabulary = Vocabulary::new(&config.tokens)?;
        let sizes = Sizes::from_constants(constants, config.max_length)?;
        Ok(Self { chain: config.chain()?, sizes, known: Known::from_constants(constants)?, vocabulary, config, net, device })
    }

    /// The molecules that the model was trained on.
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// A request made ready to draw strings by their number.
    ///
    /// # Errors
    /// For settings out of range, and for a size that no training molecule has.
    pub fn drawing<'a>(&'a self, request: &DenovoRequest) -> Result<Drawing<'a>> {
        if !(1..=self.config.steps).contains(&request.steps) {
            return Err(Error::Setting { name: "steps", reason: format!("should lie between 1 and {}", self.config.steps) });
        }
        if !(request.guidance.is_finite() && request.guidance >= 0.0) {
            return Err(Error::Setting { name: "guidance", reason: "should be 0 or more".to_owned() });
        }
        let heavy = match (&request.heavy, request.formula.as_ref().map(Formula::heavy)) {
            (Some(range), Some(count)) if !range.contains(&count) => {
                let reason = format!("should hold the {count} heavy atoms of the formula");
                return Err(Error::Setting { name: "heavy", reason });
            }
            (_, Some(count)) => Some(count..=count),
            (range, None) => range.clone(),
        };
        let sizes = heavy.map_or_else(|| Ok(self.sizes.clone()), |heavy| self.sizes.within(&heavy))?;
        // Noisy to clean, evenly over the process.
        let times = (0..=request.steps).map(|k| self.config.steps - k * self.config.steps / request.steps).collect();
        Ok(Drawing { model: self, noise: Philox::new(request.seed), sizes, times, guidance: request.guidance })
    }

    /// Draws strings until enough different molecules are found. `observe` is called after each network evaluation and may stop the run.
    ///
    /// # Errors
    /// As [`drawing`](Self::drawing), and [`Error::TooFew`] when the most strings were drawn before.
    pub fn generate(
        &self,
        request: &DenovoRequest,
        observe: &dyn Fn() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), (Vec<String>, DenovoReport)>> {
        let drawing = self.drawing(request)?;
        let mut collector = Collector::new(request.count, request.heavy.clone(), request.formula.clone(), &self.known);
        // Draws are numbered by 32 bits.
        let most_drawn = request.most_drawn.min((u32::MAX - MICRO_BATCH) as usize);
        let mut next = 0;
        while !collector.is_full() {
            let left = most_drawn - collector.report().drawn;
            if left == 0 {
                return Err(Error::TooFew { found: collector.report().unique, wanted: request.count, drawn: most_drawn });
            }
            match drawing.sample(next..next + MICRO_BATCH, observe) {
                ControlFlow::Continue(strings) => strings.iter().take(left).for_each(|smiles| collector.offer(smiles)),
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
            next += MICRO_BATCH;
        }
        Ok(ControlFlow::Continue(collector.finish()))
    }
}

/// A source of strings by number: the same number is the same string.
#[derive(Debug)]
pub struct Drawing<'a> {
    model: &'a Denovo,
    noise: Philox,
    sizes: Sizes,
    times: Vec<usize>,
    guidance: f64,
}

/// A string on its way.
struct Draft {
    row: u32,
    heavy: usize,
    tokens: Vec<u32>,
    /// At which time which tokens appear, the next last.
    events: Vec<(usize, Vec<usize>)>,
}

impl Drawing<'_> {
    fn draft(&self, row: u32) -> Draft {
        let (length, heavy) = self.sizes.at(self.noise.uniform(row, 0, SIZE));
        let (chain, hidden) = (&self.model.chain, self.model.vocabulary.len());
        let still_hidden = |t: usize| chain.marginal(t)[(0, hidden)];
        let mut events: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in 0..length {
            let u = self.noise.uniform(row, place as u32, APPEARS);
            // A token is hidden at a time with the probability there; it appears in the first step to a time where it is not.
            let appears = self.times.windows(2).find(|pair| still_hidden(pair[1]) <= u).map_or(self.times[0], |pair| pair[0]);
            events.entry(appears).or_default().push(place);
        }
        Draft { row, heavy, tokens: vec![hidden as u32; length], events: events.into_iter().collect() }
    }

    /// Shows the strings of one length to the network and lets their next tokens appear.
    fn advance(&self, drafts: &mut [&mut Draft]) {
        let strings: Vec<u32> = drafts.iter().flat_map(|draft| draft.tokens.iter().copied()).collect();
        let steps = self.model.config.steps as f32;
        let times: Vec<f32> = drafts.iter().filter_map(|draft| draft.events.last()).map(|(t, _)| *t as f32 / steps).collect();
        let heavy: Vec<Option<usize>> = drafts.iter().map(|draft| Some(draft.heavy)).collect();
        let logits = |heavy: &[Option<usize>]| self.model.net.forward(&strings, &times, heavy, &self.model.device);
        let mut seen = logits(&heavy);
        if self.guidance != 1.0 {
            let without = logits(&vec![None; heavy.len()]);
            seen = without.clone() + (seen - without) * self.guidance;
        }
        let classes = self.model.vocabulary.len();
        let probabilities: Vec<f64> = activation::softmax(seen, 2).into_data().iter::<f64>().collect();
        let per_string = strings.len() / drafts.len().max(1) * classes;
        for (draft, rows) in drafts.iter_mut().zip(probabilities.chunks(per_string.max(1))) {
            for place in draft.events.pop().map_or_else(Vec::new, |(_, places)| places) {
                let mut left = self.noise.uniform(draft.row, place as u32, TOKEN);
                let row = &rows[place * classes..(place + 1) * classes];
                let chosen = row.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                draft.tokens[place] = chosen.unwrap_or(classes - 1) as u32;
            }
        }
    }
}

impl Sampler for Drawing<'_> {
    type Raw = String;
    type Item = String;

    fn micro_batch(&self) -> u32 {
        MICRO_BATCH
    }

    /// SMILES, empty where tokens lead nowhere. Sequences have clocks of their own: those of one length are shown to the network together, each at the time of its next token.
    fn sample(&self, rows: Range<u32>, observe: &dyn Fn() -> ControlFlow<()>) -> ControlFlow<(), Vec<String>> {
        let mut drafts: Vec<Draft> = rows.map(|row| self.draft(row)).collect();
        loop {
            let mut by_length: BTreeMap<usize, Vec<&mut Draft>> = BTreeMap::new();
            for draft in drafts.iter_mut().filter(|draft| !draft.events.is_empty()) {
                by_length.entry(draft.tokens.len()).or_default().push(draft);
            }
            if by_length.is_empty() {
                break;
            }
            for mut drafts in by_length.into_values() {
                self.advance(&mut drafts);
                observe()?;
            }
        }
        ControlFlow::Continue(drafts.iter().map(|draft| self.model.vocabulary.decode(&draft.tokens).unwrap_or_default()).collect())
    }

    fn finish(&self, _: u32, raw: String) -> String {
        raw
    }
}
