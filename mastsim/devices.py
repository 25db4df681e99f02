"""The host and the GPU: where arrays live, and how data and objectives get there."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from mastsim.backend import Array, namespace
from mastsim.namespaces import NUMPY, is_cupy
from mastsim.validation import one_of


class NoDeviceError(RuntimeError, ValueError):
    """The device that is asked for is not there."""


@dataclass(frozen=True, eq=False)
class Device:
    """Where arrays live: the host, or a device with a namespace of its own.

    Parameters
    ----------
    name : str
        ``"cpu"`` is the host; everything else holds arrays of `xp`.
    xp : namespace
        Its array namespace.

    Examples
    --------
    >>> host, x = find_device("cpu"), np.ones(2)
    >>> host.move(x) is x
    True
    """

    name: str
    xp: Any
    _moved: dict[int, tuple[Any, Any]] = field(default_factory=dict, init=False, repr=False)

    @property
    def is_host(self) -> bool:
        """Whether it is the host, where nothing has to be moved."""
        return self.name == "cpu"

    def move(self, thing: Any) -> Any:
        """Return arrays, sequences of them and what has a method ``on(device)`` on this device; all else as it is.

        What was moved once is not moved again.
        """
        if self.is_host:
            return thing
        if id(thing) not in self._moved:
            # The host's object is kept, so that its id is not given to another.
            self._moved[id(thing)] = (thing, self._move(thing))
        return self._moved[id(thing)][1]

    def copy(self, thing: Any, **computed: Any) -> Any:
        """Return a copy of a dataclass with its fields on this device, and with values of its cached properties.

        Parameters
        ----------
        thing : dataclass instance
            What to copy; its checks are not run again.
        **computed
            Values of cached properties that are computed on the host and moved.
        """
        if self.is_host:
            return thing
        moved = object.__new__(type(thing))
        held = {item.name: getattr(thing, item.name) for item in fields(thing)} | computed
        for name, value in held.items():
            object.__setattr__(moved, name, self.move(value))
        return moved

    def _move(self, thing: Any) -> Any:
        if hasattr(thing, "on"):
            return thing.on(self)
        if isinstance(thing, np.ndarray):
            return self.xp.asarray(thing)
        if hasattr(thing, "tocsr"):
            return self._sparse(thing)
        return tuple(self.move(item) for item in thing) if isinstance(thing, (tuple, list)) else thing

    def _sparse(self, matrix: Any) -> Array:
        if is_cupy(self.xp):
            rows = matrix.tocsr()
            parts = tuple(self.xp.asarray(part) for part in (rows.data, rows.indices, rows.indptr))
            return importlib.import_module("cupyx.scipy.sparse").csr_matrix(parts, shape=rows.shape)
        return self.xp.asarray(matrix.toarray())


def find_device(device: str | Device) -> Device:
    """Return a device by its name.

    Parameters
    ----------
    device : {"cpu", "gpu"}
        The host, or the current CUDA device of CuPy.

    Returns
    -------
    Device
        The device; one that is passed in comes back.

    Raises
    ------
    ValueError
        If the name is unknown; a `NoDeviceError` if there is no CuPy or no GPU.

    Examples
    --------
    >>> find_device("cpu").is_host
    True
    """
    if isinstance(device, Device):
        return device
    if one_of("device", device, ["cpu", "gpu"]) == "cpu":
        return Device("cpu", NUMPY)
    return Device("gpu", namespace(_working_cupy().empty(0)))


def _working_cupy() -> Any:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as missing:
        raise NoDeviceError(
            "device='gpu' needs CuPy, which cannot be imported: pip install 'mastsim[gpu]' for CUDA 12, 'mastsim[gpu13]' "
            "for CUDA 13, or the CuPy that fits your GPU (docs.cupy.dev/en/stable/install.html), or take device='cpu' "
            f"({missing})"
        ) from missing
    try:
        count, why = cupy.cuda.runtime.getDeviceCount(), "it counts none"
    except Exception as failed:  # CuPy's errors can only be named where it can be imported
        count, why = 0, str(failed)
    if count == 0:
        raise NoDeviceError(
            f"device='gpu' is not available: CuPy finds no CUDA GPU ({why}); check nvidia-smi and that CuPy fits the "
            "driver, or take device='cpu'"
        )
    return cupy
