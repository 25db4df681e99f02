"""What a step is made of, in rationals and units where the smoothness is 1: what programs and certificates are about."""

from __future__ import annotations

from typing import Any

import numpy as np

from mastsim.methods import DSGD, LSVRDSG, Refreshed
from mastsim.sketches import Sketch
from mastsim.validation import UNLIMITED, instance, positive
from mastsim.worstcase.rational import rational

_LARGEST = 64
"""Unknown coordinates of a program: the time it takes grows with the sixth power of their number."""
_LONGEST_STEP = 1e6


def case_of_step(kind: str, sketch: Sketch, stepsize: float, smoothness: float, strong_convexity: float) -> dict[str, Any]:
    """Return what a step is made of, in rationals and units where L = 1."""
    instance("sketch", sketch, Sketch)
    gamma, L = positive("stepsize", stepsize, UNLIMITED), positive("smoothness", smoothness, UNLIMITED)
    mu = positive("strong_convexity", strong_convexity, UNLIMITED)
    if mu > L:
        raise ValueError(f"strong_convexity={mu:g} is not accepted: it must be at most smoothness={L:g}")
    if not 0 < gamma * L <= _LONGEST_STEP:
        raise ValueError(
            f"stepsize={gamma:g} is not accepted: stepsize * smoothness must be above 0 and at most {_LONGEST_STEP:g}"
        )
    if 2 * (sketch.support_size + 1) * sketch.dim > _LARGEST:
        raise ValueError(
            f"sketch={sketch.name} is not accepted: for its {sketch.support_size:g} values in dimension {sketch.dim}, "
            f"2(N + 1)·dim must be at most {_LARGEST}"
        )
    batch, weights = sketch.support()
    chances = [rational(weight) for weight in weights]
    matrices = [[[rational(entry) for entry in row] for row in S] for S in np.asarray(batch.matrices())]
    shares = [chance / sum(chances) for chance in chances]
    return {"kind": kind, "sketches": matrices, "weights": shares, "stepsize": rational(gamma * L), "mu": rational(mu / L)}


def case_of_method(method: Any, sketch: Sketch, smoothness: float, strong_convexity: float) -> dict[str, Any]:
    """Return what a step of a method is made of, refusing settings of which no program is known."""
    kind = "l-svrdsg" if isinstance(method, LSVRDSG) else "refreshed"
    case = case_of_step(kind, sketch, method.rule.largest, smoothness, strong_convexity)
    if kind == "refreshed":
        moving = isinstance(method.shift, Refreshed) and method.shift.moves
        if not (moving and method == DSGD(method.stepsize, shift=method.shift)):
            raise ValueError(
                f"method={method.name} is not accepted: it must be DSGD with a Refreshed shift and nothing else"
            )
        return case | {"probability": rational(method.shift.probability), "variant": method.shift.variant}
    if method != LSVRDSG(method.stepsize, probability=method.probability):
        raise ValueError(
            f"method={method.name} is not accepted: it must be LSVRDSG with the full anchor and exact gradients"
        )
    return case | {"probability": rational(method.probability)}


def tightness(case: dict[str, Any]) -> str:
    """Return what a solver's value is tight for, in words."""
    diagonal = all(not entry for S in case["sketches"] for i, row in enumerate(S) for j, entry in enumerate(row) if i != j)
    if case["kind"] == "l-svrdsg":
        return "an upper bound: every value of the sketch may have a function of its own"
    return "this sketch, with blocks of many coordinates" if diagonal else "S ⊗ I_r, r large; an upper bound for S itself"
