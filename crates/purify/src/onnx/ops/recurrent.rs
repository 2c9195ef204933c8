//! Recurrent layers over sequences of `[time, batch, inputs]`.

use burn::tensor::{Tensor, activation};

use super::Family;
use crate::onnx::{
    node::{Args, Kernel, Spec},
    value::{Dense, Fit, Value},
};

pub(super) const OPERATORS: Family =
    &[("GRU", |spec| layer(spec, Cell::Gru)), ("LSTM", |spec| layer(spec, Cell::Lstm)), ("RNN", |spec| layer(spec, Cell::Plain))];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Plain,
    Gru,
    Lstm,
}

impl Cell {
    /// Gates a hidden unit has.
    fn gates(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// The activations that ONNX takes when none are named, of one direction.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// What the attributes say.
#[derive(Clone, Copy, Debug)]
struct Layer {
    cell: Cell,
    hidden: usize,
    directions: usize,
    /// Whether the first direction runs from the end.
    reverse: bool,
    /// GRU: whether the reset gate is applied after the recurrent product.
    reset_after: bool,
    /// Whether the batch comes before time.
    batch_first: bool,
}

fn layer(spec: &Spec<'_>, cell: Cell) -> Fit<Kernel> {
    let (directions, reverse) = match spec.text("direction", "forward")?.as_str() {
        "forward" => (1, false),
        "reverse" => (1, true),
        "bidirectional" => (2, false),
        other => return Err(format!("attribute `direction` is `{other}`, which is not known")),
    };
    let hidden = usize::try_from(spec.int("hidden_size", 0)).ok().filter(|&size| size > 0);
    let hidden = hidden.ok_or("attribute `hidden_size` is missing or no size")?;
    if let Some(named) = spec.texts("activations") {
        let usual = cell.activations().repeat(directions);
        if !named.iter().map(|name| name.to_lowercase()).eq(usual.iter().map(|name| name.to_lowercase())) {
            return Err(format!("activations {named:?} are not supported; {usual:?} are"));
        }
    }
    if spec.has("clip") {
        return Err("attribute `clip` is not supported".into());
    }
    spec.only("input_forget", 0)?;
    let layer = Layer {
        cell,
        hidden,
        directions,
        reverse,
        reset_after: spec.int("linear_before_reset", 0) != 0,
        batch_first: spec.int("layout", 0) != 0,
    };
    Ok(Box::new(move |args| layer.run(args)))
}

/// Weights of one direction, transposed so that rows of inputs are multiplied from the left.
struct Weights {
    /// `[inputs, gates * hidden]`
    input: Tensor<2>,
    /// `[hidden, gates * hidden]`
    state: Tensor<2>,
    /// Biases of inputs and states, `[1, gates * hidden]`.
    biases: Option<[Tensor<2>; 2]>,
}

impl Layer {
    fn run(self, mut args: Args) -> Fit<Vec<Value>> {
        let Self { hidden, directions, .. } = self;
        let wide = self.cell.gates() * hidden;
        let x = args.float(0)?;
        if x.rank() != 3 || x.dims().contains(&0) {
            return Err(format!("an input of shape {:?} is no sequence", x.dims()));
        }
        let x = if self.batch_first { x.permute(&[1, 0, 2]) } else { x };
        let [time, batch, inputs] = [x.dims()[0], x.dims()[1], x.dims()[2]];
        let shaped = |part: Option<Dense>, dims: &[usize], name: &str| match part {
            Some(part) if part.dims() != dims => Err(format!("{name} has shape {:?}, expected {dims:?}", part.dims())),
            other => Ok(other),
        };
        let weight = shaped(Some(args.float(1)?), &[directions, wide, inputs], "the weight")?;
        let recurrent = shaped(Some(args.float(2)?), &[directions, wide, hidden], "the recurrent weight")?;
        let bias = shaped(args.maybe_float(3)?, &[directions, 2 * wide], "the bias")?;
        if args.maybe_list(4)?.is_some_and(|lengths| lengths.iter().any(|&length| length != time as i64)) {
            return Err("sequences of several lengths in one batch are not supported".into());
        }
        let turned = |state: Option<Dense>| if self.batch_first { state.map(|state| state.permute(&[1, 0, 2])) } else { state };
        let state = shaped(turned(args.maybe_float(5)?), &[directions, batch, hidden], "the first state")?;
        let memory = match self.cell {
            Cell::Lstm => shaped(turned(args.maybe_float(6)?), &[directions, batch, hidden], "the first cell state")?,
            _ => None,
        };
        if args.maybe_float(7)?.is_some() {
            return Err("peepholes are not supported".into());
        }
        let x = x.tensor::<3>();
        let device = x.device();
        let (weight, recurrent) = (weight.ok_or("no weight")?.tensor::<3>(), recurrent.ok_or("no weight")?.tensor::<3>());
        let (bias, state, memory) = (bias.map(Dense::tensor::<2>), state.map(Dense::tensor::<3>), memory.map(Dense::tensor::<3>));
        let (mut sequences, mut states, mut memories) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..directions {
            let of_direction = |part: &Tensor<3>| part.clone().narrow(0, k, 1).squeeze_dim::<2>(0);
            let half = |bias: &Tensor<2>, from: usize| bias.clone().slice([k..k + 1, from..from + wide]);
            let weights = Weights {
                input: of_direction(&weight).transpose(),
                state: of_direction(&recurrent).transpose(),
                biases: bias.as_ref().map(|bias| [half(bias, 0), half(bias, wide)]),
            };
            let first = |part: &Option<Tensor<3>>| match part {
                Some(part) => of_direction(part),
                None => Tensor::zeros([batch, hidden], &device),
            };
            let backwards = self.reverse || k == 1;
            let (sequence, last, memory) = self.direction(x.clone(), &weights, first(&state), first(&memory), backwards);
            sequences.push(sequence.unsqueeze_dim::<4>(1));
            states.push(last.unsqueeze_dim::<3>(0));
            memories.push(memory.unsqueeze_dim::<3>(0));
        }
        let (sequence, state, memory) = (Dense::of(Tensor::cat(sequences, 1)), Dense::of(Tensor::cat(states, 0)), Tensor::cat(memories, 0));
        let memory = Dense::of(memory);
        let outputs = if self.batch_first {
            [sequence.permute(&[2, 0, 1, 3]), state.permute(&[1, 0, 2]), memory.permute(&[1, 0, 2])]
        } else {
            [sequence, state, memory]
        };
        let count = if self.cell == Cell::Lstm { 3 } else { 2 };
        Ok(outputs.into_iter().take(count).map(Value::Float).collect())
    }

    /// States `[time, batch, hidden]`, the last state and the last cell state.
    fn direction(
        self,
        x: Tensor<3>,
        weights: &Weights,
        mut state: Tensor<2>,
        mut memory: Tensor<2>,
        backwards: bool,
    ) -> (Tensor<3>, Tensor<2>, Tensor<2>) {
        let [time, batch, inputs] = x.dims();
        let wide = self.cell.gates() * self.hidden;
        // All inputs in one product.
        let mut from_inputs = x.reshape([time * batch, inputs]).matmul(weights.input.clone());
        if let Some([bias, _]) = &weights.biases {
            from_inputs = from_inputs + bias.clone();
        }
        let from_inputs = from_inputs.reshape([time, batch, wide]);
        let mut states = vec![None; time];
        for k in 0..time {
            let t = if backwards { time - 1 - k } else { k };
            let input = from_inputs.clone().narrow(0, t, 1).squeeze_dim::<2>(0);
            (state, memory) = self.step(input, weights, state, memory);
            states[t] = Some(state.clone().unsqueeze_dim::<3>(0));
        }
        (Tensor::cat(states.into_iter().flatten().collect(), 0), state, memory)
    }

    /// The next state and cell state.
    fn step(self, input: Tensor<2>, weights: &Weights, state: Tensor<2>, memory: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let hidden = self.hidden;
        let gate = |gates: &Tensor<2>, k: usize| gates.clone().narrow(1, k * hidden, hidden);
        let product = |state: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<2>>| match bias {
            Some(bias) => state.matmul(weight) + bias,
            None => state.matmul(weight),
        };
        let state_bias = weights.biases.as_ref().map(|[_, bias]| bias.clone());
        match self.cell {
            Cell::Plain => ((input + product(state, weights.state.clone(), state_bias)).tanh(), memory),
            Cell::Lstm => {
                // Gates in the order input, output, forget, cell.
                let gates = input + product(state, weights.state.clone(), state_bias);
                let [enter, leave, keep] = [0, 1, 2].map(|k| activation::sigmoid(gate(&gates, k)));
                let memory = keep * memory + enter * gate(&gates, 3).tanh();
                (leave * memory.clone().tanh(), memory)
            }
            Cell::Gru => {
                // Gates in the order update, reset, hidden.
                let columns = |from: usize, count: usize| {
                    let bias = state_bias.clone().map(|bias| bias.narrow(1, from * hidden, count * hidden));
                    (weights.state.clone().narrow(1, from * hidden, count * hidden), bias)
                };
                let (weight, bias) = columns(0, 2);
                let gates = input.clone().narrow(1, 0, 2 * hidden) + product(state.clone(), weight, bias);
                let [update, reset] = [0, 1].map(|k| activation::sigmoid(gate(&gates, k)));
                let (weight, bias) = columns(2, 1);
                let recurrent = match (self.reset_after, bias) {
                    (true, bias) => reset * product(state.clone(), weight, bias),
                    (false, Some(bias)) => (reset * state.clone()).matmul(weight) + bias,
                    (false, None) => (reset * state.clone()).matmul(weight),
                };
                let candidate = (gate(&input, 2) + recurrent).tanh();
                (candidate.clone() + update * (state - candidate), memory)
            }
        }
    }
}
