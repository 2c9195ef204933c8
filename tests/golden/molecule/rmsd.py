#!/usr/bin/env python3
"""Symmetric heavy-atom RMSD of conformer pairs by RDKit's GetBestRMS (written with RDKit 2026.09.1): python3 rmsd.py > rmsd.json

Per molecule: z, bonds [[i, j, Kekule order, aromatic]], charge, conformers (thousandths of an angstrom, heavy atoms only), and the RMSD of each pair (0, k).
Every conformer is embedded anew, so equal atoms have changed places.
"""
import json, sys
import numpy as np
from rdkit import Chem, RDLogger, rdBase
from rdkit.Chem import rdDistGeom, rdMolAlign

RDLogger.DisableLog("rdApp.*")
SMILES = """CC CCC CC(C)C CC(C)(C)C CC(C)(C)O C#C C#N O=C=O CC#CC C1CC1 C1CCCCC1 c1ccccc1 Cc1ccccc1 Cc1ccc(C)cc1 Cc1cc(C)cc(C)c1 FC(F)(F)c1ccccc1
FC(F)(F)c1ccc(cc1)C(F)(F)F CC(=O)O CC(=O)[O-] C[N+](=O)[O-] NC(=[NH2+])N CC(N)=O CC(=N)N OC(=O)CC(=O)O OP(=O)(O)O CS(=O)(=O)O CS(C)(=O)=O
CS(=O)(=O)Nc1ccccc1 CC(C)(C)c1ccc(cc1)C(C)(C)C OCC(CO)(CO)CO C1CC2CCC1C2 C1C2CC3CC1CC(C2)C3 c1ccc2ccccc2c1 c1ccc(cc1)-c1ccccc1 C(c1ccccc1)(c1ccccc1)c1ccccc1
CC(C)Cc1ccc(cc1)C(C)C(=O)O CC(=O)Oc1ccccc1C(=O)O Cn1cnc2c1c(=O)n(C)c(=O)n2C CN1CCCC1c1cccnc1 NCCc1ccc(O)c(O)c1 OCC1OC(O)C(O)C(O)C1O NC(CC(=O)O)C(=O)O
C1COCCOCCOCCO1 CCN(CC)CC CCCCCCCC C=CC=C N#CC#N C[Si](C)(C)C ClC(Cl)(Cl)Cl FS(F)(F)(F)(F)F O=S(=O)(N)c1ccc(N)cc1 CC1(C)OC(C)(C)O1 N1C=CC=C1 c1ccoc1 c1nn[nH]n1
CC(C)(C)OC(=O)N O=C1NC(=O)NC(=O)N1 Clc1c(Cl)c(Cl)c(Cl)c(Cl)c1Cl""".split()

out = []
for smiles in SMILES:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    params = rdDistGeom.ETKDGv3()
    params.randomSeed = 11
    ids = list(rdDistGeom.EmbedMultipleConfs(mol, 6, params))
    heavy = Chem.RemoveHs(mol)
    for cid in ids:
        conf = heavy.GetConformer(cid)
        for k in range(heavy.GetNumAtoms()):
            conf.SetAtomPosition(k, (np.rint(np.array(conf.GetAtomPosition(k)) * 1000) / 1000).tolist())
    kekule = Chem.Mol(heavy)
    Chem.Kekulize(kekule)
    bonds = [[b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(k.GetBondTypeAsDouble()), int(b.GetIsAromatic())] for b, k in zip(heavy.GetBonds(), kekule.GetBonds())]
    xyz = [np.rint(heavy.GetConformer(c).GetPositions().ravel() * 1000).astype(int).tolist() for c in ids]
    rms = [rdMolAlign.GetBestRMS(Chem.Mol(heavy), heavy, c, ids[0]) for c in ids[1:]]
    out.append(dict(smiles=smiles, z=[a.GetAtomicNum() for a in heavy.GetAtoms()], charge=[a.GetFormalCharge() for a in heavy.GetAtoms()], bonds=bonds, coords_mA=xyz, rmsd=[round(float(v), 9) for v in rms]))
json.dump(dict(rdkit=rdBase.rdkitVersion, molecules=out), sys.stdout, separators=(",", ":"))
