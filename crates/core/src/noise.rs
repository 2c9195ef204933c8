//! Addressed noise: Philox4x32-10 keyed by the seed, so that a value depends on its address and on nothing else.
//!
//! Address: `(block, sample, node, stream)` is the 128-bit counter, the seed is the key (Salmon et al. 2011, "Parallel random
//! numbers: as easy as 1, 2, 3"). Sample 17 is the same bytes whatever the batch size, the thread, the shard or the resume point.
//! `node` is the position in the schedule, not the index of an operation, so two solvers on one grid share their noise.

/// Names of the independent streams at one address. Domains count on from [`stream::DOMAIN`].
pub mod stream {
    /// The start of sampling, `x_T`.
    pub const PRIOR: u32 = 0;
    /// Noise that a stochastic solver adds at a node.
    pub const STEP: u32 = 1;
    /// Noise of a training example.
    pub const TRAIN: u32 = 2;
    /// Time (noise level) of a training example.
    pub const TIME: u32 = 3;
    /// Order of training examples, and which conditions are dropped.
    pub const DATA: u32 = 4;
    /// First initialisation of weights.
    pub const INIT: u32 = 5;
    /// First stream that a domain may use for its own draws.
    pub const DOMAIN: u32 = 16;
}

/// Source of standard normal and uniform numbers by address.
pub trait NoiseSource: Sync {
    /// Fills `out` with standard normals of one sample at `(node, stream)`; a shorter `out` is a prefix of a longer one.
    fn fill(&self, sample: u32, node: u32, stream: u32, out: &mut [f32]);

    /// As [`fill`](Self::fill) in f64, for host arithmetic and tests.
    fn fill_f64(&self, sample: u32, node: u32, stream: u32, out: &mut [f64]) {
        let mut narrow = vec![0.0; out.len()];
        self.fill(sample, node, stream, &mut narrow);
        out.iter_mut().zip(narrow).for_each(|(o, z)| *o = f64::from(z));
    }
}

/// The counter-based generator of the whole project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    /// Key: low and high word of the seed.
    pub seed: u64,
}

/// Blocks of four words that the vector path handles at once.
const LANES: usize = 16;
const MUL: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

impl Philox {
    /// A generator for a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The four random words of a counter, ten rounds.
    pub fn words(self, counter: [u32; 4]) -> [u32; 4] {
        philox(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// One uniform number in `(0, 1)` with 53 random bits.
    pub fn uniform(self, sample: u32, node: u32, stream: u32) -> f64 {
        let w = self.words([0, sample, node, stream]);
        let bits = (u64::from(w[0]) << 32 | u64::from(w[1])) >> 11;
        (bits as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// One uniform integer below `bound` (`bound > 0`; bias below `bound / 2^64`).
    pub fn below(self, bound: usize, sample: u32, node: u32, stream: u32) -> usize {
        let w = self.words([0, sample, node, stream]);
        let bits = u64::from(w[0]) << 32 | u64::from(w[1]);
        ((u128::from(bits) * bound as u128) >> 64) as usize
    }

    /// A permutation of `0..n` (Fisher-Yates), addressed by `(node, stream)`: an epoch's order, for instance.
    pub fn permutation(self, n: usize, node: u32, stream: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1, i as u32, node, stream));
        }
        order
    }

    /// The same generator seen from a batch whose first row is sample `first`.
    pub const fn rows_from(self, first: u32) -> Rows {
        Rows { source: self, first }
    }
}

impl NoiseSource for Philox {
    fn fill(&self, sample: u32, node: u32, stream: u32, out: &mut [f32]) {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let mut first = 0u32;
        let mut wide = [0f32; 4 * LANES];
        for chunk in out.chunks_mut(4 * LANES) {
            normals_fastest(first, [sample, node, stream], key, &mut wide);
            chunk.copy_from_slice(&wide[..chunk.len()]);
            first += LANES as u32;
        }
    }

    fn fill_f64(&self, sample: u32, node: u32, stream: u32, out: &mut [f64]) {
        for (block, chunk) in out.chunks_mut(4).enumerate() {
            let w = self.words([block as u32, sample, node, stream]);
            let ((a, b), (c, d)) = (box_muller(w[0], w[1]), box_muller(w[2], w[3]));
            chunk.iter_mut().zip([a, b, c, d]).for_each(|(o, z)| *o = z);
        }
    }
}

/// A noise source whose sample 0 is sample `first` of another: a micro-batch or a shard of a larger job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    source: Philox,
    first: u32,
}

