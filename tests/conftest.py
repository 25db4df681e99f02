"""Hypothesis profiles, from ``quick`` while typing to ``nightly``; and a cache of kernels for these sources."""

import hashlib
import os
from pathlib import Path

from hypothesis import HealthCheck, settings

REPEATED = settings(deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", REPEATED, max_examples=5)
settings.register_profile("pr", REPEATED, max_examples=40)
settings.register_profile("nightly", deadline=None, derandomize=False, max_examples=400, print_blob=True)
settings.load_profile(os.environ.get("MASTSIM_HYPOTHESIS", "pr"))

# Numba's cache looks at a function's own file, not at the files of what is inlined into it: after an edit it may be stale.
ROOT = Path(__file__).parent.parent
SOURCES = [path.read_bytes() for path in sorted((ROOT / "mastsim").rglob("*.py"))]
STAMP = hashlib.sha256(b"".join(source for source in SOURCES if b"numba" in source)).hexdigest()[:16]
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".pytest_cache" / f"numba-{STAMP}"))
