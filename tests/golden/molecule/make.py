#!/usr/bin/env python3
"""Golden values of chemistry, made with RDKit 2026.09.1 (BSD-3-Clause; only values are kept, no code of it).

    make.py QM9_SMILES.csv OUT    writes OUT/chemistry.json.gz

QM9_SMILES.csv: the project's list of QM9 strings (Apache-2.0), of which 2000 are sampled. The other molecules are written here or put
together from the fragments below. One list per molecule:
    [smiles, elements, charges, isotopes, radicals, bonds, smallest ring of each atom, rings of each atom, hybrids, conjugated, centres, doubles, others]
over all atoms, hydrogens that the string does not write last. bonds: [a, b, kind], kind 5 = aromatic. hybrids: one letter per heavy atom
(s p(sp) t(sp2) q(sp3) d(sp3d) D(sp3d2) o(other)), '-' for hydrogen. conjugated: 0/1 per bond. centres: [atom, [neighbours], positive], the sign of (n0 - c) . ((n1 - c) x (n2 - c)),
taken from RDKit's tag, which an embedding confirmed for every 10th molecule. doubles: [[a, b], [end of a, end of b], cis]. others: up to 5 random strings of the molecule.
A molecule whose RDKit values are known to be questionable is in DROPPED with the reason.
"""
import gzip, json, random, sys
from rdkit import Chem, RDLogger, rdBase
from rdkit.Chem import rdDistGeom
import numpy as np
RDLogger.DisableLog("rdApp.*")
random.seed(7)

HARD = r"""
[Na+].[Cl-] C[N+](C)(C)CC(=O)[O-] [NH3+]CC(=O)[O-] CC(=O)[O-].[K+] c1ccccc1.Cl O.O.O [2H]O [2H]O[2H] [H][H] [2H][2H] [H] [H+] [H-] [13CH4]
[13CH3][C@H](C)O [2H][C@@H](C)O [2H]C([3H])(C)O [14C@H](F)(Cl)Br [CH3:1][CH2:2][OH:3] [CH3:1]C[CH3:2] [CH3:1][C@H](O)[CH3:2]
Cn1c(=O)c2c(ncn2C)n(C)c1=O CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O CC(=O)Oc1ccccc1C(=O)O C[S@](=O)c1ccccc1 C[S@@](=O)CC [S@](=O)(C)CC O=[S@]1CCCC1C
C[S@]1(=O)=NCCC1 C[S@@+](CC)CCC CS(=O)(=O)N NS(=O)(=O)c1ccccc1 CS(=O)(=O)c1ccccc1 COP(=O)(O)OC CO[P@](=O)(O)c1ccccc1 C[P@](CC)CCC
[P@](C)(CC)CCC [P@@]1(C)CCC[C@H]1C C[P@@H]CC C[P@+](CC)(CCC)CCCC O=P(O)(O)O [O-]P([O-])([O-])=O CN=[N+]=[N-] CN=N#N C[N+](=O)[O-] CN(=O)=O
O=[N+]([O-])c1ccccc1 C[n+]1ccccc1 [O-][n+]1ccccc1 O=n1ccccc1 C[N+](C)(C)[O-] CN(C)(C)=O C[N@@+](CC)(CCC)[O-] C[N@+](CC)(CCC)CCCC
C[N@]1C[C@H]1C C[N@@]1CC1C [N@]1(C)CC1C C1N2CC2C1 C1CN2CCC1CC2 C[C@H]1C[N@]2CC[C@H]1CC2 N12CCN(CC1)CC2 C1CC2(C1)CCC2 C1CC2(CC1)CCCC2
C[C@H]1CC[C@]2(C1)CCCO2 C1CC2CCC1C2 C1C2CC3CC1CC(C2)C3 C12C3C4C1C5C2C3C45 C1C2C1C2 C12CC1C2 C1C2CC1C2 C123CC1C2C3 C1=CC2CCC1C2
c1ccc2ccccc2c1 c1ccc2cc3ccccc3cc2c1 c1cc2ccc3cccc4ccc(c1)c2c34 c1ccc2c(c1)ccc1ccccc12 c1ccc2cccc-2cc1 C1=CC2=CC=CC2=CC=C1 C1=CC=CC=C1
C1=CC=CC=CC=C1 C1=CC=CC1 C1=CC=C1 c1ccc1 C1=CC1 [CH+]1C=C1 [cH-]1cccc1 [CH-]1C=CC=C1 c1ccc[cH+]cc1 [CH+]1C=CC=CC=C1 c1cc[nH]c1 c1ccoc1
c1ccsc1 c1cc[se]c1 c1cc[te]c1 c1c[nH]cn1 Cn1ccnc1 c1cnc2[nH]cnc2n1 c1ncc2[nH]cnc2n1 Nc1ncnc2n(cnc12)[C@@H]1O[C@H](CO)[C@@H](O)[C@H]1O
O=c1[nH]c(=O)c2[nH]cnc2[nH]1 O=c1cc[nH]c(=O)[nH]1 Oc1ccncc1 O=c1cc[nH]cc1 c1nn[nH]n1 c1nonc1 c1nc2ccccc2o1 C[n+]1cn(C)cc1 c1cc[o+]cc1
c1cc[s+]cc1 c1cc[nH+]cc1 [n-]1cccc1 [b-]1ccccc1 b1ccccc1 B1OCCO1 OB(O)c1ccccc1 F[B-](F)(F)F c1cpccc1 C1=CP=CC=C1 C1=C[SiH]=CC=C1
O=S1(=O)C=CC=C1 O=C1C=CC(=O)C=C1 O=c1cccccc1 O=C1C=CC=CC=C1 S=c1cccc[nH]1 C=C1C=CC=C1 N=c1cccc[nH]1 C=C=C CC=C=CC C=C=C=C CC#CC N#N
[C-]#[O+] [C-]#N C#N [N-]=[N+]=O N#[N+]c1ccccc1 O=C=O S=C=S O=O [O][O] O=[O+][O-] [NH4+] [OH3+] [OH-] [CH3] [CH2] [CH3+] [CH3-] C[CH]C
C[C]C c1cc[c]cc1 [N]=O [O]N1C(C)(C)CCCC1(C)C F/C=C/F F/C=C\F F\C=C\F C(\F)=C/F C(/F)=C/F F/C(Cl)=C(/F)Cl C/C=C/C=C/C C/C=C\C=C/C C/C=C/C=C
CC=CC=CC C/C=C/C=CC C/C=C/C=CC=CC C/C=C/C=C/C=CC C/C=C/C=CC=C/C C/C=C/C=CC/C=C/C F/C=C/C=CC=C/F F/C=C/C=C(C)C=C/F C/C=C/C(=C/C)/C=C\C
O=C(/C=C/c1ccccc1)/C=C/c1ccccc1 C/C=N/O C/C(c1ccccc1)=N\O [H]/N=C/C [H]/N=C(\C)O C(=N\[H])\C N=CC c1ccccc1/N=N/c1ccccc1 C/C=C1/CCCO1
C/C=C1/CC[C@@H](C)CC1 CC=C1CCC(=CC)CC1 C/C=C1CCC(=C/C)/CC1 C1CCCC/C=C/CCC1 C1CCCC/C=C\CCC1 C1=C/CCCCCC/1 C/1=C\CCCCCC1 C1CCCCC/C=C/1
C1CCCCC/C=C1 O=C1CCCC/C=C\CCCCCCCO1 C/1=C/C=C\C=C/C=C\1 F/C=C/[C@H](O)C C[C@H](O)[C@@H](O)C C[C@H](O)[C@H](O)C C[C@H](O)[C@H](O)[C@@H](C)O
C[C@H](O)[C@@H](O)[C@@H](C)O C[C@H](O)[C@H](O)[C@H](C)O C[C@H](O)C(O)[C@@H](C)O CC(O)C(O)C(C)O C[C@H](C)C C[C@@H](O)C C[C@H]1CC[C@@H](C)CC1
C[C@H]1CC[C@H](C)CC1 C[C@H]1CCC(C)CC1 CC1CCC(C)CC1 C[C@H]1CCCCC1 C[C@@H]1C[C@H](C)C[C@@H](C)C1
O[C@H]1[C@H](O)[C@@H](O)[C@H](O)[C@H](O)[C@H]1O O[C@@H]1[C@@H](O)[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O
C[C@]12CC[C@H]3[C@@H](CC[C@H]4CC(=O)CC[C@]34C)[C@@H]1CC[C@@H]2O C[C@]12CC[C@H]3[C@H]([C@@H]1CC[C@@H]2O)CCC4=CC(=O)CC[C@]34C
CN1[C@H]2CC[C@@H]1[C@@H](C(=O)OC)[C@H](C2)OC(=O)c1ccccc1 CN1CC[C@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5
CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O C[C@@H](N)C(=O)N[C@@H](C)C(=O)O
N[C@@H](CS)C(=O)O C[C@@H]1CO1 F[C@@H]1C[C@H]1F [C@H](F)(Cl)Br [C@@](F)(Cl)(Br)I [C@]1(F)(Cl)CCO1 [C@H]1(F)CCO1 C1CO[C@H]1F F[C@TH2H](Cl)Br
C1C[C@@]12CO2 C[C@H]1C[C@]11CO1 CC[Si@](C)(F)Cl C[Ge@H](F)Cl C[As@](CC)CCC C[Se@](=O)CC C[C@@](F)(Cl)[C@](F)(Cl)C C[C@](F)(Cl)[C@](F)(Cl)C
OC(=O)[C@H](O)[C@@H](O)C(=O)O CC(C)(C)C(C)(C)C FC(F)(F)C(F)(F)F CC(C)(C)c1cc(cc(c1)C(C)(C)C)C(C)(C)C
C(C(C)(C)C)(C(C)(C)C)(C(C)(C)C)C(C)(C)C c1cc2cc3ccc(cc4ccc(cc5ccc(cc1n2)[nH]5)n4)[nH]3 C1=CC2=CC3=CC=C(N3)C=C4C=CC(=N4)C=C5C=CC(=N5)C=C1N2
Cl[Pt](Cl)(N)N [Fe+2].[cH-]1cccc1.[cH-]1cccc1 C[Mg]Br [Li]CCCC C[Hg]C [Cu+2].[O-]S(=O)(=O)[O-] O=[Os](=O)(=O)=O [Cl-].[Cl-].[Zn++]
Cl(=O)(=O)(=O)O OCl(=O)=O OI(=O)(=O)=O FS(F)(F)(F)(F)F FP(F)(F)(F)F F[P-](F)(F)(F)(F)F CP(=O)=C CI(C)C F[Xe]F [O-][I+]c1ccccc1 C* *c1ccccc1
c1ccc*c1 C1CC%12CC1CC%12 C%(123)CCC%(123) C12(CC1)CC2 OC12CC3CC(C1)CC(C3)C2 [#6]C C$C c1ccccc1-c1ccccc1 c1ccccc1c1ccccc1
c1ccc(cc1)-c1ccccc1 C:1:C:C:C:C:C:1 c1ccc2c(c1)[nH]c1ccccc12 c1ccc2c(c1)Cc1ccccc1-2 C1Cc2ccccc2C1 c1ccc2c(c1)OCO2
O=C1c2ccccc2C(=O)c2ccccc12 c1ccc2c(c1)C=CC2 c1cc2cccc3c2c(c1)C=C3 C1=Cc2cccc3cccc1c23 c1cnc2c(c1)ccc1cccnc12 c1ccn2cccc2c1 c1ccn2ccnc2c1
c1cc2ccccn2c1 n1c2ccccc2nc2ccccc12 C1=NC=NC=N1 C1=NN=CN=N1 O=S(=O)([O-])C(F)(F)F CC(=O)N(C)C [O-]C(=O)c1ccccc1C(=O)[O-]
O=C([O-])[C@@H]([NH3+])Cc1c[nH]c2ccccc12 C[C@@H](C(=O)[O-])[NH3+] CCOC(=O)C1=C(C)NC(C)=C(C1c1ccccc1[N+](=O)[O-])C(=O)OC
CN(C)CCCN1c2ccccc2CCc2ccccc12 Clc1ccc(cc1)C(c1ccc(Cl)cc1)C(Cl)(Cl)Cl COc1ccc2nc(sc2c1)[S@@](=O)Cc1ncc(C)c(OC)c1C
CC1=C(C(=O)O)N2C(=O)[C@@H](NC(=O)[C@H](N)c3ccccc3)[C@H]2SC1 CC(C)[C@@H](C(=O)N[C@@H](CC(=O)O)C(=O)O)NC(=O)[C@H](C)N
C/C(=C\CO)/C=C/C=C(/C)\C=C\C1=C(C)CCCC1(C)C CC(C)=CCC/C(C)=C/CO CCCCC/C=C\C/C=C\CCCCCCCC(=O)O CC\C(=C(/CC)c1ccc(O)cc1)c1ccc(O)cc1
CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc12 C1CCC2(CC1)OO2 C1CCCCCCCCCCC1 C1COCCOCCOCCOCCOCCO1
""".split()

