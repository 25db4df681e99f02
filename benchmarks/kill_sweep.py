"""Kill a sweep of 200 tasks 20 times at random moments; no finished task may be lost, and the table must be the same.

python -m benchmarks.kill_sweep [--workers N]
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mastsim.sweeps import sweep

TASKS, KILLS = 200, 20
GRID = {
    "data": "synthetic:n=12,d=4,condition=10",
    "problem": "least-squares",
    "sketch": ["randk:0.5", "bernoulli:0.3"],
    "stepsize": ["theory", "0.5*theory"],
    "seed": list(range(TASKS // 4)),
    "steps": 100,
    "replicas": 32,
    "measures": ["distance"],
}
PROGRAM = """
import json, sys
from mastsim.sweeps import sweep
if __name__ == "__main__":
    sweep(json.loads(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]), progress=False)
"""


def written(folder):
    """Return the contents of all records."""
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def killed_after(folder, workers, records, delay):
    """Start the sweep, kill it once there are so many records and a delay has passed; return whether it still ran."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(GRID), str(folder), str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while len(list(folder.glob("*.json"))) < records and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    # Ends when the workers, which share the pipe, have ended too.
    process.communicate()
    return process.returncode != 0


def main():
    """Kill, compare, and print what was found; exit 1 if a record was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    workers = parser.parse_args().workers
    rng, kills, lost, before = random.Random(0), 0, 0, {}
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "killed"
        for moment in sorted(rng.sample(range(1, TASKS - 8), KILLS)):
            kills += killed_after(folder, workers, moment, 0.02 * rng.random())
            after = written(folder)
            lost += sum(after.get(name) != text for name, text in before.items())
            before = after
            print(f"kill {kills:2d}: {len(after):3d} of {TASKS} records, {lost} lost or changed", flush=True)
        resumed = sweep(GRID, folder, progress=False)
        lost += sum(written(folder).get(name) != text for name, text in before.items())
        same = repr(resumed.table()) == repr(sweep(GRID, Path(room) / "whole", progress=False).table())
    print(f"{kills} kills, {lost} records lost, {resumed.computed} tasks left for the last run, same table: {same}")
    print(f"{workers} workers, {os.cpu_count()} cores")
    sys.exit(0 if lost == 0 and same and kills == KILLS else 1)


if __name__ == "__main__":
    main()