impl NoiseSource for Rows {
    fn fill(&self, sample: u32, node: u32, stream: u32, out: &mut [f32]) {
        self.source.fill(self.first.wrapping_add(sample), node, stream, out);
    }

    fn fill_f64(&self, sample: u32, node: u32, stream: u32, out: &mut [f64]) {
        self.source.fill_f64(self.first.wrapping_add(sample), node, stream, out);
    }
}

fn philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        c = round(c, k);
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

#[inline(always)]
fn round(c: [u32; 4], k: [u32; 2]) -> [u32; 4] {
    let (p0, p1) = (MUL[0] * u64::from(c[0]), MUL[1] * u64::from(c[2]));
    [(p1 >> 32) as u32 ^ c[1] ^ k[0], p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k[1], p0 as u32]
}

/// Two normals from two words in f64: `u1 = (w0 + 1) / 2^32`, `u2 = w1 / 2^32`, cosine then sine.
fn box_muller(w0: u32, w1: u32) -> (f64, f64) {
    let radius = (-2.0 * ((f64::from(w0) + 1.0) / 4_294_967_296.0).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * (f64::from(w1) / 4_294_967_296.0)).sin_cos();
    (radius * cos, radius * sin)
}

/// [`normals`] with the machine's widest integer vectors: the same operations in the same order, so the same bits.
///
/// Measured: 6.4 ns a number with the baseline's SSE2, 2 to 3 with AVX2 (`cargo bench -p langevin-core`).
fn normals_fastest(first: u32, address: [u32; 3], key: [u32; 2], out: &mut [f32; 4 * LANES]) {
    #[cfg(target_arch = "x86_64")]
    {
        /// As [`normals`]. Fused multiply-add stays off: it would round differently.
        #[target_feature(enable = "avx2")]
        fn with_avx2(first: u32, address: [u32; 3], key: [u32; 2], out: &mut [f32; 4 * LANES]) {
            normals(first, address, key, out);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor was just asked whether it has AVX2.
            #[allow(unsafe_code, reason = "run-time choice of vector width; no pointers involved")]
            unsafe {
                with_avx2(first, address, key, out);
            }
            return;
        }
    }
    normals(first, address, key, out);
}

/// `4 * LANES` normals from `LANES` consecutive blocks. Plain loops over lanes: the compiler vectorises each of them.
#[inline(always)]
fn normals(first: u32, address: [u32; 3], mut key: [u32; 2], out: &mut [f32; 4 * LANES]) {
    let mut words = [[0u32; LANES]; 4];
    words[0].iter_mut().zip(first..).for_each(|(word, block)| *word = block);
    words[1..].iter_mut().zip(address).for_each(|(words, part)| words.fill(part));
    for _ in 0..10 {
        for lane in 0..LANES {
            let c = round([words[0][lane], words[1][lane], words[2][lane], words[3][lane]], key);
            for (word, new) in words.iter_mut().zip(c) {
                word[lane] = new;
            }
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    for pair in 0..2 {
        let (mut cos, mut sin) = ([0f32; LANES], [0f32; LANES]);
        for lane in 0..LANES {
            let radius = (-2.0 * ln_unit(words[2 * pair][lane])).sqrt();
            let (s, c) = sin_cos_turn(words[2 * pair + 1][lane]);
            cos[lane] = radius * c;
            sin[lane] = radius * s;
        }
        for lane in 0..LANES {
            out[4 * lane + 2 * pair] = cos[lane];
            out[4 * lane + 2 * pair + 1] = sin[lane];
        }
    }
}

/// `ln((w + 1) / 2^32)` to about 1 ulp, branch-free.
///
/// Near `u = 1` the logarithm is small and its relative error would become an absolute error of the radius of 3e-4; there the
/// complement `1 - u` is formed from the integer instead, exactly.
#[inline(always)]
fn ln_unit(w: u32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let unit = (w >> 8) as f32 * 256.0 + ((w & 0xff) as f32 + 1.0);
    let bits = unit.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = (bits as i32 >> 23) as f32 - 32.0;
    let mantissa = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF));
    let near_one = exponent >= 0.0;
    let complement = (!w >> 8) as f32 * (256.0 / 4_294_967_296.0) + (!w & 0xff) as f32 * (1.0 / 4_294_967_296.0);
    let f = if near_one { -complement } else { mantissa - 1.0 };
    // ln(1 + f) = 2 artanh(s), s = f / (2 + f), |s| <= 0.1716: the odd series to s^9 is exact to 1e-9 there.
    let s = f / (2.0 + f);
    let z = s * s;
    let series = z * (2.0 / 3.0 + z * (0.4 + z * (2.0 / 7.0 + z * (2.0 / 9.0))));
    2.0 * s + s * series + exponent.min(0.0) * std::f32::consts::LN_2
}

