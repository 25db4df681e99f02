"""Clients with one minimiser, on which theorems about subnetworks without noise are tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mastsim.expected import Distributed
from mastsim.problems import Quadratic
from mastsim.sketches import PermK, RandK


def agreeing_clients() -> list[Distributed]:
    """Return clients with one minimiser, the shift: of equal and of different Hessians, dealt out and independent."""
    first = np.array([[2.0, 0.5], [0.5, 1.0]])
    second, third = np.diag([0.5, 6.0]), np.array([[1.0, 0.3], [0.3, 0.1]])
    v = np.array([1.0, -2.0])

    def clients(matrices: Sequence[np.ndarray], sketch: Any) -> Distributed:
        return Distributed([Quadratic(A, A @ v) for A in matrices], sketch, shift=v)

    dealt = PermK(2, clients=2)
    return [
        clients([first, first], dealt),
        clients([first, second], dealt),
        clients([third, third], dealt),
        clients([first, second, third], RandK(2, k=1)),
    ]
