"""Tables as data frames, for those who have pandas."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any


def to_frame(rows: Sequence[Mapping[str, Any]], index: str | None = None) -> Any:
    """Return rows as a pandas data frame.

    Parameters
    ----------
    rows : sequence of mapping
        One mapping of column to value a row.
    index : str, optional
        The column that names the rows.

    Raises
    ------
    ImportError
        If pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as missing:
        raise ImportError(
            "to_frame needs pandas, which is in the extra 'frames': pip install 'mastsim[frames]'"
        ) from missing
    frame = pandas.DataFrame(list(rows))
    return frame if index is None else frame.set_index(index)
