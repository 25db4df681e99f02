"""f: the problems, their losses and their data."""

from mastsim.keywords import named
from mastsim.linalg import Curvature
from mastsim.problems.base import CertificateWarning, Minimum, Problem
from mastsim.problems.callable_problem import CallableProblem
from mastsim.problems.catalogue import CATALOGUE, DEFAULT_DATA
from mastsim.problems.dataset import Dataset
from mastsim.problems.exponential import ExponentialClassification
from mastsim.problems.families import ALL_PROBLEMS, family_for
from mastsim.problems.finite_sum import FiniteSum
from mastsim.problems.glm import GeneralizedLinearModel
from mastsim.problems.huber import HuberRegression
from mastsim.problems.least_squares import LeastSquares
from mastsim.problems.loading import load
from mastsim.problems.logistic import LogisticRegression
from mastsim.problems.losses import (
    ExponentialSum,
    LogisticLoss,
    Loss,
    MarginLoss,
    Pieces,
    PiecewiseLoss,
    ResidualLoss,
    RowForm,
    SquaredLoss,
)
from mastsim.problems.poisson import PoissonRegression
from mastsim.problems.quadratic import Quadratic
from mastsim.problems.search import MinimizationInterrupted
from mastsim.problems.sigmoid import SigmoidClassification
from mastsim.problems.smoothed_hinge import SmoothedHingeClassification
from mastsim.problems.softmax import SoftmaxRegression
from mastsim.problems.splits import split
from mastsim.problems.torch_problem import TorchProblem
from mastsim.problems.two_layer_network import TwoLayerNetwork
from mastsim.problems.welsch import WelschRegression

__getattr__ = named(__name__, ALL_PROBLEMS)

__all__ = [
    "ALL_PROBLEMS",
    "CATALOGUE",
    "DEFAULT_DATA",
    "CallableProblem",
    "CertificateWarning",
    "Curvature",
    "Dataset",
    "ExponentialClassification",
    "ExponentialSum",
    "FiniteSum",
    "GeneralizedLinearModel",
    "HuberRegression",
    "LeastSquares",
    "LogisticLoss",
    "LogisticRegression",
    "Loss",
    "MarginLoss",
    "MinimizationInterrupted",
    "Minimum",
    "Pieces",
    "PiecewiseLoss",
    "PoissonRegression",
    "Problem",
    "Quadratic",
    "ResidualLoss",
    "RowForm",
    "SigmoidClassification",
    "SmoothedHingeClassification",
    "SoftmaxRegression",
    "SquaredLoss",
    "TorchProblem",
    "TwoLayerNetwork",
    "WelschRegression",
    "family_for",
    "load",
    "split",
]
