"""A loss of one's own: the negative log-likelihood of Student's t, nonconvex, with curvature bounds that are checked."""

from dataclasses import dataclass

import numpy as np

import mastsim as ms
from mastsim.extend import GeneralizedLinearModel, ResidualLoss


@dataclass(frozen=True)
class StudentT(ResidualLoss):
    """φ(u; y) = ½(ν + 1) log(1 + w²/ν) at w = u − y; ψ'' is (ν + 1)/ν at 0 and least, −1/8 of that, at w² = 3ν."""

    nu: float = 3.0
    share: float = 1.0
    name = "Student t"
    curvature_max = property(lambda self: self.share * (self.nu + 1) / self.nu)
    curvature_min = property(lambda self: -(self.nu + 1) / (8 * self.nu))

    def psi(self, w, order=0):
        c, r = self.nu + 1, self.nu + w**2
        return (0.5 * c * np.log1p(w**2 / self.nu), c * w / r, c * (self.nu - w**2) / r**2)[order]


@dataclass(frozen=True, eq=False)
class StudentTRegression(GeneralizedLinearModel):
    loss = StudentT()


ms.testing.check_loss(StudentT())
try:
    ms.testing.check_loss(StudentT(share=0.8))
except AssertionError as found:
    print(found)
rng = np.random.default_rng(0)
f = StudentTRegression(rng.standard_normal((30, 5)), rng.standard_t(3, 30), l2=0.01)
ms.testing.check_problem(f)
F = ms.Mast(f, ms.RandK(5, k=2))
print(f"f_D by {F.evaluation.name}; L_f = {f.L_f:.6g}; step for 1000 steps {ms.theorems.NonconvexDSGD(F).stepsize:.6g}")
