"""Interleaved timing: all variants in turn, several rounds, medians and spread, so that a ratio survives a noisy machine."""

import os
import platform
import statistics
import time
from pathlib import Path


def interleaved(variants, rounds=7, clock=time.process_time):
    """Return seconds per call of every variant, a list a name; each is called once before timing starts.

    They are the processor's, of all threads, unless another clock is given: waiting for a busy machine does not count.
    """
    for call in variants.values():
        call()
    seconds = {name: [] for name in variants}
    for _ in range(rounds):
        for name, call in variants.items():
            begin = clock()
            call()
            seconds[name].append(clock() - begin)
    return seconds


def median(values):
    """Return the median."""
    return statistics.median(values)


def ratio_line(title, slow, fast):
    """Return one line: the median ratio of two series taken in the same rounds, and its spread."""
    ratios = sorted(a / b for a, b in zip(slow, fast, strict=True))
    return f"{title:62s} {statistics.median(ratios):10.3g} x   ({ratios[0]:.3g} .. {ratios[-1]:.3g})"


def of_source_tree(settings):
    """Return the environment of a process that imports this source tree, with further settings."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path} | settings


def machine():
    """Return a word about the machine."""
    return f"{platform.machine()}, Python {platform.python_version()}"
