"""One description of an experiment, read by the command line, sweeps and figures alike."""

from mastsim.spec.description import Spec
from mastsim.spec.fits import FITS, Fit
from mastsim.spec.keys import CHECKS, read_method, read_problem

__all__ = ["CHECKS", "FITS", "Fit", "Spec", "read_method", "read_problem"]
