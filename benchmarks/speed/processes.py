"""What needs a process of its own: peak memory."""

import subprocess
import sys

from benchmarks.timing import of_source_tree

DIM, STEPS = 123, 2
SIMULATION = f"""
import sys
import numpy as np, mastsim as ms
rng = np.random.Generator(np.random.Philox(0))
A, y = rng.standard_normal((500, {DIM})), np.where(rng.random(500) < 0.5, 1.0, -1.0)
F = ms.Mast(ms.LogisticRegression(A, y, l2=0.1), ms.RandK({DIM}, 12))
def go(replicas, method=ms.DSGD(1e-3), F=F):
    ms.simulate(method, F, steps={STEPS}, replicas=replicas, measures=("f",), every={STEPS}, progress=False)
"""
PEAK = """
go(64)
go(int(sys.argv[1]))
from pathlib import Path
status = Path("/proc/self/status")
if status.exists():
    print([int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")][0])
else:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def python(*arguments):
    """Return what a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, *arguments], env=of_source_tree({}), capture_output=True, text=True, check=True
    ).stdout


def memory(replicas):
    """Return the peak that so many replicas add, in bytes, and how many states of R x d that is."""
    few, many = (int(python("-c", SIMULATION + PEAK, str(count))) for count in (64, replicas))
    return {"replicas": replicas, "added": many - few, "states": (many - few) / (replicas * DIM * 8)}
