"""JSON documents: standard JSON, with the version, seed and data that every number depends on."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mastsim import version
from mastsim.problems.dataset import spell_label

if TYPE_CHECKING:
    from mastsim.problems import Dataset


def header(data: Dataset | None, seed: int | None) -> dict[str, Any]:
    """Return what every document starts with: package version, seed, the data, and which label is which class, if any."""
    if data is None:
        return {"mastsim": version.__version__, "seed": seed, "data": None, "labels": None}
    facts = {"name": data.name, "sha256": data.sha256, "n": data.n, "d": data.d}
    labels = None if data.labels is None else {spell_label(label): sign for label, sign in data.labels.items()}
    return {"mastsim": version.__version__, "seed": seed, "data": facts, "labels": labels}


def dumps(document: Any) -> str:
    r"""Return a document as standard JSON; infinities become the texts "inf" and "-inf", NaN becomes null.

    Examples
    --------
    >>> dumps({"L_S_max": float("inf")})
    '{\n  "L_S_max": "inf"\n}'
    """
    return json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {str(key): _plain(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_plain(value) for value in thing]
    if hasattr(thing, "tolist"):
        return _plain(thing.tolist())
    if isinstance(thing, float) and not math.isfinite(thing):
        return None if math.isnan(thing) else "inf" if thing > 0 else "-inf"
    return float(thing) if isinstance(thing, float) else thing
