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


SLOW = (
    *("test_interruption", "test_cli", "test_far_points", "test_compilation", "test_one_file_one_line", "test_dependencies"),
    *("test_verification", "test_attack", "test_rates", "test_verdicts", "test_mutations", "test_sequential"),
    *("test_processes", "test_benchmarks", "test_device", "test_rates_table", "test_pytest_plugin", "test_stub"),
    *("test_long_moments", "test_contraction", "test_error_bounds", "test_rows", "test_sweeps", "test_kernels"),
    *("test_theorem_checks", "test_figure_numbers", "test_every_figure", "test_answers_to_critics"),
    *("test_figures_of_the_paper", "test_readable_figures", "test_certificates", "test_exit_codes", "test_streams"),
    *("test_examples", "test_examples_of_practitioners", "test_record_errors", "test_advice_for_data", "test_odd_data"),
    *("test_notebooks_manners", "test_report", "test_readme", "test_site", "test_lyapunov", "test_worstcase", "test_search"),
    *("test_labels", "test_readable_plots", "test_moment_operators", "test_columns", "test_entries", "test_row_laws"),
    *("test_losses_by_sketches", "test_checks_and_strategies", "test_moving_shift", "test_subnetworks", "test_reshuffled"),
    *("test_gpu_check", "test_faults", "test_sparse_moments", "test_tiers_of_truth", "test_parallel", "test_simulation"),
)
"""Files that take long even with few examples, or start many interpreters: left out by `make quick`."""


def pytest_collection_modifyitems(items):
    """Mark what the files above hold, and begin with it: workers that take whole files then end together."""
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: item.path.stem not in SLOW)
