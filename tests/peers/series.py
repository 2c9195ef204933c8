#!/usr/bin/env python3
"""Fills the same holes by several methods and scores them: linear, LOCF, seasonal, scikit-learn, SAITS and CSDI of PyPOTS, and langevin.

    python3 tests/peers/series.py --data ETTh1.csv --masks make_masks.py --last-frac 0.2 --train 0:8352 --work out/
    python3 tests/peers/series.py --data nyc_weather_wide.csv --masks make_masks.py --last-frac 0.25 --patterns point:0.1,subseq:0.5,blackout:0.1 --work out/

`--masks` is a program that hides cells: `COMPLETE.csv --out-dir DIR --name NAME --seed N --patterns P --rates R [--rows A:B | --last-frac F]`
writes NAME.truth.csv and NAME.P.RR.masked.csv. Errors are in deviations of the rows `--train`, or, without, of the cells that the masked file
still has. SAITS trains on the training rows (else on the masked file) with holes of the same pattern, CSDI once on the training rows as they
are; everything else sees the masked file only. CRPS is twice the mean pinball loss at levels .05 .25 .50 .75 .95, in deviations; `norm.` divides
it by the mean absolute standardised truth, as CSDI's authors do. Of one number CRPS is the absolute error. The gap columns are the CRPS of
the mean, maximum, minimum and roughness of whole gaps, of methods with sample paths, by `langevin eval series`. Seconds are CPU-seconds of all
threads. What a method filled is kept in `--work`, and not made again: delete its .npz to do so."""

import argparse
import contextlib
import csv
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
PATTERNS = "point:0.1,point:0.5,point:0.9,subseq:0.5,blackout:0.1"
WINDOW = 48


def main():
    a = parse()
    # Read by OpenMP when numpy and torch are loaded: set before the imports.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(a.threads)
    global np, pd
    import numpy as np
    import pandas as pd

    a.work.mkdir(parents=True, exist_ok=True)
    name = a.data.stem
    rows = []
    for pattern in a.patterns.split(","):
        task = Task(a, name, *pattern.split(":"))
        for method in a.methods.split(","):
            if method == "langevin" and not a.langevin:
                continue
            try:
                result = filled(task, method)
            except ImportError as error:
                print(f"{method} is left out: {error}", file=sys.stderr, flush=True)
                continue
            rows.append((method, task.label, score(task, method, result), *result["seconds"]))
            print(line(rows[-1]), file=sys.stderr, flush=True)
    print("| method | pattern | MAE | CRPS | norm. | 90 % band covers | gap mean | max | min | rough | fit s | fill s |\n" + 12 * "|---" + "|")
    print("\n".join(line(row) for row in rows))


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="table with a time column first, then numbers")
    p.add_argument("--masks", type=Path, required=True, help="program that hides cells")
    p.add_argument("--work", type=Path, required=True, help="folder for masked files and what was filled")
    p.add_argument("--rows", help="fill these rows, A:B")
    p.add_argument("--last-frac", help="fill this last part of the rows")
    p.add_argument("--train", help="rows A:B whose deviations are the unit, and which networks train on")
    p.add_argument("--patterns", default=PATTERNS, help=f"[default: {PATTERNS}]")
    p.add_argument("--methods", default=",".join(METHODS), help=f"[default: {','.join(METHODS)}]")
    p.add_argument("--langevin", type=Path, help="our program; without it our row is left out")
    p.add_argument("--flags", default="", help="more flags of `langevin impute series`, in one string")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--period", type=int, default=24, help="rows of a season")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--saits-seconds", type=float, default=120, help="CPU-seconds of each training of SAITS [default: 120]")
    p.add_argument("--csdi-seconds", type=float, default=600, help="CPU-seconds of the training of CSDI [default: 600]")
    p.add_argument("--csdi-samples", type=int, default=10)
    return p.parse_args()


