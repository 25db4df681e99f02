"""Laws of sketches: what is known about a random matrix, without sampling, on arrays only."""

from mastsim.sketches.laws.base import Law, MomentOperators
from mastsim.sketches.laws.crossed import CrossedOperators, DealtShare, crossed_operators
from mastsim.sketches.laws.diagonal import DiagonalLaw
from mastsim.sketches.laws.independent import IndependentEntries, IndependentLaw
from mastsim.sketches.laws.kept_sums import ScalarLaw
from mastsim.sketches.laws.listed import Listed
from mastsim.sketches.laws.pairings import InvariantLaw
from mastsim.sketches.laws.product import product_law
from mastsim.sketches.laws.projection import RandomProjection
from mastsim.sketches.laws.rotated import RotatedLaw
from mastsim.sketches.laws.rows import InvariantRows, RowLaws, RowRounding, RowTotals
from mastsim.sketches.laws.selection import Selection
from mastsim.sketches.laws.wishart import ChiSquareLaw, Wishart

__all__ = [
    "ChiSquareLaw",
    "CrossedOperators",
    "DealtShare",
    "DiagonalLaw",
    "IndependentEntries",
    "IndependentLaw",
    "InvariantLaw",
    "InvariantRows",
    "Law",
    "Listed",
    "MomentOperators",
    "RandomProjection",
    "RotatedLaw",
    "RowLaws",
    "RowRounding",
    "RowTotals",
    "ScalarLaw",
    "Selection",
    "Wishart",
    "crossed_operators",
    "product_law",
]
