//! A transformer that says of every token what it was before noise: pre-norm, rotary positions, and before each attention a convolution
//! over neighbouring tokens, which spares it the long time in which attention knows letters but no words.

use burn::{
    module::{Module, Param},
    nn::{Embedding, Linear},
    tensor::{Bool, Device, Int, Tensor, TensorData},
};
use langevin_nn::{
    Init, TimeEmbedding,
    fused::{
        Activation, Affine, Norm, attention, depthwise, depthwise_blocks, linear, linear_activated, linear_added, rotary, self_attention,
    },
};

use super::{Cache, cache::Memory};
use crate::{
    Tokenizer,
    config::{ProcessSpec, TextConfig},
};

const TIME_FEATURES: usize = 64;
const NORM: Norm = Norm::Layer { epsilon: 1e-5 };

/// What the network is told beside the tokens, one entry a row.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// Number of a label of the config, or none.
    pub labels: &'a [Option<usize>],
    /// Times in `0..=1` of a chain of classes; empty for masking, which needs none.
    pub times: &'a [f32],
}

/// The network; see [`TextConfig`].
#[derive(Module, Debug)]
pub struct TextNet {
    tokens: Embedding,
    /// One more than there are labels: none.
    labels: Option<Embedding>,
    time: Option<Linear>,
    layers: Vec<Layer>,
    modulate: Option<Linear>,
    output: Linear,
}

#[derive(Module, Debug)]
struct Layer {
    /// `[taps, width]`.
    filter: Param<Tensor<2>>,
    filter_bias: Param<Tensor<1>>,
    modulate: Option<Linear>,
    attend: Linear,
    mix: Linear,
    expand: Linear,
    contract: Linear,
    #[module(skip)]
    heads: usize,
}

