"""Compiled kernels of the gradient oracles, for the host: the same random numbers and, to rounding, the same steps.

A kernel is chosen by problem, sketch and sampling. `plan` says which; without one, array operations do the work.
"""

from mastsim.kernels.planning import ENGINES, PRECISIONS, Plan, plan

__all__ = ["ENGINES", "PRECISIONS", "Plan", "plan"]
