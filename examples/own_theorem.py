"""A theorem of one's own, checked; its hasty variant is refuted with a test to paste, which runs as it stands."""

import mastsim as ms

ex = ms.extend
NO_GAP = ex.Assumption(
    "no gap", lambda F: F.gap() <= 1e-12, lambda F: f"the gap is {float(F.gap()):.3g}", "put v at the minimiser of f"
)


class LongSteps(ex.SketchedRate, ex.LinearRate):
    """E‖x^T − x_D*‖² ≤ (1 − γ(2 − γL)μ)^T ‖x^0 − x_D*‖² for γ ≤ 3/(2L), where sketching loses nothing."""

    id, title, source, method = "long-steps", "Long steps when nothing is lost", "examples/own_theorem.py", "DSGD"
    statement = r"\mathbb E\|x^T - x_D^*\|^2 \le (1 - \gamma(2 - \gamma L)\mu)^T\|x^0 - x_D^*\|^2"
    assumptions = (ex.SINGLE_NODE, ex.UNBIASED, ex.BOUNDED, ex.SMOOTH, ex.CONVEX, ex.STRONGLY_CONVEX, NO_GAP)
    constants_used = ("expected_smoothness", "mu_fD", "gap")
    method_at = staticmethod(ms.DSGD)
    stepsize = property(lambda self: 1.5 / self.L)

    def contraction(self, stepsize):
        return stepsize * (2 - stepsize * self.L) * self.mu

    def neighbourhood(self, stepsize):
        return 0.0


class Hasty(LongSteps):
    id, title = "long-steps/hasty", "Long steps with the factor of Theorem 2"

    def contraction(self, stepsize):
        return stepsize * self.mu


print(ms.testing.check_theorem(LongSteps, budget=60))
try:
    ms.testing.check_theorem(Hasty, budget=60)
except AssertionError as refuted:
    print(refuted)
