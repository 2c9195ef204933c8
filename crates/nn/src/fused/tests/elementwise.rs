//! Functions of one number, gates, norms and softmax.

use super::*;

#[test]
fn activations() {
    for activation in [Activation::Silu, Activation::Gelu, Activation::Tanh, Activation::Sigmoid, Activation::Softplus, Activation::Exp] {
        for len in [0, 1, 37, 40_001] {
            check(&format!("{activation:?}"), &[len], &|x| activation.apply(x[0].clone()), &|x| activation.composed(x[0].clone()));
        }
        // A transposed view, and a row broadcast to many.
        let view = |x: &Inputs| x[0].clone().reshape([5, 7, 3]).swap_dims(0, 2);
        check("view", &[105], &|x| flat(activation.apply(view(x))), &|x| flat(activation.composed(view(x))));
        let wide = |x: &Inputs| x[0].clone().reshape([1, 9]).expand([4, 9]);
        check("broadcast", &[9], &|x| flat(activation.apply(wide(x))), &|x| flat(activation.composed(wide(x))));
    }
}

#[test]
fn gates() {
    for gate in [Gate::Tanh, Gate::Silu] {
        for (dims, dim) in [([2, 6, 5], 1), ([3, 1, 34], 2), ([4, 2, 1], 0), ([0, 4, 3], 1), ([1, 2, 40_001], 1)] {
            let x = move |x: &Inputs| x[0].clone().reshape(dims);
            let len = dims.iter().product();
            check(&format!("{gate:?}"), &[len], &|i| flat(gate.apply(x(i), dim)), &|i| flat(gate.composed(x(i), dim)));
        }
        let view = |x: &Inputs| x[0].clone().reshape([5, 8, 3]).swap_dims(1, 2);
        check("view", &[120], &|x| flat(gate.apply(view(x), 2)), &|x| flat(gate.composed(view(x), 2)));
    }
}

#[test]
fn norms() {
    for norm in [Norm::Layer { epsilon: 1e-5 }, Norm::Rms { epsilon: 1e-5 }] {
        for (rows, width, groups) in [(7usize, 5usize, 1usize), (70, 33, 1), (6, 40, 3), (6, 64, 6), (0, 8, 1)] {
            let x = move |x: &Inputs| x[0].clone().reshape([rows, width]);
            let part = move |x: &Inputs, k: usize| Some(x[k].clone().reshape([groups, width]));
            let lens = [rows * width, groups * width, groups * width];
            let name = format!("{norm:?} {rows} {width} {groups}");
            check(&name, &lens[..1], &|i| flat(norm.apply(x(i))), &|i| flat(norm.composed(x(i), false, None, None)));
            check(&name, &lens[..2], &|i| flat(norm.affine(x(i), part(i, 1), None)), &|i| {
                flat(norm.composed(x(i), false, part(i, 1), None))
            });
            let modulated = |i: &Inputs| {
                let [scale, shift] = [1, 2].map(|k| i[k].clone().reshape([groups, width]));
                flat(norm.modulated(x(i), scale, shift))
            };
            check(&name, &lens, &modulated, &|i| flat(norm.composed(x(i), true, part(i, 1), part(i, 2))));
        }
        let view = |x: &Inputs| x[0].clone().reshape([6, 9, 4]).swap_dims(1, 2);
        check("view", &[216], &|x| flat(norm.apply(view(x))), &|x| flat(norm.composed(view(x), false, None, None)));
    }
}

#[test]
fn softmaxes() {
    for dims in [[3, 5], [200, 37], [4, 1], [0, 6]] {
        let x = move |x: &Inputs| x[0].clone().reshape(dims);
        let composed = |x: Tensor<2>| burn::tensor::activation::softmax(x, 1);
        check("softmax", &[dims[0] * dims[1]], &|i| flat(softmax(x(i))), &|i| flat(composed(x(i))));
        let view = move |i: &Inputs| turned(&i[0], dims, 0, 1);
        check("view", &[dims[0] * dims[1]], &|i| flat(softmax(view(i))), &|i| flat(composed(view(i))));
    }
}
