#!/usr/bin/env python3
"""Energies and gradients of MMFF94s by RDKit, for crates/molecule/tests/mmff.rs. Geometries are our own samples.

    langevin gen molecule --input STRINGS.smi -n 1 --relax bounds -o samples.sdf
    python3 mmff.py samples.sdf > mmff.json      # RDKit 2026.09.1

STRINGS are those of the golden file itself: `python3 mmff.py --strings mmff.json` prints them."""

import json
import sys

from rdkit import Chem, rdBase
from rdkit.Chem import AllChem


def record(mol):
    properties = AllChem.MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94s")
    positions = [[round(v, 3) for v in row] for row in mol.GetConformer().GetPositions().tolist()]
    if properties is None:
        return {"smiles": mol.GetProp("smiles"), "positions": positions, "energy": None}
    for k, row in enumerate(positions):
        mol.GetConformer().SetAtomPosition(k, row)
    field = AllChem.MMFFGetMoleculeForceField(mol, properties, nonBondedThresh=1e6)
    field.Initialize()
    gradient = field.CalcGrad()
    return {
        "smiles": mol.GetProp("smiles"),
        "positions": positions,
        "energy": round(field.CalcEnergy(), 6),
        "gradient": [round(v, 5) for v in gradient],
    }


def main():
    if sys.argv[1] == "--strings":
        print("\n".join(r["smiles"] for r in json.load(open(sys.argv[2]))["records"]))
        return
    mols = Chem.SDMolSupplier(sys.argv[1], removeHs=False)
    json.dump({"rdkit": rdBase.rdkitVersion, "records": [record(m) for m in mols]}, sys.stdout, separators=(",", ":"))
    print()


main()
