"""Run the example at the top of README.md and write its picture to figures/first-example.png."""

import doctest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
names: dict = {}
for example in doctest.DocTestParser().get_examples((ROOT / "README.md").read_text(encoding="utf-8")):
    exec(example.source, names)
names["picture"].savefig(ROOT / "figures" / "first-example.png", dpi=130)
