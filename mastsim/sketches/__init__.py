"""S: the sketch distributions."""

from mastsim.keywords import named
from mastsim.sketches.base import Sketch
from mastsim.sketches.batches import DiagonalBatch, MatrixBatch, SketchBatch
from mastsim.sketches.bernoulli import Bernoulli
from mastsim.sketches.blocks import BlockBernoulli, BlockRandK
from mastsim.sketches.composed import Composed
from mastsim.sketches.diagonal import IndependentDiagonal
from mastsim.sketches.families import ALL_SKETCHES, parse_sketch, sketch_names
from mastsim.sketches.finite import FiniteSupport
from mastsim.sketches.gaussian import Gaussian
from mastsim.sketches.haar import Haar
from mastsim.sketches.identity import Identity
from mastsim.sketches.laws import Law, ScalarLaw, Selection
from mastsim.sketches.nofm import NofM
from mastsim.sketches.permk import PermK
from mastsim.sketches.randk import RandK
from mastsim.sketches.rotated import Rotated
from mastsim.sketches.selection import SelectionSketch
from mastsim.sketches.unmasked import Unmasked
from mastsim.sketches.unscaled import Unscaled

__getattr__ = named(__name__, ALL_SKETCHES)


__all__ = [
    "ALL_SKETCHES",
    "Bernoulli",
    "BlockBernoulli",
    "BlockRandK",
    "Composed",
    "DiagonalBatch",
    "FiniteSupport",
    "Gaussian",
    "Haar",
    "Identity",
    "IndependentDiagonal",
    "Law",
    "MatrixBatch",
    "NofM",
    "PermK",
    "RandK",
    "Rotated",
    "ScalarLaw",
    "Selection",
    "SelectionSketch",
    "Sketch",
    "SketchBatch",
    "Unmasked",
    "Unscaled",
    "parse_sketch",
    "sketch_names",
]
