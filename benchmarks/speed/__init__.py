"""mastsim against NumPy, SciPy, PyTorch and JAX, side by side in one run: ``python -m benchmarks.speed [--quick]``."""