DROPPED = {
    "C[P@@H]CC": "RDKit loses the place of the implied hydrogen when it adds hydrogens to P",
    "C/C=C1/CC[C@@H](C)CC1": "RDKit drops this axial chirality, which is real",
}

CORES = ["c1ccc(%s)cc1%s", "c1cc(%s)ncc1%s", "c1nc(%s)sc1%s", "C1CN(%s)CCN1%s", "C1CC(%s)CCC1%s", "c1ccc2c(c1%s)c(%s)c[nH]2", "c1cc(%s)c2ncccc2c1%s", "O=C1NC(%s)C(=O)N1%s",
         "C1O[C@H](%s)C[C@@H]1%s", "c1oc(%s)cc1%s", "C1=C(%s)C(=O)C=CC1%s", "[C@@H](%s)(O)C%s", "[C@H]1(%s)CC[C@@H]1%s", "N(%s)C(=O)C%s", "c1nnn(%s)c1%s", "C(/%s)=C\\%s", "C(%s)=N/O%s",
         "C1C2CC(%s)CC1CN2%s", "P(=O)(O)(%s)O%s", "S(=O)(=O)(%s)N%s", "c1nc2c(n1%s)c(%s)ncn2"]
ENDS = ["C", "CC(C)C", "OC", "C(F)(F)F", "C#N", "C(=O)O", "C(=O)NC", "[C@@H](C)N", "CCl", "c9ccccc9", "c9cccs9", "C9CC9", "C/C=C/C", "S(C)(=O)=O", "[N+](=O)[O-]", "CBr", "C[N+](C)(C)C", "CN9CCOCC9", "OP(=O)(O)O", "[Si](C)(C)C"]


def combine(count):
    """Drug-like strings: a core with two ends."""
    seen = []
    while len(seen) < count:
        s = random.choice(CORES) % (random.choice(ENDS), "")
        if random.random() < 0.8:
            m = Chem.MolFromSmiles(s)
            free = lambda a: a.GetTotalNumHs() and a.GetAtomicNum() in (6, 7, 8) and not a.GetChiralTag()
            sites = [a.GetIdx() for a in m.GetAtoms() if free(a)] if m else []
            if sites:
                w = Chem.RWMol(m); e = Chem.MolFromSmiles(random.choice(ENDS)); base = w.GetNumAtoms(); at = random.choice(sites)
                w.InsertMol(e); w.AddBond(at, base, Chem.BondType.SINGLE)
                if w.GetAtomWithIdx(at).GetNumExplicitHs(): w.GetAtomWithIdx(at).SetNumExplicitHs(w.GetAtomWithIdx(at).GetNumExplicitHs() - 1)
                try: s = Chem.MolToSmiles(w)
                except Exception: continue
        m = Chem.MolFromSmiles(s)
        if m is not None and s not in seen: seen.append(s)
    return seen


def isomer(s):
    """The string with the configuration of one embedding."""
    m = Chem.AddHs(Chem.MolFromSmiles(s)); p = rdDistGeom.ETKDGv3(); p.randomSeed = 3; p.maxIterations = 10
    if rdDistGeom.EmbedMolecule(m, p) < 0: return s
    Chem.AssignStereochemistryFrom3D(m)
    return Chem.MolToSmiles(Chem.RemoveHs(m))


