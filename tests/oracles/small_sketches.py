"""A sketch of every kind that can be listed, in eight dimensions."""

import numpy as np

import mastsim as ms
from mastsim.sketches import SelectionSketch
from mastsim.sketches.laws import Selection


class Mixed(SelectionSketch):
    """Units of one to three coordinates, in a group of three units and three groups of one, all of a kind of their own."""

    dim = 8

    @property
    def law(self):
        return Selection(
            np.array([0, 0, 1, 2, 2, 3, 4, 5]),
            np.array([0, 0, 0, 1, 2, 3]),
            np.array([3, 1, 1, 1]),
            np.array([2, 0.3, 1, 0.9]),
        )


SKETCHES = {
    "identity": ms.Identity(8),
    "Rand-1": ms.RandK(8, 1),
    "Rand-3": ms.RandK(8, 3),
    "Rand-8": ms.RandK(8, 8),
    "Bernoulli": ms.Bernoulli(8, np.linspace(0.2, 1, 8)),
    "blocks": ms.BlockBernoulli(8, 3, 0.4),
    "2 of 4": ms.NofM(8, 2, 4),
    "1 of 2": ms.NofM(8, 1, 2),
    "Perm-2": ms.PermK(8, 2),
    "mixed": Mixed(),
    "independent": ms.IndependentDiagonal(np.tile([-0.5, 2.5], (8, 1)), np.tile([0.5, 0.5], (8, 1))),
    "composed": ms.Composed(ms.Bernoulli(8, 0.5), ms.RandK(8, 3)),
}