/// Sine and cosine of `2 pi w / 2^32`; the quadrant is split off in integers, so no precision is lost.
#[inline(always)]
fn sin_cos_turn(w: u32) -> (f32, f32) {
    let quadrant = w.wrapping_add(1 << 29) >> 30;
    let rest = w.wrapping_sub(quadrant << 30) as i32;
    let x = rest as f32 * (std::f32::consts::FRAC_PI_2 / 1_073_741_824.0);
    let z = x * x;
    let sin = x * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5_040.0 + z * (1.0 / 362_880.0)))));
    let cos = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40_320.0))));
    let (s, c) = if quadrant & 1 == 1 { (cos, sin) } else { (sin, cos) };
    let sign = |flip: u32, v: f32| f32::from_bits(v.to_bits() ^ (flip << 31));
    (sign(quadrant >> 1 & 1, s), sign(quadrant.wrapping_add(1) >> 1 & 1, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_path_follows_f64() {
        let philox = Philox::new(0x1234_5678_9abc_def0);
        let (mut narrow, mut exact) = (vec![0f32; 100_003], vec![0f64; 100_003]);
        philox.fill(5, 6, 7, &mut narrow);
        philox.fill_f64(5, 6, 7, &mut exact);
        let worst = narrow.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst < 5e-6, "worst difference {worst:e}");
    }

    #[test]
    fn corners_of_the_unit_interval() {
        for w in [0, 1, 255, 256, 0x7fff_ffff, 0xb504_f332, 0xb504_f333, 0xb504_f3ff, 0xffff_ff00, 0xffff_fffe, u32::MAX] {
            let exact = ((f64::from(w) + 1.0) / 4_294_967_296.0).ln();
            let got = f64::from(ln_unit(w));
            assert!((got - exact).abs() <= 4e-7 * exact.abs(), "ln of {w:#x}: {got} against {exact}");
            let (sin, cos) = sin_cos_turn(w);
            let (es, ec) = (std::f64::consts::TAU * f64::from(w) / 4_294_967_296.0).sin_cos();
            assert!((f64::from(sin) - es).abs() < 3e-7 && (f64::from(cos) - ec).abs() < 3e-7, "turn of {w:#x}");
        }
    }

    #[test]
    fn every_vector_width_gives_the_same_bits() {
        let (mut plain, mut fastest) = ([0f32; 4 * LANES], [0f32; 4 * LANES]);
        normals(3, [1, 2, 3], [4, 5], &mut plain);
        normals_fastest(3, [1, 2, 3], [4, 5], &mut fastest);
        assert_eq!(plain, fastest);
    }

    #[test]
    fn moments_are_those_of_a_normal() {
        let mut z = vec![0f32; 400_000];
        Philox::new(3).fill(0, 0, 0, &mut z);
        let n = z.len() as f64;
        let moment = |k: i32| z.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n;
        // Five standard errors of each moment of 400 000 draws.
        assert!(moment(1).abs() < 5.0 / n.sqrt());
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
        assert!(moment(3).abs() < 5.0 * (15.0 / n).sqrt());
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / n).sqrt());
    }

    #[test]
    fn a_prefix_and_a_row_offset_change_nothing() {
        let philox = Philox::new(9);
        let (mut long, mut short) = (vec![0f32; 500], vec![0f32; 77]);
        philox.fill(12, 1, 2, &mut long);
        philox.rows_from(10).fill(2, 1, 2, &mut short);
        assert_eq!(long[..77], short[..]);
    }

    #[test]
    fn permutations_are_permutations_and_differ() {
        let philox = Philox::new(1);
        let (a, b) = (philox.permutation(97, 0, 4), philox.permutation(97, 1, 4));
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..97).collect::<Vec<_>>());
        assert_ne!(a, b);
    }
}