class Task:
    """A masked file, its truth, its units."""

    def __init__(self, a, name, pattern, rate):
        self.a, self.label = a, f"{pattern} {round(100 * float(rate))} %"
        part = ["--rows", a.rows] if a.rows else ["--last-frac", a.last_frac] if a.last_frac else []
        self.masked, truth = self.mask(name, pattern, rate, part)
        self.columns, self.observed = read(self.masked)
        self.truth = read(truth, self.columns)[1]
        self.hidden = np.isnan(self.observed) & ~np.isnan(self.truth)
        self.training = None
        unit = self.observed
        if a.train:
            training, whole = self.mask(f"{name}-train", pattern, rate, ["--rows", a.train])
            self.training, self.whole = read(training, self.columns)[1], read(whole, self.columns)[1]
            unit = self.whole
        self.mean, deviation = np.nanmean(unit, axis=0), np.nanstd(unit, axis=0)
        self.deviation = np.where(deviation > 0, deviation, 1.0)
        self.seen = self.z(self.observed)

    def mask(self, name, pattern, rate, part):
        command = [sys.executable, self.a.masks, self.a.data, "--out-dir", self.a.work, "--name", name, "--seed", self.a.seed]
        command += ["--patterns", pattern, "--rates", rate, *part]
        subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)
        return self.a.work / f"{name}.{pattern}.{round(100 * float(rate)):02d}.masked.csv", self.a.work / f"{name}.truth.csv"

    def z(self, values):
        return (values - self.mean) / self.deviation


def read(path, columns=None):
    table = pd.read_csv(path)
    columns = columns or [c for c in table.columns[1:] if pd.api.types.is_numeric_dtype(table[c])]
    return columns, table[columns].to_numpy(float)


def filled(task, method):
    """Values of all cells in deviations, by method, from the folder or made now."""
    kept = task.a.work / f"{task.masked.name.removesuffix('.masked.csv')}.{method}.npz"
    if kept.exists():
        return dict(np.load(kept))
    result = METHODS[method](task)
    np.savez_compressed(kept, **result)
    return result


def point_only(fill):
    def run(task):
        start = time.process_time()
        point = fill(task)
        return dict(point=point, seconds=(0.0, time.process_time() - start))

    return run


def linear(task):
    return pd.DataFrame(task.seen).interpolate(limit_direction="both").fillna(0.0).to_numpy()


def locf(task):
    return pd.DataFrame(task.seen).ffill().bfill().fillna(0.0).to_numpy()


def seasonal(task):
    """Each phase of the season interpolated by itself."""
    frame = pd.DataFrame(task.seen)
    by_phase = frame.groupby(np.arange(len(frame)) % task.a.period, group_keys=False)
    made = by_phase.apply(lambda part: part.interpolate(limit_direction="both")).sort_index()
    return made.fillna(0.0).to_numpy()


