"""Adversarial search: it tries to refute a theorem, shrinks what it finds, and saves it so that anyone can replay it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mastsim import theorems
from mastsim.documents import dumps, header
from mastsim.theorems import Theorem
from mastsim.validation import integer, one_of
from mastsim.verification.attack.bowls_and_sketches import Bowl, SketchPart
from mastsim.verification.attack.cosines import CosineInstance
from mastsim.verification.attack.false_variants import ALL_FALSE
from mastsim.verification.attack.families import FAMILIES
from mastsim.verification.attack.quadratic_instance import Instance
from mastsim.verification.attack.quadratic_plan import REGIMES, Regime
from mastsim.verification.attack.search import Evaluator, confirmed, search
from mastsim.verification.attack.shrinking import shrink
from mastsim.verification.cosine_sums import Cosines
from mastsim.verification.tolerances import ROUNDING

__all__ = [
    "FAMILIES",
    "REGIMES",
    "Attack",
    "Bowl",
    "CosineInstance",
    "Cosines",
    "Instance",
    "SketchPart",
    "attack",
    "attackable",
    "replay",
    "shrink",
]

SEARCHED = 5000
"""Evaluations of one attack unless told otherwise: seconds."""
_TELLING = 1.05


@dataclass(frozen=True)
class Attack:
    """What an attack on a theorem has found.

    Parameters
    ----------
    theorem : str
        The theorem's id.
    verdict : {"refuted", "not refuted"}
        Whether left exceeds right on the witness by more than rounding. "Not refuted" proves nothing.
    ratio : float
        Left/right on the witness.
    largest : float
        The largest left/right found, before or after the witness was shrunk.
    witness : Instance or CosineInstance
        The instance, shrunk; None where the theorem applied to nothing that was drawn.
    seed, budget : int
        What was asked for.
    evaluations : int
        How many ratios were computed, shrinking included.
    history : tuple of (int, float)
        The evaluations at which the largest ratio grew, and to what.

    References
    ----------
    This package.
    """

    theorem: str
    verdict: Literal["refuted", "not refuted"]
    ratio: float
    largest: float
    witness: Instance | CosineInstance | None
    seed: int
    budget: int
    evaluations: int
    history: tuple[tuple[int, float], ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the attack as a document."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "seed"}
        witness = None if self.witness is None else self.witness.record()
        return header(None, self.seed) | facts | {"witness": witness}

    def save(self, path: str | Path) -> None:
        """Write the attack as JSON, for `replay`."""
        Path(path).write_text(dumps(self.record()) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        return (
            f"{self.theorem}: {self.verdict} (left/right {self.ratio:.6g}; {self.evaluations} evaluations, seed {self.seed})"
        )


def attackable() -> dict[str, type[Theorem]]:
    """Return every record that can be attacked, by id: all theorems and the false variants."""
    return {kind.id: kind for kind in (*theorems.ALL, *ALL_FALSE)}


def attack(
    kind: type[Theorem] | str,
    *,
    seed: int = 0,
    budget: int = SEARCHED,
    regimes: Sequence[Regime] = REGIMES,
    sharp: bool = False,
    target: float = float("inf"),
    progress: bool = False,
) -> Attack:
    """Try to refute a theorem: maximise left/right over small instances, by random structures and local search.

    Left sides are exact moments, not samples. Dimensions go up to 3, clients or components too; curvatures, sketches
    (oblique and rare ones too), shifts, starts, steps and horizons up to 10,000 are all searched.

    Parameters
    ----------
    kind : type of Theorem or str
        The record, or its id; see `attackable`.
    seed : int, default 0
        The same seed finds the same.
    budget : int, default 5000
        The most evaluations of a ratio that the search makes; shrinking takes up to 4000 more.
    regimes : sequence of {"any", "interpolation", "noise"}, default all
        Where to look: anywhere; with v at the minimiser of f and only where the bound has fallen to a tenth; or from x_D*,
        where nothing is left of linear rates but their neighbourhood.
    sharp : bool, default False
        Attack the record with this package's constants.
    target : float, default inf
        Stop as soon as a ratio is at least this.
    progress : bool, default False
        Whether to show a bar on stderr.

    Returns
    -------
    Attack
        With the shrunk witness: of a refutation one that still refutes, otherwise one within 0.1% of the largest ratio.

    Raises
    ------
    ValueError
        If an argument is outside its range or a name is unknown; the nearest is suggested.

    References
    ----------
    This package.

    Examples
    --------
    >>> found = attack("theorem1/nonconvex", budget=200)
    >>> found.verdict, found.ratio > 1.05
    ('refuted', True)
    """
    integer("seed", seed, 0), integer("budget", budget, 1)
    chosen = attackable()[one_of("theorem", kind, attackable())] if isinstance(kind, str) else kind
    for regime in regimes:
        one_of("regime", regime, REGIMES)
    evaluate = Evaluator(chosen, budget, target)
    search(evaluate, regimes, sharp, np.random.Generator(np.random.Philox(seed)), progress)
    facts: dict[str, Any] = {"theorem": chosen.id, "seed": seed, "budget": budget, "history": tuple(evaluate.history)}
    if evaluate.instance is None:
        return Attack(verdict="not refuted", ratio=0.0, largest=0.0, witness=None, evaluations=evaluate.count, **facts)
    witness, used = shrink(evaluate.instance, chosen, _floor(evaluate.best))
    ratio = confirmed(witness, chosen)
    return Attack(
        verdict="refuted" if ratio > 1 + ROUNDING else "not refuted",
        ratio=ratio,
        largest=max(evaluate.best, ratio),
        witness=witness,
        evaluations=evaluate.count + used,
        **facts,
    )


def _floor(best: float) -> float:
    """Return the ratio that a shrunk witness must keep."""
    return min(_TELLING, 1 + (best - 1) / 2) if best > 1 + ROUNDING else 0.999 * best


def _read(path: str | Path) -> dict[str, Any]:
    """Return the document of a saved attack; a file that is empty or holds something else is named."""
    try:
        text = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"path={str(path)!r} is not a saved attack: {problem}") from problem
    needed = {"theorem", "verdict", "ratio", "largest", "seed", "budget", "evaluations", "history", "witness"}
    missing = sorted(needed - set(text)) if isinstance(text, dict) else sorted(needed)
    if missing:
        raise ValueError(f"path={str(path)!r} is not a saved attack: it lacks {', '.join(missing)}")
    return dict(text)


def replay(path: str | Path, kind: type[Theorem] | None = None) -> Attack:
    """Read a saved attack, and confirm that its witness still has the ratio that was saved.

    Parameters
    ----------
    path : str or Path
        What `Attack.save` wrote.
    kind : type of Theorem, optional
        The record, where it is none of `attackable`.

    Raises
    ------
    ValueError
        If the theorem is unknown, or the ratio differs by more than 1e-9 of it: the statement or the package has changed.

    References
    ----------
    This package.
    """
    text = _read(path)
    known = attackable() if kind is None else {kind.id: kind}
    chosen = known[one_of("theorem", text["theorem"], known)]
    saved = text["witness"]
    witness = None if saved is None else FAMILIES[saved["family"]].instance.from_record(saved)
    ratio = 0.0 if witness is None else confirmed(witness, chosen)
    if not abs(ratio - float(text["ratio"])) <= ROUNDING * max(1.0, abs(ratio)):
        raise ValueError(f"path={str(path)!r} is not confirmed: it says left/right = {text['ratio']}, but it is {ratio!r}")
    kept = {name: text[name] for name in ("theorem", "verdict", "largest", "seed", "budget", "evaluations")}
    history = tuple((int(at), float(to)) for at, to in text["history"])
    return Attack(ratio=ratio, witness=witness, history=history, **kept)
