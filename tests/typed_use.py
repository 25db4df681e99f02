"""What a user's type checker must see; ``make types`` checks this file as a user would, against the installed package."""

from typing import assert_type

import numpy as np

import mastsim as ms

data = ms.load("breast-cancer")
f = ms.LogisticRegression(data.A, data.y, l2=1e-2)
F = ms.Mast(f, ms.RandK(f.dim, k=12), shift=0.5 * f.minimize().x)
assert_type(F, ms.Mast)
assert_type(F.dim, int)
assert_type(ms.DSGD(0.1).name, str)
run = ms.simulate(ms.DSGD(0.1), F, steps=4, replicas=2)
assert_type(run, ms.Run)
verdict = ms.verify(ms.theorems.StronglyConvexDSGD(F), run)
assert_type(verdict, ms.Verdict)
assert_type(ms.Constants(F), ms.Constants)
points: np.ndarray = f.minimize().x