def iterative(task):
    """Chained Bayesian ridge regressions over all columns and their neighbours two rows back and ahead."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    # Ten rounds are what it gets.
    warnings.filterwarnings("ignore", "\\[IterativeImputer\\] Early stopping")
    frame = pd.DataFrame(task.seen)
    lagged = pd.concat([frame.shift(lag) for lag in (0, 1, -1, 2, -2)], axis=1).to_numpy()
    made = IterativeImputer(max_iter=10, tol=1e-3, random_state=task.a.seed, keep_empty_features=True).fit_transform(lagged)
    return made[:, : frame.shape[1]]


def windows(values, stride):
    """Starts of windows; the last one ends with the table."""
    starts = list(range(0, max(1, len(values) - WINDOW + 1), stride))
    if starts[-1] + WINDOW < len(values):
        starts.append(len(values) - WINDOW)
    return starts, np.stack([values[s : s + WINDOW] for s in starts])


@contextlib.contextmanager
def quiet():
    """PyPOTS greets and reports on stdout and stderr."""
    import logging

    logging.disable(logging.CRITICAL)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        yield
    logging.disable(logging.NOTSET)


def train(model, data, seconds):
    """Trains for about so many CPU-seconds, whatever else runs: an epoch to see what it takes, then as many as fit."""
    start = time.process_time()
    model.epochs = 1
    model.fit({"X": data})
    first = time.process_time() - start
    model.epochs = int((seconds - first) / first)
    if model.epochs > 0:
        model.fit({"X": data})
    return 1 + max(0, model.epochs)


def saits(task):
    with quiet():
        import torch
        from pypots.imputation import SAITS

        torch.set_num_threads(task.a.threads)
        torch.manual_seed(task.a.seed)
        start = time.process_time()
        model = SAITS(WINDOW, len(task.columns), n_layers=2, d_model=256, n_heads=4, d_k=64, d_v=64, d_ffn=512, dropout=0.1, device="cpu", verbose=False)
        own = task.seen if task.training is None else task.z(task.training)
        data = windows(own, 4)[1]
        epochs = train(model, data[~np.isnan(data).all(axis=(1, 2))], task.a.saits_seconds)
        trained = time.process_time()
        starts, parts = windows(task.seen, WINDOW)
        made = model.predict({"X": parts})["imputation"]
    print(f"SAITS: {epochs} epochs", file=sys.stderr, flush=True)
    point = task.seen.copy()
    for s, part in zip(starts, made):
        point[s : s + WINDOW] = part
    return dict(point=point, seconds=(trained - start, time.process_time() - trained))


CSDI = {}


def csdi(task):
    with quiet():
        import torch
        from pypots.imputation import CSDI as Csdi

        torch.set_num_threads(task.a.threads)
        # Its training masks are of all rates, so that one training serves all patterns when there are complete rows.
        key = "all" if task.training is not None else task.label
        if key not in CSDI:
            torch.manual_seed(task.a.seed)
            start = time.process_time()
            model = Csdi(WINDOW, len(task.columns), n_layers=4, n_heads=8, n_channels=64, d_time_embedding=128, d_feature_embedding=16, d_diffusion_embedding=128, n_diffusion_steps=50, batch_size=16, device="cpu", verbose=False)
            own = task.seen if task.training is None else task.z(task.whole)
            data = windows(own, 12)[1]
            epochs = train(model, data[~np.isnan(data).all(axis=(1, 2))], task.a.csdi_seconds)
            CSDI[key] = model, epochs, time.process_time() - start
        model, epochs, fit = CSDI[key]
        start = time.process_time()
        torch.manual_seed(task.a.seed)
        starts, parts = windows(task.seen, WINDOW)
        made = model.predict({"X": parts}, n_sampling_times=task.a.csdi_samples)["imputation"]
    print(f"CSDI: {epochs} epochs", file=sys.stderr, flush=True)
    samples = np.repeat(task.seen[None], task.a.csdi_samples, axis=0)
    for s, part in zip(starts, made):
        samples[:, s : s + WINDOW] = part
    point = np.median(samples, axis=0)
    return dict(point=point, quantiles=np.quantile(samples, LEVELS, axis=0), samples=samples, seconds=(fit, time.process_time() - start))


def langevin(task):
    stem = task.a.work / task.masked.name.removesuffix(".masked.csv")
    out = stem.with_name(f"{stem.name}.langevin.csv")
    command = [task.a.langevin, "impute", "series", task.masked, "-o", out, "--force", "-q", "--seed", 1, "--json", f"{stem}.langevin.json"]
    command += ["--samples-out", f"{stem}.langevin.samples.csv", "--quantiles", ",".join(map(str, LEVELS)), "--threads", task.a.threads, *task.a.flags.split()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(c) for c in command], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    table = pd.read_csv(out)
    bands = [table[[f"{c}_q{round(100 * level):02d}" for c in task.columns]].to_numpy(float) for level in LEVELS]
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    point = task.z(table[task.columns].to_numpy(float))
    return dict(point=point, quantiles=np.stack([task.z(band) for band in bands]), seconds=(0.0, seconds))


METHODS = {
    "linear": point_only(linear),
    "locf": point_only(locf),
    "seasonal": point_only(seasonal),
    "iterative": point_only(iterative),
    "saits": saits,
    "csdi": csdi,
    "langevin": langevin,
}


def score(task, method, result):
    truth, point = task.z(task.truth)[task.hidden], result["point"][task.hidden]
    scores = dict(mae=np.abs(point - truth).mean(), crps=None, norm=None, coverage=None, paths=None)
    if "quantiles" in result:
        quantiles = np.stack([q[task.hidden] for q in result["quantiles"]])
        level = np.array(LEVELS)[:, None]
        above = truth - quantiles
        scores["crps"] = 2 * np.maximum(level * above, (level - 1) * above).mean()
        scores["norm"] = scores["crps"] / np.abs(truth).mean()
        scores["coverage"] = ((quantiles[0] <= truth) & (truth <= quantiles[-1])).mean()
    if task.a.langevin:
        scores["paths"] = check(task, method, result, scores)
    return scores


def check(task, method, result, scores):
    """`langevin eval series` has to find the same numbers; gives what it says about whole gaps."""
    part = task.a.work / "scored.csv"
    unit = task.a.work / "unit.csv"
    with open(task.masked, newline="") as file:
        head, *records = list(csv.reader(file))
    values, bands = result["point"] * task.deviation + task.mean, result.get("quantiles")
    for row, record in enumerate(records):
        for k, name in enumerate(task.columns):
            if task.hidden[row, k]:
                record[head.index(name)] = repr(float(values[row, k]))
            if bands is not None:
                record += [repr(float(b[row, k] * task.deviation[k] + task.mean[k])) for b in bands]
    if bands is not None:
        head = head + [f"{name}_q{round(100 * level):02d}" for name in task.columns for level in LEVELS]
    with open(part, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *records])
    # Two rows with the mean and deviation that the scores here are in.
    with open(unit, "w", newline="") as file:
        ends = [[repr(float(m + s * d)) for m, d in zip(task.mean, task.deviation)] for s in (-1, 1)]
        csv.writer(file, lineterminator="\n").writerows([task.columns, *ends])
    truth = next(task.a.work.glob(f"{task.masked.name.split('.')[0]}.truth.csv"))
    command = [task.a.langevin, "eval", "series", "--truth", truth, "--masked", task.masked, "--imputed", part, "--scale-by", unit, "--json"]
    samples = task.a.work / f"{task.masked.name.removesuffix('.masked.csv')}.{method}.samples.csv"
    if "samples" in result:
        write_samples(samples, task, result["samples"])
    if samples.exists():
        command += ["--samples", samples]
    found = json.loads(subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE).stdout)
    for ours, theirs in [("mae", "mae"), ("crps", "crps"), ("norm", "crps_normalised"), ("coverage", "coverage_90")]:
        if scores[ours] is not None and abs(scores[ours] - found[theirs]) > 1e-9:
            sys.exit(f"error: {method}, {task.label}: {ours} is {scores[ours]} here and {found[theirs]} for langevin eval series")
    return found["paths"]


def write_samples(path, task, samples):
    """In the form of `--samples-out`."""
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["row", "column", *(f"s{k}" for k in range(len(samples)))])
        for row, k in zip(*np.nonzero(task.hidden)):
            out.writerow([row + 1, task.columns[k], *(repr(float(v * task.deviation[k] + task.mean[k])) for v in samples[:, row, k])])


def line(row):
    method, pattern, scores, fit, fill = row
    paths = scores["paths"] or {}
    numbers = [scores["mae"], scores["crps"], scores["norm"], scores["coverage"], *map(paths.get, ("mean", "max", "min", "roughness"))]
    cells = ["-" if v is None else f"{v:.3f}" for v in numbers]
    return f"| {method} | {pattern} | {' | '.join(cells)} | {fit:.1f} | {fill:.1f} |"


if __name__ == "__main__":
    main()
