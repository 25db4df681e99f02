"""Figures that are computed, written down as numbers, and drawn from these numbers alone; one file each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure
from tqdm import tqdm

from mastsim.documents import dumps
from mastsim.problems import Dataset, load
from mastsim.reproduce import (
    bernoulli_randk,
    convergence,
    cost,
    gap,
    gdci,
    moving_shift,
    network,
    reshuffled,
    shift,
    sketch_families,
    speed_up,
    step_sizes,
    test_accuracy,
    theorem6,
    theory_table,
    tight_factor,
    variance_reduction,
)
from mastsim.reproduce.common import default_data, save_figure, write_whole
from mastsim.validation import flag, integer, one_of, path, texts

__all__ = ["ALL_FIGURES", "FigureModule", "reproduce"]


class FigureModule(Protocol):
    """What a figure's file offers."""

    TITLE: str

    def compute(self, data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
        """Return the figure's numbers, in a form that JSON can hold."""

    def draw(self, numbers: dict[str, Any]) -> Figure:
        """Return the figure, drawn from its numbers alone."""


ALL_FIGURES: dict[str, FigureModule] = {
    "theory-table": theory_table,
    "variance-reduction": variance_reduction,
    "speed-up": speed_up,
    "gdci": gdci,
    "test-accuracy": test_accuracy,
    "convergence": convergence,
    "sketch-families": sketch_families,
    "bernoulli-randk": bernoulli_randk,
    "shift": shift,
    "moving-shift": moving_shift,
    "reshuffled": reshuffled,
    "gap": gap,
    "step-sizes": step_sizes,
    "cost": cost,
    "network": network,
    "theorem6": theorem6,
    "tight-factor": tight_factor,
}
"""Every figure by name, in the order in which they are made."""


def reproduce(
    names: Iterable[str] = (),
    data: Dataset | str | None = None,
    quick: bool = False,
    out: str | os.PathLike[str] = "figures",
    progress: bool | None = None,
    seed: int = 0,
) -> list[Path]:
    """Compute figures and write each as NAME.json, NAME.png and NAME.pdf; a file appears only once it is complete.

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
    text = dumps(figure.compute(data, quick, seed))
    drawn = figure.draw(json.loads(text))
    written = [write_whole(stem.with_name(f"{stem.name}.json"), lambda path: path.write_text(text + "\n", encoding="utf-8"))]
    written.append(save_figure(drawn, stem.with_name(f"{stem.name}.png")))
    # The layout is found once; finding it again takes as long as all the rest of drawing.
    drawn.set_layout_engine("none")
    return [*written, save_figure(drawn, stem.with_name(f"{stem.name}.pdf"))]
