//! What flows between nodes: float tensors on the device, integers and booleans in host memory.

use std::sync::Arc;

use burn::{
    backend::{Dispatch, DispatchTensor, Slice, TensorMetadata as _, ops::FloatTensorOps as _},
    tensor::{Bool, Device, Int, Shape, Tensor, TensorData},
};

use super::array::{Array, Numbers};

/// Result of an operator; the error says what does not fit, and the node's name is added by the caller.
pub(super) type Fit<T> = Result<T, String>;

/// More elements than any classifier's tensor has; a file that asks for more is refused before memory is.
const MOST: usize = 1 << 28;

/// A value of a graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Float(Dense),
    Host(Host),
}

/// A float tensor of any rank; what has no dimensions has one element.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    tensor: DispatchTensor,
    dims: Vec<usize>,
}

/// Integers or booleans in row-major order. They are known to the host because shapes, axes and indices are made of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    pub(super) dims: Vec<usize>,
    pub(super) data: Arc<[i64]>,
    pub(super) is_bool: bool,
}

/// Number of elements of a shape.
///
/// # Errors
/// When it is more than any classifier needs.
pub(super) fn count(dims: &[usize]) -> Fit<usize> {
    let count = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim)).filter(|&count| count <= MOST);
    count.ok_or_else(|| format!("a tensor of shape {dims:?} is larger than {MOST} elements"))
}

/// The common shape of two under NumPy's rules.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Fit<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], k: usize| (k + dims.len()).checked_sub(rank).map_or(1, |k| dims[k]);
    let dims: Option<Vec<usize>> = (0..rank)
        .map(|k| match (at(a, k), at(b, k)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect();
    let dims = dims.ok_or_else(|| format!("shapes {a:?} and {b:?} do not broadcast"))?;
    count(&dims)?;
    Ok(dims)
}

/// An axis counted from the front.
pub(super) fn axis(axis: i64, rank: usize) -> Fit<usize> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_front).ok().filter(|&axis| axis < rank).ok_or_else(|| format!("axis {axis} is outside rank {rank}"))
}

impl Dense {
    /// A tensor of `dims` from values in row-major order.
    pub(super) fn new(values: Vec<f32>, dims: Vec<usize>, device: &Device) -> Self {
        let len = values.len();
        Self::of(Tensor::<1>::from_data(TensorData::new(values, [len]), device)).reshape(dims)
    }

    /// A tensor of rank `D`.
    pub(super) fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let dims = tensor.dims().to_vec();
        Self { tensor: tensor.into_dispatch(), dims }
    }

    /// The result of one of burn's rank-free operations.
    pub(super) fn from_dispatch(tensor: DispatchTensor) -> Self {
        let dims = tensor.shape().to_vec();
        Self { tensor, dims }
    }

    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub(super) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// As burn's tensor of rank `D`; callers have looked at the rank.
    pub(super) fn tensor<const D: usize>(self) -> Tensor<D> {
        assert!(self.rank() == D, "a tensor of shape {:?} is not of rank {D}", self.dims);
        Tensor::from_dispatch(self.tensor)
    }

    /// As one row of numbers.
    pub(super) fn flat(self) -> Tensor<1> {
        let len = self.dims.iter().product();
        self.reshape(vec![len]).tensor()
    }

    /// As burn's rank-free tensor, for operations that keep the shape.
    pub(super) fn map(self, work: impl FnOnce(DispatchTensor) -> DispatchTensor) -> Self {
        Self { tensor: work(self.tensor), dims: self.dims }
    }

    /// As burn's rank-free tensor, for operations that change the shape; callers have looked at the rank.
    pub(super) fn change(self, work: impl FnOnce(DispatchTensor) -> DispatchTensor) -> Self {
        Self::from_dispatch(work(self.tensor))
    }

    /// The inner tensor of burn.
    pub(super) fn into_dispatch(self) -> DispatchTensor {
        self.tensor
    }

    /// The same numbers in another shape of as many.
    pub(super) fn reshape(self, dims: Vec<usize>) -> Self {
        debug_assert_eq!(self.dims.iter().product::<usize>(), dims.iter().product::<usize>());
        let physical = if dims.is_empty() { vec![1] } else { dims.clone() };
        if self.tensor.shape().to_vec() == physical {
            return Self { dims, ..self };
        }
        Self { tensor: Dispatch::float_reshape(self.tensor, Shape::from(physical)), dims }
    }

    /// The same with ones in front of its dimensions until there are `rank` of them.
    pub(super) fn raise(self, rank: usize) -> Self {
        let mut dims = vec![1; rank.saturating_sub(self.rank())];
        dims.extend_from_slice(&self.dims);
        self.reshape(dims)
    }

    /// Repeated to a shape that [`broadcast`] found.
    pub(super) fn expand(self, dims: &[usize]) -> Self {
        let raised = self.raise(dims.len());
        if raised.dims == dims { raised } else { raised.change(|x| Dispatch::float_expand(x, Shape::from(dims.to_vec()))) }
    }

    pub(super) fn permute(self, axes: &[usize]) -> Self {
        if axes.iter().enumerate().all(|(k, &axis)| k == axis) {
            return self;
        }
        self.change(|x| Dispatch::float_permute(x, axes))
    }

    /// Positions `range` of an axis.
    pub(super) fn cut(self, axis: usize, range: std::ops::Range<usize>) -> Self {
        if range == (0..self.dims[axis]) {
            return self;
        }
        let slices: Vec<Slice> =
            self.dims.iter().enumerate().map(|(k, &dim)| Slice::from(if k == axis { range.clone() } else { 0..dim })).collect();
        self.change(|x| Dispatch::float_slice(x, &slices))
    }

    /// The named positions of an axis, in their order.
    pub(super) fn select(self, axis: usize, positions: &[usize]) -> Self {
        let positions: Vec<i64> = positions.iter().map(|&k| k as i64).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(positions.clone(), [positions.len()]), &self.plain_device());
        self.change(|x| Dispatch::float_select(x, axis, indices.into_dispatch()))
    }

    /// Where `mask` (one entry an element) holds `self`, elsewhere `other` of the same shape.
    pub(super) fn choose(self, mask: &[i64], other: Self) -> Self {
        let mask: Vec<bool> = mask.iter().map(|&x| x != 0).collect();
        let mask = Tensor::<1, Bool>::from_data(TensorData::new(mask.clone(), [mask.len()]), &self.plain_device());
        let dims = self.dims.clone();
        Self::of(other.flat().mask_where(mask, self.flat())).reshape(dims)
    }

    /// The device without autodiff.
    pub(super) fn plain_device(&self) -> Device {
        Tensor::<1>::from_dispatch(self.tensor.clone()).device().inner()
    }

    /// A copy of the values.
    pub(super) fn read(&self) -> Fit<Vec<f32>> {
        self.clone().flat().try_into_vec_as::<f32>().map_err(|e| format!("values cannot be read: {e}"))
    }
}

