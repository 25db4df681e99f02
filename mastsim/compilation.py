"""Compiled functions: one place decides where numba keeps them, and an edit of any of their sources makes new ones.

Numba looks at the file that a compiled function is in, not at the files of what is inlined into it or frozen in it. So all
kernels of this package lie in a folder whose name is a fingerprint of all their sources.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from mastsim.dependencies import needed

numba = needed("numba", "computing expected losses and taking steps")
int64, uint64, register_jitable = numba.int64, numba.uint64, numba.extending.register_jitable
_CONFIG: Any = numba.config
_PACKAGE = Path(__file__).parent
_NAMES_MODULE = re.compile(rb"^from mastsim\.([\w.]+) import", re.MULTILINE)
_COMPILES = re.compile(rb"^from mastsim\.compilation import|\bintrinsic\b", re.MULTILINE)
_KEPT = 8
"""Folders of earlier sources that stay beside the newest: another version may be at work."""
_LOCK = threading.Lock()


def njit(
    *functions: Callable[..., Any], inner: bool = False, makes_arrays: bool = False, **settings: Any
) -> Callable[..., Any]:
    """Compile a function as `numba.njit` does, and keep what was compiled in the folder of these sources.

    A loop is divided among threads by `mastsim.parallel`, never by numba: its threads do not survive a fork, or abort the
    process when two callers meet. NUMBA_DISABLE_JIT is not followed, and is switched off
    for the process: kernels need arithmetic that only compiled code has.

    Parameters
    ----------
    *functions : callable
        The function, where the decorator has no settings.
    inner : bool
        Whether only compiled functions call it, as they do all with ``forceinline``. The code through which Python would is
        then left out: unpacking tuples of arrays takes longer to compile than most functions.
    makes_arrays : bool
        Whether such a function makes or returns arrays. Numba counts who holds an array only where one does: for a tuple of
        many arrays that takes longer than a short function.
    **settings
        Settings of `numba.njit`.

    Examples
    --------
    >>> njit(lambda x: x + 1)(2)
    3
    """
    assert not settings.get("parallel"), "divide the loop by mastsim.parallel"
    folder = kernel_folder() if settings.get("cache") else None
    within = inner or settings.get("forceinline", False)
    counts = makes_arrays or not within
    entrances: dict[str, Any] = {"no_cpython_wrapper": within, "no_cfunc_wrapper": True, "_nrt": counts}
    decorate = numba.njit(**entrances | settings | {"cache": folder is not None})

    def compiled(function: Callable[..., Any]) -> Any:
        with _LOCK:
            before = _CONFIG.CACHE_DIR
            # Not only here: what numba inlines is compiled when a kernel first runs.
            _CONFIG.CACHE_DIR, _CONFIG.DISABLE_JIT = folder or before, 0
            try:
                found = _kept_if_possible(decorate(function))
                found = _closed(found) if within else found
                return found if counts else _borrowing(found)
            finally:
                _CONFIG.CACHE_DIR = before

    return compiled(functions[0]) if functions else compiled


def _closed(function: Any) -> Any:
    """Let Python get an exception, not a crash, from a function that has no entrance for it."""

    def refuse(*_: Any, **__: Any) -> None:
        raise TypeError(f"{function.__name__} is called by compiled functions only")

    function._compile_for_args, function._insert = refuse, lambda *_, **__: None
    return function


def _borrowing(function: Any) -> Any:
    """Refuse to compile a function that returns an array of which it did not count who holds it."""
    add = function.add_overload

    def add_checked(compiled: Any) -> None:
        found = compiled.signature.return_type
        if function.targetctx.data_model_manager[found].contains_nrt_meminfo():
            raise TypeError(f"{function.__name__} returns {found}, so it must be compiled with makes_arrays=True")
        add(compiled)

    function.add_overload = add_checked
    return function


def _kept_if_possible(function: Any) -> Any:
    """Let a compiled function do without its file where that cannot be written: the disk may be full by now."""
    kept: Any = getattr(function, "_cache", None)
    if hasattr(kept, "save_overload"):
        save = kept.save_overload

        def save_if_possible(*what: Any) -> None:
            with suppress(OSError):
                save(*what)

        kept.save_overload = save_if_possible
    return function


@cache
def kernel_folder() -> str | None:
    """Return the folder where compiled kernels of these sources are kept, or None where there is none; it is made here.

    It is in the folder that NUMBA_CACHE_DIR names; else beside the package, in the user's cache, or among temporary files,
    which is said by a warning.

    Examples
    --------
    >>> kernel_folder() == kernel_folder()
    True
    """
    name = f"mastsim-kernels-{fingerprint(_PACKAGE)}"
    for base in _usual_places():
        if _make(base / name):
            _remove_old(base)
            return str(base / name)
    temporary = _temporary_place()
    if temporary is not None and _make(temporary / name):
        warnings.warn(
            f"no usual folder for compiled kernels can be written, so they are kept in {str(temporary)!r}; "
            "set NUMBA_CACHE_DIR to a folder that lasts",
            stacklevel=2,
        )
        return str(temporary / name)
    warnings.warn("no folder for compiled kernels can be written, so this process compiles its own", stacklevel=2)
    return None


def fingerprint(package: Path) -> str:
    """Return a text that changes with every source of a compiled function, and with what such a source imports by name.

    Parameters
    ----------
    package : Path
        The folder of a package that lies as this one does.

    Examples
    --------
    >>> len(fingerprint(_PACKAGE))
    16
    """
    sources = {path.relative_to(package).as_posix(): path.read_bytes() for path in package.rglob("*.py")}
    chosen = {name for name, text in sources.items() if _COMPILES.search(text)}
    for name in tuple(chosen):
        for found in _NAMES_MODULE.findall(sources[name]):
            stem = found.decode().replace(".", "/")
            chosen |= {f"{stem}.py", f"{stem}/__init__.py"} & sources.keys()
    digest = hashlib.sha256()
    for name in sorted(chosen):
        digest.update(f"{name}\0{len(sources[name])}\0".encode() + sources[name])
    return digest.hexdigest()[:16]


def _usual_places() -> Iterator[Path]:
    if _CONFIG.CACHE_DIR:
        yield Path(_CONFIG.CACHE_DIR)
        return
    yield _PACKAGE / "__pycache__"
    try:
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mastsim"
    except RuntimeError:
        return


def _temporary_place() -> Path | None:
    """Return a folder among temporary files that is this user's alone: what lies there is run."""
    try:
        own = Path(tempfile.gettempdir(), f"mastsim-{os.getuid() if hasattr(os, 'getuid') else 'kernels'}")
        own.mkdir(mode=0o700, exist_ok=True)
        return own if _is_own(own) else Path(tempfile.mkdtemp(prefix="mastsim-"))
    except OSError:
        return None


def _is_own(folder: Path) -> bool:
    """Return whether nobody else can have put something into a folder."""
    found = folder.lstat()
    mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return stat.S_ISDIR(found.st_mode) and mine


def _make(folder: Path) -> bool:
    """Make a folder where it is missing, and return whether files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        os.utime(folder)
    except (OSError, ValueError):
        return False
    return True


def _remove_old(base: Path) -> None:
    """Remove the folders of sources that were not used for long, of which there is one for every edit."""
    try:
        dated = sorted(((path.stat().st_mtime, path) for path in base.glob("mastsim-kernels-*")), reverse=True)
    except OSError:
        return
    for _, path in dated[1 + _KEPT :]:
        shutil.rmtree(path, ignore_errors=True)