/// What a row sees of the others.
enum Sight<'a> {
    /// All of its sequence.
    Whole,
    /// Two copies of the sequence cut into blocks, of which none sees a later one; true is not seen.
    Blocks(usize, &'a Tensor<4, Bool>),
    /// What came before, and its own sequence.
    After(&'a Memory),
}

impl TextNet {
    /// A network with initial weights for a checked config.
    pub fn new(config: &TextConfig, tokenizer: &Tokenizer, init: &mut Init<'_>) -> Self {
        let width = config.width;
        let depth = (2.0 * config.layers as f64).sqrt();
        let is_timed = config.process != ProcessSpec::Masking {};
        let layer = |init: &mut Init<'_>| Layer {
            filter: init.normal([config.taps, width], 0.5 / (config.taps as f64).sqrt()),
            filter_bias: init.zeros([width]),
            modulate: is_timed.then(|| init.linear(width, 4 * width, 0.0)),
            attend: init.linear(width, 3 * width, 1.0),
            mix: init.linear(width, width, 1.0 / depth),
            expand: init.linear(width, config.hidden, 1.0),
            contract: init.linear(config.hidden, width, 1.0 / depth),
            heads: config.heads,
        };
        Self {
            tokens: init.embedding(tokenizer.classes() + 1, width, 1.0),
            labels: (!config.labels.is_empty()).then(|| init.embedding(config.labels.len() + 1, width, 0.1)),
            time: is_timed.then(|| init.linear(TIME_FEATURES, width, 1.0)),
            layers: (0..config.layers).map(|_| layer(init)).collect(),
            modulate: is_timed.then(|| init.linear(width, 2 * width, 0.0)),
            output: init.linear(width, tokenizer.classes(), 0.0),
        }
    }

    /// Logits of the clean tokens, shape `[rows, length, V]`, of sequences of one length (row-major) that see all of themselves.
    pub fn whole(&self, tokens: &[u32], conditions: Conditions<'_>, device: &Device) -> Tensor<3> {
        let time = self.time(conditions, device);
        let h = self.embed(tokens, conditions.labels, device);
        let h = self.layers.iter().fold(h, |h, layer| layer.forward(h, time.as_ref(), &Sight::Whole).0);
        self.logits(h, time.as_ref())
    }

    /// The same for blocks of `block` tokens that see their own noised tokens and the clean ones of the blocks before: all blocks of a sequence are
    /// learned from at once (Arriola et al. 2025, arXiv:2503.09573).
    pub fn blocks(&self, noised: &[u32], clean: &[u32], block: usize, conditions: Conditions<'_>, device: &Device) -> Tensor<3> {
        let rows = conditions.labels.len();
        let length = clean.len() / rows.max(1);
        let both: Vec<u32> = noised.chunks(length.max(1)).zip(clean.chunks(length.max(1))).flat_map(|(a, b)| [a, b].concat()).collect();
        let time = self.time(conditions, device);
        let hidden = hidden_between_blocks(length, block, device);
        let sight = Sight::Blocks(block, &hidden);
        let h = self.embed(&both, conditions.labels, device);
        let h = self.layers.iter().fold(h, |h, layer| layer.forward(h, time.as_ref(), &sight).0);
        self.logits(h.narrow(1, 0, length), time.as_ref())
    }

    /// The same for the tokens that follow those in a cache, which see these and one another; and what [`Cache::push`] takes to make them
    /// part of it, once they are clean.
    pub fn after(&self, cache: &Cache, tokens: &[u32], conditions: Conditions<'_>, device: &Device) -> (Tensor<3>, Cache) {
        let time = self.time(conditions, device);
        let mut h = self.embed(tokens, conditions.labels, device);
        let mut seen = Vec::with_capacity(self.layers.len());
        for (k, layer) in self.layers.iter().enumerate() {
            let (next, memory) = layer.forward(h, time.as_ref(), &Sight::After(cache.layer(k)));
            h = next;
            seen.extend(memory);
        }
        (self.logits(h, time.as_ref()), Cache::of(seen))
    }

    fn embed(&self, tokens: &[u32], labels: &[Option<usize>], device: &Device) -> Tensor<3> {
        let (rows, width) = (labels.len(), self.tokens.weight.dims()[1]);
        let ids = |ids: Vec<i32>| {
            let count = ids.len();
            Tensor::<1, Int>::from_data(TensorData::new(ids, [count]), device)
        };
        let tokens = self.tokens.weight.val().select(0, ids(tokens.iter().map(|&token| token as i32).collect()));
        let h = tokens.reshape([rows as i32, -1, width as i32]);
        let Some(table) = &self.labels else { return h };
        let none = table.weight.dims()[0] - 1;
        let labels = ids(labels.iter().map(|label| label.unwrap_or(none).min(none) as i32).collect());
        h + table.weight.val().select(0, labels).unsqueeze_dim::<3>(1)
    }

    fn time(&self, conditions: Conditions<'_>, device: &Device) -> Option<Tensor<2>> {
        let layer = self.time.as_ref()?;
        let features = TimeEmbedding::new(TIME_FEATURES, 1000.0, 32.0).forward(conditions.times, device);
        Some(linear_activated(layer, Activation::Silu, features))
    }

    fn logits(&self, h: Tensor<3>, time: Option<&Tensor<2>>) -> Tensor<3> {
        let [affine] = affines(self.modulate.as_ref(), time);
        linear(&self.output, NORM.with(h, affine))
    }
}

impl Layer {
    /// The next rows, and for [`Sight::After`] what a cache keeps of these.
    fn forward(&self, x: Tensor<3>, time: Option<&Tensor<2>>, sight: &Sight<'_>) -> (Tensor<3>, Option<Memory>) {
        let [before_attention, before_hidden] = affines(self.modulate.as_ref(), time);
        let [batch, rows, width] = x.dims();
        let normal = NORM.apply(x.clone());
        let (filter, bias) = (self.filter.val(), self.filter_bias.val());
        let plain = |x: Tensor<3>| {
            let dims = x.dims();
            depthwise(filter.clone(), bias.clone(), 1, x.reshape([dims[0], dims[1], 1, width])).reshape(dims)
        };
        let near = match sight {
            Sight::Whole => plain(normal),
            Sight::Blocks(block, _) => depthwise_blocks(filter, bias, *block, normal),
            Sight::After(memory) => {
                let context = memory.with_near(normal.clone());
                let before = context.dims()[1] - rows;
                let near = plain(context).narrow(1, before, rows);
                return self.after(x + near, normal, memory, [before_attention, before_hidden]);
            }
        };
        let x = x + near;
        let qkv = linear(&self.attend, NORM.with(x.clone(), before_attention));
        let (period, mask) = match sight {
            Sight::Blocks(_, mask) => (rows / 2, Some((*mask).clone())),
            _ => (rows, None),
        };
        let mixed = self_attention(rotary(qkv, self.heads, 0, period.max(1)), self.heads, None, mask);
        debug_assert_eq!(mixed.dims(), [batch, rows, width]);
        (self.finish(mixed, x, before_hidden), None)
    }

