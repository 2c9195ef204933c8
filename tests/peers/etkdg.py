#!/usr/bin/env python3
"""Conformers by RDKit's ETKDGv3, with or without MMFF94s, for `langevin eval molecule`: twice as many per molecule as there are references.

    python3 etkdg.py --ref qm9_test.jsonl.gz -o etkdg.sdf [--mmff] [--seed 1] [--limit N]

Molecules that fail are left out, and counted as missing by the evaluation. Prints the seconds per conformer on one core.
"""
import argparse, gzip, json, sys, time
from rdkit import Chem, RDLogger
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

RDLogger.DisableLog("rdApp.*")
parser = argparse.ArgumentParser()
parser.add_argument("--ref", required=True, help="references, .jsonl or .jsonl.gz")
parser.add_argument("-o", "--output", required=True, help="SDF to write")
parser.add_argument("--mmff", action="store_true", help="optimise with MMFF94s")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--limit", type=int, default=0, help="the first N molecules only")
a = parser.parse_args()

opened = gzip.open(a.ref, "rt") if a.ref.endswith(".gz") else open(a.ref)
writer = Chem.SDWriter(a.output)
spent, made, failed = 0.0, 0, 0
for number, line in enumerate(opened):
    if a.limit and number >= a.limit:
        break
    record = json.loads(line)
    mol = Chem.AddHs(Chem.MolFromSmiles(record["smiles"]))
    params = rdDistGeom.ETKDGv3()
    params.randomSeed = a.seed
    start = time.perf_counter()
    ids = list(rdDistGeom.EmbedMultipleConfs(mol, 2 * len(record["coords_mA"]), params))
    if a.mmff and ids and rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, 1, 1000, "MMFF94s")
    spent += time.perf_counter() - start
    made += len(ids)
    failed += not ids
    mol.SetProp("_Name", record["smiles"])
    mol.SetProp("smiles", record["smiles"])
    for k in ids:
        writer.write(mol, confId=k)
writer.close()
print(f"{made} conformers, {failed} molecules failed, {spent / max(made, 1):.4f} s per conformer", file=sys.stderr)
