"""What a user waits for at first: the compilation of the README's first example, `mastsim constants`, import and help.

Seconds are of the processor, so that a busy machine does not decide them; on an idle one they are those of the clock.
"""

import doctest
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import machine, median, of_source_tree

ROOT = Path(__file__).resolve().parent.parent
# Times come in hundredths of a second, and a short process may have none.
SPENT = "\nimport os; print('\\n', max(sum(os.times()[:2]), 0.01))"
COMMAND = "import sys; from mastsim.cli import main; sys.argv = ['mastsim', *{}]\ntry: main()\nexcept SystemExit: pass"
GOALS = {"compile": 8.0, "constants": 3.0, "import": 1.5, "help": 0.3}


def first_example():
    """Return the code of the README's first example."""
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return "".join(example.source for example in doctest.DocTestParser().get_examples(block[1]))


def spent(code, **environment):
    """Return the processor's seconds of a fresh process, interpreter included."""
    done = subprocess.run(
        [sys.executable, "-c", code + SPENT], env=of_source_tree(environment), capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def measured(rounds):
    """Return title, name of the goal and seconds of every row."""
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (spent(first_example(), NUMBA_CACHE_DIR=cache) for _ in range(2))
        constants = COMMAND.format(["constants", "--sketch", "randk:0.4", "--json", "-"])
        spent(constants, NUMBA_CACHE_DIR=cache)
        yield "README's first example: compilation into an empty cache", "compile", cold - warm
        yield "README's first example, kernels cached", None, warm
        yield "mastsim constants, kernels cached", "constants", spent(constants, NUMBA_CACHE_DIR=cache)
    empty = median(spent("pass") for _ in range(rounds))
    for name, code in (("import", "import mastsim"), ("help", COMMAND.format(["--help"]))):
        title = {"import": "import mastsim, beyond an empty process", "help": "mastsim --help"}[name]
        yield title, name, median(spent(code) for _ in range(rounds)) - (empty if name == "import" else 0.0)


def main(quick):
    """Print the rows."""
    print("Start-up, seconds of the processor:")
    for title, goal, seconds in measured(3 if quick else 7):
        told = f"   goal {GOALS[goal]:g} s: {'met' if seconds <= GOALS[goal] else 'NOT met'}" if goal else ""
        print(f"  {title:58s} {seconds:7.2f} s{told}", flush=True)


if __name__ == "__main__":
    print(machine())
    main("--quick" in sys.argv[1:])