    /// Attention to what came before and to one another.
    fn after(&self, x: Tensor<3>, near: Tensor<3>, memory: &Memory, affines: [Affine; 2]) -> (Tensor<3>, Option<Memory>) {
        let [batch, rows, width] = x.dims();
        let [before_attention, before_hidden] = affines;
        let qkv = linear(&self.attend, NORM.with(x.clone(), before_attention));
        let qkv = rotary(qkv, self.heads, memory.len(), rows.max(1));
        let heads =
            |k: usize| qkv.clone().narrow(2, k * width, width).reshape([batch, rows, self.heads, width / self.heads]).swap_dims(1, 2);
        let own = Memory::new(near, self.filter.dims()[0] / 2, heads(1), heads(2));
        let [keys, values] = memory.with_own(&own);
        let mixed = attention(heads(0), keys, values, None, None).swap_dims(1, 2).reshape([batch, rows, width]);
        (self.finish(mixed, x, before_hidden), Some(own))
    }

    fn finish(&self, mixed: Tensor<3>, x: Tensor<3>, before_hidden: Affine) -> Tensor<3> {
        let x = linear_added(&self.mix, mixed, x);
        let hidden = linear_activated(&self.expand, Activation::Gelu, NORM.with(x.clone(), before_hidden));
        linear_added(&self.contract, hidden, x)
    }
}

/// What follows `N` norms: what a layer makes of the time, or nothing. The linear layers behind the norms have the gains in their weights.
fn affines<const N: usize>(modulate: Option<&Linear>, time: Option<&Tensor<2>>) -> [Affine; N] {
    let (Some(modulate), Some(time)) = (modulate, time) else { return std::array::from_fn(|_| Affine::default()) };
    let all = linear(modulate, time.clone());
    let part = all.dims()[1] / N / 2;
    std::array::from_fn(|k| Affine::modulation(all.clone().narrow(1, 2 * k * part, part), all.clone().narrow(1, (2 * k + 1) * part, part)))
}

/// Which of two copies of a sequence is hidden from which, shape `[1, 1, 2 * length, 2 * length]`.
fn hidden_between_blocks(length: usize, block: usize, device: &Device) -> Tensor<4, Bool> {
    let mut hidden = Vec::with_capacity(4 * length * length);
    for row in 0..2 * length {
        let own = row % length / block;
        for seen in 0..2 * length {
            let (of, is_noised) = (seen % length / block, seen < length);
            let is_seen = if row < length { (is_noised && of == own) || (!is_noised && of < own) } else { !is_noised && of <= own };
            hidden.push(!is_seen);
        }
    }
    Tensor::from_data(TensorData::new(hidden, [1, 1, 2 * length, 2 * length]), &device.clone().inner())
}

#[cfg(test)]
mod tests {
    use langevin_core::Philox;
    use proptest::prelude::*;

    use super::*;
    use crate::config::{BlockShare, ChainSpec};

    pub(super) fn net(config: &TextConfig) -> TextNet {
        let tokenizer = Tokenizer::new(&config.tokenizer).unwrap();
        let mut net = TextNet::new(config, &tokenizer, &mut Init::new(3, &Device::flex()));
        // The output starts at zero: give it something to say.
        net.output = Init::new(4, &Device::flex()).linear(config.width, tokenizer.classes(), 1.0);
        net
    }

