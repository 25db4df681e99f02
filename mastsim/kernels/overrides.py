"""Whether objects are what kernels take them for: a user's subclass that changes an operation must not be overruled."""

from __future__ import annotations

from typing import Any


def keeps(thing: Any, kind: type, *names: str) -> bool:
    """Return whether an object is of a kind and none of the named operations were overridden.

    Parameters
    ----------
    thing : object
        The object.
    kind : type
        The class whose operations a kernel stands for.
    *names : str
        The operations.

    Examples
    --------
    >>> class Odd(list):
    ...     def append(self, item):
    ...         pass
    >>> keeps([], list, "append"), keeps(Odd(), list, "append"), keeps(Odd(), list, "pop")
    (True, False, True)
    """
    return isinstance(thing, kind) and all(getattr(type(thing), name) is getattr(kind, name) for name in names)
