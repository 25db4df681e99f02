"""Execute the notebooks and write them back with their outputs; with ``--numbers`` also write down what they assert."""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).resolve().parent
NUMBERS = HERE / "numbers.json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that a notebook says about the machine it ran on."""
COLOURS = 64
"""Colours of a picture: few enough for small files, enough for text and lines."""


def execute(notebook: Any, stem: str, write_numbers: bool) -> None:
    """Execute all cells in order; before the last one, which compares the numbers, write them down if that is asked."""
    client = NotebookClient(
        notebook, timeout=600, coalesce_streams=True, resources={"metadata": {"path": str(HERE)}}, kernel_name="python3"
    )
    last = len(notebook.cells) - 1
    with client.setup_kernel():
        for place, cell in enumerate(notebook.cells[:-1]):
            client.execute_cell(cell, place)
        if write_numbers:
            compare = notebook.cells[last]
            asked = nbformat.v4.new_code_cell("print(json.dumps({name: float(value) for name, value in numbers.items()}))")
            _write_numbers(stem, client.execute_cell(asked, last, store_history=False).outputs[0].text)
            notebook.cells[last] = compare
        client.execute_cell(notebook.cells[last], last)


def _write_numbers(stem: str, text: str) -> None:
    known = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    table = dict(sorted((known | {stem: json.loads(text)}).items()))
    NUMBERS.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def strip(notebook: Any) -> None:
    """Remove all metadata but the kernel's name, count executions from 1, and make pictures small."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for place, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.metadata, cell.execution_count = {}, place
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = place
            if "metadata" in output:
                output.metadata = {}
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = small(output.data["image/png"])


def small(picture: str) -> str:
    """Return a PNG with a palette of few colours, both in base 64."""
    drawn = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    written = io.BytesIO()
    drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(written, format="PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode("ascii")


def main() -> None:
    """Execute the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of names, for example 01")
    parser.add_argument("--numbers", action="store_true", help="write numbers.json too")
    arguments = parser.parse_args()
    for path in sorted(HERE.glob("*.ipynb")):
        if arguments.names and not path.name.startswith(tuple(arguments.names)):
            continue
        begin = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path.stem, arguments.numbers)
        strip(notebook)
        nbformat.write(notebook, path)
        sys.stderr.write(f"{path.name}: {time.perf_counter() - begin:.0f} s, {path.stat().st_size >> 10} kB\n")


if __name__ == "__main__":
    main()
