"""Texts that spell numbers; imported before anything heavy is, to read the command line."""

from __future__ import annotations


def plain_number(text: str) -> str:
    """Return a text that may spell a number; Python's own syntax lets 1_0 pass for 10, and digits of other scripts.

    Parameters
    ----------
    text : str
        What somebody wrote.

    Raises
    ------
    ValueError
        If it is written in other signs, or would be read as 0 although it is not.

    Examples
    --------
    >>> plain_number("1e-300")
    '1e-300'
    >>> plain_number("1e-400")
    Traceback (most recent call last):
        ...
    ValueError: '1e-400' is not accepted: the least number above 0 is 5e-324
    """
    written = repr(text) if len(text) <= 60 else f"(a text of {len(text)} signs)"
    if "_" in text or not text.isascii():
        raise ValueError(f"{written} is not a number written in digits alone, such as 10 or 0.1")
    if _vanishes(text):
        raise ValueError(f"{written} is not accepted: the least number above 0 is 5e-324")
    return text


def _vanishes(text: str) -> bool:
    """Return whether a text spells a number that is not 0 and yet is read as 0."""
    try:
        return float(text) == 0 and any(digit in "123456789" for digit in text.lower().partition("e")[0])
    except ValueError:
        return False
