"""One tiny ONNX model an operator or variant, with an input and onnxruntime's output, for crates/purify/tests/operators.rs.

    python3 -m venv .venv && . .venv/bin/activate && pip install -r tests/peers/requirements-onnx.txt
    python tests/peers/onnx_fixtures.py -o tests/golden/onnx/operators.json

Every model takes x of [batch, ...] and gives [batch, numbers]. Inputs are odd multiples of 0.05, shuffled, so that no kink (at 0, between two
equal numbers, at a bound) is nearer than 0.05: gradients are checked by finite differences, which would see both sides.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

BATCH = 2
RNG = np.random.default_rng(7)
CASES = []
BROKEN = []


def weight(*shape, scale=0.5):
    return np.round(RNG.normal(size=shape) * scale, 3).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def grid(shape, kind):
    count = int(np.prod(shape))
    numbers = np.arange(count)
    if kind == "signed":
        numbers = numbers - count // 2
    return ((2 * RNG.permutation(numbers) + 1) * 0.05).reshape(shape).astype(np.float32)


def node(op, inputs, outputs, name=None, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=name or f"{op}_{outputs.split()[0]}", **attributes)


def case(name, shape, nodes, inits=None, opset=17, kind="signed", gradient=True, fixed=False):
    """A model whose last value is `y`; it is flattened to [batch, numbers]."""
    nodes = [nodes] if isinstance(nodes, onnx.NodeProto) else list(nodes)
    nodes.append(helper.make_node("Flatten", ["y"], ["logits"], name="flat", axis=1))
    tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in (inits or {}).items()]
    x_info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [BATCH if fixed else "batch", *shape])
    y_info = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, name, [x_info], [y_info], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 20 else 10)
    x = grid((BATCH, *shape), kind)
    raw = model.SerializeToString()
    session = ort.InferenceSession(raw, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    assert y.ndim == 2 and y.shape[0] == BATCH and np.isfinite(y).all(), (name, y.shape)
    CASES.append({
        "name": name,
        "model": raw.hex(),
        "shape": list(shape),
        "x": [float(f"{v:.6g}") for v in x.ravel().tolist()],
        "y": [float(f"{v:.7g}") for v in y.ravel().tolist()],
        "gradient": gradient,
    })


def broken(name, words, nodes, inits=None, inputs=None, outputs=None, opset=17, change=None):
    """A model that cannot be used; the error has to have all of the words."""
    nodes = [nodes] if isinstance(nodes, onnx.NodeProto) else list(nodes)
    tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in (inits or {}).items()]
    inputs = inputs or [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])]
    outputs = outputs if outputs is not None else [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    model = helper.make_model(helper.make_graph(nodes, name, inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if change:
        change(model)
    BROKEN.append({"name": name, "words": words, "model": model.SerializeToString().hex()})


def broken_models():
    info = helper.make_tensor_value_info
    tanh = node("Tanh", "x", "y")
    broken("unknown operator", ["node `Frob_y` (Frob)", "operator Frob is not supported", "Conv, ", "Softmax"], node("Frob", "x", "y"))
    broken("foreign operator", ["Tanh", "of domain `com.example`"], helper.make_node("Tanh", ["x"], ["y"], domain="com.example"))

    def external(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")

    def short(model):
        model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]

    def untyped(model):
        model.graph.initializer[0].data_type = TensorProto.COMPLEX64

    def no_opset(model):
        del model.opset_import[:]

    product = node("MatMul", "x w", "y")
    broken("external data", ["tensor `w`", "`weights.bin`"], product, {"w": weight(4, 3)}, change=external)
    broken("short tensor", ["tensor `w`", "12 values make the shape [4, 3], found 11"], product, {"w": weight(4, 3)}, change=short)
    broken("complex tensor", ["tensor `w`", "complex64"], product, {"w": weight(4, 3)}, change=untyped)
    broken("old opset", ["opset 6", "opsets 7 to 22"], tanh, opset=6)
    broken("no opset", ["opset_import"], tanh, change=no_opset)
    broken("no graph", ["no graph"], tanh, change=lambda model: model.ClearField("graph"))
    broken("undefined value", ["node `Add_y` (Add)", "`nowhere` is made by no node before it"], node("Add", "x nowhere", "y"))
    broken("wrong order", ["`b` is made by no node before it"], [node("Tanh", "b", "y"), node("Tanh", "x", "b")])
    broken("made twice", ["`a` is made twice"], [node("Tanh", "x", "a"), node("Neg", "x", "a", name="other"), node("Add", "x a", "y")])
    broken("shapes that do not fit", ["MatMul_y", "[1, 4]", "3 inputs"], product, {"w": weight(3, 2)})
    broken("shapes that do not broadcast", ["Add_y", "[1, 4]", "[3]", "broadcast"], node("Add", "x w", "y"), {"w": weight(3)})
    broken("channels that do not fit", ["Conv_y", "[1, 4]", "takes 2 channels"], node("Conv", "x w", "y"), {"w": weight(3, 2, 3)})
    broken("kernel that does not fit", ["kernel_shape", "[5]", "[3]"], node("Conv", "x w", "y", kernel_shape=[5]), {"w": weight(3, 2, 3)})
    broken("window wider than its input", ["too few for a window of 9"], [node("Unsqueeze", "x one", "z"), node("MaxPool", "z", "y", kernel_shape=[9])], {"one": ints(1)})
    broken("impossible reshape", ["[1, 4] cannot have the shape [3, -1]"], node("Reshape", "x s", "y"), {"s": ints(3, -1)})
    broken("huge expansion", ["larger than"], node("Expand", "x s", "y"), {"s": ints(1 << 20, 1 << 20, 1, 1)})
    broken("index outside", ["index 9 is outside a dimension of 4"], node("Gather", "x k", "y", axis=1), {"k": ints(9)})
    broken("axis outside", ["axis 5 is outside rank 2"], node("Softmax", "x", "y", axis=5))
    broken("output of integers", ["output `y` of integers"], node("Shape", "x", "y"))
    broken("output of rank 3", ["output `y`", "[1, 4, 1]", "[1, classes]"], node("Unsqueeze", "x a", "y"), {"a": ints(2)})
    two = [info("x", TensorProto.FLOAT, ["batch", 4]), info("z", TensorProto.FLOAT, ["batch", 4])]
    broken("two inputs", ["2 inputs", "x", "z"], node("Add", "x z", "y"), inputs=two)
    broken("input of integers", ["input `x` is of int64"], tanh, inputs=[info("x", TensorProto.INT64, ["batch", 4])])
    broken("open input", ["input `x` has shape [open, 3, open]", "give the shape"], tanh, inputs=[info("x", TensorProto.FLOAT, ["batch", 3, "time"])])
    broken("input without batch", ["input `x` has shape [4]"], tanh, inputs=[info("x", TensorProto.FLOAT, [4])])
    several = [info("y", TensorProto.FLOAT, None), info("z", TensorProto.FLOAT, None)]
    broken("two outputs", ["2 outputs", "\"y\", \"z\"", "choose"], [tanh, node("Neg", "x", "z")], outputs=several)
    broken("no output", ["no output"], tanh, outputs=[])
    broken("training mode", ["training_mode"], node("BatchNormalization", "x g g g g", "y", training_mode=1), {"g": weight(4)})
    broken("peepholes", ["LSTM", "direction"], node("LSTM", "x w w", "y", hidden_size=2, direction="sideways"), {"w": weight(1, 8, 2)})


def unary():
    for op in ["Neg", "Abs", "Exp", "Erf", "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Sin", "Cos", "Floor", "Ceil", "Round", "Sign", "Identity"]:
        case(op, (6,), node(op, "x", "y"))
    case("HardSwish", (6,), node("HardSwish", "x", "y"))
    case("Mish", (6,), node("Mish", "x", "y"), opset=18)
    for op in ["Sqrt", "Log", "Reciprocal"]:
        case(op, (6,), [node("Add", "x half", "z"), node(op, "z", "y")], {"half": np.float32(0.5)}, kind="positive")
    case("LeakyRelu", (6,), node("LeakyRelu", "x", "y", alpha=0.2))
    case("LeakyRelu default", (6,), node("LeakyRelu", "x", "y"))
    case("Elu", (6,), node("Elu", "x", "y", alpha=0.7))
    case("Celu", (6,), node("Celu", "x", "y", alpha=0.7))
    case("Selu", (6,), node("Selu", "x", "y"))
    case("HardSigmoid", (8,), node("HardSigmoid", "x", "y", alpha=1.25, beta=0.5))
    case("Gelu", (6,), node("Gelu", "x", "y"), opset=20)
    case("Gelu tanh", (6,), node("Gelu", "x", "y", approximate="tanh"), opset=20)
    case("PRelu", (3, 4), node("PRelu", "x slope", "y"), {"slope": weight(3, 1)})
    case("Clip", (8,), node("Clip", "x low high", "y"), {"low": np.float32(-0.4), "high": np.float32(0.3)})
    case("Clip below", (8,), node("Clip", "x low", "y"), {"low": np.float32(-0.4)})
    case("Clip attributes", (8,), node("Clip", "x", "y", min=-0.3, max=0.4), opset=10)
    case("Dropout", (6,), node("Dropout", "x", "y"))
    case("Dropout with ratio", (6,), node("Dropout", "x ratio", "y"), {"ratio": np.float32(0.5)})
    for opset in (11, 17):
        for axis in (1, 2, -1):
            case(f"Softmax axis {axis} opset {opset}", (3, 4), node("Softmax", "x", "y", axis=axis), opset=opset)
        case(f"LogSoftmax opset {opset}", (3, 4), node("LogSoftmax", "x", "y"), opset=opset)


def binary():
    for op in ["Add", "Sub", "Mul", "Div"]:
        case(op, (3, 4), node(op, "x w", "y"), {"w": weight(3, 4) + np.float32(2)})
        case(f"{op} to the left", (3, 4), [node("Add", "x half", "z"), node(op, "w z", "y")], {"w": weight(4), "half": np.float32(0.5)}, kind="positive")
        case(f"{op} of two", (3, 4), [node("Tanh", "x", "z", name="z"), node(op, "z x", "y")])
    case("Add broadcasts both", (3, 1), node("Add", "x w", "y"), {"w": weight(1, 4)})
    case("Mul by a number", (3, 4), node("Mul", "x w", "y"), {"w": np.float32(1.7)})
    case("Pow 2", (6,), node("Pow", "x w", "y"), {"w": np.float32(2)})
    case("Pow 3 of integers", (6,), node("Pow", "x w", "y"), {"w": ints(3)})
    raised = [node("Add", "x half", "z"), node("Pow", "z w", "y")]
    case("Pow .7", (6,), raised, {"w": np.float32(0.7), "half": np.float32(0.5)}, kind="positive")
    case("Pow of many", (4,), raised, {"w": np.array([0.5, 1.5, 2, 3], np.float32), "half": np.float32(0.5)}, kind="positive")
    bound = np.array([-0.4, 0.3, 0.1, 0, 0.2], np.float32)
    case("Max", (5,), node("Max", "x w", "y"), {"w": bound})
    case("Min of three", (5,), [node("Neg", "x", "n"), node("Min", "x n w", "y")], {"w": np.float32(0.3)})
    case("Sum", (5,), [node("Tanh", "x", "n"), node("Sum", "x n w", "y")], {"w": weight(5)})
    case("Mean", (5,), [node("Tanh", "x", "n"), node("Mean", "x n w", "y")], {"w": weight(5)})
    case("Where", (4,), node("Where", "c x w", "y"), {"c": np.array([True, False, True, False]), "w": weight(4)})
    for op in ["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"]:
        case(f"{op} and Where", (5,), [node(op, "x w", "c"), node("Tanh", "x", "t"), node("Where", "c x t", "y")], {"w": bound})
    logic = [node("Less", "x high", "a"), node("Greater", "x low", "b"), node("And", "a b", "c"), node("Not", "c", "d"), node("Xor", "d a", "e"), node("Or", "e b", "f"), node("Cast", "f", "m", to=1), node("Mul", "m x", "y")]
    case("logic and Cast", (8,), logic, {"high": np.float32(0.3), "low": np.float32(-0.2)})


def products():
    case("Gemm", (5,), node("Gemm", "x w b", "y", transB=1), {"w": weight(3, 5), "b": weight(3)})
    case("Gemm with factors", (5,), node("Gemm", "x w b", "y", alpha=0.7, beta=1.3), {"w": weight(5, 3), "b": weight(1, 3)})
    case("Gemm without bias", (5,), node("Gemm", "x w", "y"), {"w": weight(5, 3)})
    case("Gemm with a number", (5,), node("Gemm", "x w b", "y", beta=0.5), {"w": weight(5, 3), "b": np.float32(0.8)})
    case("Gemm of two", (4,), [node("Transpose", "x", "t", perm=[1, 0]), node("Gemm", "t x", "g", transA=1, transB=1), node("MatMul", "g x", "y")], gradient=False, fixed=True)
    case("Gemm transposed", (4,), [node("Transpose", "x", "t", perm=[1, 0]), node("Gemm", "t w b", "y", transA=1)], {"w": weight(4, 3), "b": weight(3)})
    case("MatMul", (3, 5), node("MatMul", "x w", "y"), {"w": weight(5, 2)})
    case("MatMul of stacks", (3, 5), node("MatMul", "x w", "y"), {"w": weight(1, 5, 2)})
    case("MatMul from the left", (3, 5), node("MatMul", "w x", "y"), {"w": weight(2, 3)})
    case("MatMul of a vector", (3, 5), node("MatMul", "x w", "y"), {"w": weight(5)})
    case("MatMul attention", (3, 4), [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p x", "y")])


def convolutions():
    def conv(name, shape, w, bias=True, **attributes):
        inits = {"w": w} | ({"b": weight(w.shape[0])} if bias else {})
        case(name, shape, node("Conv", "x w b" if bias else "x w", "y", **attributes), inits)

    conv("Conv 1d", (2, 9), weight(3, 2, 3), pads=[1, 1], strides=[1])
    wide = [node("Mul", "x small", "z"), node("Conv", "z w b", "y", pads=[1, 1])]
    case("Conv 1d wide", (20, 40), wide, {"w": weight(24, 20, 3, scale=0.1), "b": weight(24), "small": np.float32(0.05)})
    long = [node("Mul", "x small", "z"), node("Conv", "z w b", "y", pads=[6, 6], strides=[4])]
    case("Conv 1d long windows", (1, 120), long, {"w": weight(32, 1, 16), "b": weight(32), "small": np.float32(0.1)})
    conv("Conv 1d no bias, defaults", (2, 9), weight(3, 2, 3), bias=False)
    conv("Conv 1d strides", (2, 13), weight(3, 2, 5), strides=[3], pads=[2, 2])
    conv("Conv 1d strides past the end", (2, 14), weight(3, 2, 3), strides=[4])
    conv("Conv 1d strides and dilations", (2, 14), weight(3, 2, 3), strides=[2], dilations=[3], pads=[4, 1])
    conv("Conv 1d wider than its input", (1, 4), weight(2, 1, 7), strides=[2], pads=[3, 3])
    conv("Conv 1d dilations", (2, 12), weight(3, 2, 3), dilations=[3], pads=[3, 3])
    conv("Conv 1d uneven pads", (2, 9), weight(3, 2, 4), pads=[2, 1])
    conv("Conv 1d groups", (4, 9), weight(6, 2, 3), group=2, pads=[1, 1])
    conv("Conv 1d depthwise strides", (4, 9), weight(4, 1, 3), group=4, strides=[2])
    conv("Conv 1d same upper", (2, 8), weight(3, 2, 4), auto_pad="SAME_UPPER", strides=[3])
    conv("Conv 1d same lower", (2, 8), weight(3, 2, 4), auto_pad="SAME_LOWER")
    conv("Conv 1d valid", (2, 8), weight(3, 2, 3), auto_pad="VALID")
    conv("Conv 2d", (2, 5, 6), weight(3, 2, 3, 3), pads=[1, 1, 1, 1])
    conv("Conv 2d 1x1", (3, 4, 4), weight(2, 3, 1, 1))
    conv("Conv 2d strides, uneven pads", (2, 6, 7), weight(3, 2, 3, 2), strides=[2, 3], pads=[1, 0, 2, 1])
    conv("Conv 2d dilations", (2, 7, 7), weight(3, 2, 3, 2), dilations=[2, 3])
    conv("Conv 2d groups", (4, 5, 5), weight(4, 2, 3, 3), group=2, pads=[1, 1, 1, 1])
    conv("Conv 2d depthwise", (3, 5, 5), weight(3, 1, 3, 3), group=3, pads=[1, 1, 1, 1], strides=[2, 2])
    conv("Conv 2d same upper", (2, 5, 6), weight(3, 2, 2, 3), auto_pad="SAME_UPPER", strides=[2, 2])

    def transposed(name, shape, w, outputs, bias=True, **attributes):
        inits = {"w": w} | ({"b": weight(outputs)} if bias else {})
        case(name, shape, node("ConvTranspose", "x w b" if bias else "x w", "y", **attributes), inits)

    transposed("ConvTranspose 1d", (2, 5), weight(2, 3, 3), 3)
    transposed("ConvTranspose 1d strides", (2, 5), weight(2, 3, 4), 3, strides=[2], pads=[1, 1])
    transposed("ConvTranspose 1d uneven", (2, 5), weight(2, 3, 4), 3, strides=[3], pads=[2, 1], output_padding=[1])
    transposed("ConvTranspose 1d groups", (4, 5), weight(4, 2, 3), 4, group=2, dilations=[2], bias=False)
    transposed("ConvTranspose 1d shape", (2, 5), weight(2, 3, 4), 3, strides=[2], output_shape=[10])
    transposed("ConvTranspose 1d same", (2, 5), weight(2, 3, 3), 3, strides=[2], auto_pad="SAME_UPPER")
    transposed("ConvTranspose 2d", (2, 3, 4), weight(2, 2, 3, 2), 2, strides=[2, 1], pads=[1, 0, 1, 1])


def pools():
    for op in ["MaxPool", "AveragePool"]:
        case(f"{op} 1d", (2, 9), node(op, "x", "y", kernel_shape=[3], strides=[2]))
        case(f"{op} 1d default strides", (2, 9), node(op, "x", "y", kernel_shape=[4]))
        case(f"{op} 1d pads", (2, 9), node(op, "x", "y", kernel_shape=[3], strides=[2], pads=[1, 1]))
        case(f"{op} 1d uneven pads", (2, 9), node(op, "x", "y", kernel_shape=[3], strides=[2], pads=[0, 1]))
        case(f"{op} 1d ceil", (2, 10), node(op, "x", "y", kernel_shape=[3], strides=[2], ceil_mode=1))
        case(f"{op} 1d ceil and pads", (2, 10), node(op, "x", "y", kernel_shape=[3], strides=[3], pads=[1, 1], ceil_mode=1))
        case(f"{op} 1d whole blocks", (3, 17), node(op, "x", "y", kernel_shape=[4], strides=[4]))
        case(f"{op} 1d same", (2, 9), node(op, "x", "y", kernel_shape=[4], strides=[2], auto_pad="SAME_UPPER"))
        case(f"{op} 2d", (2, 5, 6), node(op, "x", "y", kernel_shape=[2, 3], strides=[2, 2]))
        case(f"{op} 2d pads", (2, 5, 6), node(op, "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
        case(f"{op} 2d uneven pads", (2, 5, 6), node(op, "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 1, 0]))
        case(f"{op} 2d ceil", (2, 5, 6), node(op, "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1))
    case("MaxPool 1d dilations", (2, 11), node("MaxPool", "x", "y", kernel_shape=[3], dilations=[2], strides=[1]))
    case("MaxPool 2d dilations", (1, 6, 6), node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 3]))
    case("AveragePool 1d counts pads", (2, 9), node("AveragePool", "x", "y", kernel_shape=[3], strides=[2], pads=[1, 1], count_include_pad=1))
    case("AveragePool 2d counts pads", (2, 5, 6), node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 0, 1, 1], count_include_pad=1))
    for op in ["GlobalAveragePool", "GlobalMaxPool"]:
        case(f"{op} 1d", (3, 5), node(op, "x", "y"))
        case(f"{op} 2d", (3, 3, 4), node(op, "x", "y"))


def reductions():
    for op in ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare", "ReduceProd"]:
        axes_by_input = op == "ReduceSum"
        def one(name, shape, axes, **attributes):
            if axes_by_input:
                case(name, shape, node(op, "x a", "y", **attributes), {"a": ints(*axes)})
            else:
                case(name, shape, node(op, "x", "y", axes=axes, **attributes))
        one(f"{op} last", (3, 4), [-1], keepdims=0)
        one(f"{op} kept", (3, 4), [1], keepdims=1)
        one(f"{op} of two axes", (3, 4, 2), [1, 3], keepdims=0)
        case(f"{op} opset 18", (3, 4), node(op, "x a", "y", keepdims=0), {"a": ints(2)}, opset=18)
    case("ReduceSum of none", (3, 4), node("ReduceSum", "x", "y", noop_with_empty_axes=1))
    case("ReduceSum attribute", (3, 4), node("ReduceSum", "x", "y", axes=[2]), opset=11)
    for op in ["ArgMax", "ArgMin"]:
        case(op, (3, 4), [node(op, "x", "k", axis=2, keepdims=0), node("Cast", "k", "y", to=1)])


def norms():
    case("BatchNormalization 1d", (3, 5), node("BatchNormalization", "x g b m v", "y", epsilon=0.01), {"g": weight(3), "b": weight(3), "m": weight(3), "v": np.abs(weight(3)) + np.float32(0.3)})
    case("BatchNormalization of rows", (3,), node("BatchNormalization", "x g b m v", "y"), {"g": weight(3), "b": weight(3), "m": weight(3), "v": np.abs(weight(3)) + np.float32(0.3)}, opset=9)
    case("BatchNormalization 2d", (3, 2, 2), node("BatchNormalization", "x g b m v", "y"), {"g": weight(3), "b": weight(3), "m": weight(3), "v": np.abs(weight(3)) + np.float32(0.3)})
    case("LayerNormalization", (3, 6), node("LayerNormalization", "x g b", "y", epsilon=0.01), {"g": weight(6), "b": weight(6)})
    case("LayerNormalization axis 1", (3, 6), node("LayerNormalization", "x g b", "y", axis=1), {"g": weight(3, 6), "b": weight(3, 6)})
    case("LayerNormalization no bias", (3, 6), node("LayerNormalization", "x g", "y"), {"g": weight(6)})
    case("LayerNormalization broadcast", (3, 6), node("LayerNormalization", "x g b", "y", axis=1), {"g": weight(6), "b": weight(3, 1)})
    case("InstanceNormalization", (3, 6), node("InstanceNormalization", "x g b", "y"), {"g": weight(3), "b": weight(3)})
    case("InstanceNormalization 2d", (2, 3, 3), node("InstanceNormalization", "x g b", "y", epsilon=0.1), {"g": weight(2), "b": weight(2)})
    case("GroupNormalization", (4, 5), node("GroupNormalization", "x g b", "y", num_groups=2), {"g": weight(4), "b": weight(4)}, opset=21)
    case("LpNormalization", (3, 4), node("LpNormalization", "x", "y", axis=-1, p=2))
    case("LpNormalization 1", (3, 4), node("LpNormalization", "x", "y", axis=1, p=1))
    formula = [node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"), node("Pow", "d two", "s"), node("ReduceMean", "s", "v", axes=[-1]), node("Add", "v e", "w"), node("Sqrt", "w", "r"), node("Div", "d r", "y")]
    case("layer norm by hand", (3, 6), formula, {"two": np.float32(2), "e": np.float32(1e-5)}, opset=14)


def shapes():
    case("Flatten", (3, 2, 2), [node("Flatten", "x", "z", axis=2), node("Reshape", "z s", "y")], {"s": ints(-1, 12)})
    case("Reshape", (3, 4), node("Reshape", "x s", "y"), {"s": ints(0, 2, -1)})
    case("Reshape by Shape", (3, 4), [node("Shape", "x", "s"), node("Gather", "s zero", "b", axis=0), node("Unsqueeze", "b axes", "c"), node("Concat", "c rest", "d", axis=0), node("Reshape", "x d", "z"), node("MatMul", "z w", "y")],
         {"zero": np.array(0, np.int64), "axes": ints(0), "rest": ints(12), "w": weight(12, 3)})
    case("Shape of a part", (3, 4), [node("Shape", "x", "s", start=0, end=1), node("Concat", "s rest", "d", axis=0), node("Reshape", "x d", "y")], {"rest": ints(-1)})
    case("Transpose", (3, 4), node("Transpose", "x", "y", perm=[0, 2, 1]))
    case("Transpose of everything", (3, 4), [node("Transpose", "x", "z"), node("Transpose", "z", "u", perm=[2, 0, 1]), node("Tanh", "u", "y")])
    case("Squeeze", (1, 4, 1), node("Squeeze", "x a", "y"), {"a": ints(1)})
    case("Squeeze attribute", (1, 4, 1), node("Squeeze", "x", "y", axes=[1, -1]), opset=11)
    case("Unsqueeze", (3,), node("Unsqueeze", "x a", "y"), {"a": ints(1, -1)})
    case("Unsqueeze attribute", (3,), node("Unsqueeze", "x", "y", axes=[2]), opset=11)
    case("Concat", (3, 2), [node("Tanh", "x", "t"), node("Concat", "x t x", "y", axis=1)])
    case("Concat with a constant", (3,), [node("Shape", "x", "s", start=0, end=1), node("Concat", "s one", "d", axis=0), node("Expand", "w d", "e"), node("Concat", "e x", "y", axis=-1)], {"one": ints(1), "w": weight(1, 1)})
    case("Slice", (6, 3), node("Slice", "x s e a t", "y"), {"s": ints(1), "e": ints(100), "a": ints(1), "t": ints(2)})
    case("Slice backwards", (6, 3), node("Slice", "x s e a t", "y"), {"s": ints(-1, 0), "e": ints(-100, 2), "a": ints(1, 2), "t": ints(-2, 1)})
    case("Slice without axes", (6,), node("Slice", "x s e", "y"), {"s": ints(0, -3), "e": ints(9, -1)})
    case("Slice attributes", (6, 3), node("Slice", "x", "y", starts=[1], ends=[-1], axes=[1]), opset=9)
    case("Gather", (4, 3), node("Gather", "x k", "y", axis=1), {"k": ints(2, 0, -1, 2)})
    case("Gather one", (4, 3), node("Gather", "x k", "y", axis=1), {"k": np.array(-2, np.int64)})
    case("Gather of a table", (4,), [node("Gather", "w k", "e", axis=0), node("MatMul", "x e", "y")], {"w": weight(5, 3), "k": ints(4, 0, 1, 1)})
    case("Split", (7, 2), [node("Split", "x s", "a b c", axis=1), node("Concat", "c a b", "y", axis=1)], {"s": ints(2, 4, 1)})
    case("Split evenly", (6,), [node("Split", "x", "a b", axis=1), node("Mul", "a b", "y")])
    case("Split attribute", (6,), [node("Split", "x", "a b", axis=1, split=[2, 4]), node("Concat", "b a", "y", axis=1)], opset=11)
    case("Split by count", (5,), [node("Split", "x", "a b", axis=1, num_outputs=2), node("Concat", "b a", "y", axis=1)], opset=18)
    case("Tile", (2, 3), node("Tile", "x r", "y"), {"r": ints(1, 2, 3)})
    case("Expand", (1, 3), node("Expand", "x s", "y"), {"s": ints(1, 4, 1)})
    case("Expand by Shape", (3,), [node("Shape", "x", "s"), node("Expand", "w s", "e"), node("Mul", "e x", "y")], {"w": weight(1, 3)})
    case("ConstantOfShape", (3,), [node("Shape", "x", "s"), node("ConstantOfShape", "s", "o", value=numpy_helper.from_array(np.array([1.5], np.float32))), node("Mul", "o x", "y")])
    case("Range", (4,), [node("Shape", "x", "s"), node("Gather", "s one", "n", axis=0), node("Range", "zero n step", "r"), node("Cast", "r", "f", to=1), node("Mul", "x f", "y")],
         {"one": np.array(1, np.int64), "zero": np.array(0, np.int64), "step": np.array(1, np.int64)})
    case("Constant list", (2,), [helper.make_node("Constant", [], ["c"], value_floats=[0.5, 2.0]), node("Mul", "x c", "y")])
    case("Constant number", (2,), [helper.make_node("Constant", [], ["c"], value_float=0.5), node("Mul", "x c", "y")])
    arithmetic = [node("Shape", "x", "s"), node("Gather", "s k", "n", axis=0), node("Div", "n two", "h"), node("Mul", "h two", "m"), node("Sub", "m two", "u"), node("Add", "u two", "v"), node("Equal", "v n", "q"), node("Where", "q v n", "w"),
                  node("Unsqueeze", "w a", "e"), node("ReduceProd", "e", "f", axes=[0], keepdims=1), node("Slice", "x z f a1", "y")]
    case("integer arithmetic", (6,), arithmetic, {"k": np.array(1, np.int64), "two": np.array(2, np.int64), "a": ints(0), "z": ints(1), "a1": ints(1)})
    for mode in ["constant", "reflect", "edge"]:
        case(f"Pad {mode}", (2, 5), node("Pad", "x p", "y", mode=mode), {"p": ints(0, 0, 2, 0, 0, 3)})
    case("Pad wrap", (2, 5), node("Pad", "x p", "y", mode="wrap"), {"p": ints(0, 0, 2, 0, 0, 3)}, opset=19)
    case("Pad value, negative", (2, 5), node("Pad", "x p v", "y"), {"p": ints(0, 1, -1, 0, 0, 2), "v": np.float32(0.7)})
    case("Pad axes", (2, 5), node("Pad", "x p v a", "y"), {"p": ints(1, 2), "v": np.float32(0), "a": ints(-1)}, opset=18)
    case("Pad attributes", (5,), node("Pad", "x", "y", pads=[0, 1, 0, 2], value=0.3), opset=9)
    half = np.array([0.5, -1.25, 2], np.float16)
    case("Cast of halves", (3,), [node("Cast", "h", "w", to=1), node("Mul", "x w", "y")], {"h": half})
    case("Cast to double and back", (3,), [node("Cast", "x", "d", to=11), node("Mul", "d w", "m"), node("Cast", "m", "y", to=1)], {"w": np.array([0.5, -1.25, 2.0])})
    case("Cast of booleans", (3,), [node("Cast", "b", "w", to=1), node("Mul", "x w", "y")], {"b": np.array([True, False, True])})
    case("Cast to integers", (4,), [node("Cast", "x", "k", to=7), node("Cast", "k", "f", to=1), node("Sub", "x f", "y")], gradient=False)
    case("a batch of two", (3,), node("Tanh", "x", "y"), fixed=True)


def recurrent():
    for op, gates in [("LSTM", 4), ("GRU", 3), ("RNN", 1)]:
        hidden, inputs = 3, 2
        for direction, count in [("forward", 1), ("reverse", 1), ("bidirectional", 2)]:
            inits = {"w": weight(count, gates * hidden, inputs), "r": weight(count, gates * hidden, hidden), "b": weight(count, 2 * gates * hidden)}
            before = node("Transpose", "x", "t", perm=[1, 0, 2], name="before")
            after = node("Transpose", "s", "y", perm=[2, 0, 1, 3], name="after")
            case(f"{op} {direction}", (4, inputs), [before, node(op, "t w r b", "s", hidden_size=hidden, direction=direction), after], inits)
            last = [before, node(op, "t w r", "s h", hidden_size=hidden, direction=direction), node("Transpose", "h", "y", perm=[1, 0, 2], name="after")]
            case(f"{op} {direction}, last state", (4, inputs), last, {key: inits[key] for key in "wr"})
    inits = {"w": weight(1, 9, 2), "r": weight(1, 9, 3), "b": weight(1, 18), "h": weight(1, 1, 3)}
    states = [node("Transpose", "x", "t", perm=[1, 0, 2], name="before"), node("Shape", "x", "s0", start=0, end=1), node("Concat", "one s0 three", "s1", axis=0), node("Expand", "h s1", "first")]
    gru = [*states, node("GRU", "t w r b  first".replace("  ", " @ "), "s", hidden_size=3, linear_before_reset=1), node("Transpose", "s", "y", perm=[2, 0, 1, 3], name="after")]
    for at, item in enumerate(gru):
        names = ["" if name == "@" else name for name in item.input]
        del gru[at].input[:]
        gru[at].input.extend(names)
    case("GRU reset after, first state", (4, 2), gru, inits | {"one": ints(1), "three": ints(3)})
    inits = {"w": weight(1, 12, 2), "r": weight(1, 12, 3), "b": weight(1, 24), "h": weight(1, 1, 3)}
    lstm = [*states, node("LSTM", "t w r b @ first first", "s h1 c1", hidden_size=3), node("Transpose", "c1", "y", perm=[1, 0, 2], name="after")]
    for item in lstm:
        names = ["" if name == "@" else name for name in item.input]
        del item.input[:]
        item.input.extend(names)
    case("LSTM first states, cell state", (4, 2), lstm, inits | {"one": ints(1), "three": ints(3)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    for family in (unary, binary, products, convolutions, pools, reductions, norms, shapes, recurrent):
        family()
    broken_models()
    source = f"onnxruntime {ort.__version__} on models made by onnx {onnx.__version__}; tests/peers/onnx_fixtures.py"
    cases, bad = [",\n".join(json.dumps(case, separators=(",", ":")) for case in part) for part in (CASES, BROKEN)]
    args.output.write_text(f'{{"source":"{source}","cases":[\n{cases}\n],"broken":[\n{bad}\n]}}\n')
    print(f"{len(CASES)} cases, {len(BROKEN)} broken models, {args.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
