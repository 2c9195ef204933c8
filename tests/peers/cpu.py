#!/usr/bin/env python3
"""Times our networks beside PyTorch eager on the CPU, in one interleaved run. See README.md in this folder.

    python3 tests/peers/cpu.py --threads 4 --json out.json
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["transformer", "conv", "graph", "tiny"]
TOLERANCE = 1e-4


def main() -> int:
    arguments = parse()
    # Read by OpenMP when torch, or a worker with libtorch, is loaded: set before the import.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    global torch, networks
    import torch

    import networks

    torch.set_num_threads(arguments.threads)
    program = build(arguments)
    if arguments.check and not check(program, arguments):
        return 1
    if arguments.json is None:
        return 0
    others = Others()
    results = measure(program, arguments)
    print(table(results, arguments, others), file=sys.stderr)
    part = arguments.json.with_name(arguments.json.name + ".part")
    part.write_text(json.dumps(results, indent=2) + "\n")
    part.replace(arguments.json)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=positive, required=True, help="threads of both sides")
    parser.add_argument("--json", type=Path, help="file for the medians; without it nothing is timed")
    parser.add_argument("--check", action="store_true", help=f"compare outputs and gradients with PyTorch, {TOLERANCE:g}")
    parser.add_argument("--repeats", type=positive, default=5, help="rounds of ours, torch, torch, ours [default: 5]")
    parser.add_argument("--device", choices=["flex", "tch", "wgpu"], default="flex", help="our side's device")
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--binary", type=Path, help="a langevin-peers built elsewhere, in place of cargo build")
    arguments = parser.parse_args()
    if arguments.json is None and not arguments.check:
        parser.error("give --json FILE, --check or both")
    return arguments


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def build(arguments: argparse.Namespace) -> Path:
    """Builds the worker and gives its path as cargo reports it."""
    if arguments.binary:
        return arguments.binary
    command = ["cargo", "build", "--release", "-p", "langevin-peers", "--message-format=json-render-diagnostics"]
    if arguments.device != "flex":
        command += ["--features", arguments.device]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    programs = [m["executable"] for m in map(json.loads, output.splitlines()) if m.get("executable")]
    if len(programs) != 1:
        raise SystemExit(f"error: cargo build reported {len(programs)} programs, expected 1")
    return Path(programs[0])


def check(program: Path, arguments: argparse.Namespace) -> bool:
    """Same weights and inputs on both sides: prints the differences, and whether all are small."""
    agreed = True
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            command = [program, "dump", name, folder, "--device", arguments.device]
            subprocess.run(command + ["--threads", str(arguments.threads)], check=True)
            index, arrays = networks.read_dump(Path(folder), name)
            for kind, difference in networks.differences(name, index, arrays).items():
                good = difference <= TOLERANCE  # false for NaN
                agreed &= good
                verdict = "agrees with PyTorch" if good else "DIFFERS from PyTorch"
                print(f"{name:<12} {kind:<9} relative difference {difference:.2e}, {verdict}", file=sys.stderr)
    return agreed


class Worker:
    """Our side: a process that runs one step when told and says how long it took."""

    def __init__(self, program: Path, arguments: argparse.Namespace):
        command = [program, "worker", "--device", arguments.device, "--threads", str(arguments.threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        hello = self.read()
        if not hello.get("ready") or hello["rayon_threads"] != arguments.threads:
            raise SystemExit(f"error: worker said {hello}")

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"error: worker ended with exit code {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"error: worker: {answer['error']}")
        return answer

    def ask(self, command: str) -> dict:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def measure(program: Path, arguments: argparse.Namespace) -> dict:
    """Medians in milliseconds; only one side runs at any time."""
    results: dict = {}
    with Worker(program, arguments) as worker:
        for name in arguments.networks:
            peer = networks.Peer(name)
            count = worker.ask(f"count {name}")
            if count["parameters"] != peer.parameters():
                raise SystemExit(f"error: {name}: {count['parameters']} parameters, {peer.parameters()} in PyTorch")
            if count["steps"] != peer.network.steps:
                raise SystemExit(f"error: {name}: steps {count['steps']}, {peer.network.steps} in PyTorch")
            for step in peer.network.steps:
                results.setdefault(name, {})[step] = compare(worker, peer, name, step, arguments.repeats)
    return results


def compare(worker: Worker, peer, name: str, step: str, repeats: int) -> dict:
    def ours() -> float:
        return worker.ask(f"run {name} {step} 1")["ms"][0]

    def theirs() -> float:
        start = time.perf_counter()
        peer.run(step)
        return (time.perf_counter() - start) * 1e3

    times: dict = {ours: [], theirs: []}
    for side in (ours, theirs, theirs, ours):
        side()  # warm-up: page faults, thread pools, oneDNN's primitive cache, the optimiser's state
    for _ in range(repeats):
        for side in (ours, theirs, theirs, ours):
            times[side].append(side())
    a, b = statistics.median(times[ours]), statistics.median(times[theirs])
    print(f"{name} {step}: ours {spread(times[ours])}, torch {spread(times[theirs])}", file=sys.stderr)
    return {"ours_ms": round(a, 3), "torch_ms": round(b, 3), "ratio": round(a / b, 4)}


class Others:
    """What other programs, and a virtual machine's host, took of the processors since this was made; Linux only."""

    def __init__(self):
        self.began = time.perf_counter()
        self.before = self.busy()

    @staticmethod
    def busy() -> float | None:
        """Seconds that all processors together spent on other programs, up to a constant."""
        try:
            times = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        except OSError:
            return None
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        user, nice, system, _idle, _iowait, _irq, _softirq, steal = times[:8]
        return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK") - sum(u.ru_utime + u.ru_stime for u in own)

    def __str__(self) -> str:
        after = self.busy()
        if self.before is None or after is None:
            return "an unknown part of"
        # A worker counts as ours only once it has ended, so ask after that.
        share = (after - self.before) / (time.perf_counter() - self.began) / os.cpu_count()
        return f"{max(share, 0):.0%} of"


def spread(times: list[float]) -> str:
    return f"{min(times):.1f} to {max(times):.1f} ms"


def table(results: dict, arguments: argparse.Namespace, others: Others) -> str:
    """A Markdown table, and under it what it was measured with."""
    lines = ["", f"| network | step | ours ({arguments.device}), ms | PyTorch, ms | ratio |", "|---|---|---:|---:|---:|"]
    for name, steps in results.items():
        for step, r in steps.items():
            lines.append(f"| {name} | {step} | {r['ours_ms']:.1f} | {r['torch_ms']:.1f} | {r['ratio']:.2f} |")
    lines.append(
        f"\nThreads {arguments.threads}, PyTorch {torch.__version__}, medians of {2 * arguments.repeats} runs a side; "
        f"others took {others} the processors meanwhile."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
