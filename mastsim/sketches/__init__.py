"""S: the sketch distributions."""

from mastsim.sketches.base import DiagonalBatch, MatrixBatch, Sketch, SketchBatch
from mastsim.sketches.bernoulli import Bernoulli
from mastsim.sketches.families import ALL_SKETCHES, parse_sketch, sketch_names
from mastsim.sketches.finite import FiniteSupport
from mastsim.sketches.identity import Identity
from mastsim.sketches.law import ScalarLaw
from mastsim.sketches.randk import RandK
from mastsim.sketches.selection import Selection, SelectionSketch
from mastsim.sketches.unscaled import Unscaled

__all__ = [
    "ALL_SKETCHES",
    "Bernoulli",
    "DiagonalBatch",
    "FiniteSupport",
    "Identity",
    "MatrixBatch",
    "RandK",
    "ScalarLaw",
    "Selection",
    "SelectionSketch",
    "Sketch",
    "SketchBatch",
    "Unscaled",
    "parse_sketch",
    "sketch_names",
]
