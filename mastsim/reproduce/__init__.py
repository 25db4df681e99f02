"""Figures that are computed, written down as numbers, and drawn from these numbers alone; one file each."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from mastsim.documents import dumps
from mastsim.files import undisturbed, write_whole
from mastsim.problems import Dataset, load
from mastsim.reproduce import (
    bernoulli_randk,
    convergence,
    cost,
    designed_keeps,
    gap,
    gdci,
    moving_shift,
    pruned_network,
    rates,
    reshuffled,
    shift,
    sketch_families,
    sparsified_accuracy,
    speed_up,
    step_sizes,
    theorem6,
    theory_table,
    tight_factor,
    variance_reduction,
)
from mastsim.reproduce.paper_problems import default_data
from mastsim.validation import flag, integer, one_of, path, texts

__all__ = ["ALL_FIGURES", "FIGURES", "FigureModule", "default_data", "pictures", "reproduce"]


_DOTS, _COLOURS = 144, 128
"""Dots per inch of a PNG, one and a half times those of a README, and as many colours as lines and text need."""


class FigureModule(Protocol):
    """What a figure's file offers.

    Perhaps also ``TABLES``, makers of Markdown tables from its numbers by name, and ``draw_parts``, which returns more
    pictures of the same numbers, by the names of their files.
    """

    NAME: str
    TITLE: str

    def compute(self, data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
        """Return the figure's numbers, in a form that JSON can hold."""

    def draw(self, numbers: dict[str, Any]) -> Figure:
        """Return the figure, drawn from its numbers alone."""


FIGURES: tuple[FigureModule, ...] = (
    theory_table,
    variance_reduction,
    speed_up,
    gdci,
    sparsified_accuracy,
    convergence,
    sketch_families,
    bernoulli_randk,
    shift,
    moving_shift,
    reshuffled,
    gap,
    step_sizes,
    designed_keeps,
    cost,
    pruned_network,
    theorem6,
    tight_factor,
    rates,
)
"""Every figure, in the order in which they are made: command line, tables, documentation and tests read this tuple."""
ALL_FIGURES: dict[str, FigureModule] = {figure.NAME: figure for figure in FIGURES}
"""Every figure by name."""


def reproduce(
    names: Iterable[str] = (),
    data: Dataset | str | None = None,
    quick: bool = False,
    out: str | os.PathLike[str] = "figures",
    progress: bool | None = None,
    seed: int = 0,
) -> list[Path]:
    """Compute figures and write each as NAME.json, NAME.png and NAME.pdf; a file appears only once it is complete.

    A figure of many panels is also drawn in parts, NAME-PART.png and NAME-PART.pdf.

    Parameters
    ----------
    names : iterable of str, optional
        Names in `ALL_FIGURES`; all of them when empty.
    data : Dataset or str, optional
        The data, or what `load` takes; when left out a5a where it lies on this machine, otherwise the bundled set.
    quick : bool, default False
        Fewer steps, replicas and settings.
    out : path, default "figures"
        The folder, made if need be.
    progress : bool, optional
        Whether to show a bar on stderr; by default when stderr is a terminal.
    seed : int, default 0
        The seed.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If a name is unknown, or the data do not suit a figure.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in reproduce(["variance-reduction"], "synthetic:n=20,d=3", quick=True, out=folder)]
    ['variance-reduction.json', 'variance-reduction.png', 'variance-reduction.pdf']
    """
    chosen = [one_of("figure", name, ALL_FIGURES) for name in dict.fromkeys(texts("names", names))] or list(ALL_FIGURES)
    seed = integer("seed", seed, 0, 2**64 - 1)
    quick, folder = flag("quick", quick), path("out", out)
    if not (data is None or isinstance(data, Dataset)):
        path("data", data)
    given = default_data() if data is None else data if isinstance(data, Dataset) else load(data)
    # Every figure that needs two classes shows the same ones, and says which label is which.
    given = given.classified() if given.binary else given
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with tqdm(chosen, unit="figure", disable=None if progress is None else not progress) as bar:
        for name in bar:
            bar.set_postfix_str(name)
            written += _write(folder / name, ALL_FIGURES[name], given, quick, seed)
    return written


def _write(stem: Path, figure: FigureModule, data: Dataset, quick: bool, seed: int) -> list[Path]:
    """Compute and draw one figure, and write its files."""
    text = dumps(figure.compute(data, quick, seed))
    contents: dict[str, str | bytes] = {f"{stem.name}.json": text + "\n"}
    for name, drawn in pictures(figure, json.loads(text)).items():
        contents[f"{name}.png"] = _drawn(drawn, "png")
        # The layout is found once; finding it again takes as long as all the rest of drawing.
        drawn.set_layout_engine("none")
        contents[f"{name}.pdf"] = _drawn(drawn, "pdf")
    with undisturbed():
        return [write_whole(stem.with_name(name), content) for name, content in contents.items()]


def pictures(figure: FigureModule, numbers: dict[str, Any]) -> dict[str, Figure]:
    """Return all pictures of a figure's numbers, by the name of their files.

    Parameters
    ----------
    figure : FigureModule
        One of `FIGURES`.
    numbers : dict
        What its ``compute`` returned, or its JSON.
    """
    more: dict[str, Figure] = figure.draw_parts(numbers) if hasattr(figure, "draw_parts") else {}
    return {figure.NAME: figure.draw(numbers), **more}


def _drawn(figure: Figure, kind: str) -> bytes:
    """Return a figure in a format, without the date, so that equal figures are equal files."""
    metadata: dict[str, Any] | None = {"CreationDate": None} if kind == "pdf" else None
    held = io.BytesIO()
    figure.savefig(held, format=kind, dpi=_DOTS, metadata=metadata)
    if kind == "png":
        picture = Image.open(held).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        picture.save(held := io.BytesIO(), format=kind, optimize=True, dpi=(_DOTS, _DOTS))
    return held.getvalue()
