"""The sources of the site: pages of figures, a proof for every theorem of this package, no page that nobody lists."""

import re
from pathlib import Path

import pytest

from mastsim.reproduce import ALL_FIGURES
from mastsim.theorems import ALL

DOCS = Path(__file__).parent.parent / "docs"
KINDS = {kind.id: kind for kind in ALL}


def test_pages_of_figures_show_figures_that_there_are():
    pages = list((DOCS / "gallery").glob("*.md"))
    assert {path.stem for path in pages} <= set(ALL_FIGURES)
    for path in pages:
        for kind in ("png", "json"):
            assert f"](../../figures/{path.stem}.{kind})" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", KINDS)
def test_a_theorem_that_is_from_nowhere_else_is_proved(name):
    proof = DOCS / "theorems" / "proofs" / f"{name}.md"
    assert proof.exists() or "this package" not in KINDS[name].source
    page = (DOCS / "theorems" / f"{name}.md").read_text(encoding="utf-8")
    if "## Proof" in page:
        assert page.endswith(proof.read_text(encoding="utf-8"))


def test_every_page_is_listed_on_another():
    pages = [path for path in DOCS.rglob("*.md") if "proofs" not in path.parts and path.name != "index.md"]
    listing = (DOCS / name for name in DOCS.glob("*.md"))
    listed = "\n".join(
        block for path in listing for block in re.findall(r"```{toctree}.*?```", path.read_text(encoding="utf-8"), re.S)
    )
    for path in pages:
        name = path.relative_to(DOCS).with_suffix("").as_posix()
        assert re.search(rf"^{re.escape(name)}$", listed, re.MULTILINE) or name.startswith(("theorems/", "gallery/")), name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index", "start", "practitioner"])
def test_the_examples_of_the_first_pages_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, f"{name}.md", "exec"), {})
