"""What sketching costs in the minimum: f_D^inf − f^inf and f_D^inf − E f_S^inf over keep fractions and data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.expected import Mast
from mastsim.layout import finish, page
from mastsim.problems import Dataset, LogisticRegression, load
from mastsim.problems.catalogue import DEFAULT_DATA, catalogue_names, locate
from mastsim.reproduce.curve_plots import draw_line
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, rand_k, regression
from mastsim.sketches import Bernoulli, RandK
from mastsim.standard_errors import mean_and_error

NAME = "gap"
TITLE = "The gap: what sketching costs in the minimum, and Lemma 1's bound on it"
SYNTHETIC = "synthetic:n=200,d=6,condition=100"
OPTIONAL = "mushrooms"
KEEPS, QUICK_KEEPS = (0.1, 0.3, 0.5, 0.9), (0.3, 0.9)
_ENUMERATED = 512
_ZERO = 1e-12
_DRAWS, _QUICK_DRAWS = 64, 8


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return both gaps and Lemma 1's bound for Rand-K and Bernoulli sketches, v = 0, κ_f = 100, on several data sets.

    Of every keep that is asked for, Rand-K keeps K/d, for K the nearest integer, and Bernoulli exactly that; each row says
    which as "keep", is drawn there, and has its own bound.
    Beside a data set that has a name: the bundled set, a synthetic one, and mushrooms where it lies on this machine (not in
    quick runs). Data of one's own are shown alone.
    E f_S^inf is exact where the sketch has few values; otherwise the mean of f_S(x_D*) − f_S^inf over drawn sketches, each
    minimised exactly, stands for the difference.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer keep fractions, data sets and draws.
    seed : int, default 0
        The seed of the drawn sketches.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    MAST, arXiv 2311.16086, Lemma 1 (iii).

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=3"), quick=True)
    >>> exact = [row for row in numbers["rows"] if row["tier"] == "exact"]
    >>> all(row["gap_sharp"] - 1e-15 <= row["gap"] <= row["bound"] for row in exact)
    True
    """
    tables, left_out = _tables(data, quick)
    rows = [row for table in tables for row in _rows(table, quick, seed)]
    return {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "bound": "Lemma 1 (iii): inf_x f(x) + ½(L_D − 1)L_f‖x − v‖² − f^inf; bound_at_minimiser: the same at x*",
        "tables": [{"name": table.name, "sha256": table.sha256, "n": table.n, "d": table.d} for table in tables],
        "left_out": left_out,
        "rows": rows,
        "crossings": sum(row["gap"] > row["bound"] + row["certificate"] for row in rows),
        "findings": _findings(rows),
    }


def _tables(data: Dataset, quick: bool) -> tuple[list[Dataset], dict[str, str]]:
    """Return the data sets, and why one was left out."""
    tables, left_out = {data.name: data}, dict[str, str]()
    if data.name not in (DEFAULT_DATA, *catalogue_names()):
        return [data], left_out
    for name in (DEFAULT_DATA, SYNTHETIC):
        other = load(name)
        tables.setdefault(other.name, other)
    if OPTIONAL not in tables:
        if quick:
            left_out[OPTIONAL] = "quick run"
        elif locate(OPTIONAL) is None:
            left_out[OPTIONAL] = "not on this machine"
        else:
            tables[OPTIONAL] = load(OPTIONAL)
    return list(tables.values()), left_out


