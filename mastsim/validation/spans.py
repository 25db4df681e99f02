"""The sizes of numbers that are accepted.

One range holds everywhere, so that no product that theory forms (L_f·L_S^max·gap, squares, fourth moments) leaves the
range of floating numbers:

- entries of data, labels, linear terms, shifts and starts of exact moments are at most 1e20 in size (`ENTRIES`); small ones
  are not refused, since where a square of theirs underflows the loss is below every rounding error;
- l2 and the settings of losses are zero (where that is allowed) or from 1e-60 to 1e60 (`SETTINGS`), condition numbers at
  most 1e20 (`CONDITIONS`);
- keep fractions and probabilities of values of a sketch are at least 1e-40, and its entries at most 1e40 (`SCALES`);
- accuracies of exact values of f_D are from 1e-15 to 1e-4 (`EVALUATIONS`);
- accuracies that runs are to reach, which are squares, are from 1e-120 to 1e120 (`ACCURACIES`), step sizes at most 1e120
  (`STEPS`), and matrices whose moments are asked for have entries up to 1e65 (`HESSIANS`).

Points at which functions are evaluated and simulations start may be of any size: a path that overflows has diverged, and
measures infinite.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Span(NamedTuple):
    """Sizes that are accepted, both ends included."""

    least: float
    most: float


ENTRIES = Span(0.0, 1e20)
SETTINGS = Span(1e-60, 1e60)
CONDITIONS = Span(1.0, 1e20)
SCALES = Span(1e-40, 1e40)
HESSIANS = Span(0.0, 1e65)
ACCURACIES = Span(1e-120, 1e120)
EVALUATIONS = Span(1e-15, 1e-4)
STEPS = Span(0.0, 1e120)
UNLIMITED = Span(0.0, math.inf)
