"""f: the problems, their losses and their data."""

from mastsim.problems.base import Curvature, Minimum, Problem
from mastsim.problems.data import CATALOGUE, DEFAULT_DATA, Dataset, load
from mastsim.problems.glm import GeneralizedLinearModel, LeastSquares, LogisticRegression
from mastsim.problems.losses import ExponentialSum, LogisticLoss, Loss, RowForm, SquaredLoss
from mastsim.problems.quadratic import Quadratic

ALL_PROBLEMS: tuple[type[Problem], ...] = (Quadratic, LeastSquares, LogisticRegression)
"""Every family of problems; tests and documentation are generated from this tuple."""

__all__ = [
    "ALL_PROBLEMS",
    "CATALOGUE",
    "DEFAULT_DATA",
    "Curvature",
    "Dataset",
    "ExponentialSum",
    "GeneralizedLinearModel",
    "LeastSquares",
    "LogisticLoss",
    "LogisticRegression",
    "Loss",
    "Minimum",
    "Problem",
    "Quadratic",
    "RowForm",
    "SquaredLoss",
    "load",
]
