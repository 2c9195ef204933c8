"""Logits and input gradients of the shared classifiers from their TorchScript files, for crates/purify/tests/models.rs.

Rows are a formula, so that no data enters the repository: number i of row r is
    0.2 sin(0.05 (r + 1) (i + 1)) + 0.05 cos(0.9 i (r + 2)), in float64, rounded to float32, times `scale`.
The gradient is that of sum over k of cos(k) logits[k].

    python tests/peers/onnx_models.py ../shared/data/purify -o tests/golden/onnx/models.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

MODELS = [
    ("fsdd_raw_cnn", [1, 8000], 2, 1.0, ["fsdd_raw_cnn.onnx", "fsdd_raw_cnn.dynamo18.onnx"]),
    ("ItalyPowerDemand", [1, 24], 3, 5.0, ["ItalyPowerDemand.onnx"]),
    ("BreastCancer", [30], 3, 5.0, ["BreastCancer.onnx"]),
]


def rows(count, length, scale):
    i = np.arange(length, dtype=np.float64)
    made = [0.2 * np.sin(0.05 * (r + 1) * (i + 1)) + 0.05 * np.cos(0.9 * i * (r + 2)) for r in range(count)]
    return np.float32(scale) * np.stack(made).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    found = []
    for name, shape, count, scale, files in MODELS:
        module = torch.jit.load(args.folder / f"{name}.torchscript.pt").eval()
        flat = rows(count, int(np.prod(shape)), scale)
        x = torch.tensor(flat).reshape(count, *shape).requires_grad_(True)
        logits = module(x)
        (logits * torch.cos(torch.arange(logits.shape[1], dtype=torch.float32))).sum().backward()
        gradient = x.grad.reshape(count, -1).numpy()
        found.append({
            "files": files,
            "shape": shape,
            "rows": count,
            "scale": scale,
            "logits": [[float(f"{v:.8g}") for v in row] for row in logits.tolist()],
            # Of the last row alone, five digits: enough for 1e-4 of the largest.
            "gradient": [float(f"{v:.5g}") for v in gradient[-1]],
        })
    source = f"torch {torch.__version__}, TorchScript files of the project's shared folder; tests/peers/onnx_models.py"
    args.output.write_text(json.dumps({"source": source, "models": found}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
