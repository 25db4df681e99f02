"""Hypothesis profiles, from ``quick`` while typing to ``nightly``; and a folder for compiled kernels."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import WHOLE

REPEATED = settings(deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", REPEATED, max_examples=3)
settings.register_profile("pr", REPEATED, max_examples=WHOLE)
settings.register_profile("nightly", deadline=None, derandomize=False, max_examples=400, print_blob=True)
settings.load_profile(os.environ.get("MASTSIM_HYPOTHESIS", "pr"))

# Workers share the processors, and threads of BLAS that wait for each other cost more than the small matrices of tests.
for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(library, "1")
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "numba"))


@pytest.fixture
def null_device(tmp_path: Path) -> Path:
    """A device like /dev/null that nobody else needs: a program that is wrong would replace it."""
    path = tmp_path / "null.npz"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.stat(os.devnull).st_rdev)
        path.write_bytes(b"")
    except (OSError, AttributeError):
        pytest.skip("devices cannot be made here")
    return path


def pytest_collection_modifyitems(items):
    """Begin with the files that take long: workers that take whole files then end together."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
