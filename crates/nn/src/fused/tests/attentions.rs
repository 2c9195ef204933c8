//! Attention and what turns its queries and keys.

use super::*;

/// Which scores have a bias of which shape, and whether every third key is hidden.
type Extras = (Option<[usize; 4]>, bool);

#[test]
fn attentions() {
    let shapes = [[2usize, 3usize, 5usize, 7usize, 4usize, 6usize], [1, 1, 1, 1, 1, 1], [1, 2, 300, 20, 8, 8], [0, 2, 3, 3, 4, 4]];
    for [batch, heads, queries, keys, width, wide] in shapes {
        let full = [batch, heads, queries, keys];
        let extras: [Extras; 4] =
            [(None, false), (Some(full), true), (Some([1, heads, queries, keys]), false), (Some([batch.min(1), 1, 1, keys]), true)];
        for (bias, masked) in extras {
            // Keys as a view whose positions are not next to one another.
            let parts = |i: &Inputs| {
                let query: Tensor<4> = i[0].clone().reshape([batch, queries, heads, width]).swap_dims(1, 2);
                let key: Tensor<4> = i[1].clone().reshape([batch, heads, width, keys]).swap_dims(2, 3);
                (query, key, i[2].clone().reshape([batch, heads, keys, wide]), bias.map(|dims| i[3].clone().reshape(dims)))
            };
            let mask = masked.then(|| mask(full));
            let fused = |i: &Inputs| {
                let (q, k, v, b) = parts(i);
                flat(attention(q, k, v, b, mask.clone()))
            };
            let composed = |i: &Inputs| {
                let (q, k, v, b) = parts(i);
                flat(attention::composed(q, k, v, b, mask.clone()))
            };
            let lens = [queries * width, keys * width, keys * wide].map(|len| batch * heads * len);
            let lens = [lens[0], lens[1], lens[2], bias.map_or(0, |dims| dims.iter().product())];
            check(&format!("attention {full:?} {bias:?} {masked}"), &lens, &fused, &composed);
        }
    }
}

#[test]
fn self_attentions() {
    for [batch, rows, heads, width] in [[2usize, 5usize, 3usize, 4usize], [1, 131, 2, 8], [0, 3, 1, 2]] {
        let full = [batch, heads, rows, rows];
        for masked in [false, true] {
            let mask = masked.then(|| mask(full));
            let qkv = |i: &Inputs| i[0].clone().reshape([batch, rows, 3 * heads * width]);
            // The bias as a network makes it: the heads come last.
            let bias = |i: &Inputs| i[1].clone().reshape([batch, rows, rows, heads]).permute([0, 3, 1, 2]);
            let fused = |i: &Inputs| flat(self_attention(qkv(i), heads, Some(bias(i)), mask.clone()));
            let composed = |i: &Inputs| {
                let part =
                    |k: usize| qkv(i).narrow(2, k * heads * width, heads * width).reshape([batch, rows, heads, width]).swap_dims(1, 2);
                flat(attention::composed(part(0), part(1), part(2), Some(bias(i)), mask.clone()).swap_dims(1, 2))
            };
            let lens = [batch * rows * 3 * heads * width, batch * rows * rows * heads];
            check(&format!("self-attention {full:?} {masked}"), &lens, &fused, &composed);
        }
    }
}

#[test]
fn rotations() {
    for ([batch, rows, heads, half], start, period) in [([2, 6, 3, 4], 0, 3), ([1, 5, 1, 1], 7, 5), ([0, 2, 2, 2], 0, 2)] {
        let dims = [batch, rows, 6 * heads * half];
        let count = dims.iter().product::<usize>();
        check("rotary", &[count], &|inputs| rotary(inputs[0].clone().reshape(dims), heads, start, period).reshape([count]), &|inputs| {
            super::rotary::composed(inputs[0].clone().reshape(dims), heads, start, period).reshape([count])
        });
    }
}
