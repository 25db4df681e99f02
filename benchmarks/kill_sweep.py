"""What long use and sudden ends leave behind: nothing lost, memory flat, tables the same byte for byte.

python -m benchmarks.kill_sweep [--workers N] [--calls N] [--tasks N] [--kills N]

A sweep is killed at random moments and started again; a thousand simulations and a sweep of two thousand tiny tasks run in
one process, whose memory is looked at as it goes.
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

import mastsim as ms
from mastsim.sweeps import sweep

TASKS = 200
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
PAGE, MIB = os.sysconf("SC_PAGE_SIZE"), 1 << 20
FLAT = 16
"""MiB by which memory may grow after the first tenth of the work: what allocators keep."""


def written(folder):
    """Return the contents of all records."""
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def memory():
    """Return the memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / MIB


def table_of(found, folder):
    """Return the bytes of the table of a sweep."""
    found.save_csv(folder / "table.csv")
    return (folder / "table.csv").read_bytes()


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


def killed_sweeps(room, workers, kills):
    """Kill the sweep at random moments, finish it, and return whether nothing was lost or changed."""
    rng, killed, lost, before, folder = random.Random(0), 0, 0, {}, room / "killed"
    for moment in sorted(rng.sample(range(1, TASKS - 8), kills)):
        killed += killed_after(folder, workers, moment, 0.02 * rng.random())
        after = written(folder)
        lost += sum(after.get(name) != text for name, text in before.items())
        before = after
        print(f"kill {killed:2d}: {len(after):3d} of {TASKS} records, {lost} lost or changed", flush=True)
    resumed = sweep(GRID, folder, progress=False)
    lost += sum(written(folder).get(name) != text for name, text in before.items())
    same = table_of(resumed, folder) == table_of(sweep(GRID, room / "whole", progress=False), room)
    print(f"{killed} kills, {lost} records lost, {resumed.computed} tasks left for the last run, same table: {same}")
    return lost == 0 and same and killed == kills


def flat(what, work, count):
    """Do something many times, print how memory goes, and return whether it is flat after the first tenth."""
    sizes = []
    for i in range(count):
        work(i)
        if (i + 1) % max(1, count // 10) == 0:
            sizes.append(memory())
    print(f"{count} {what}: {', '.join(f'{size:.0f}' for size in sizes)} MiB")
    return max(sizes) - sizes[0] <= FLAT


def simulations(count):
    """Return whether many simulations leave memory flat; every one has an objective of its own."""
    data = ms.load("synthetic:n=200,d=20")

    def simulate(i):
        F = ms.Mast(ms.LeastSquares(data.A, data.y, l2=0.1 + 1e-6 * i), ms.RandK(20, k=5))
        ms.simulate(ms.DSGD(1e-3), F, steps=20, replicas=8, seed=i, progress=False)

    return flat("simulate calls", simulate, count)


def tiny_tasks(room, count):
    """Return whether a sweep of many tiny tasks leaves memory flat, and repeats itself byte for byte."""
    steps = ["theory", *(f"0.{i}*theory" for i in range(1, 10))]
    grid = GRID | {"stepsize": steps, "seed": list(range(count // 20)), "steps": 2, "replicas": 2}
    fine = flat("parts of a sweep", lambda i: sweep(grid | {"stepsize": steps[i]}, room, progress=False), len(steps))
    found, other = sweep(grid, room, progress=False), room.with_name("again")
    same = table_of(found, room) == table_of(sweep(grid, other, progress=False), other)
    print(f"{len(found.tasks)} tiny tasks, {found.computed} of them not done yet at the end, same table: {same}")
    return fine and same and found.computed == 0


def main():
    """Kill, repeat, compare, and print what was found; exit 1 if anything was lost or grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("workers", 1), ("calls", 1000), ("tasks", 2000), ("kills", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        fine = [
            simulations(asked.calls),
            tiny_tasks(Path(room) / "tiny", asked.tasks),
            killed_sweeps(Path(room), asked.workers, asked.kills),
        ]
    print(f"{asked.workers} workers, {os.cpu_count()} cores: {'all' if all(fine) else 'NOT all'} as it should be")
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
