//! How a fused operation reaches host memory: flex tensors as slices, its own node in the autodiff graph, and work over threads.
//!
//! Tensors of other devices, of other precisions, or under gradient checkpointing are handed back, and the caller composes the
//! operation from burn's own.

use std::{fmt::Debug, mem::MaybeUninit};

use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex, GradientCheckpointingStrategy,
    TensorMetadata as _,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    flex::FlexTensor,
    tensor::FloatTensor,
};
use burn::tensor::{DType, Shape, Tensor, TensorData};
use rayon::prelude::*;

use super::precision::Precision;

/// An operation on `N` inputs, some of them optional, with its gradient.
pub(super) trait Operation<const N: usize>: Copy + Debug + Send + 'static {
    /// Inputs that [`backward`](Self::backward) reads; the others are not kept.
    const KEEP: [bool; N];

    /// The result, and with `tracked` what else the gradient needs.
    fn forward(self, inputs: [Option<FlexTensor>; N], tracked: bool) -> (FlexTensor, Option<FlexTensor>);

    /// Gradients of the inputs that are `wanted`.
    fn backward(self, kept: Kept<N>, gradient: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// What an operation keeps for its gradient.
#[derive(Clone, Debug)]
pub(super) struct Kept<const N: usize> {
    /// The inputs listed in [`Operation::KEEP`].
    pub(super) inputs: [Option<FlexTensor>; N],
    /// The second result of [`Operation::forward`].
    pub(super) extra: Option<FlexTensor>,
}

/// Inputs of any rank.
pub(super) type Inputs<const N: usize> = [Option<DispatchTensor>; N];

/// Applies an operation to flex tensors of f32; gives the inputs back when one is something else.
pub(super) fn run<const N: usize, O: Operation<N>>(operation: O, inputs: Inputs<N>) -> Result<DispatchTensor, Inputs<N>> {
    if !inputs.iter().flatten().all(is_ours) {
        return Err(inputs);
    }
    if inputs.iter().flatten().all(|input| input.autodiff == DispatchAutodiffContext::Disabled) {
        let inputs = inputs.map(|input| input.map(|input| untracked(input.kind)));
        return Ok(from_plain(operation.forward(inputs, false).0));
    }
    let inputs = inputs.map(|input| input.map(|input| tracked(input.kind)));
    let output = BackendTensor::Autodiff(register(operation, inputs));
    Ok(DispatchTensor { kind: DispatchTensorKind::Autodiff(Box::new(DispatchTensorKind::Flex(output))), autodiff: TRACKED })
}

/// The flex tensor of f32 inside one that is in no autodiff graph.
#[allow(unreachable_patterns, reason = "with flex alone there are no other kinds")]
pub(super) fn plain(tensor: &DispatchTensor) -> Option<&FlexTensor> {
    match (&tensor.kind, tensor.autodiff) {
        (DispatchTensorKind::Flex(BackendTensor::Float(plain)), DispatchAutodiffContext::Disabled) => {
            Some(plain).filter(|_| is_ours(tensor))
        }
        _ => None,
    }
}

/// The tensor inside one that is [`plain`].
///
/// # Panics
/// When it is not.
pub(super) fn into_plain(tensor: DispatchTensor) -> FlexTensor {
    untracked(tensor.kind)
}

/// A flex tensor outside any autodiff graph as burn's.
pub(super) fn from_plain(tensor: FlexTensor) -> DispatchTensor {
    let kind = DispatchTensorKind::Flex(BackendTensor::Float(tensor));
    DispatchTensor { kind, autodiff: DispatchAutodiffContext::Disabled }
}

/// [`run`] on one tensor, or `composed` where it is not ours.
pub(super) fn run_unary<O: Operation<1>, const D: usize>(
    operation: O,
    x: Tensor<D>,
    composed: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    match run(operation, [Some(x.into_dispatch())]) {
        Ok(y) => Tensor::from_dispatch(y),
        Err([x]) => composed(Tensor::from_dispatch(x.expect("it was given"))),
    }
}

const TRACKED: DispatchAutodiffContext = DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled);

type Tracked = FloatTensor<Autodiff<Flex>>;

#[allow(unreachable_patterns, reason = "with flex alone there are no other kinds")]
fn is_ours(tensor: &DispatchTensor) -> bool {
    let is_flex = match (&tensor.kind, tensor.autodiff) {
        (DispatchTensorKind::Flex(BackendTensor::Float(_)), DispatchAutodiffContext::Disabled) => true,
        (DispatchTensorKind::Autodiff(inner), TRACKED) => matches!(**inner, DispatchTensorKind::Flex(BackendTensor::Autodiff(_))),
        _ => false,
    };
    is_flex && tensor.kind.dtype() == DType::F32
}

#[allow(unreachable_patterns, reason = "with flex alone there are no other kinds")]
fn untracked(kind: DispatchTensorKind) -> FlexTensor {
    match kind {
        DispatchTensorKind::Flex(tensor) => tensor.float(),
        _ => unreachable!("`is_ours` let only flex tensors through"),
    }
}

