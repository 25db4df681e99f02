"""Time all of it: ``python -m benchmarks.speed [--quick] [--only TEXT] [--without torch|jax] [--out FILE]``."""

import argparse
import os

THREADS = 2
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={THREADS}"
# XLA has as many threads as the process has processors.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="three rows of fewer replicas, short timings, no torch.compile, one JAX device"
    )
    parser.add_argument("--only", default="", help="rows whose title contains this text")
    parser.add_argument("--without", action="append", default=[], choices=["torch", "jax"], help="leave a library out")
    parser.add_argument("--out", help="write all numbers to this JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    # The libraries read the limits above when they are imported.
    from benchmarks.speed.run import main

    main(arguments())
