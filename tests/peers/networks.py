"""The reference networks in PyTorch eager: same sizes, weights and steps as tests/peers/src."""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The same as in src/peer.rs.
LEARNING_RATE = 1e-4
EPSILON = 1e-8
WEIGHT_DECAY = 1e-2


class Block(nn.Module):
    """Pre-norm attention and feed-forward; attention and GELU are PyTorch's fused CPU kernels."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x + self.attend(self.attention_norm(x), bias)
        return x + self.contract(F.gelu(self.expand(self.feed_norm(x))))

    def attend(self, x: Tensor, bias: Tensor | None) -> Tensor:
        batch, rows, width = x.shape
        parts = self.qkv(x).chunk(3, dim=2)
        query, key, value = (p.view(batch, rows, self.heads, -1).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.out(mixed.transpose(1, 2).reshape(batch, rows, width))


class Transformer(nn.Module):
    inputs = [(8, 256, 256)]
    steps = ["forward", "train"]

    def __init__(self, width: int = 256, layers: int = 6, heads: int = 4):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Layer(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, dilation=dilation, padding=dilation)
        self.mix = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.dilated(x).chunk(2, dim=1)
        residual, skip = self.mix(torch.tanh(a) * torch.sigmoid(b)).chunk(2, dim=1)
        return (x + residual) * math.sqrt(0.5), skip


class Conv(nn.Module):
    inputs = [(2, 64, 8000)]
    steps = ["forward", "train"]

    def __init__(self, channels: int = 64, layers: int = 20, cycle: int = 10):
        super().__init__()
        self.layers = nn.ModuleList(Layer(channels, 1 << (i % cycle)) for i in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        total = None
        for layer in self.layers:
            x, skip = layer(x)
            total = skip if total is None else total + skip
        return total * (1 / math.sqrt(len(self.layers)))


class Graph(nn.Module):
    inputs = [(64, 18, 128), (64, 18 * 18, 16)]
    steps = ["forward", "train"]

    def __init__(self, width: int = 128, pair_features: int = 16, layers: int = 4, heads: int = 4):
        super().__init__()
        self.pairs = nn.ModuleList(nn.Linear(pair_features, heads, bias=False) for _ in range(layers))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        molecules, atoms, _ = x.shape
        for pair, block in zip(self.pairs, self.blocks):
            bias = pair(pairs).transpose(1, 2).reshape(molecules, -1, atoms, atoms)
            x = block(x, bias)
        return x


class Tiny(nn.Module):
    inputs = [(1, 16, 64)]
    steps = ["sample"]

    def __init__(self, num_steps: int = 100):
        super().__init__()
        self.network = Transformer(width=64, layers=4, heads=4)
        self.num_steps = num_steps

    def forward(self, x: Tensor) -> Tensor:
        angle = math.pi / 2 / self.num_steps
        sin, cos = math.sin(angle), math.cos(angle)
        for _ in range(self.num_steps):
            x = x * cos - self.network(x) * sin
        return x


NETWORKS = {"transformer": Transformer, "conv": Conv, "graph": Graph, "tiny": Tiny}


class Peer:
    """A network with its inputs and optimiser; the Python twin of src/peer.rs."""

    def __init__(self, name: str):
        torch.manual_seed(0)
        self.network = NETWORKS[name]()
        self.inputs = [torch.randn(shape) for shape in self.network.inputs]
        self.target = torch.randn(self.network.inputs[0])
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=LEARNING_RATE, eps=EPSILON, weight_decay=WEIGHT_DECAY, fused=True
        )

    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def run(self, step: str) -> None:
        if step == "train":
            self.optimizer.zero_grad(set_to_none=True)
            self.loss().backward()
            self.optimizer.step()
        else:
            self.output()

    def output(self) -> Tensor:
        with torch.inference_mode():
            return self.network(*self.inputs)

    def loss(self) -> Tensor:
        return F.mse_loss(self.network(*self.inputs), self.target)

    def load(self, arrays: dict[str, Tensor]) -> None:
        """Takes weights and inputs of a dump; every parameter must be there, in its shape."""
        weights = {k.removeprefix("weight."): v for k, v in arrays.items() if k.startswith("weight.")}
        self.network.load_state_dict(dict(torch_form(*item) for item in weights.items()), strict=True)
        self.inputs = [arrays[f"input.{i}"] for i in range(len(self.inputs))]
        self.target = arrays["target"]


def torch_form(path: str, value: Tensor) -> tuple[str, Tensor]:
    """burn keeps linear weights as [input, output] and calls a norm's vectors gamma and beta."""
    path = path.replace(".gamma", ".weight").replace("norm.beta", "norm.bias")
    return path, value.t() if value.dim() == 2 else value


def read_dump(folder: Path, name: str) -> tuple[dict, dict[str, Tensor]]:
    """The index and the tensors that `langevin-peers dump` wrote."""
    if sys.byteorder != "little":
        raise SystemExit("error: dumps are little-endian; run the check on such a machine")
    index = json.loads((folder / f"{name}.json").read_text())
    values = torch.frombuffer(bytearray((folder / f"{name}.f32").read_bytes()), dtype=torch.float32)
    arrays = {}
    for place in index["arrays"]:
        size, start = math.prod(place["shape"]), place["start"]
        arrays[place["name"]] = values[start : start + size].view(place["shape"])
    return index, arrays


def differences(name: str, index: dict, arrays: dict[str, Tensor]) -> dict[str, float]:
    """Largest relative differences of output, loss and gradients against PyTorch on the dump's weights."""
    peer = Peer(name)
    peer.load(arrays)
    if peer.parameters() != index["parameters"]:
        raise SystemExit(f"error: {name}: {index['parameters']} parameters here, {peer.parameters()} in PyTorch")
    result = {"output": relative(arrays["output"], peer.output())}
    if "train" in peer.network.steps:
        loss = peer.loss()
        result["loss"] = relative(arrays["loss"], loss.detach())
        loss.backward()
        theirs = {path: p.grad for path, p in peer.network.named_parameters()}
        ours = dict(
            torch_form(k.removeprefix("gradient."), v) for k, v in arrays.items() if k.startswith("gradient.")
        )
        if ours.keys() != theirs.keys():
            raise SystemExit(f"error: {name}: gradients of {sorted(ours.keys() ^ theirs.keys())} on one side only")
        result["gradient"] = max((relative(ours[path], theirs[path]) for path in theirs), key=nan_last)
    return result


def relative(ours: Tensor, theirs: Tensor) -> float:
    """`max |ours - theirs| / max |theirs|`; NaN stays NaN."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value
