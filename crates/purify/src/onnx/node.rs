//! What an operator sees of its node when a file is opened, and of its inputs when it runs.

use burn::tensor::Device;

use super::{
    array::{Array, decode},
    proto::{AttributeProto, NodeProto},
    value::{Dense, Fit, Host, Value},
};

/// An operator with its attributes read: inputs to outputs.
pub(super) type Kernel = Box<dyn Fn(Args) -> Fit<Vec<Value>> + Send + Sync>;

/// A node while its graph is read.
pub(super) struct Spec<'a> {
    pub(super) node: &'a NodeProto,
    /// Version of ONNX's own operators.
    pub(super) opset: i64,
    /// Where constants are made.
    pub(super) device: &'a Device,
    /// Inputs that are already known, in the order of the node.
    pub(super) known: Vec<Option<Value>>,
}

impl Spec<'_> {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name).map_or(default, |attribute| f64::from(attribute.f))
    }

    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    pub(super) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.attribute(name).map(|attribute| attribute.floats.clone())
    }

    /// A list of sizes, none of them below `least`.
    pub(super) fn sizes(&self, name: &str, least: i64) -> Fit<Option<Vec<usize>>> {
        let Some(list) = self.ints(name) else { return Ok(None) };
        let sizes: Option<Vec<usize>> =
            list.iter().map(|&size| usize::try_from(size).ok().filter(|_| size >= least && size <= 1 << 24)).collect();
        sizes.map(Some).ok_or_else(|| format!("attribute `{name}` is {list:?}; {least} to {} are possible", 1 << 24))
    }

    pub(super) fn text(&self, name: &str, default: &str) -> Fit<String> {
        match self.attribute(name) {
            None => Ok(default.to_string()),
            Some(attribute) => String::from_utf8(attribute.s.clone()).map_err(|_| format!("attribute `{name}` is no text")),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        self.attribute(name).map(|attribute| attribute.strings.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect())
    }

    pub(super) fn array(&self, name: &str) -> Fit<Option<Array>> {
        self.attribute(name).and_then(|attribute| attribute.t.as_ref()).map(decode).transpose()
    }

    /// The input's value when it does not depend on the rows.
    pub(super) fn known(&self, k: usize) -> Option<&Value> {
        self.known.get(k).and_then(Option::as_ref)
    }

    /// [`known`](Self::known) floats.
    pub(super) fn known_float(&self, k: usize) -> Option<Dense> {
        match self.known(k) {
            Some(Value::Float(x)) => Some(x.clone()),
            _ => None,
        }
    }

    /// Whether the node names the input.
    pub(super) fn has_input(&self, k: usize) -> bool {
        self.node.input.get(k).is_some_and(|name| !name.is_empty())
    }

    /// Refuses outputs after the first `count`.
    pub(super) fn outputs_at_most(&self, count: usize) -> Fit<()> {
        match self.node.output.iter().skip(count).find(|name| !name.is_empty()) {
            Some(name) => Err(format!("its output `{name}` (number {}) is not supported", count + 1)),
            None => Ok(()),
        }
    }

    /// Refuses an attribute that is not at its one supported value.
    pub(super) fn only(&self, name: &str, value: i64) -> Fit<()> {
        match self.int(name, value) {
            found if found == value => Ok(()),
            found => Err(format!("attribute `{name}` is {found}; only {value} is supported")),
        }
    }
}

/// Inputs of an operator; absent ones are optional inputs that the node leaves out.
pub(super) struct Args {
    values: Vec<Option<Value>>,
}

impl Args {
    pub(super) fn new(values: Vec<Option<Value>>) -> Self {
        Self { values }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The input when there is one.
    pub(super) fn maybe(&mut self, k: usize) -> Option<Value> {
        self.values.get_mut(k).and_then(Option::take)
    }

    pub(super) fn value(&mut self, k: usize) -> Fit<Value> {
        self.maybe(k).ok_or_else(|| format!("input {} is missing", k + 1))
    }

    pub(super) fn maybe_float(&mut self, k: usize) -> Fit<Option<Dense>> {
        match self.maybe(k) {
            None => Ok(None),
            Some(Value::Float(x)) => Ok(Some(x)),
            Some(Value::Host(x)) => Err(format!("input {} of shape {:?} is not of floats", k + 1, x.dims)),
        }
    }

    pub(super) fn float(&mut self, k: usize) -> Fit<Dense> {
        self.maybe_float(k)?.ok_or_else(|| format!("input {} is missing", k + 1))
    }

    pub(super) fn maybe_host(&mut self, k: usize) -> Fit<Option<Host>> {
        match self.maybe(k) {
            None => Ok(None),
            Some(Value::Host(x)) => Ok(Some(x)),
            Some(Value::Float(x)) => Err(format!("input {} of shape {:?} is not of integers", k + 1, x.dims())),
        }
    }

    pub(super) fn host(&mut self, k: usize) -> Fit<Host> {
        self.maybe_host(k)?.ok_or_else(|| format!("input {} is missing", k + 1))
    }

    /// A list of integers, flat.
    pub(super) fn maybe_list(&mut self, k: usize) -> Fit<Option<Vec<i64>>> {
        Ok(self.maybe_host(k)?.map(|x| x.data.to_vec()))
    }

    pub(super) fn list(&mut self, k: usize) -> Fit<Vec<i64>> {
        Ok(self.host(k)?.data.to_vec())
    }

    /// One number of any type.
    pub(super) fn maybe_scalar(&mut self, k: usize) -> Fit<Option<f64>> {
        let numbers: Vec<f64> = match self.maybe(k) {
            None => return Ok(None),
            Some(Value::Host(x)) => x.data.iter().map(|&x| x as f64).collect(),
            Some(Value::Float(x)) => x.read()?.into_iter().map(f64::from).collect(),
        };
        match numbers[..] {
            [number] => Ok(Some(number)),
            _ => Err(format!("input {} has {} numbers, expected one", k + 1, numbers.len())),
        }
    }

    /// All inputs that are there.
    pub(super) fn all(&mut self) -> Vec<Value> {
        self.values.iter_mut().filter_map(Option::take).collect()
    }
}

/// The one output of an operator.
pub(super) fn one(value: impl Into<Value>) -> Fit<Vec<Value>> {
    Ok(vec![value.into()])
}
