"""The arguments of sketches as the command line writes them: numbers separated by colons."""

from __future__ import annotations

from mastsim.validation import number


def whole_numbers(argument: str, form: str) -> list[int]:
    """Return the whole numbers in `argument`, as many as `form` has fields.

    Parameters
    ----------
    argument : str
        What follows ``keyword:``.
    form : str
        The accepted form with an example, ``keyword:FIELD:FIELD, for example ...``.

    Returns
    -------
    list of int
        One number a field.

    Raises
    ------
    ValueError
        If there are more or fewer fields, or one is not a whole number.

    Examples
    --------
    >>> whole_numbers("2:4", "nofm:N:M, for example nofm:2:4")
    [2, 4]
    """
    return [_whole(name, text, form) for name, text in _fields(argument, form)]


def keep_and_count(argument: str, form: str) -> tuple[float, int]:
    """Return the keep fraction and the whole number in `argument`.

    Parameters
    ----------
    argument : str
        What follows ``keyword:``.
    form : str
        The accepted form with an example, ``keyword:KEEP:COUNT, for example ...``.

    Returns
    -------
    tuple of float and int
        The two numbers.

    Raises
    ------
    ValueError
        If there are not two fields, or one is not a number of its kind.

    Examples
    --------
    >>> keep_and_count("0.5:8", "block-bernoulli:KEEP:BLOCKS, for example block-bernoulli:0.5:8")
    (0.5, 8)
    """
    (keep_name, keep), (count_name, count) = _fields(argument, form)
    return number(keep_name, keep, form), _whole(count_name, count, form)


def _fields(argument: str, form: str) -> list[tuple[str, str]]:
    keyword, *names = form.split(",")[0].split(":")
    texts = argument.split(":")
    if len(texts) != len(names):
        raise ValueError(f"sketch '{keyword}:{argument}' is not accepted: write {form}")
    return [(f"{keyword} {name}", text) for name, text in zip(names, texts, strict=True)]


def _whole(name: str, text: str, form: str) -> int:
    value = number(name, text, form)
    if not value.is_integer():
        raise ValueError(f"{name} {text!r} is not accepted: it must be a whole number; write {form}")
    return int(value)
