"""Checks that a theorem of one's own is true as far as a trial can tell, and that the trial would notice if it were not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mastsim.expected import Distributed, Objective
from mastsim.testing.pasted_tests import by_instance, by_verdict, runnable
from mastsim.testing.theorem_mutants import looked_up, mutants, rebuilt, says_less
from mastsim.theorems import Inequality, Rate, Theorem
from mastsim.validation import instances as all_instances
from mastsim.validation import integer, shown
from mastsim.verification.attack.families import FAMILIES
from mastsim.verification.attack.quadratic_plan import REGIMES, SPANS
from mastsim.verification.attack.search import Evaluator, confirmed, search
from mastsim.verification.attack.shrinking import shrink
from mastsim.verification.instances import Instances, one_dimension, two_signs
from mastsim.verification.suite import FAMILY_ALPHA, try_on
from mastsim.verification.tasks import ALONE
from mastsim.verification.tolerances import ROUNDING
from mastsim.verification.verdict import Verdict

_FLOOR = 1.05
_SHRINKING = 1500
_MUTANT_SHARE = 0.05
_DRAWN = 8
_ENOUGH = 1 + 1e-6


class MutantOutcome(NamedTuple):
    """What a changed version of a claim came to.

    Parameters
    ----------
    what : str
        What was changed, for example ``mu_fD × 1.1``.
    ratio : float
        The largest left/right found; above 1 the trial tells it from the claim.
    says_less : bool
        Whether it allows no larger step and promises no more wherever the two were compared, so that it is true if the claim
        is.
    """

    what: str
    ratio: float
    says_less: bool = False

    @property
    def told_apart(self) -> bool:
        """Whether the changed version was refuted."""
        return self.ratio > 1 + ROUNDING


@dataclass(frozen=True)
class TheoremReport:
    """What a check of a theorem found: nothing against it.

    Parameters
    ----------
    title : str
        The theorem.
    verdicts : tuple of Verdict
        What was decided on each instance.
    largest : float
        The largest left/right that was found, attack included.
    evaluations : int
        How many ratios the attack computed.
    mutants : tuple of MutantOutcome
        Changed versions of the claim, and whether they were refuted. One that says more and was not refuted shows what the
        trial cannot see: the claim may be true with it as well, or differ only where no instance was tight.
    alpha : float
        Error probability of all that samples decided, together.
    seed : int
        What was asked for.
    """

    title: str
    verdicts: tuple[Verdict, ...]
    largest: float
    evaluations: int
    mutants: tuple[MutantOutcome, ...]
    alpha: float
    seed: int

    def __str__(self) -> str:
        tally = Counter(f"{v.words} ({v.tier})" for v in self.verdicts)
        decided = ", ".join(f"{count} × {words}" for words, count in tally.items())
        told = [m.what for m in self.mutants if m.told_apart]
        less = [m.what for m in self.mutants if not m.told_apart and m.says_less]
        silent = [m.what for m in self.mutants if not m.told_apart and not m.says_less]
        return "\n".join(
            [
                f"{self.title}: nothing against it; {decided}",
                f"attack: left/right at most {self.largest:.6g} in {self.evaluations} evaluations (seed {self.seed}); "
                f"samples may err with probability {self.alpha:g}, all together",
                f"changed versions refuted: {', '.join(told) or 'none'}",
                f"changed versions that say less, and are true if the claim is: {', '.join(less) or 'none'}",
                f"changed versions that say more and were not refuted: {', '.join(silent) or 'none'}",
            ]
        )


def check_theorem(
    kind: type[Theorem],
    objectives: Sequence[Objective] = (),
    *,
    budget: int = 300,
    alpha: float = FAMILY_ALPHA,
    seed: int = 0,
) -> TheoremReport:
    """Put a theorem of one's own on trial: exactly, by replicas, by an attack, and by changed versions of its own claim.

    It is decided on small hard objectives, quadratic and not, and on `objectives`; then instances are drawn, and left/right
    is driven up. What exceeds 1 is shrunk and printed as a test to paste. Last, the claim's look-ups of constants and its
    step are multiplied by 0.5, 0.9 and 1.1, and the gap is dropped: a trial that cannot tell these from the claim says
    little about it.

    Parameters
    ----------
    kind : type of Theorem
        The record.
    objectives : sequence of Objective, optional
        Objectives of one's own to try it on as well.
    budget : int, default 300
        Ratios that the attack computes, some 60 a second; the changed versions take about as many again.
    alpha : float, default 1e-6
        Error probability of all that samples decide, together.
    seed : int, default 0
        Seed of everything that is drawn; a result repeats exactly.

    Returns
    -------
    TheoremReport
        What was decided, how tight the claim is, and which changed versions were told apart.

    Raises
    ------
    AssertionError
        If the record lacks something, applies to nothing that was tried, or is refuted; the message has left/right, the
        instance, what would make it hold there, and a test to paste.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> report = check_theorem(ms.theorems.StronglyConvexDSGD, budget=30)
    >>> round(report.largest, 6), {v.verdict for v in report.verdicts}
    (1.0, {'holds'})
    """
    if not (isinstance(kind, type) and issubclass(kind, Rate | Inequality)):
        raise TypeError(
            f"kind={shown(kind)} is not accepted: it must be a subclass of LinearRate, SublinearRate or Inequality"
        )
    all_instances("objectives", objectives, Objective)
    integer("budget", budget, 1)
    _require_complete(kind)
    instances = Instances.beside(list(objectives))
    verdicts = try_on(kind, instances, integer("seed", seed, 0), ALONE, alpha)
    _require_somewhere(kind, instances, verdicts)
    _refuse_refuted(kind, instances, verdicts, seed)
    hunters = _attacked(kind, budget, seed)
    cases: list[Theorem] = [case for F in instances.whole for case in kind.cases(F)]
    names = looked_up(cases[0])
    return TheoremReport(
        title=kind.title,
        verdicts=tuple(verdicts),
        largest=max([h.best for h in hunters] + [v.max_ratio for v in verdicts]),
        evaluations=sum(h.count for h in hunters),
        mutants=tuple(_outcomes(kind, names, cases, hunters, budget, seed)),
        alpha=alpha,
        seed=seed,
    )


def _require_complete(kind: type[Theorem]) -> None:
    if missing := kind.missing():
        raise AssertionError(f"{kind.__name__} lacks {', '.join(missing)}: give each in the body of the class")


def _require_somewhere(kind: type[Theorem], instances: Instances, verdicts: list[Verdict]) -> None:
    if verdicts:
        return
    why = Counter(reason for F in instances.whole if (reason := kind.refuse(F)) is not None).most_common(1)
    said = f"; most often: {why[0][0]}" if why else ""
    raise AssertionError(
        f"{kind.title} applies to none of {len(instances.whole)} objectives{said}; pass some that it is about as objectives"
    )


def _refuse_refuted(kind: type[Theorem], instances: Instances, verdicts: list[Verdict], seed: int) -> None:
    """Raise for the worst verdict that is not as expected, with a test built from its objective."""
    wrong = [v for v in verdicts if v.verdict == "refuted" and v.expected != "refuted"]
    if not wrong:
        return
    worst = max(wrong, key=lambda verdict: verdict.max_ratio)
    how = f"check_theorem({kind.__name__}, seed={seed}): left/right = {worst.max_ratio:.6g}; passes while that is so."
    cases = [case for F in instances.whole for case in _named(kind, F, worst)]
    pasted = next((text for text in (by_verdict(case, how) for case in cases) if runnable(text, kind)), "")
    holding = _holding(kind, cases)
    where = f"{worst.problem}, {worst.sketch}, {worst.method}, {worst.witness}, {worst.tier}"
    raise AssertionError(_message(kind, worst.max_ratio, where, holding, pasted))


def _named(kind: type[Theorem], F: Objective, verdict: Verdict) -> Sequence[Theorem]:
    fits = verdict.problem == F.problem.name and verdict.sketch == F.sketch_name
    return kind.cases(F) if fits else ()


def _holding(kind: type[Theorem], cases: Sequence[Theorem]) -> list[str]:
    """Return which changes make a claim hold on the objectives that refuted it."""
    from mastsim.verification import verify

    found = []
    for what, changed in mutants(kind, looked_up(cases[0])):
        if all(verify(rebuilt(changed, case)).verdict != "refuted" for case in cases):
            found.append(what)
    return found


def _message(kind: type[Theorem], ratio: float, where: str, holding: list[str], pasted: str) -> str:
    cure = f"it would hold there with {' or '.join(holding)}" if holding else "no single constant or step mends it there"
    lines = [
        f"{kind.title} is refuted: left/right = {ratio:.6g} where at most 1 is claimed; {where}.",
        f"{cure}; claim less, or add an assumption that leaves this instance out.",
    ]
    return "\n".join([*lines, "A test to paste:", "", pasted] if pasted else lines)


def _attacked(kind: type[Theorem], budget: int, seed: int) -> list[Evaluator]:
    """Search every regime for a counterexample, and raise with a test when there is one."""
    rng, found = np.random.Generator(np.random.Philox(seed)), []
    for regime in REGIMES if kind.family == "quadratic" else REGIMES[:1]:
        evaluate = Evaluator(kind, max(budget // len(REGIMES), 1), 2 * _FLOOR)
        # Half of it goes to as many structures, of which climbs reach few.
        for span in itertools.islice(itertools.cycle(SPANS), evaluate.budget // 2):
            structure = FAMILIES[kind.family].plan.random(kind, rng, regime, span, False)
            evaluate(structure, rng.standard_normal(structure.size()))
        search(evaluate, (regime,), False, rng, False)
        found.append(evaluate)
    best = max(found, key=lambda evaluate: evaluate.best)
    if best.instance is not None and best.best > 1 + ROUNDING and kind.status != "refuted as quoted":
        small, _ = shrink(best.instance, kind, min(_FLOOR, 1 + (best.best - 1) / 2), _SHRINKING)
        raise AssertionError(_refutation(kind, small, seed))
    return found


def _refutation(kind: type[Theorem], instance: Any, seed: int) -> str:
    ratio = confirmed(instance, kind)
    how = f"check_theorem({kind.__name__}, seed={seed}): left/right = {ratio:.6g}; passes while that is so."
    claim = instance.theorem(kind) if hasattr(instance, "theorem") else kind(instance.objective())
    texts = by_verdict(claim, how), by_instance(instance, kind, how)
    pasted = next((text for text in texts if runnable(text, kind)), "")
    changed = [m.what for m in mutants(kind, looked_up(claim)) if confirmed(instance, m.kind) <= 1 + ROUNDING]
    return _message(kind, ratio, f"at {instance}", changed, pasted)


def _outcomes(
    kind: type[Theorem], names: set[str], cases: list[Theorem], hunters: list[Evaluator], budget: int, seed: int
) -> list[MutantOutcome]:
    """Try each changed version where the claim itself is tightest, on drawn instances, and by a short search."""
    found = []
    tight = [h.instance for h in sorted(hunters, key=lambda h: -h.best) if h.instance is not None]
    for what, changed in mutants(kind, names):
        if all(says_less(rebuilt(changed, case), case) for case in cases):
            found.append(MutantOutcome(what, 0.0, says_less=True))
            continue
        ratio = 0.0
        for each in (*_decided(changed), *(confirmed(at, changed) for at in (*tight, *_drawn(changed, seed)))):
            if (ratio := max(ratio, each)) > _ENOUGH:
                break
        else:
            evaluate = Evaluator(changed, max(int(_MUTANT_SHARE * budget), 1), _ENOUGH)
            search(evaluate, REGIMES, False, np.random.Generator(np.random.Philox(seed)), False)
            ratio = max(ratio, evaluate.best)
        found.append(MutantOutcome(what, ratio))
    return found


def _decided(kind: type[Theorem]) -> Iterator[float]:
    """Yield left/right of an exact decision on two objectives of one dimension, on which many bounds are attained."""
    for F in (one_dimension(), two_signs()):
        clients = Distributed([F.problem], [F.sketch], shift=F.center)
        for objective in (F, clients):
            verdicts = try_on(kind, Instances([objective], [objective], [objective], [objective]))
            yield max((v.max_ratio for v in verdicts if v.verdict == "refuted"), default=0.0)


def _drawn(kind: type[Theorem], seed: int) -> list[Any]:
    """Return instances drawn by the plan of the record's family, those that could be made."""
    rng, plan, found = np.random.Generator(np.random.Philox(seed)), FAMILIES[kind.family].plan, []
    for i in range(_DRAWN):
        structure = plan.random(kind, rng, REGIMES[i % len(REGIMES)], (0.0, 1.0), False)
        try:
            found.append(structure.decode(rng.standard_normal(structure.size())))
        except ValueError:
            continue
    return found