#[allow(unreachable_patterns, reason = "with flex alone there are no other kinds")]
fn tracked(kind: DispatchTensorKind) -> Tracked {
    match kind {
        DispatchTensorKind::Flex(tensor) => Tracked::new(tensor.float()),
        DispatchTensorKind::Autodiff(inner) => match *inner {
            DispatchTensorKind::Flex(tensor) => tensor.autodiff(),
            _ => unreachable!("`is_ours` let only flex tensors through"),
        },
        _ => unreachable!("`is_ours` let only flex tensors through"),
    }
}

fn register<const N: usize, O: Operation<N>>(operation: O, inputs: [Option<Tracked>; N]) -> Tracked {
    // An absent input is a constant without values: the graph counts its parents at compile time.
    let absent = || Tracked::new(array(Vec::new(), [0].into()));
    let is_tracked = inputs.iter().flatten().any(Tracked::is_tracked);
    let mut arrays = [const { None }; N];
    let mut inputs = inputs.into_iter().zip(&mut arrays);
    let guards = std::array::from_fn(|_| {
        let (input, array) = inputs.next().expect("there are N inputs");
        let present = input.is_some();
        let (primitive, guard) = input.unwrap_or_else(absent).into_parts();
        *array = present.then_some(primitive);
        guard
    });
    let mut kept = O::KEEP.into_iter().zip(&arrays);
    let kept = std::array::from_fn(|_| kept.next().and_then(|(keep, array)| array.clone().filter(|_| keep && is_tracked)));
    let (output, extra) = operation.forward(arrays, is_tracked);
    match (Node { operation }).prepare::<NoCheckpointing>(guards).compute_bound().stateful() {
        OpsKind::Tracked(node) => node.finish(Kept { inputs: kept, extra }, output),
        OpsKind::UnTracked(node) => node.finish(output),
    }
}

#[derive(Debug)]
struct Node<O> {
    operation: O,
}

impl<const N: usize, O: Operation<N>> Backward<Flex, N> for Node<O> {
    type State = Kept<N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = self.operation.backward(ops.state, gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// A tensor around values in row-major order.
pub(super) fn array(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Numbers to be written before they are read.
pub(super) struct Blank(pub(super) Vec<MaybeUninit<f32>>);

#[allow(unsafe_code, reason = "zeros that are written over were 5 % of a convolution's training step, on one thread while others wait")]
impl Blank {
    /// `len` of them.
    pub(super) fn new(len: usize) -> Self {
        let mut values = Vec::with_capacity(len);
        // SAFETY: there is room for so many, and such numbers need no value.
        unsafe { values.set_len(len) };
        Self(values)
    }

    /// The numbers.
    ///
    /// # Safety
    /// Every one of them was written.
    pub(super) unsafe fn written(self) -> Vec<f32> {
        let mut values = std::mem::ManuallyDrop::new(self.0);
        // SAFETY: the same memory, and the caller's word that the numbers are there.
        unsafe { Vec::from_raw_parts(values.as_mut_ptr().cast(), values.len(), values.capacity()) }
    }
}

/// The values of a tensor that [`contiguous`] made.
pub(super) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("it is contiguous and of f32")
}

/// The tensor with its values in row-major order.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The shape of a tensor.
pub(super) fn shape(tensor: &FlexTensor) -> Shape {
    tensor.layout().shape().clone()
}

/// The tensor's values to write over when nobody else holds them, else a copy.
pub(super) fn owned(tensor: FlexTensor) -> FlexTensor {
    let tensor = contiguous(tensor);
    let whole = tensor.bytes().len() == tensor.layout().num_elements() * size_of::<f32>();
    if whole && tensor.is_unique() { tensor } else { array(values(&tensor).to_vec(), shape(&tensor)) }
}

/// Runs `work` on every part, over the threads of the current rayon pool. Parts are cut by the caller from shapes alone and share
/// nothing, so the number of threads does not change a bit of the result. A single part stays on this thread.
pub(super) fn each<T: Send>(parts: impl Iterator<Item = T>, work: impl Fn(T) + Sync + Send) {
    if rayon::current_num_threads() == 1 {
        return parts.for_each(work);
    }
    let mut parts: Vec<T> = parts.collect();
    if parts.len() <= 1 {
        return parts.pop().into_iter().for_each(work);
    }
    let precision = Precision::of_thread();
    parts.into_par_iter().for_each(|part| {
        let _entered = precision.enter();
        work(part);
    });
}

/// [`each`] with a result of every part, in order.
pub(super) fn map<T: Send, R: Send>(parts: Vec<T>, work: impl Fn(usize, T) -> R + Sync + Send) -> Vec<R> {
    if parts.len() <= 1 || rayon::current_num_threads() == 1 {
        return parts.into_iter().enumerate().map(|(k, part)| work(k, part)).collect();
    }
    let precision = Precision::of_thread();
    let work = |(k, part)| {
        let _entered = precision.enter();
        work(k, part)
    };
    parts.into_par_iter().enumerate().map(work).collect()
}

/// The first `len` numbers of room that grows.
pub(super) fn first(room: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if room.len() < len {
        room.resize(len, 0.0);
    }
    &mut room[..len]
}

/// Two pieces of work at once where there are threads, both at the precision of this one.
pub(super) fn join<A: Send, B: Send>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B + Send) -> (A, B) {
    let precision = Precision::of_thread();
    let at_first = || {
        let _entered = precision.enter();
        first()
    };
    let at_second = || {
        let _entered = precision.enter();
        second()
    };
    rayon::join(at_first, at_second)
}