def _rows(data: Dataset, quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return both gaps and their bounds on one data set."""
    f, draws = regression(data), _QUICK_DRAWS if quick else _DRAWS
    rows = []
    for keep in QUICK_KEEPS if quick else KEEPS:
        for family, sketch in (("Rand-K", rand_k(data.d, keep)), ("Bernoulli", Bernoulli(data.d, keep))):
            F = Mast(f, sketch)
            best, gap = F.minimize(), F.gap()
            K = sketch.k if isinstance(sketch, RandK) else None
            row = {"data": data.name, "keep": keep if K is None else K / data.d, "asked": keep, "K": K}
            row |= {"family": family, "sketch": sketch.name}
            row |= {"f_inf": f.minimize().value, "fD_inf": best.value, "certificate": best.gap_bound, "gap": float(gap)}
            rows.append(row | _bounds(f, sketch.L_D) | _against_sketched(F, draws, seed))
    return rows


def _bounds(f: LogisticRegression, L_D: float) -> dict[str, float]:
    """Return Lemma 1's bound on the gap for v = 0: the right side at x*, and at its own minimiser, which a ridge gives."""
    best, extra = f.minimize(), (L_D - 1) * float(f.L_f)
    lifted = LogisticRegression(f.A, f.y, l2=f.ridge + extra).minimize()
    return {
        "bound": lifted.value - best.value + best.gap_bound,
        "bound_at_minimiser": 0.5 * extra * float(best.x @ best.x),
    }


def _against_sketched(F: Mast, draws: int, seed: int) -> dict[str, Any]:
    """Return f_D^inf − E f_S^inf, exact or with the standard error of drawn sketches."""
    best = F.minimize()
    if F.sketch.support_size <= _ENUMERATED:
        return {"gap_sharp": best.value - float(F.sketched_infimum()), "gap_sharp_stderr": 0.0, "tier": "exact"}
    batch = F.sketch.sample(np.random.Generator(np.random.Philox(seed)), draws)
    kept = np.asarray(batch.apply(np.ones((draws, F.dim)))) != 0
    # f_D^inf = E f_S(x_D*), so that differences with equal S have the same mean, and a smaller variance.
    values = np.asarray(F.sketched_value(np.tile(best.x, (draws, 1)), batch))
    above = values - np.array([_infimum(F.problem, mask) for mask in kept])
    mean, error = mean_and_error(above)
    return {"gap_sharp": float(mean), "gap_sharp_stderr": float(error), "tier": f"{draws} drawn sketches"}


def _infimum(f: Any, kept: np.ndarray) -> float:
    """Return the infimum of f over vectors that are zero outside of the kept coordinates."""
    if not kept.any():
        return float(f.value(np.zeros(f.dim)))
    return float(LogisticRegression(f.A[:, np.flatnonzero(kept)], f.y, l2=f.ridge).minimize().value)


def _findings(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    # At K = d nothing is dropped, and all three are zero.
    rows = [row for row in rows if row["bound"] > row["certificate"] and row["gap"] > 0]
    # With K = 1 f_D is separable, and the sharp gap is zero whatever the data.
    compared = [row for row in rows if row["K"] != 1]
    found: list[dict[str, float]] = []
    for name, part, whole in (("gap over bound", "gap", "bound"), ("sharp gap over gap", "gap_sharp", "gap")):
        shares = sorted((row[part] / row[whole], row.get(f"{part}_stderr", 0.0) / row[whole]) for row in compared)
        for which, (share, error) in (("largest", shares[-1]), ("smallest", shares[0])):
            found += [{f"{which} {name}": share}, *_error(f"{which} {name}", error)]
    first = [row for row in rows if row["data"] == rows[0]["data"]]
    for row in first:
        words = f"{row['family']}, keep {row['keep']:.3g}"
        found += [{f"gap, {words}": row["gap"]}, {f"sharp gap, {words}": row["gap_sharp"]}]
        found += _error(f"sharp gap, {words}", row["gap_sharp_stderr"])
    return found


def _error(key: str, error: float) -> list[dict[str, float]]:
    """Return the standard error of a finding from drawn sketches."""
    return [{f"standard error of {key}": error}] if error > 0 else []


def draw(numbers: dict[str, Any]) -> Figure:
    """Return a panel for each data set: both gaps for both sketches, and Lemma 1's bound dashed.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    tables = numbers["tables"]
    figure, panels = page(-(-len(tables) // 2), min(2, len(tables)), height=2.5)
    for axes, table in zip(panels, tables, strict=False):
        for place, family in enumerate(("Rand-K", "Bernoulli")):
            rows = [row for row in numbers["rows"] if (row["data"], row["family"]) == (table["name"], family)]
            keeps = [row["keep"] for row in rows]
            draw_line(axes, keeps, [row["gap"] for row in rows], place=place, label=f"f_D^inf − f^inf, {family}")
            # With K = 1 the sharp gap is zero, for which a logarithmic axis has no place.
            sharp = [row["gap_sharp"] if row["gap_sharp"] > _ZERO else None for row in rows]
            error = [row["gap_sharp_stderr"] for row in rows]
            draw_line(axes, keeps, sharp, place=place + 2, label=f"f_D^inf − E f_S^inf, {family}", error=error)
            bound = [row["bound"] for row in rows]
            draw_line(axes, keeps, bound, place=place + 4, label=f"Lemma 1 (iii), {family}", bound=True)
        axes.set_yscale("log")
        axes.set_xlabel("share kept: K/d, or the probability")
        axes.set_ylabel("gap")
        axes.set_title(f"{table['name'].split(':')[0]} (n = {table['n']}, d = {table['d']})")
    without = "".join(f"; without {name} ({why})" for name, why in numbers["left_out"].items())
    return finish(figure, f"{TITLE}\n{setting(numbers)}, v = 0{without}")
