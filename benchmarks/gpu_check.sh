#!/bin/sh
# Checks the GPU path from the source tree, with nothing installed and without a network: the tests marked `gpu`, then the
# table of where a GPU is faster than the host. Under six minutes on one H200. `--dry-run` does the same on a stand-in.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
if [ "${1:-}" = --dry-run ]; then
    "$PYTHON" -m pytest -q -W default -p no:cacheprovider tests/test_device.py -k "stand_in and (Poisson or bitwise)"
    exec "$PYTHON" -m benchmarks.crossover --stand-in --seconds 60
fi
MASTSIM_TEST_DEVICE=gpu "$PYTHON" -m pytest -q -W default -p no:cacheprovider tests/test_device.py -m gpu
exec "$PYTHON" -m benchmarks.crossover --seconds "${1:-150}"
