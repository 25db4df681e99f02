"""Grids of simulations: independent tasks, run by joblib, each kept in a file of its own as soon as it is finished."""

from mastsim.sweeps.engine import SweepError, SweepInterrupted, sweep
from mastsim.sweeps.grid import read_grid
from mastsim.sweeps.results import Sweep
from mastsim.sweeps.tasks import Task

__all__ = ["Sweep", "SweepError", "SweepInterrupted", "Task", "read_grid", "sweep"]
