"""The explicit list of sketch families, and sketches by name as the command line writes them."""

from __future__ import annotations

from mastsim.sketches.base import Sketch
from mastsim.sketches.bernoulli import Bernoulli
from mastsim.sketches.blocks import BlockBernoulli, BlockRandK
from mastsim.sketches.composed import Composed
from mastsim.sketches.diagonal import IndependentDiagonal
from mastsim.sketches.finite import FiniteSupport
from mastsim.sketches.gaussian import Gaussian
from mastsim.sketches.haar import Haar
from mastsim.sketches.identity import Identity
from mastsim.sketches.nofm import NofM
from mastsim.sketches.permk import PermK
from mastsim.sketches.randk import RandK
from mastsim.sketches.rotated import Rotated
from mastsim.sketches.unmasked import Unmasked
from mastsim.validation import integer, one_of
from mastsim.validation import text as checked_text

ALL_SKETCHES: tuple[type[Sketch], ...] = (
    Identity,
    Bernoulli,
    RandK,
    BlockBernoulli,
    BlockRandK,
    NofM,
    PermK,
    IndependentDiagonal,
    Haar,
    Gaussian,
    Rotated,
    FiniteSupport,
    Composed,
    Unmasked,
)
"""Every family of unbiased sketches; tests, command line and documentation are generated from this tuple."""


def sketch_names() -> dict[str, type[Sketch]]:
    """Return the families that have a name on the command line."""
    return {family.keyword: family for family in ALL_SKETCHES if family.keyword}


def parse_sketch(text: str, dim: int) -> Sketch:
    """Return the sketch that a text such as ``randk:0.1`` names.

    Parameters
    ----------
    text : str
        A family's name and, after a colon, its argument: ``identity``, ``randk:0.1``, ``bernoulli:0.3``.
    dim : int
        Dimension of the problem.

    Returns
    -------
    Sketch
        The distribution.

    Raises
    ------
    ValueError
        If the name is unknown (the nearest is suggested) or its argument is not accepted.

    Examples
    --------
    >>> parse_sketch("randk:0.5", 10)
    RandK(dim=10, k=5)
    """
    families, dim = sketch_names(), integer("dim", dim, 1)
    keyword, _, argument = checked_text("text", text).partition(":")
    return families[one_of("sketch", keyword, families)].from_text(argument, dim)
