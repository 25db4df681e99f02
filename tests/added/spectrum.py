"""The spectrum of the data, as a figure."""

import numpy as np
from matplotlib.figure import Figure

NAME = "spectrum"
TITLE = "Singular values of the data"


def compute(data, quick, seed=0):
    """Return the singular values."""
    A = data.A.toarray() if hasattr(data.A, "toarray") else np.asarray(data.A)
    return {"title": TITLE, "values": np.linalg.svd(A, compute_uv=False)[: 3 if quick else None].tolist()}


def draw(numbers):
    """Return the figure."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(numbers["values"], "o-")
    axes.set_xlabel("index")
    axes.set_ylabel("singular value")
    return figure
