"""How fast methods really converge: measured factors, exponents and slopes of floors, beside the claimed orders."""

from mastsim.empirical_rates.fit import RateFit, RateFits
from mastsim.empirical_rates.fitting import fit_rate
from mastsim.empirical_rates.table import measure_rates

__all__ = ["RateFit", "RateFits", "fit_rate", "measure_rates"]