    fn tiny() -> TextConfig {
        TextConfig {
            width: 16,
            heads: 2,
            layers: 2,
            hidden: 24,
            context: 24,
            labels: vec!["a".into(), "b".into()],
            ..TextConfig::default()
        }
    }

    fn text(count: usize, sample: u32) -> Vec<u32> {
        (0..count).map(|k| Philox::new(1).below(28, sample, k as u32, 0) as u32).collect()
    }

    fn host(x: Tensor<3>) -> Vec<f32> {
        x.into_data().try_into_vec_as().unwrap()
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 2e-5 * (1.0 + a.abs()), "{a} {b}"));
    }

    const LABELS: Conditions<'static> = Conditions { labels: &[Some(1), None], times: &[] };

    /// What is trained with two copies is what a cache makes block after block, and one block is the whole.
    #[test]
    fn blocks_are_the_cache_and_one_block_is_the_whole() {
        let (config, device) = (tiny(), Device::flex());
        let net = net(&config);
        let (noised, clean) = (text(48, 0), text(48, 1));
        for block in [1, 3, 8, 24] {
            let both = host(net.blocks(&noised, &clean, block, LABELS, &device));
            let mut cache = Cache::empty(&config, 2, &device);
            for first in (0..24).step_by(block) {
                let of = |tokens: &[u32]| [&tokens[first..first + block], &tokens[24 + first..24 + first + block]].concat();
                let (logits, _) = net.after(&cache, &of(&noised), LABELS, &device);
                let (_, own) = net.after(&cache, &of(&clean), LABELS, &device);
                cache.push(own);
                let rows: Vec<f32> = both.chunks(24 * 27).flat_map(|row| row[first * 27..(first + block) * 27].to_vec()).collect();
                close(&host(logits), &rows);
            }
            assert_eq!(cache.len(), 24);
        }
        let whole = host(net.whole(&noised, LABELS, &device));
        close(&host(net.blocks(&noised, &clean, 24, LABELS, &device)), &whole);
    }

    #[test]
    fn labels_and_times_are_heard() {
        let device = Device::flex();
        let said =
            |net: &TextNet, labels: &[Option<usize>], times: &[f32]| host(net.whole(&text(24, 0), Conditions { labels, times }, &device));
        let plain = net(&tiny());
        assert_ne!(said(&plain, &[Some(0)], &[]), said(&plain, &[None], &[]));
        let process = ProcessSpec::Chain(ChainSpec::default());
        let config = TextConfig { process, blocks: vec![BlockShare { size: 0, share: 1.0 }], ..tiny() };
        config.check().unwrap();
        let mut timed = net(&config);
        timed.modulate = Some(Init::new(5, &device).linear(16, 32, 1.0));
        assert_ne!(said(&timed, &[None], &[0.2]), said(&timed, &[None], &[0.8]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Nothing of a later block reaches an earlier one.
        #[test]
        fn later_blocks_are_not_seen(block in prop::sample::select(vec![1usize, 2, 4, 12]), at in 0usize..24, seed in 0u32..100) {
            let (config, device) = (tiny(), Device::flex());
            let net = net(&config);
            let (noised, clean) = (text(24, seed), text(24, seed + 1000));
            let conditions = Conditions { labels: &[None], times: &[] };
            let run = |noised: &[u32], clean: &[u32]| host(net.blocks(noised, clean, block, conditions, &device));
            let before = run(&noised, &clean);
            let (mut other_noised, mut other_clean) = (noised.clone(), clean.clone());
            other_noised[at] = (noised[at] + 1) % 28;
            other_clean[at] = (clean[at] + 1) % 28;
            let first = at / block * block;
            // Another clean token changes only later blocks, another noised one only its own.
            prop_assert_eq!(&run(&noised, &other_clean)[..(first + block) * 27], &before[..(first + block) * 27]);
            let after = run(&other_noised, &clean);
            prop_assert_eq!(&after[..first * 27], &before[..first * 27]);
            prop_assert_eq!(&after[(first + block) * 27..], &before[(first + block) * 27..]);
        }
    }
}
