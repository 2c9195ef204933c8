//! A file's graph, checked and turned into a list of steps.

use std::collections::HashMap;

use burn::tensor::Device;

use super::{
    array::{decode, is_float, type_name},
    node::{Args, Kernel, Spec},
    ops,
    proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto},
    value::{Dense, Fit, Value},
};

/// Versions of ONNX's operators that are understood.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=22;

/// A graph from one float input to one output.
pub(super) struct Program {
    steps: Vec<Step>,
    /// One slot a value; constants are in theirs.
    constants: Vec<Option<Value>>,
    input: usize,
    output: usize,
    /// Name of the input.
    pub(super) input_name: String,
    /// Its dimensions where the file fixes them.
    pub(super) input_dims: Option<Vec<Option<usize>>>,
    /// Name of the output.
    pub(super) output_name: String,
}

struct Step {
    kernel: Kernel,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Slots that no later step reads.
    last: Vec<usize>,
    label: String,
}

/// How messages call a node.
fn label(node: &NodeProto) -> String {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => format!("node {} that makes `{output}`", node.op_type),
        (name, _) => format!("node `{name}` ({})", node.op_type),
    }
}

impl Program {
    /// Reads a model whose output is `wanted`, or its only one.
    ///
    /// # Errors
    /// What does not fit, with names.
    pub(super) fn new(model: &ModelProto, wanted: Option<&str>, device: &Device) -> Fit<Self> {
        let graph = model.graph.as_ref().ok_or("there is no graph in it; is it an ONNX model?")?;
        let opset = model.opset_import.iter().find(|set| is_own(&set.domain)).map(|set| set.version);
        let opset = opset.ok_or("it names no version of ONNX's operators (opset_import); is it an ONNX model?")?;
        if !OPSETS.contains(&opset) {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return Err(format!("its operators are of opset {opset}; opsets {first} to {last} are understood, export with one of them"));
        }
        let output = chosen_output(graph, wanted)?;
        let (needed, used) = needed(graph, &output);
        check_operators(graph, &needed)?;
        let mut slots = Slots::default();
        let mut constants = Vec::new();
        for tensor in graph.initializer.iter().filter(|tensor| used.contains_key(tensor.name.as_str())) {
            slots.add(&tensor.name)?;
            constants.push(Some(Value::from_array(decode(tensor)?, device)));
        }
        let (info, input_dims) = the_input(graph)?;
        let input = slots.add(&info.name)?;
        constants.push(None);
        let mut steps = Vec::new();
        for (node, _) in graph.node.iter().zip(&needed).filter(|(_, needed)| **needed) {
            let label = label(node);
            let inputs = node.input.iter().map(|name| if name.is_empty() { Ok(None) } else { slots.find(name).map(Some) });
            let inputs = inputs.collect::<Fit<Vec<_>>>().map_err(|e| format!("{label}: {e}"))?;
            let outputs: Fit<Vec<_>> =
                node.output.iter().map(|name| if name.is_empty() { Ok(None) } else { slots.add(name).map(Some) }).collect();
            let outputs = outputs.map_err(|e| format!("{label}: {e}"))?;
            constants.resize(slots.len(), None);
            let known = inputs.iter().map(|slot| slot.and_then(|slot| constants[slot].clone())).collect();
            let spec = Spec { node, opset, device, known };
            let compile = ops::find(&node.op_type).expect("operators were just checked");
            let kernel = compile(&spec).map_err(|e| format!("{label}: {e}"))?;
            let step = Step { kernel, inputs, outputs, last: Vec::new(), label };
            // What depends on no row is computed once.
            if step.inputs.iter().flatten().all(|&slot| constants[slot].is_some()) {
                step.run(&mut constants.clone(), &[])?.into_iter().for_each(|(slot, value)| constants[slot] = Some(value));
            } else {
                steps.push(step);
            }
        }
        let output_slot = slots.find(&output)?;
        mark_last_uses(&mut steps, output_slot);
        drop_unused_constants(&mut constants, &steps, output_slot);
        Ok(Self { steps, constants, input, output: output_slot, input_name: info.name.clone(), input_dims, output_name: output })
    }

    /// The output for one batch.
    ///
    /// # Errors
    /// A node that cannot take what it gets.
    pub(super) fn run(&self, input: Dense) -> Fit<Value> {
        let mut slots: Vec<Option<Value>> = vec![None; self.constants.len()];
        slots[self.input] = Some(input.into());
        for step in &self.steps {
            for (slot, value) in step.run(&mut slots, &self.constants)? {
                slots[slot] = Some(value);
            }
        }
        let output = slots[self.output].take().or_else(|| self.constants[self.output].clone());
        output.ok_or_else(|| format!("its output `{}` is never computed", self.output_name))
    }
}

