"""Sizes within which numbers are not told apart: relative to what each is compared with, but for the first."""

SMALLEST = 1e-300
"""No bound is taken to be smaller: ratios stay finite."""

STEP_ROUNDING = 1e-14
"""What rounding does to the square root of a measure, relative to that of its start or its mean."""

RETURNED = 1e-12
"""What rounding leaves of the start where the bound falls to zero, the start and the measure being of one kind."""

MINIMIZER_ROUNDING = 2.0**-100
"""Rounding of minimisers, which are found in 106-bit arithmetic, relative to squared distances."""

ROUNDING = 1e-9
"""Excess of left over right that is put down to rounding: no bound is enlarged further to confirm a claim."""

SIDE_ROUNDING = 1e-12
"""Rounding of a side of an inequality, relative to the size of what it was computed from."""

ZERO_SIDE = 1e-14
"""A left side of an inequality that is below this, in the same proportion, vanishes."""
