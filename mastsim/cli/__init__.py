"""The command line: verify, constants, stepsize, advise, simulate, rates, sweep, reproduce, data.

Heavy imports happen inside the commands, so that ``mastsim --help`` answers at once.
"""

try:
    from mastsim.cli.consulting import advise
    from mastsim.cli.datasets import data
    from mastsim.cli.figures import reproduce
    from mastsim.cli.program import main
    from mastsim.cli.rates import rates
    from mastsim.cli.runs import run_sweep, simulate
    from mastsim.cli.theory import constants, stepsize
    from mastsim.cli.trial import verify
except KeyboardInterrupt:  # pressed so early that nothing else can catch it
    raise SystemExit(130) from None

__all__ = ["advise", "constants", "data", "main", "rates", "reproduce", "run_sweep", "simulate", "stepsize", "verify"]
