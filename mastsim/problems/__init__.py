"""f: the problems, their losses and their data."""

from mastsim.problems.base import Curvature, Minimum, Problem
from mastsim.problems.data import CATALOGUE, DEFAULT_DATA, Dataset, load
from mastsim.problems.exponential import ExponentialClassification
from mastsim.problems.glm import GeneralizedLinearModel, LeastSquares, LogisticRegression
from mastsim.problems.huber import HuberRegression
from mastsim.problems.losses import ExponentialSum, LogisticLoss, Loss, Pieces, RowForm, SquaredLoss
from mastsim.problems.poisson import PoissonRegression
from mastsim.problems.quadratic import Quadratic
from mastsim.problems.sigmoid import SigmoidClassification
from mastsim.problems.smoothed_hinge import SmoothedHingeClassification
from mastsim.problems.welsch import WelschRegression

ALL_PROBLEMS: tuple[type[Problem], ...] = (
    Quadratic,
    LeastSquares,
    LogisticRegression,
    PoissonRegression,
    ExponentialClassification,
    HuberRegression,
    SmoothedHingeClassification,
    SigmoidClassification,
    WelschRegression,
)
"""Every family of problems; tests and documentation are generated from this tuple."""

__all__ = [
    "ALL_PROBLEMS",
    "CATALOGUE",
    "DEFAULT_DATA",
    "Curvature",
    "Dataset",
    "ExponentialClassification",
    "ExponentialSum",
    "GeneralizedLinearModel",
    "HuberRegression",
    "LeastSquares",
    "LogisticLoss",
    "LogisticRegression",
    "Loss",
    "Minimum",
    "Pieces",
    "PoissonRegression",
    "Problem",
    "Quadratic",
    "RowForm",
    "SigmoidClassification",
    "SmoothedHingeClassification",
    "SquaredLoss",
    "WelschRegression",
    "load",
]
