"""How many examples a property is tried on: its own number in a whole run, fewer while typing, more by night."""

from hypothesis import settings

WHOLE = 40
"""Examples of a property without a number of its own, in a whole run."""


def examples(count: int) -> int:
    """Return how many examples of a property with so many in a whole run the profile in use tries."""
    return max(1, count * settings.default.max_examples // WHOLE)
