"""Adversarial search: it tries to refute a theorem, shrinks what it finds, and saves it so that anyone can replay it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mastsim import theorems
from mastsim.documents import dumps, header
from mastsim.files import write_whole
from mastsim.theorems import Rate, Theorem
from mastsim.validation import integer, one_of, real, shown
from mastsim.validation import path as checked_path
from mastsim.validation import text as text_of
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
    "AttackInterrupted",
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
_MOST_BYTES, _MOST_NUMBERS, _MOST_DIM, _MOST_STEPS = 1 << 20, 1 << 12, 8, 10**5
"""Sizes of a saved attack and its witness that are beyond every search."""
_NUMBER = (int, float)
_FACTS: dict[str, tuple[type, ...]] = {
    "theorem": (str,),
    "ratio": _NUMBER,
    "seed": (int,),
    "budget": (int,),
    "evaluations": (int,),
    "history": (list,),
    "witness": (dict, type(None)),
    "module": (str, type(None)),
}
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What a damaged witness makes the package raise; numpy's LinAlgError is a ValueError."""


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
    module : str, optional
        The file that defines the theorem, where that is not this package.

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
    module: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the attack as a document."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "seed"}
        witness = None if self.witness is None else self.witness.record()
        return header(None, self.seed) | facts | {"witness": witness}

    def save(self, path: str | Path) -> None:
        """Write the attack as JSON, for `replay`."""
        write_whole(path, dumps(self.record()) + "\n")

    def __str__(self) -> str:
        return (
            f"{self.theorem}: {self.verdict} (left/right {self.ratio:.6g}; {self.evaluations} evaluations, seed {self.seed})"
        )


class AttackInterrupted(KeyboardInterrupt):
    """An attack was interrupted; the best that it had found, not yet shrunk, is in `attack`.

    Parameters
    ----------
    attack : Attack
        What was found.
    """

    def __init__(self, attack: Attack) -> None:
        super().__init__(attack)
        self.attack = attack

    def __str__(self) -> str:
        return f"interrupted after {self.attack.evaluations} of {self.attack.budget} evaluations; so far {self.attack}"


def attackable(own: Sequence[type[Theorem]] = ()) -> dict[str, type[Theorem]]:
    """Return every record that can be attacked, by id: theorems, the false variants, and records of one's own.

    Rates whose method has no exact moments are left out: trees of their outcomes take too long to search by.
    """
    known = (*theorems.ALL, *ALL_FALSE, *own)
    return {kind.id: kind for kind in known if not issubclass(kind, Rate) or kind.has_moments}


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
    AttackInterrupted
        On Ctrl-C; a KeyboardInterrupt that holds the best that was found.

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
    try:
        search(evaluate, regimes, sharp, np.random.Generator(np.random.Philox(seed)), progress)
        if evaluate.instance is None:
            return _found(evaluate, seed, None, 0.0)
        witness, used = shrink(evaluate.instance, chosen, _floor(evaluate.best))
        return _found(evaluate, seed, witness, confirmed(witness, chosen), used)
    except KeyboardInterrupt as stop:
        raise AttackInterrupted(_found(evaluate, seed, evaluate.instance, evaluate.best)) from stop


def _found(evaluate: Evaluator, seed: int, witness: Any, ratio: float, used: int = 0) -> Attack:
    """Return what a search has found."""
    return Attack(
        theorem=evaluate.kind.id,
        verdict=_verdict(ratio),
        ratio=ratio,
        largest=max(evaluate.best, ratio),
        witness=witness,
        seed=seed,
        budget=evaluate.budget,
        evaluations=evaluate.count + used,
        history=tuple(evaluate.history),
        module=_home(evaluate.kind),
    )


def _verdict(ratio: float) -> Literal["refuted", "not refuted"]:
    """Return what a ratio says."""
    return "refuted" if ratio > 1 + ROUNDING else "not refuted"


def _floor(best: float) -> float:
    """Return the ratio that a shrunk witness must keep."""
    return min(_TELLING, 1 + (best - 1) / 2) if best > 1 + ROUNDING else 0.999 * best


