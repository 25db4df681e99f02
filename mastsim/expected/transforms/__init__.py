"""Expectations of exponential sums over randomly kept entries, with first and second derivatives.

For every data row i the kernels evaluate

    value_i = Re sum_k w_k E exp(s_k u_i),    u_i = offset_i + sum_j theta_j 1[entry j is kept],

with nodes ``s_k = sigma + 1j t_k`` and complex weights ``w_k`` read from a table that rows share through ``bucket``.
Two laws of the kept set are covered: entries kept independently, and groups of entries that are what a row holds of
a uniform subset of N out of M units (one group per row is Rand-K, several are an N:M sketch).

A row's result depends on that row alone: it is bitwise the same for any number of threads.
"""

from mastsim.expected.transforms.arguments import Groups, Nodes, Transforms, pack
from mastsim.expected.transforms.calls import independent, mixed, subset

__all__ = ["Groups", "Nodes", "Transforms", "independent", "mixed", "pack", "subset"]
