"""Quality of the speech prior against network evaluations, for every solver and driver: a Markdown table on stdout.

    python3 tests/peers/solvers.py --train fsdd/train --held-out fsdd/valid [--langevin target/release/langevin] [--per-pair 6]

Every row is `langevin eval audio --solver NAME --steps N ...` with the same seed. Steps are chosen so that a solver has about the wanted
number of evaluations (solvers with two a step take half the steps).
"""

import argparse
import json
import subprocess
import sys

WANTED = (4, 8, 16)


def run(args, program, more):
    command = [program, "eval", "audio", "--json", "--quiet", "--seed", str(args.seed), "--per-pair", str(args.per_pair)]
    command += ["--threads", str(args.threads), "--train", args.train, "--held-out", args.held_out]
    if args.checkpoint:
        command += ["--checkpoint", args.checkpoint]
    found = subprocess.run(command + more, capture_output=True, text=True)
    return json.loads(found.stdout) if found.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--langevin", default="target/release/langevin")
    parser.add_argument("--checkpoint")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--per-pair", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--solvers", nargs="*")
    args = parser.parse_args()
    listed = subprocess.run([args.langevin, "list", "--methods", "--json"], capture_output=True, text=True, check=True)
    names = args.solvers or [solver["name"] for solver in json.loads(listed.stdout)["solvers"]]
    print("| solver | " + " | ".join(f"about {n}" for n in WANTED) + " |")
    print("|---|" + "---|" * len(WANTED), flush=True)
    for name in names:
        cells = []
        for wanted in WANTED:
            # One step's evaluations decide how many steps make the wanted number.
            told = subprocess.run(
                [args.langevin, "explain", "--solver", name, "--steps", str(max(wanted, 4)), "--json"], capture_output=True, text=True
            )
            steps = wanted
            if told.returncode == 0:
                evaluations = json.loads(told.stdout)["network_evaluations"]
                per_step = max(1, round(evaluations / max(wanted, 4)))
                steps = max(1, wanted // per_step) if per_step < 100 else wanted
            found = run(args, args.langevin, ["--solver", name, "--steps", str(steps)])
            if found is None:
                cells.append("-")
                continue
            scores = found["scores"]
            cells.append(f"{scores['fad']:.2f} / {scores['label_accuracy']:.3f} ({found['network_evaluations']})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print("each cell: FAD / digits heard right (network evaluations)", file=sys.stderr)


main()