impl Step {
    fn run(&self, slots: &mut [Option<Value>], constants: &[Option<Value>]) -> Fit<Vec<(usize, Value)>> {
        let fetch = |slot: &Option<usize>| slot.and_then(|slot| slots[slot].clone().or_else(|| constants.get(slot).cloned().flatten()));
        let values = self.inputs.iter().map(fetch).collect();
        // Freed before the work, so that operators can write over what they alone hold.
        self.last.iter().for_each(|&slot| slots[slot] = None);
        let results = (self.kernel)(Args::new(values)).map_err(|e| format!("{}: {e}", self.label))?;
        Ok(self.outputs.iter().zip(results).filter_map(|(slot, value)| Some(((*slot)?, value))).collect())
    }
}

/// Names of values and their slots.
#[derive(Default)]
struct Slots {
    by_name: HashMap<String, usize>,
}

impl Slots {
    fn len(&self) -> usize {
        self.by_name.len()
    }

    fn add(&mut self, name: &str) -> Fit<usize> {
        let slot = self.len();
        match self.by_name.insert(name.to_string(), slot) {
            None => Ok(slot),
            Some(_) => Err(format!("`{name}` is made twice")),
        }
    }

    fn find(&self, name: &str) -> Fit<usize> {
        self.by_name.get(name).copied().ok_or_else(|| format!("`{name}` is made by no node before it, nor is it an input or a constant"))
    }
}

fn is_own(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn chosen_output(graph: &GraphProto, wanted: Option<&str>) -> Fit<String> {
    let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    match (wanted, &names[..]) {
        (Some(wanted), _) if names.contains(&wanted) => Ok(wanted.to_string()),
        (Some(wanted), _) => Err(format!("it has no output `{wanted}`; its outputs are {names:?}")),
        (None, [name]) => Ok((*name).to_string()),
        (None, []) => Err("it has no output".into()),
        (None, _) => Err(format!("it has {} outputs, {names:?}; choose the one with the logits", names.len())),
    }
}

/// Which nodes the output needs, and all names that they read.
fn needed<'a>(graph: &'a GraphProto, output: &'a str) -> (Vec<bool>, HashMap<&'a str, ()>) {
    let mut used = HashMap::from([(output, ())]);
    let mut needed = vec![false; graph.node.len()];
    for (node, needed) in graph.node.iter().zip(&mut needed).rev() {
        if node.output.iter().any(|name| used.contains_key(name.as_str())) {
            *needed = true;
            used.extend(node.input.iter().map(|name| (name.as_str(), ())));
        }
    }
    (needed, used)
}

fn check_operators(graph: &GraphProto, needed: &[bool]) -> Fit<()> {
    for (node, _) in graph.node.iter().zip(needed).filter(|(_, needed)| **needed) {
        if !is_own(&node.domain) || ops::find(&node.op_type).is_none() {
            let domain = if is_own(&node.domain) { String::new() } else { format!(" of domain `{}`", node.domain) };
            let names: Vec<&str> = ops::names().collect();
            let op = &node.op_type;
            return Err(format!("{}: operator {op}{domain} is not supported; supported are {}", label(node), names.join(", ")));
        }
    }
    Ok(())
}

/// The one input that is no constant, with its dimensions where they are numbers.
fn the_input(graph: &GraphProto) -> Fit<(&ValueInfoProto, Option<Vec<Option<usize>>>)> {
    let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(|input| !is_constant(&input.name)).collect();
    let [input] = inputs[..] else {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(format!("it has {} inputs, {names:?}; a classifier has one", names.len()));
    };
    let name = &input.name;
    let kind = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let kind = kind.ok_or_else(|| format!("input `{name}` is no tensor"))?;
    if !is_float(kind.elem_type) {
        return Err(format!("input `{name}` is of {}, expected floats", type_name(kind.elem_type)));
    }
    let dims =
        kind.shape.as_ref().map(|shape| shape.dim.iter().map(|dim| usize::try_from(dim.dim_value).ok().filter(|&d| d > 0)).collect());
    Ok((input, dims))
}

fn mark_last_uses(steps: &mut [Step], output: usize) {
    let mut seen = std::collections::HashSet::from([output]);
    for step in steps.iter_mut().rev() {
        step.last = step.inputs.iter().flatten().copied().filter(|&slot| seen.insert(slot)).collect();
    }
}

fn drop_unused_constants(constants: &mut [Option<Value>], steps: &[Step], output: usize) {
    let mut used = vec![false; constants.len()];
    used[output] = true;
    steps.iter().flat_map(|step| step.inputs.iter().flatten()).for_each(|&slot| used[slot] = true);
    constants.iter_mut().zip(used).filter(|(_, used)| !used).for_each(|(constant, _)| *constant = None);
}
