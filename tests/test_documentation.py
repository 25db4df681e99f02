"""The sources of the site: a page a figure, a proof for every theorem of this package, no page that nobody lists."""

import re
from pathlib import Path

import pytest

from mastsim.reproduce import ALL_FIGURES
from mastsim.theorems import ALL

DOCS = Path(__file__).parent.parent / "docs"
KINDS = {kind.id: kind for kind in ALL}


@pytest.mark.parametrize("name", ALL_FIGURES)
def test_every_figure_has_a_page_with_its_title_its_picture_and_its_numbers(name):
    text = (DOCS / "gallery" / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {ALL_FIGURES[name].TITLE}\n")
    assert f"](../../figures/{name}.png)" in text
    assert f"](../../figures/{name}.json)" in text
    assert f"gallery/{name}\n" in (DOCS / "gallery.md").read_text(encoding="utf-8")


def test_proofs_and_figures_that_are_gone_have_no_page():
    assert {path.stem for path in (DOCS / "theorems" / "proofs").glob("*.md")} <= set(KINDS)
    assert {path.stem for path in (DOCS / "gallery").glob("*.md")} == set(ALL_FIGURES)


@pytest.mark.parametrize("name", KINDS)
def test_a_theorem_that_is_from_nowhere_else_is_proved(name):
    proof = DOCS / "theorems" / "proofs" / f"{name}.md"
    assert proof.exists() or "this package" not in KINDS[name].source
    if proof.exists():
        assert proof.read_text(encoding="utf-8").strip() in (DOCS / "theorems" / f"{name}.md").read_text(encoding="utf-8")


def test_every_page_is_listed_on_another():
    pages = [path for path in DOCS.rglob("*.md") if "proofs" not in path.parts and path.name != "index.md"]
    listing = (DOCS / name for name in DOCS.glob("*.md"))
    listed = "\n".join(
        block for path in listing for block in re.findall(r"```{toctree}.*?```", path.read_text(encoding="utf-8"), re.S)
    )
    for path in pages:
        name = path.relative_to(DOCS).with_suffix("").as_posix()
        assert re.search(rf"^{re.escape(name)}$", listed, re.MULTILINE) or name.startswith("theorems/"), name