def _read(path: Path) -> dict[str, Any]:
    """Return the document of a saved attack, its facts of the right kinds; what is anything else is named."""
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r} is not a saved attack: there is no such file")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"path={str(path)!r} is not a saved attack: it has more than {_MOST_BYTES} bytes")
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"path={str(path)!r} is not a saved attack: {problem}") from problem
    if not isinstance(text, dict) or (missing := sorted(_FACTS.keys() - text.keys())):
        lacking = ", ".join(missing if isinstance(text, dict) else sorted(_FACTS))
        raise ValueError(f"path={str(path)!r} is not a saved attack: it lacks {lacking}")
    for name, kinds in _FACTS.items():
        if type(text[name]) not in kinds:
            raise ValueError(f"path={str(path)!r} is not a saved attack: {name} must not be {shown(text[name])}")
    return text


def _numbers_in(tree: Any) -> int:
    """Return how many values nested dictionaries and lists hold."""
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 1 if parts is None else sum(_numbers_in(part) for part in parts)


def _witness(saved: dict[str, Any]) -> Any:
    """Return the instance of a record, refusing what is larger than any search makes."""
    horizon, dim = saved.get("horizon", 1), len(saved.get("shift") or ()) if isinstance(saved.get("shift"), list) else 1
    if _numbers_in(saved) > _MOST_NUMBERS or dim > _MOST_DIM or not (type(horizon) is int and horizon <= _MOST_STEPS):
        raise ValueError(f"it has more than {_MOST_NUMBERS} numbers, {_MOST_DIM} dimensions or {_MOST_STEPS} steps")
    witness = FAMILIES[one_of("family", text_of("family", saved.get("family")), FAMILIES)].instance.from_record(saved)
    if json.loads(dumps(witness.record())) != saved:
        raise ValueError("it has other names than were written")
    return witness


def replay(path: str | Path, own: Sequence[type[Theorem]] = ()) -> Attack:
    """Read a saved attack, compute the ratio of its witness anew, and judge by that.

    Nothing is believed but the witness: a verdict that was saved is not read, and the largest ratio is at least the
    witness's own.

    Parameters
    ----------
    path : str or Path
        What `Attack.save` wrote.
    own : sequence of type of Theorem, optional
        Records of one's own, beside those of `attackable`.

    Raises
    ------
    ValueError
        If the file holds something else or more than a search makes, the theorem is unknown, or the ratio differs by more
        than 1e-9 of it: the statement or the package has changed.
    FileNotFoundError
        If there is no such file.

    References
    ----------
    This package.
    """
    text = _read(checked_path("path", path))
    if text["module"] is not None and text["theorem"] not in attackable(own):
        raise ValueError(
            f"path={str(path)!r} holds an attack on {shown(text['theorem'])}, which {shown(text['module'])} defines: "
            f"add --module {shlex.quote(text['module'])} (in Python, own=)"
        )
    try:
        found, said = _judged(text, attackable(own)), real("ratio", text["ratio"])
    except _UNREADABLE as problem:
        raise ValueError(f"path={str(path)!r} is not a saved attack: {problem}") from problem
    if not abs(found.ratio - said) <= ROUNDING * max(1.0, abs(found.ratio)):
        raise ValueError(f"path={str(path)!r} is not confirmed: it says left/right = {said}, but it is {found.ratio!r}")
    return found


def _home(kind: type[Theorem]) -> str | None:
    """Return the file that defines a record which is none of the package's."""
    package, *_ = parts = kind.__module__.split(".")
    return None if package == "mastsim" else f"{parts[-1]}.py"


def _judged(text: dict[str, Any], known: dict[str, type[Theorem]]) -> Attack:
    """Return the attack of a document, its witness judged anew."""
    chosen = known[one_of("theorem", text["theorem"], known)]
    witness = None if text["witness"] is None else _witness(text["witness"])
    ratio = 0.0 if witness is None else confirmed(witness, chosen)
    history = tuple((integer("at", at, 0), real("to", to)) for at, to in text["history"])
    counts = {name: integer(name, text[name], 0, 2**64 - 1) for name in ("seed", "budget", "evaluations")}
    largest = max([ratio, *(to for _, to in history)])
    return Attack(chosen.id, _verdict(ratio), ratio, largest, witness, history=history, module=_home(chosen), **counts)
