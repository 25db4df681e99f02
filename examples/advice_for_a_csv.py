"""Advice for a data file: which step to take, what it buys, and what would change that."""

import csv
import tempfile
from pathlib import Path

from sklearn.datasets import load_breast_cancer

import mastsim as ms

folder = Path(tempfile.mkdtemp())
bunch = load_breast_cancer()
with (folder / "tumours.csv").open("w", newline="", encoding="utf-8") as file:
    table = csv.writer(file)
    table.writerow([*bunch.feature_names, "diagnosis"])
    for row, label in zip(bunch.data, bunch.target, strict=True):
        table.writerow([*row, bunch.target_names[label]])

advice = ms.advise(folder / "tumours.csv", "diagnosis", keep=[0.5, 0.9], condition_number=1e4)
print(advice)
(folder / "advice.html").write_text(advice.html(), encoding="utf-8")
print(f"a page with three plots: {folder / 'advice.html'}")

name, curvature = advice.largest_columns[0]
print(f"the column {name!r} alone bends f by {curvature:.3g}; standardised columns allow a step")
print(f"{advice.after.stepsize / advice.before.stepsize:.3g} times as long")
