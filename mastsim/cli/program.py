"""The program around the commands: what every one of them does with errors, warnings, signals and streams."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import click

from mastsim.cli.listings import SECTIONS
from mastsim.cli.streams import drop, occupy_closed_descriptors, say, sound_streams
from mastsim.cli.together import check_together
from mastsim.interruption import heard
from mastsim.memory import check_start
from mastsim.version import __version__

BAD_INPUT, MACHINE, INTERRUPTED = 2, 3, 130

_WELCOME = """Compute, simulate and put on trial the theory of sparsified training min_x E_S f(v + S(x - v)).

\b
Which step may I take on my data?
  mastsim advise DATA.csv --target COLUMN
  mastsim stepsize --data DATA --sketch randk:0.1
Is a theorem true?
  mastsim verify                            all theorems, on a real data set
  mastsim verify --attack theorem6-quoted   search for a counterexample
  mastsim verify --module mine.py           also your own theorem
What do the paper's figures look like?
  mastsim reproduce --quick
"""
_EXIT_CODES = """\b
Exit codes:
  0    done, and as expected
  1    a surprise: a verdict that is not the expected one, a task of a sweep that failed
  2    an argument or a file's content is not accepted
  3    the machine: memory, disk, no GPU, a folder that cannot be written
  130  interrupted
"""


class Refusal(click.ClickException):
    """Why a command ends: an argument, or what is in a file."""

    exit_code = BAD_INPUT

    def show(self, file: Any = None) -> None:
        """Print the line on stderr."""
        say(f"Error: {self.format_message()}", err=True)


class MachineRefusal(Refusal):
    """Why a command ends: the machine."""

    exit_code = MACHINE


class Command(click.Command):
    """A command that refuses options which do nothing together, before any work; its help ends with what can be named."""

    def __init__(self, *args: Any, listed: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.listed = listed

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that are listed; they are looked up only now, because that takes imports."""
        for title in self.listed:
            with formatter.section(title):
                try:
                    formatter.write_dl(SECTIONS[title](), col_max=24)
                except ImportError as broken:
                    formatter.write_text(f"They cannot be listed: {broken}")

    def invoke(self, ctx: click.Context) -> Any:
        """Check the memory that is left and the options, and run."""
        check_start()
        check_together(ctx)
        return super().invoke(ctx)


class Program(click.Group):
    """The group of all commands, which turns every way to end into a line and an exit code."""

    command_class = Command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, and exit with its code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        if args is None:
            occupy_closed_descriptors()
        try:
            with sound_streams(), heard() as signals:
                run = super().main
                sys.exit(_code(lambda: run(args, prog_name, complete_var, standalone_mode=False, **extra), signals))
        finally:
            if args is None:
                # The process ends: nothing is left that could be interrupted.
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it refuses and what the machine refuses become one line, warnings lines on stderr."""
        with refusals(), warnings.catch_warnings():
            # Said each time, and never an error: what a weak number means is in its label.
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            return super().invoke(ctx)


def _code(run: Callable[[], Any], signals: SimpleNamespace) -> int:
    """Return the exit code of a command, after saying why it is not 0."""
    before = sys.stdout
    try:
        with refusals():
            return run() or 0
    except BrokenPipeError:
        drop(sys.stdout)
        return 0
    except SystemExit:
        # Nobody read the help to its end: click puts another stream there and exits with 1, which is for surprises.
        if sys.stdout is before:
            raise
        drop(sys.stdout)
        return 0
    except (click.Abort, KeyboardInterrupt):
        pass
    except Exception as failed:
        # Libraries that an interruption hit say so in words of their own.
        if not signals.came:
            if not isinstance(failed, click.ClickException):
                raise
            failed.show()
            return failed.exit_code
    say("Interrupted.", err=True)
    return INTERRUPTED


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what is wrong with the input or the machine into a refusal; what is wrong with the program stays as it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, RecursionError, NotImplementedError) as problem:
        raise Refusal(_line(problem)) from problem
    # Where memory ends, the interpreter's own allocations can fail without a word: a SystemError is what is left of that.
    except (MemoryError, OSError, RuntimeError, ImportError, SystemError) as problem:
        if isinstance(problem, (click.exceptions.Exit, click.Abort)):
            raise
        raise MachineRefusal(_line(problem)) from problem
    except ArithmeticError as problem:
        raise Refusal(f"numbers are too large or too small to compute with: {_line(problem)}") from problem
    # An EOFError would look to click as if somebody had pressed Ctrl-D.
    except (ValueError, TypeError, EOFError) as problem:
        raise Refusal(str(problem) or _line(problem)) from problem


def _line(problem: BaseException) -> str:
    """Return an error in one line, in words where it has none."""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror if problem.filename is None else f"{str(problem.filename)!r}: {problem.strerror}"
    if isinstance(problem, MemoryError) and not str(problem):
        return "there is not enough memory"
    if isinstance(problem, SystemError):
        return f"Python itself failed ({problem}), as it does when memory runs out"
    return " ".join(str(problem).split()) or f"{type(problem).__name__} without a reason"


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"Warning: {message}", err=True)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help=_WELCOME,
    epilog=_EXIT_CODES,
)
@click.version_option(__version__, prog_name="mastsim")
def main() -> None:
    """Run a command."""
