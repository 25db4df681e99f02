"""The arguments of sketches as the command line writes them: numbers separated by colons."""

from __future__ import annotations

from mastsim.validation import number


def whole_numbers(argument: str, form: str) -> list[int]:
    """Return the whole numbers in `argument`, as many as `form` has fields."""
    return [_whole(name, text, form) for name, text in _fields(argument, form)]


def keep_and_count(argument: str, form: str) -> tuple[float, int]:
    """Return the keep fraction and the whole number in `argument`."""
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
