"""What needs a process of its own: import, help, compilation into an empty cache, peak memory."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import median

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
COMPILE = """
import time
import scipy.sparse as sp
sparse = ms.Mast(ms.LogisticRegression(sp.csr_array(A * (A > 1)), y, l2=0.1), F.sketch)
Q = ms.Mast(ms.Quadratic(np.eye(100), np.ones(100)), ms.RandK(100, 10))
for method, objective in ((ms.DSGD(1e-3), sparse), (ms.DSGD(1e-3, ms.Nice(32)), sparse), (ms.DSGD(1e-3), Q)):
    begin = time.perf_counter(); go(64, method, objective); first = time.perf_counter() - begin
    begin = time.perf_counter(); go(64, method, objective)
    print(first - (time.perf_counter() - begin))
"""


def python(*arguments, **environment):
    """Return what a fresh interpreter prints."""
    root = str(Path(__file__).resolve().parents[2])
    place = {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    settings = os.environ | place | environment
    return subprocess.run([sys.executable, *arguments], env=settings, capture_output=True, text=True, check=True).stdout


def import_seconds(rounds):
    """Return the median time of ``import mastsim`` and of that with what the first screen of the README uses."""
    quick = "import time; t = time.perf_counter(); import mastsim as ms; {} print(time.perf_counter() - t)"
    used = "ms.Mast, ms.LogisticRegression, ms.simulate, ms.theorems;"
    return {
        "import mastsim": median([float(python("-c", quick.format(""))) for _ in range(rounds)]),
        "import and first use of names": median([float(python("-c", quick.format(used))) for _ in range(rounds)]),
    }


def help_seconds(rounds):
    """Return the median wall time of the command line's help, interpreter included."""
    spent = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        python("-c", "import sys; from mastsim.cli import main; sys.argv = ['mastsim', '--help']; main()")
        spent.append(time.perf_counter() - begin)
    return median(spent[1:])


def compile_seconds():
    """Return what the first calls cost beyond second ones, with an empty cache and with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        runs = [python("-c", SIMULATION + COMPILE, NUMBA_CACHE_DIR=cache) for _ in range(2)]
    cold, warm = ([float(line) for line in out.split()] for out in runs)
    return {"cold": dict(zip(("DSGD-I", "DSGD-II", "quadratic"), cold, strict=True)), "cached": sum(warm)}


def memory(replicas):
    """Return the peak that so many replicas add, in bytes, and how many states of R x d that is."""
    few, many = (int(python("-c", SIMULATION + PEAK, str(count))) for count in (64, replicas))
    return {"replicas": replicas, "added": many - few, "states": (many - few) / (replicas * DIM * 8)}
