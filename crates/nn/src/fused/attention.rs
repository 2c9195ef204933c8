//! Attention with an additive bias and a mask: scores of a block of queries at a time, never all of them.
//!
//! The gradient computes the scores again from queries and keys (Dao et al. 2022, arXiv:2205.14135, Sec. 3.1); kept are the
//! inputs and one number a query.

use burn::{
    backend::flex::{FlexTensor, Layout},
    tensor::{Bool, DType, Tensor, activation},
};

use super::{
    gemm::{Place, product},
    host::{self, Kept, Operation, array, contiguous, each, shape, values},
    softmax::exponentials,
    vector::{exp, sum2, wide},
};

/// Queries whose scores are held at once.
const QUERIES: usize = 256;

/// `softmax(query key^T / sqrt(width) + bias) value` for every item and head.
///
/// `query` is `[batch, heads, queries, width]`, `key` `[batch, heads, keys, width]`, `value` `[batch, heads, keys, values]`, and the
/// result `[batch, heads, queries, values]`, laid out so that swapping heads and queries and joining the last two dimensions copies
/// nothing. `bias` and `mask` have shape `[batch, heads, queries, keys]`, or 1 in any of these; keys where `mask` is true are not
/// seen, and a query that sees none gets zeros.
///
/// # Panics
/// When the shapes do not fit together.
pub fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, bias: Option<Tensor<4>>, mask: Option<Tensor<4, Bool>>) -> Tensor<4> {
    let [batch, heads, queries, width] = query.dims();
    let [_, _, keys, values] = value.dims();
    assert!(key.dims() == [batch, heads, keys, width], "keys {:?} do not fit queries {:?}", key.dims(), query.dims());
    assert!(value.dims() == [batch, heads, keys, values], "values {:?} do not fit keys {:?}", value.dims(), key.dims());
    check(bias.as_ref().map(Tensor::dims), [batch, heads, queries, keys]);
    check(mask.as_ref().map(Tensor::dims), [batch, heads, queries, keys]);
    let hidden = mask.as_ref().map(|mask| hidden(mask, &query));
    let inputs = [Some(query), Some(key), Some(value), bias, hidden].map(|part| part.map(Tensor::into_dispatch));
    match host::run(Separate, inputs) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([query, key, value, bias, _]) => {
            let [query, key, value] = [query, key, value].map(|part| Tensor::from_dispatch(part.expect("it was given")));
            composed(query, key, value, bias.map(Tensor::from_dispatch), mask)
        }
    }
}

/// [`attention`] of a sequence to itself. `qkv` is `[batch, rows, 3 * width]`: queries, keys and values one after the other, each
/// the `heads` of the row. The result is `[batch, rows, width]`.
///
/// # Panics
/// When the last dimension is not three times a multiple of `heads`, or `bias` or `mask` does not fit.
pub fn self_attention(qkv: Tensor<3>, heads: usize, bias: Option<Tensor<4>>, mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
    let [batch, rows, width] = qkv.dims();
    assert!(heads > 0 && width.is_multiple_of(3 * heads), "{width} numbers a row are not queries, keys and values of {heads} heads");
    check(bias.as_ref().map(Tensor::dims), [batch, heads, rows, rows]);
    check(mask.as_ref().map(Tensor::dims), [batch, heads, rows, rows]);
    let hidden = mask.as_ref().map(|mask| hidden(mask, &qkv));
    let inputs = [Some(qkv.into_dispatch()), bias.map(Tensor::into_dispatch), hidden.map(Tensor::into_dispatch)];
    match host::run(Packed { heads }, inputs) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([qkv, bias, _]) => {
            let qkv: Tensor<3> = Tensor::from_dispatch(qkv.expect("it was given"));
            let part =
                |k: usize| qkv.clone().narrow(2, k * width / 3, width / 3).reshape([batch, rows, heads, width / 3 / heads]).swap_dims(1, 2);
            let mixed = composed(part(0), part(1), part(2), bias.map(Tensor::from_dispatch), mask);
            mixed.swap_dims(1, 2).reshape([batch, rows, width / 3])
        }
    }
}

pub(super) fn check(dims: Option<[usize; 4]>, full: [usize; 4]) {
    let fits = |dims: [usize; 4]| dims.iter().zip(full).all(|(&part, full)| part == full || part == 1);
    assert!(dims.is_none_or(fits), "a bias or mask of {:?} does not fit scores of {full:?}", dims.unwrap_or_default());
}

/// The mask as something to add: minus infinity where it is true.
pub(super) fn hidden<const D: usize>(mask: &Tensor<4, Bool>, like: &Tensor<D>) -> Tensor<4> {
    Tensor::zeros(mask.dims(), (&like.device().inner(), DType::F32)).mask_fill(mask.clone(), f32::NEG_INFINITY)
}

/// The same from burn's operations.
pub(super) fn composed(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Option<Tensor<4>>,
    mask: Option<Tensor<4, Bool>>,
) -> Tensor<4> {
    let width = query.dims()[3];
    let [batch, heads, keys, _] = value.dims();
    let full = [batch, heads, query.dims()[2], keys];
    let mut scores = query.matmul(key.swap_dims(2, 3)) / (width as f32).sqrt();
    if let Some(bias) = bias {
        scores = scores + bias;
    }
    let mask = mask.map(|mask| mask.expand(full));
    if let Some(mask) = &mask {
        scores = scores.mask_fill(mask.clone(), -1e30);
    }
    let mut weights = activation::softmax(scores, 3);
    if let Some(mask) = mask {
        weights = weights.mask_fill(mask, 0.0);
    }
    weights.matmul(value)
}

/// Where the matrices of all items and heads lie in one slice.
#[derive(Clone, Copy, Debug)]
struct Heads {
    start: usize,
    strides: [usize; 4],
}

impl Heads {
    fn of(tensor: &FlexTensor) -> Self {
        let mut strides = [0; 4];
        let found = tensor.layout().strides().iter().zip(&**tensor.layout().shape());
        // A dimension of 1 is broadcast: its only element serves all.
        strides.iter_mut().zip(found).for_each(|(to, (from, &len))| *to = if len == 1 { 0 } else { from.unsigned_abs() });
        Self { start: tensor.layout().start_offset(), strides }
    }

    /// Rows of `heads` heads of `width` numbers, at `start` in rows of `row` numbers.
    fn in_rows(start: usize, rows: usize, row: usize, width: usize) -> Self {
        Self { start, strides: [rows * row, width, row, 1] }
    }

    /// The layout of all of them as one tensor.
    fn view(self, dims: [usize; 4]) -> Layout {
        Layout::new(dims.into(), self.strides.map(|stride| stride as isize).to_vec(), self.start)
    }

    fn at(self, item: usize, head: usize, row: usize) -> Place {
        let [items, heads, rows, columns] = self.strides;
        Place { start: self.start + item * items + head * heads + row * rows, row: rows, column: columns }
    }
}

/// A tensor whose strides run forward.
pub(super) fn forwards(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().has_positive_strides() { tensor } else { tensor.to_contiguous() }
}

/// Attention of several items to themselves, their queries, keys and values side by side in rows of `qkv`.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) heads: usize,
    /// Of an item.
    pub(super) rows: usize,
    /// Of a head.
    pub(super) width: usize,
    /// A bias and what hides keys, of all items.
    pub(super) added: [&'a Option<FlexTensor>; 2],
    /// The item at the start of `qkv`.
    pub(super) first: usize,
}

impl Rows<'_> {
    /// Writes the results of the items as rows of all heads; `scores` is room. There is at least one row.
    pub(super) fn mix(self, scores: &mut Vec<f32>, out: &mut [f32]) {
        let item_len = self.rows * self.heads * self.width;
        let added = self.added.map(|added| {
            added.as_ref().map(|added| {
                let at = Heads::of(added);
                (added.storage::<f32>(), Heads { start: at.start + self.first * at.strides[0], ..at })
            })
        });
        let problem = Problem::of_rows(self.qkv, [out.len() / item_len, self.heads, self.rows, self.width], added).0;
        out.chunks_exact_mut(item_len).enumerate().for_each(|(item, out)| problem.mix(item, scores, out, None));
    }
}