HY = {"S": "s", "SP": "p", "SP2": "t", "SP3": "q", "SP3D": "d", "SP3D2": "D"}


def values(s, check):
    ps = Chem.SmilesParserParams(); ps.removeHs = False
    m = Chem.AddHs(Chem.MolFromSmiles(s, ps)); ri = m.GetRingInfo()
    centres = [[a.GetIdx(), [b.GetOtherAtomIdx(a.GetIdx()) for b in a.GetBonds()], a.GetChiralTag() == Chem.ChiralType.CHI_TETRAHEDRAL_CCW]
               for a in m.GetAtoms() if a.GetChiralTag() in (Chem.ChiralType.CHI_TETRAHEDRAL_CCW, Chem.ChiralType.CHI_TETRAHEDRAL_CW)]
    doubles = [[[b.GetBeginAtomIdx(), b.GetEndAtomIdx()], list(b.GetStereoAtoms()), str(b.GetStereo()) in ("STEREOZ", "STEREOCIS")]
               for b in m.GetBonds() if str(b.GetStereo()) in ("STEREOE", "STEREOZ", "STEREOCIS", "STEREOTRANS")]
    if check and centres and "." not in s:
        e = Chem.Mol(m); p = rdDistGeom.ETKDGv3(); p.randomSeed = 11; p.maxIterations = 10
        if rdDistGeom.EmbedMolecule(e, p) >= 0:
            X = e.GetConformer().GetPositions()
            for c, n, pos in centres:
                v = np.dot(X[n[0]] - X[c], np.cross(X[n[1]] - X[c], X[n[2]] - X[c]))
                assert (v > 0) == pos, (s, c)
    others = []
    for _ in range(5):
        o = Chem.MolToSmiles(Chem.MolFromSmiles(s), doRandom=True)
        # RDKit sometimes writes the mirror image of an inositol and notices it when it reads the string again.
        if Chem.CanonSmiles(o) == Chem.CanonSmiles(s): others.append(o)
    kind = lambda b: 5 if b.GetIsAromatic() else int(b.GetBondTypeAsDouble())
    return [s, [a.GetAtomicNum() for a in m.GetAtoms()], [a.GetFormalCharge() for a in m.GetAtoms()], [a.GetIsotope() for a in m.GetAtoms()],
            [a.GetNumRadicalElectrons() for a in m.GetAtoms()], [[b.GetBeginAtomIdx(), b.GetEndAtomIdx(), kind(b)] for b in m.GetBonds()],
            [ri.MinAtomRingSize(a.GetIdx()) for a in m.GetAtoms()], [ri.NumAtomRings(a.GetIdx()) for a in m.GetAtoms()],
            "".join("-" if a.GetAtomicNum() == 1 else HY.get(str(a.GetHybridization()), "o") for a in m.GetAtoms()),
            "".join(str(int(b.GetIsConjugated())) for b in m.GetBonds()), centres, doubles, others]


def main(qm9, out):
    lines = [l.strip() for l in open(qm9)][1:]
    smiles = [s for s in HARD if s not in DROPPED]
    smiles += [isomer(x) if k % 4 == 0 else x for k, x in enumerate(combine(400))]
    smiles += [isomer(x) if k % 2 == 0 else x for k, x in enumerate(random.sample(lines, 2000))]
    rows = [values(s, k % 10 == 0) for k, s in enumerate(smiles)]
    with open(out + "/chemistry.json.gz", "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as f:
        f.write(("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n").encode())
    print(len(rows), "molecules, RDKit", rdBase.rdkitVersion)


main(*sys.argv[1:3])
