"""Compute, simulate and put on trial the theory of sparsified training min_x E_S f(v + S(x − v)).

Names are imported when first used, so that ``import mastsim`` and the command line's help are quick and touch no device.
``__init__.pyi`` lists them.
"""

from __future__ import annotations

import importlib
from typing import Any

import lazy_loader

from mastsim.version import __version__ as __version__

_listed, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _listed(name)
    for folder in ("sketches", "problems", "methods") if name[:1].isupper() else ():
        if hasattr(families := importlib.import_module(f"mastsim.{folder}"), name):
            return getattr(families, name)
    raise AttributeError(f"module 'mastsim' has no attribute {name!r}")
