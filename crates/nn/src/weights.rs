//! A module's float parameters as named host arrays, in the module's own order, and back.
//!
//! Checkpoints, the optimiser, the moving average and gradient reduction all work on these arrays, so they are the same code for
//! every network and the same bits for every device.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Gradients, Tensor, TensorData},
};

/// Name and shape of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Path in the module, joined by dots.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Whether it belongs to a linear layer: its matrix `[inputs, outputs]`, or its bias.
    pub linear: bool,
}

impl Layout {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A device refused to hand a parameter over as f32.
#[derive(Debug, thiserror::Error)]
#[error("parameter '{name}' cannot be read as f32: {reason}")]
pub struct WeightsError {
    /// Path of the parameter.
    pub name: String,
    /// What the device said.
    pub reason: String,
}

/// Names and shapes of all float parameters.
pub fn layout<M: Module>(module: &M) -> Vec<Layout> {
    let mut visitor = Walk::new(|name, param: AnyParam<'_>| Layout { name, shape: param.shape(), linear: param.linear });
    module.visit(&mut visitor);
    visitor.found
}

/// Number of float parameters.
pub fn count<M: Module>(module: &M) -> usize {
    layout(module).iter().map(Layout::len).sum()
}

/// Values of all float parameters.
///
/// # Errors
/// [`WeightsError`] when a device cannot return f32.
pub fn export<M: Module>(module: &M) -> Result<Vec<Vec<f32>>, WeightsError> {
    let mut visitor = Walk::new(|name, param: AnyParam<'_>| param.values().map_err(|reason| WeightsError { name, reason }));
    module.visit(&mut visitor);
    visitor.found.into_iter().collect()
}

/// Gradients of all float parameters, zeros where a parameter took no part in the loss.
///
/// # Errors
/// [`WeightsError`] when a device cannot return f32.
pub fn gradients<M: Module>(module: &M, grads: &Gradients) -> Result<Vec<Vec<f32>>, WeightsError> {
    let mut visitor = Walk::new(|name, param: AnyParam<'_>| param.gradient(grads).map_err(|reason| WeightsError { name, reason }));
    module.visit(&mut visitor);
    visitor.found.into_iter().collect()
}

/// [`gradients`], moved out of `grads` instead of copied.
///
/// # Errors
/// As there.
pub fn take_gradients<M: Module>(module: &M, mut grads: Gradients) -> Result<Vec<Vec<f32>>, WeightsError> {
    let mut visitor = Walk::new(|name, param: AnyParam<'_>| param.take(&mut grads).map_err(|reason| WeightsError { name, reason }));
    module.visit(&mut visitor);
    visitor.found.into_iter().collect()
}

/// The module with its float parameters replaced, in the order of [`layout`].
///
/// # Panics
/// When the number of arrays or a length differs from the layout; callers check untrusted input against it first.
#[must_use]
pub fn import<M: Module>(module: M, values: Vec<Vec<f32>>) -> M {
    let mut mapper = Replace { values: values.into_iter() };
    let module = module.map(&mut mapper);
    assert!(mapper.values.next().is_none(), "more arrays than parameters");
    module
}

/// A parameter of any rank, seen by the closures above.
struct AnyParam<'a> {
    shape: Vec<usize>,
    linear: bool,
    values: &'a dyn Fn() -> Result<Vec<f32>, String>,
    gradient: &'a dyn Fn(&Gradients) -> Result<Vec<f32>, String>,
    taken: &'a dyn Fn(&mut Gradients) -> Result<Vec<f32>, String>,
}

impl AnyParam<'_> {
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn values(&self) -> Result<Vec<f32>, String> {
        (self.values)()
    }

    fn gradient(&self, grads: &Gradients) -> Result<Vec<f32>, String> {
        (self.gradient)(grads)
    }

    fn take(&self, grads: &mut Gradients) -> Result<Vec<f32>, String> {
        (self.taken)(grads)
    }
}

/// How burn calls its linear layer.
const LINEAR: &str = "Struct:Linear";

struct Walk<T, F> {
    path: Vec<String>,
    /// For each name of the path, what kind of module it is a part of.
    holders: Vec<String>,
    found: Vec<T>,
    visit: F,
}

impl<T, F: FnMut(String, AnyParam<'_>) -> T> Walk<T, F> {
    fn new(visit: F) -> Self {
        Self { path: Vec::new(), holders: Vec::new(), found: Vec::new(), visit }
    }
}

impl<T, F: FnMut(String, AnyParam<'_>) -> T> ModuleVisitor for Walk<T, F> {
    fn enter_module(&mut self, name: &str, holder: &str) {
        self.path.push(name.to_owned());
        self.holders.push(holder.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _holder: &str) {
        self.path.pop();
        self.holders.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let zeros = || Ok(vec![0.0; tensor.shape().num_elements()]);
        let any = AnyParam {
            shape: tensor.dims().to_vec(),
            linear: self.holders.last().is_some_and(|holder| holder == LINEAR),
            values: &|| host(tensor.clone().inner_or_self()),
            gradient: &|grads| tensor.grad(grads).map_or_else(zeros, host),
            taken: &|grads| tensor.grad_remove(grads).map_or_else(zeros, host),
        };
        self.found.push((self.visit)(self.path.join("."), any));
    }
}

/// Leaves the autodiff graph where there is one.
trait InnerOrSelf {
    fn inner_or_self(self) -> Self;
}

impl<const D: usize> InnerOrSelf for Tensor<D> {
    fn inner_or_self(self) -> Self {
        self.without_autodiff()
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, String> {
    tensor.into_data().try_into_vec_as::<f32>().map_err(|e| e.to_string())
}

struct Replace {
    values: std::vec::IntoIter<Vec<f32>>,
}

impl ModuleMapper for Replace {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let values = self.values.next().expect("callers pass one array per parameter");
        let old = param.val();
        let (shape, device, tracked) = (old.shape(), old.device(), old.is_autodiff());
        drop(old);
        param.map(|_| {
            let new = Tensor::from_data(TensorData::new(values, shape), &device);
            if tracked { new.autodiff().require_grad() } else { new }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Init;
    use burn::{
        nn::{Embedding, LayerNorm, Linear},
        tensor::Device,
    };

    #[derive(Module, Debug)]
    struct Two {
        first: Linear,
        rest: Vec<Linear>,
    }

    #[derive(Module, Debug)]
    struct Mixed {
        table: Embedding,
        layers: Vec<Two>,
        norm: LayerNorm,
        free: Param<Tensor<2>>,
    }

    fn two(device: &Device) -> Two {
        let mut init = Init::new(7, device);
        Two { first: init.linear(3, 2, 1.0), rest: vec![init.linear(2, 2, 1.0)] }
    }

    #[test]
    fn names_shapes_and_round_trip() {
        let model = two(&Device::flex());
        let names: Vec<_> = layout(&model).into_iter().map(|l| (l.name, l.shape)).collect();
        assert_eq!(names[0], ("first.weight".to_owned(), vec![3, 2]));
        assert_eq!(names[2], ("rest.0.weight".to_owned(), vec![2, 2]));
        assert_eq!(count(&model), 6 + 2 + 4 + 2);
        let mut values = export(&model).expect("readable");
        values[1] = vec![5.0, 6.0];
        let model = import(model, values.clone());
        assert_eq!(export(&model).expect("readable"), values);
    }

    #[test]
    fn parts_of_linear_layers_are_known_from_others() {
        let device = Device::flex();
        let mut init = Init::new(3, &device);
        let (table, norm) = (init.embedding(4, 2, 1.0), init.layer_norm(2));
        let model = Mixed { table, layers: vec![two(&device)], norm, free: init.normal([3, 2], 1.0) };
        let linear: Vec<_> = layout(&model).into_iter().filter(|l| l.linear).map(|l| l.name).collect();
        assert_eq!(linear, ["layers.0.first.weight", "layers.0.first.bias", "layers.0.rest.0.weight", "layers.0.rest.0.bias"]);
        assert_eq!(layout(&model).len(), 4 + 4);
    }

    #[test]
    fn initial_weights_depend_on_the_seed_only() {
        let (a, b) = (export(&two(&Device::flex())).expect("readable"), export(&two(&Device::flex())).expect("readable"));
        assert_eq!(a, b);
        assert_ne!(a[0][..4], a[2][..4]);
    }

    #[test]
    fn gradients_follow_the_layout_before_and_after_an_import() {
        let device = Device::flex().autodiff();
        let mut model = two(&device);
        for _ in 0..2 {
            let x = Tensor::<2>::ones([1, 3], &device);
            let loss = model.first.forward(x).sum();
            let backward = loss.backward();
            let grads = gradients(&model, &backward).expect("readable");
            assert_eq!(take_gradients(&model, backward).expect("readable"), grads);
            assert_eq!(grads[0], vec![1.0; 6]);
            assert_eq!(grads[1], vec![1.0; 2]);
            assert_eq!(grads[2], vec![0.0; 4]);
            let values = export(&model).expect("readable");
            model = import(model, values);
        }
    }
}
