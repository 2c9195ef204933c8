#!/usr/bin/env python3
"""Times `langevin gen text` beside the same network and sampler in PyTorch eager on the CPU, in one interleaved run.

    python3 tests/peers/text.py --langevin target/release/langevin --checkpoint text-novels.safetensors --threads 1 --json out.json
"""

import argparse
import json
import re
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--langevin", type=Path, required=True, help="the built program")
    parser.add_argument("--checkpoint", type=Path, required=True, help="a masking text model, as a file")
    parser.add_argument("--threads", type=int, default=1, help="threads of both sides")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5, help="rounds of ours, torch, torch, ours")
    parser.add_argument("--json", type=Path, help="file for the medians")
    return parser.parse_args()


def read(path: Path) -> tuple[dict, dict]:
    """Config and tensors of a checkpoint (safetensors, single or half precision)."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    config = json.loads(header.pop("__metadata__")["langevin"])["config"]["model"]
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    tensors = {}
    for name, place in header.items():
        start, end = (8 + size + at for at in place["data_offsets"])
        values = torch.frombuffer(bytearray(data[start:end]), dtype=types[place["dtype"]])
        tensors[name.removeprefix("model.")] = values.view(place["shape"]).float()
    return config, tensors


class Layer(nn.Module):
    """Neighbours, attention with rotary positions, feed-forward."""

    def __init__(self, config: dict, weights: dict):
        super().__init__()
        width, self.heads = config["width"], config["heads"]
        taps = weights["filter"].shape[0]
        self.near = nn.Conv1d(width, width, taps, padding=taps // 2, groups=width)
        self.attend, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, config["hidden"]), nn.Linear(config["hidden"], width)
        with torch.no_grad():
            self.near.weight.copy_(weights["filter"].t().unsqueeze(1))
            self.near.bias.copy_(weights["filter_bias"])
            for name in ("attend", "mix", "expand", "contract"):
                getattr(self, name).weight.copy_(weights[f"{name}.weight"].t())
                getattr(self, name).bias.copy_(weights[f"{name}.bias"])

    def forward(self, x, cos, sin):
        batch, rows, width = x.shape
        norm = lambda x: F.layer_norm(x, (width,), eps=1e-5)
        x = x + self.near(norm(x).transpose(1, 2)).transpose(1, 2)
        query, key, value = (p.view(batch, rows, self.heads, -1).transpose(1, 2) for p in self.attend(norm(x)).chunk(3, dim=2))
        mixed = F.scaled_dot_product_attention(turned(query, cos, sin), turned(key, cos, sin), value)
        x = x + self.mix(mixed.transpose(1, 2).reshape(batch, rows, width))
        return x + self.contract(F.gelu(self.expand(norm(x))))


def turned(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Net(nn.Module):
    def __init__(self, config: dict, weights: dict):
        super().__init__()
        width = config["width"]
        part = lambda prefix: {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        self.tokens = nn.Parameter(weights["tokens.weight"])
        # The last row is that of no label.
        self.label = nn.Parameter(weights["labels.weight"][-1]) if "labels.weight" in weights else 0.0
        self.layers = nn.ModuleList(Layer(config, part(f"layers.{k}.")) for k in range(config["layers"]))
        self.out = nn.Linear(width, weights["output.weight"].shape[1])
        with torch.no_grad():
            self.out.weight.copy_(weights["output.weight"].t())
            self.out.bias.copy_(weights["output.bias"])
        half = width // config["heads"] // 2
        angles = torch.arange(config["context"]).double()[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
        self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def forward(self, tokens):
        x = self.tokens[tokens] + self.label
        rows = tokens.shape[1]
        for layer in self.layers:
            x = layer(x, self.cos[:rows], self.sin[:rows])
        return self.out(F.layer_norm(x, x.shape[-1:], eps=1e-5))

    def sample(self, length: int, steps: int):
        """Random order, as many tokens in every step, drawn in f64."""
        hidden = self.tokens.shape[0] - 1
        tokens = torch.full((1, length), hidden)
        order = torch.randperm(length)
        with torch.inference_mode():
            for step in range(steps):
                ready = order[step * length // steps : (step + 1) * length // steps]
                probabilities = self(tokens)[0, ready].double().softmax(-1)
                tokens[0, ready] = torch.multinomial(probabilities, 1)[:, 0]
        return tokens


def greedy(net: Net, template: str) -> str:
    """Holes filled from left to right with the likeliest letter: to compare with `gen text --infill`."""
    hidden = net.tokens.shape[0] - 1
    tokens = torch.tensor([[hidden if c == "_" else " abcdefghijklmnopqrstuvwxyz".index(c) for c in template]])
    with torch.inference_mode():
        for place in [k for k, c in enumerate(template) if c == "_"]:
            tokens[0, place] = net(tokens)[0, place].argmax()
    return "".join(" abcdefghijklmnopqrstuvwxyz"[k] for k in tokens[0].tolist())


def main() -> int:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    config, tensors = read(arguments.checkpoint)
    net = Net(config, tensors).eval()
    base = [arguments.langevin, "gen", "text", "--checkpoint", arguments.checkpoint, "--threads", str(arguments.threads)]

    template = "it was __ the m_rning of the ____ day that she s__ her br_ther ag___"
    ours = subprocess.run(base + ["--infill", template, "--order", "l2r", "-q"], check=True, capture_output=True, text=True).stdout.strip("\n")
    if ours != greedy(net, template):
        print(f"the networks differ: '{ours}' and '{greedy(net, template)}'", file=sys.stderr)
        return 1

    def run_ours() -> float:
        flags = ["--length", str(arguments.length), "--steps", str(arguments.steps), "--block", "full"]
        told = subprocess.run(base + flags, check=True, capture_output=True, text=True).stderr
        return float(re.search(r"network evaluations, ([0-9.]+) s", told)[1])

    def run_torch() -> float:
        start = time.perf_counter()
        net.sample(arguments.length, arguments.steps)
        return time.perf_counter() - start

    times = {run_ours: [], run_torch: []}
    for side in (run_ours, run_torch):
        side()
    for _ in range(arguments.repeats):
        for side in (run_ours, run_torch, run_torch, run_ours):
            times[side].append(side())
    a, b = statistics.median(times[run_ours]), statistics.median(times[run_torch])
    result = {"threads": arguments.threads, "length": arguments.length, "steps": arguments.steps, "ours_s": a, "torch_s": b, "ratio": a / b}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
