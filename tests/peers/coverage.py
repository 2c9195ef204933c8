#!/usr/bin/env python3
"""Conformers of a reference set by langevin, twice as many as each molecule has references, then their scores.

    python3 tests/peers/coverage.py --langevin target/release/langevin --ref qm9_test.jsonl.gz --threshold 0.5 [--limit N] [-- FLAGS OF gen molecule]

Molecules with the same number of references share a run of `gen molecule`; what it writes is joined and given to `eval molecule`.
The wall clock of the runs, starts included, is divided by the number of conformers."""

import argparse
import collections
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--langevin", default="target/release/langevin")
    parser.add_argument("--ref", required=True, help="training records, .jsonl or .jsonl.gz")
    parser.add_argument("--threshold", default="0.5")
    parser.add_argument("--limit", type=int, default=0, help="take this many molecules, evenly spread")
    parser.add_argument("flags", nargs="*", help="flags of gen molecule")
    args = parser.parse_args()

    opened = gzip.open if args.ref.endswith(".gz") else open
    with opened(args.ref, "rt") as file:
        lines = file.readlines()
    if args.limit:
        lines = lines[:: max(1, len(lines) // args.limit)][: args.limit]
    groups = collections.defaultdict(list)
    for line in lines:
        record = json.loads(line)
        groups[len(record["coords_mA"])].append(record["smiles"])

    with tempfile.TemporaryDirectory() as folder:
        reference, joined = os.path.join(folder, "ref.jsonl"), os.path.join(folder, "gen.sdf")
        with open(reference, "w") as file:
            file.writelines(lines)
        seconds, conformers = 0.0, 0
        with open(joined, "wb") as out:
            for count, strings in sorted(groups.items()):
                source, made = os.path.join(folder, "in.smi"), os.path.join(folder, "out.sdf")
                with open(source, "w") as file:
                    file.write("\n".join(strings) + "\n")
                command = [args.langevin, "gen", "molecule", "--input", source, "-n", str(2 * count), "-o", made, "--force", "-q", *args.flags]
                start = time.monotonic()
                if subprocess.run(command).returncode not in (0, 3):
                    sys.exit(f"failed: {' '.join(command)}")
                seconds += time.monotonic() - start
                conformers += 2 * count * len(strings)
                with open(made, "rb") as file:
                    out.write(file.read())
        print(f"{conformers} conformers, {1e3 * seconds / conformers:.1f} ms each", flush=True)
        subprocess.run([args.langevin, "eval", "molecule", "--ref", reference, "--gen", joined, "--threshold", args.threshold], check=True)


if __name__ == "__main__":
    main()