impl Host {
    pub(super) fn ints(dims: Vec<usize>, data: Vec<i64>) -> Self {
        Self { dims, data: data.into(), is_bool: false }
    }

    pub(super) fn bools(dims: Vec<usize>, data: Vec<i64>) -> Self {
        Self { dims, data: data.into(), is_bool: true }
    }

    /// A row of integers.
    pub(super) fn list(data: Vec<i64>) -> Self {
        Self::ints(vec![data.len()], data)
    }

    /// The same kind of numbers, others.
    pub(super) fn with(&self, dims: Vec<usize>, data: Vec<i64>) -> Self {
        Self { dims, data: data.into(), is_bool: self.is_bool }
    }

    /// The view of `dims` whose element at `index` is element `start + sum index[k] strides[k]`.
    pub(super) fn view(&self, dims: Vec<usize>, strides: &[isize], start: isize) -> Self {
        let mut at = Vec::with_capacity(dims.iter().product());
        if !dims.contains(&0) {
            at.push(start);
        }
        for (&dim, &stride) in dims.iter().zip(strides) {
            at = at.iter().flat_map(|&from| (0..dim as isize).map(move |k| from + k * stride)).collect();
        }
        let data = at.into_iter().map(|k| self.data[k.unsigned_abs()]).collect();
        self.with(dims, data)
    }

    /// From one element of an axis to the next.
    pub(super) fn strides(&self) -> Vec<isize> {
        let mut strides = vec![1; self.dims.len()];
        for k in (1..strides.len()).rev() {
            strides[k - 1] = strides[k] * self.dims[k] as isize;
        }
        strides
    }

    /// Repeated to a shape that [`broadcast`] found.
    pub(super) fn expand(&self, dims: &[usize]) -> Self {
        if self.dims == dims {
            return self.clone();
        }
        let missing = dims.len() - self.dims.len();
        let mut strides = vec![0; missing];
        strides.extend(self.strides().into_iter().zip(&self.dims).map(|(stride, &dim)| if dim == 1 { 0 } else { stride }));
        self.view(dims.to_vec(), &strides, 0)
    }
}

impl Value {
    pub(super) fn from_array(array: Array, device: &Device) -> Self {
        match array.numbers {
            Numbers::Float(values) => Self::Float(Dense::new(values, array.dims, device)),
            Numbers::Int(values) => Self::Host(Host::ints(array.dims, values)),
            Numbers::Bool(values) => Self::Host(Host::bools(array.dims, values)),
        }
    }

    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Float(x) => x.dims(),
            Self::Host(x) => &x.dims,
        }
    }

    /// The same elements in another shape of as many.
    pub(super) fn reshape(self, dims: Vec<usize>) -> Self {
        match self {
            Self::Float(x) => Self::Float(x.reshape(dims)),
            Self::Host(x) => Self::Host(Host { dims, ..x }),
        }
    }
}

impl From<Dense> for Value {
    fn from(x: Dense) -> Self {
        Self::Float(x)
    }
}

impl From<Host> for Value {
    fn from(x: Host) -> Self {
        Self::Host(x)
    }
}
