"""Worst-case contraction of one sketched gradient step over all smooth strongly convex functions, with a certificate."""

from mastsim.worstcase.one_step import SOLVERS, WorstCase, worst_case_factor
from mastsim.worstcase.program import Residuals

__all__ = ["SOLVERS", "Residuals", "WorstCase", "worst_case_factor"]
