"""Our ONNX classifiers beside onnxruntime: microseconds a batch, same file, rows and number of threads.

    cargo build --release --workspace --examples
    python tests/peers/onnx_speed.py ../shared/data/purify/*.onnx --worker target/release/examples/onnx_time --threads 1

Both sides are warmed up and take turns in the order ours, theirs, theirs, ours; each number is the median over all turns. Ratios below 1 mean that
we are faster. The last column is ours with the gradient of the rows, which onnxruntime does not have.
"""

import argparse
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

TURNS = 10


class Ours:
    def __init__(self, worker, model, threads):
        self.process = subprocess.Popen([worker, model, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, batch, repeats, step="forward"):
        self.process.stdin.write(f"{batch} {repeats} {step}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    def __init__(self, model, threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]

    def time(self, batch, repeats):
        dims = [batch, *self.input.shape[1:]]
        x = np.sin(0.37 * np.arange(np.prod(dims))).astype(np.float32).reshape(dims)
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            self.session.run(None, {self.input.name: x})
            times.append(time.perf_counter() - started)
        return statistics.median(times) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--worker", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    print(f"{'model':28} {'batch':>5} {'ours us':>10} {'onnxruntime us':>15} {'ratio':>6} {'gradient us':>12}")
    for model in args.models:
        ours, theirs = Ours(args.worker, str(model), args.threads), Theirs(str(model), args.threads)
        fixed = theirs.input.shape[0]
        for batch in [fixed] if isinstance(fixed, int) else args.batches:
            for _ in range(2):
                ours.time(batch, args.repeats), theirs.time(batch, args.repeats)
            times = ([], [])
            for turn in range(TURNS):
                for side in ((0, 1) if turn % 2 == 0 else (1, 0)):
                    times[side].append((ours, theirs)[side].time(batch, args.repeats))
            mine, others = (statistics.median(side) for side in times)
            gradient = ours.time(batch, args.repeats, "gradient")
            print(f"{model.name:28} {batch:5} {mine:10.1f} {others:15.1f} {mine / others:6.2f} {gradient:12.1f}", flush=True)
        ours.close()


if __name__ == "__main__":
    main()
