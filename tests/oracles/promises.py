"""What the tier of a constant promises, held against a truth of many digits."""

import mpmath

from tests.oracles.rational import DIGITS


def number(value):
    """Return a fraction, a float or a number of many digits as one of many digits."""
    if hasattr(value, "numerator"):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value)


def holds(name, constant, truth, scale):
    """Assert what the tier of a constant promises."""
    with mpmath.workdps(DIGITS):
        value, error, truth = number(float(constant)), number(constant.error), number(truth)
        error += mpmath.mpf(10) ** -90 * abs(truth)  # that of eigenvalues to 150 digits
        where = f"{name} = {constant!r} ± {constant.error:.3g}, but the truth is {mpmath.nstr(truth, 20)}"
        if constant.kind == "exact":
            assert abs(value - truth) <= error + mpmath.mpf("1e-290"), where
            assert constant.error <= max(1e-6 * abs(float(constant)), 1e-9 * scale), where
        elif constant.kind == "upper":
            assert truth <= value + error + mpmath.mpf("1e-290"), where
        elif constant.kind == "lower":
            assert truth >= value - error - mpmath.mpf("1e-290"), where
