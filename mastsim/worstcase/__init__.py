"""Worst cases over all smooth strongly convex functions: factors of one step and Lyapunov functions, with certificates."""

from mastsim.worstcase.lyapunov import Certificate, factor, search
from mastsim.worstcase.one_step import SOLVERS, WorstCase, worst_case_factor
from mastsim.worstcase.program import Residuals

__all__ = ["SOLVERS", "Certificate", "Residuals", "WorstCase", "factor", "search", "worst_case_factor"]
