"""Theorem 2 with twice its neighbourhood: true, and not the best."""

from dataclasses import dataclass

from mastsim.theorems.convex import StronglyConvexDSGD


@dataclass(frozen=True, eq=False)
class DoubledNeighbourhood(StronglyConvexDSGD):
    r"""E‖x^T − x_D*‖² is below the bound of Theorem 2 with twice its neighbourhood."""

    id = "doubled"
    title = "Theorem 2 with twice its neighbourhood"
    source = "a test"
    statement = r"\mathbb E\|x^T - x_D^*\|^2 \le (1 - \gamma\mu)^T \|x^0 - x_D^*\|^2 + 4\gamma L\,\mathrm{gap}/\mu"

    def neighbourhood(self, stepsize):
        """Return 4γL·gap/μ."""
        return 2 * super().neighbourhood(stepsize)
