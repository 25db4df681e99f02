"""How many examples a property is tried on: three fifths of its number in a whole run, fewer while typing, more by night."""

from hypothesis import settings

UNIT, WHOLE = 40, 24
"""What numbers in tests are relative to, and how many examples a property without a number of its own has in a whole run."""


def examples(count: int) -> int:
    """Return how many examples the profile in use tries of a property with so many for every `UNIT` of another."""
    return max(1, count * settings.default.max_examples // UNIT)
