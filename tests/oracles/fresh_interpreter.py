"""Code run in an interpreter of its own, so that what a module does on import can be seen."""

import os
import subprocess
import sys
from pathlib import Path

import mastsim


def run_python(code):
    """Run code in a fresh interpreter that finds this package, and return what it prints."""
    here = str(Path(mastsim.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": here}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout
