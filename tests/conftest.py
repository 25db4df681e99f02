"""Hypothesis profiles, ``pr`` repeats itself and ``nightly`` looks further; and a folder for compiled kernels."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile(
    "pr", deadline=None, derandomize=True, max_examples=40, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", deadline=None, derandomize=False, max_examples=400, print_blob=True)
settings.load_profile(os.environ.get("MASTSIM_HYPOTHESIS", "pr"))

os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "numba"))