/// Queries, keys and values of all heads, and what is added to their scores.
#[derive(Clone, Copy)]
struct Problem<'a> {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
    values: usize,
    parts: [(&'a [f32], Heads); 3],
    added: [Option<(&'a [f32], Heads)>; 2],
}

impl<'a> Problem<'a> {
    /// Of rows with queries, keys and values side by side, and the places of these.
    fn of_rows(qkv: &'a [f32], [batch, heads, rows, width]: [usize; 4], added: [Option<(&'a [f32], Heads)>; 2]) -> (Self, [Heads; 3]) {
        let places = [0, 1, 2].map(|k| Heads::in_rows(k * heads * width, rows, 3 * heads * width, width));
        let parts = places.map(|place| (qkv, place));
        (Self { batch, heads, queries: rows, keys: rows, width, values: width, parts, added }, places)
    }

    fn scale(self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Scores of queries `from..from + count`, into the first rows of `scores`.
    fn scores(self, item: usize, head: usize, from: usize, count: usize, scores: &mut [f32]) {
        let [(query, query_at), (key, key_at), _] = self.parts;
        let factors = ((query, query_at.at(item, head, from)), (key, key_at.at(item, head, 0).transposed()));
        product([count, self.keys, self.width], self.scale(), factors.0, factors.1, (scores, Place::rows(self.keys)), false);
        for (added, at) in self.added.into_iter().flatten() {
            let at = at.at(item, head, from);
            for (i, row) in scores.chunks_exact_mut(self.keys).take(count).enumerate() {
                add(row, &added[at.start + i * at.row..], at.column);
            }
        }
    }

    /// The result as `[batch, queries, heads, values]`, and the logarithm of every softmax's sum as `[batch, heads, queries]`.
    fn forward(self) -> (Vec<f32>, Vec<f32>) {
        let Self { batch, heads, queries, keys, .. } = self;
        let item_len = queries * heads * self.values;
        let mut out = vec![0.0; batch * item_len];
        let mut logs = vec![f32::INFINITY; batch * heads * queries];
        if out.is_empty() || keys == 0 {
            return (out, logs);
        }
        let items = out.chunks_mut(item_len).zip(logs.chunks_mut(heads * queries)).enumerate();
        each(items, |(item, (out, logs))| self.mix(item, &mut Vec::new(), out, Some(logs)));
        (out, logs)
    }

    /// The result of one item as `[queries, heads, values]`, and its logarithms; `scores` is room. There are keys.
    fn mix(self, item: usize, scores: &mut Vec<f32>, out: &mut [f32], mut logs: Option<&mut [f32]>) {
        let Self { heads, queries, keys, .. } = self;
        let out_at = Heads::in_rows(0, queries, heads * self.values, self.values);
        let (value, value_at) = self.parts[2];
        scores.resize(scores.len().max(QUERIES.min(queries) * keys), 0.0);
        for (head, from) in (0..heads).flat_map(|head| (0..queries).step_by(QUERIES).map(move |from| (head, from))) {
            let count = QUERIES.min(queries - from);
            self.scores(item, head, from, count, scores);
            let first = head * queries + from;
            weigh(&mut scores[..count * keys], keys, logs.as_deref_mut().map(|logs| &mut logs[first..first + count]));
            let at = out_at.at(0, head, from);
            let sizes = [count, self.values, keys];
            product(sizes, 1.0, (scores, Place::rows(keys)), (value, value_at.at(item, head, 0)), (out, at), false);
        }
    }

    /// Gradients of queries, keys and values at `places` of one buffer of `item_len` numbers an item, and of the full bias.
    fn backward(
        self,
        logs: &[f32],
        (gradient, gradient_at): (&[f32], Heads),
        (item_len, places): (usize, [Heads; 3]),
        with_bias: bool,
    ) -> (Vec<f32>, Vec<f32>) {
        let Self { batch, heads, queries, keys, .. } = self;
        let bias_len = if with_bias { heads * queries * keys } else { 0 };
        let (mut out, mut bias) = (vec![0.0; batch * item_len], vec![0.0; batch * bias_len]);
        let mut biases: Vec<&mut [f32]> = bias.chunks_mut(bias_len.max(1)).collect();
        biases.resize_with(batch, Default::default);
        if item_len == 0 || keys == 0 || queries == 0 {
            return (out, bias);
        }
        let items = out.chunks_mut(item_len).zip(biases).enumerate();
        let [query, key, value] = self.parts;
        each(items, |(item, (out, bias))| {
            let len = QUERIES.min(queries) * keys;
            let (mut weights, mut slopes) = (vec![0.0; len], vec![0.0; len]);
            for head in 0..heads {
                for from in (0..queries).step_by(QUERIES) {
                    let count = QUERIES.min(queries - from);
                    let first = (item * heads + head) * queries + from;
                    self.scores(item, head, from, count, &mut weights);
                    let block = (&mut weights[..count * keys], &mut slopes[..count * keys]);
                    let slope = (gradient, gradient_at.at(item, head, from));
                    let rows = Place::rows(keys);
                    product(
                        [count, keys, self.values],
                        1.0,
                        slope,
                        (value.0, value.1.at(item, head, 0).transposed()),
                        (block.1, rows),
                        false,
                    );
                    slope_of_scores(block.0, block.1, keys, &logs[first..first + count]);
                    if with_bias {
                        bias[(head * queries + from) * keys..][..count * keys].copy_from_slice(block.1);
                    }
                    let (weights, slopes) = (&*block.0, (&*block.1, rows));
                    let [dquery, dkey, dvalue] = places.map(|place| place.at(0, head, 0));
                    let (scale, sizes) = (self.scale(), [count, self.width, keys]);
                    let dquery = Place { start: dquery.start + from * dquery.row, ..dquery };
                    product(sizes, scale, slopes, (key.0, key.1.at(item, head, 0)), (out, dquery), false);
                    let query = (query.0, query.1.at(item, head, from));
                    product([keys, self.width, count], scale, (slopes.0, rows.transposed()), query, (out, dkey), from > 0);
                    product([keys, self.values, count], 1.0, (weights, rows.transposed()), slope, (out, dvalue), from > 0);
                }
            }
        });
        (out, bias)
    }
}

wide! {
    fn add(row: &mut [f32], added: &[f32], step: usize) {
        match step {
            0 => row.iter_mut().for_each(|score| *score += added[0]),
            1 => row.iter_mut().zip(added).for_each(|(score, added)| *score += added),
            _ => row.iter_mut().zip(added.iter().step_by(step)).for_each(|(score, added)| *score += added),
        }
    }
}

wide! {
    /// Softmax of every row, and the logarithms of the sums where they are asked for; rows without any key become zeros.
    fn weigh(scores: &mut [f32], keys: usize, logs: Option<&mut [f32]>) {
        let mut logs = logs.into_iter().flatten();
        for row in scores.chunks_exact_mut(keys) {
            let (most, sum) = exponentials(row);
            let is_blind = most == f32::NEG_INFINITY;
            let factor = if is_blind { 0.0 } else { 1.0 / sum };
            if is_blind {
                row.fill(0.0);
            }
            let (chunks, rest) = row.as_chunks_mut::<16>();
            for chunk in chunks {
                for weight in chunk {
                    *weight *= factor;
                }
                // Compilers else take eight chunks at once and gather their numbers one by one: half of this function's time.
                std::hint::black_box(());
            }
            for weight in rest {
                *weight *= factor;
            }
            if let Some(log) = logs.next() {
                *log = if is_blind { f32::INFINITY } else { most + sum.ln() };
            }
        }
    }
}

wide! {
    /// From scores and slopes of weights to weights and slopes of scores.
    fn slope_of_scores(scores: &mut [f32], slopes: &mut [f32], keys: usize, logs: &[f32]) {
        for ((scores, slopes), &log) in scores.chunks_exact_mut(keys).zip(slopes.chunks_exact_mut(keys)).zip(logs) {
            scores.iter_mut().for_each(|score| *score = exp(*score - log));
            let mean = sum2(scores, slopes, |weight, slope| weight * slope);
            slopes.iter_mut().zip(scores).for_each(|(slope, weight)| *slope = *weight * (*slope - mean));
        }
    }
}

/// Sums the gradient of a full bias over the dimensions in which the bias has length 1, in order.
fn reduced(full: Vec<f32>, full_dims: [usize; 4], bias: &FlexTensor) -> FlexTensor {
    let dims = shape(bias);
    let (mut sum, mut from) = (full, full_dims);
    for dim in 0..4 {
        if dims[dim] == 1 && from[dim] != 1 {
            let inner: usize = from[dim + 1..].iter().product();
            let mut next = vec![0.0; sum.len() / from[dim].max(1)];
            if inner > 0 && from[dim] > 0 {
                for (next, block) in next.chunks_mut(inner).zip(sum.chunks(inner * from[dim])) {
                    block.chunks(inner).for_each(|row| next.iter_mut().zip(row).for_each(|(next, value)| *next += value));
                }
            } else {
                next = vec![0.0; from.iter().enumerate().map(|(k, &len)| if k == dim { 1 } else { len }).product()];
            }
            sum = next;
            from[dim] = 1;
        }
    }
    array(sum, dims)
}

/// Queries, keys and values apart.
#[derive(Clone, Copy, Debug)]
struct Separate;

impl Separate {
    fn problem(inputs: &[Option<FlexTensor>; 5]) -> Problem<'_> {
        let part = |k: usize| inputs[k].as_ref().map(|tensor| (tensor.storage::<f32>(), Heads::of(tensor)));
        let dims = |k: usize| inputs[k].as_ref().map_or([0; 4], |tensor| [0, 1, 2, 3].map(|dim| tensor.layout().shape()[dim]));
        let [batch, heads, queries, width] = dims(0);
        let [_, _, keys, values] = dims(2);
        let parts = [0, 1, 2].map(|k| part(k).expect("it is always given"));
        Problem { batch, heads, queries, keys, width, values, parts, added: [part(3), part(4)] }
    }
}

impl Operation<5> for Separate {
    const KEEP: [bool; 5] = [true; 5];

    fn forward(self, inputs: [Option<FlexTensor>; 5], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let inputs = inputs.map(|input| input.map(forwards));
        let problem = Self::problem(&inputs);
        let Problem { batch, heads, queries, values, .. } = problem;
        let (out, logs) = problem.forward();
        let extra = tracked.then(|| array(logs, [batch, heads, queries].into()));
        let view = Heads::in_rows(0, queries, heads * values, values).view([batch, heads, queries, values]);
        (array(out, [batch, queries, heads, values].into()).with_layout(view), extra)
    }

    fn backward(self, kept: Kept<5>, gradient: FlexTensor, wanted: [bool; 5]) -> [Option<FlexTensor>; 5] {
        let inputs = kept.inputs.map(|input| input.map(forwards));
        let logs = kept.extra.expect("tracked attention keeps the logarithms");
        let gradient = forwards(gradient);
        let problem = Self::problem(&inputs);
        let Problem { batch, heads, queries, keys, width, values: wide, .. } = problem;
        let lens = [queries * width, keys * width, keys * wide].map(|len| heads * len);
        let item_len = lens.iter().sum();
        let place = |start, rows, width| Heads { start, strides: [item_len, rows * width, width, 1] };
        let places = [place(0, queries, width), place(lens[0], keys, width), place(lens[0] + lens[1], keys, wide)];
        let slope = (gradient.storage::<f32>(), Heads::of(&gradient));
        let (out, dbias) = problem.backward(values(&logs), slope, (item_len, places), wanted[3]);
        let out = array(out, [batch, item_len].into());
        let dims = [[batch, heads, queries, width], [batch, heads, keys, width], [batch, heads, keys, wide]];
        let part = |k: usize| Some(out.clone().with_layout(places[k].view(dims[k])));
        let dbias = inputs[3].as_ref().filter(|_| wanted[3]).map(|bias| reduced(dbias, [batch, heads, queries, keys], bias));
        [part(0), part(1), part(2), dbias, None]
    }
}

/// Queries, keys and values side by side in every row.
#[derive(Clone, Copy, Debug)]
struct Packed {
    heads: usize,
}

impl Packed {
    fn problem<'a>(self, qkv: &'a FlexTensor, added: [&'a Option<FlexTensor>; 2]) -> (Problem<'a>, [Heads; 3]) {
        let [batch, rows, all] = [0, 1, 2].map(|dim| qkv.layout().shape()[dim]);
        let added = added.map(|added| added.as_ref().map(|added| (added.storage::<f32>(), Heads::of(added))));
        Problem::of_rows(values(qkv), [batch, self.heads, rows, all / 3 / self.heads], added)
    }
}

impl Operation<3> for Packed {
    const KEEP: [bool; 3] = [true; 3];

    fn forward(self, [qkv, bias, hidden]: [Option<FlexTensor>; 3], tracked: bool) -> (FlexTensor, Option<FlexTensor>) {
        let qkv = contiguous(qkv.expect("it is always given"));
        let [bias, hidden] = [bias, hidden].map(|part| part.map(forwards));
        let (problem, _) = self.problem(&qkv, [&bias, &hidden]);
        let (out, logs) = problem.forward();
        let Problem { batch, heads, queries, width, .. } = problem;
        let extra = tracked.then(|| array(logs, [batch, heads, queries].into()));
        (array(out, [batch, queries, heads * width].into()), extra)
    }

    fn backward(self, kept: Kept<3>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [qkv, bias, hidden] = kept.inputs;
        let qkv = contiguous(qkv.expect("it is always kept"));
        let [bias, hidden] = [bias, hidden].map(|part| part.map(forwards));
        let logs = kept.extra.expect("tracked attention keeps the logarithms");
        let gradient = contiguous(gradient);
        let (problem, places) = self.problem(&qkv, [&bias, &hidden]);
        let Problem { batch, heads, queries, width, .. } = problem;
        let slope = (values(&gradient), Heads::in_rows(0, queries, heads * width, width));
        let (dqkv, dbias) = problem.backward(values(&logs), slope, (queries * 3 * heads * width, places), wanted[1]);
        let dbias = bias.filter(|_| wanted[1]).map(|bias| reduced(dbias, [batch, heads, queries, queries], &bias));
        [Some(array(dqkv, shape(&qkv))), dbias, None]
    }
}
