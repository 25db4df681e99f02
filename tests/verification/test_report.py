"""The report and the theorem pages: who is named as what, nothing of a name is run, every theorem has what it needs."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mastsim.theorems import ALL
from mastsim.verification.grouping import grouped
from mastsim.verification.report import summary, write_report
from mastsim.verification.theorem_pages import page, write_pages
from mastsim.verification.verdict import Curve, Verdict

pytestmark = pytest.mark.slow

HEAD = {"mastsim": "0", "seed": 0, "alpha": 1e-6, "data": {"name": "d", "n": 1, "d": 1, "sha256": "0" * 64}}
CURVE = Curve(np.arange(3), np.ones(3), 2 * np.ones(3))
HELD = Verdict(
    *(
        "theorem2",
        "Theorem 2",
        "MAST",
        "a problem",
        "a sketch",
        "DSGD",
        "exact",
        "holds",
        "holds",
        0.5,
        "step 1",
        "steps 1..2",
    ),
    measure="distance",
    curve=CURVE,
)
FALSE = replace(
    HELD, theorem="theorem2/halved", title="Theorem 2, halved", verdict="refuted", expected="refuted", max_ratio=3.0
)
SAMPLED = replace(HELD, tier="Monte Carlo", alpha=1e-8, samples=100, smallest_violation=1.2, max_ratio=0.9)


def written(folder, verdicts, head=HEAD):
    """Return the text of the report on some verdicts."""
    return write_report(folder, verdicts, dict(head)).read_text(encoding="utf-8")


def outcome(text, name):
    """Return what the report lists under a heading."""
    return re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", text).group(1)


def test_the_head_names_what_was_refuted_and_what_was_expected_to_be(tmp_path):
    wrong = replace(HELD, theorem="theorem3", title="Theorem 3", verdict="refuted", max_ratio=2.0)
    missed = replace(FALSE, theorem="lemma1/halved", title="Lemma 1, halved", verdict="holds")
    unsure = replace(HELD, theorem="theorem5", title="Theorem 5", verdict="inconclusive")
    text = written(tmp_path, [HELD, FALSE, FALSE, wrong, missed, unsure])
    assert "Theorem 2, halved</a> (2 instances)" in outcome(text, "Refuted, as expected")
    assert outcome(text, "Refuted, as expected").count("<li>") == 1
    assert outcome(text, "Refuted, though expected to hold").count("<li>") == 1
    assert "Theorem 3<" in outcome(text, "Refuted, though expected to hold")
    assert "Lemma 1, halved<" in outcome(text, "Expected to be refuted, but not")
    assert "Theorem 5<" in outcome(text, "Expected to hold, but undecided")
    assert "3 not as expected" in text
    assert text.count("class=surprise") == 3


@pytest.mark.parametrize("name", ["<b>x", "'\"><script>alert(1)</script>", "a & b", "</section>"])
def test_names_from_files_are_shown_and_never_run(tmp_path, name):
    named = dict.fromkeys(("title", "problem", "sketch", "method", "witness", "scope", "source"), name)
    own = replace(HELD, theorem=name, **named)
    head = HEAD | {"data": HEAD["data"] | {"name": name}}
    text = written(tmp_path, [own, HELD], head)
    plain = written(tmp_path, [replace(own, theorem="x", **dict.fromkeys(named, "x")), HELD])
    tags = re.compile(r"<[a-z/!][^\s>]*")
    assert tags.findall(text) == tags.findall(plain)


def test_a_section_holds_the_statement_the_strip_the_curves_and_every_verdict(tmp_path):
    text = written(tmp_path, [HELD, FALSE, SAMPLED])
    section = re.search(r'<section id="theorem2">.*?</section>', text, re.DOTALL).group(0)
    assert section.count("<math") >= 3
    assert section.count("<figure>") == 3
    assert section.count("<title>") == 3
    assert section.count("<tr data-tier=") == 3
    assert "<details><summary>3 verdicts</summary>" in section
    assert 'data-tier="Monte Carlo" data-verdict="holds"' in section
    assert "Nearest to the bound: 0.5, exact" in section


def test_every_theorem_has_its_section_and_its_link(tmp_path):
    verdicts = [replace(HELD, theorem=kind.id, title=kind.title) for kind in ALL]
    text = written(tmp_path, verdicts)
    for kind in ALL:
        assert text.count(f'<section id="{kind.id}">') == 1
        assert f'<a href="#{kind.id}">' in text
    assert text.count('class="statement"') == len(ALL)


def test_variants_stand_with_what_they_vary_and_others_by_themselves():
    groups = grouped([FALSE, HELD, replace(HELD, theorem="mine/with a slash")])
    assert [(g.id, len(g.claims), len(g.variants)) for g in groups] == [("theorem2", 1, 1), ("mine/with a slash", 1, 0)]
    assert summary([HELD, FALSE]).startswith("1 of 1 claims hold; 1 of 1 false variants are refuted")


def test_the_tightest_is_exact_where_anything_is():
    (group,) = grouped([SAMPLED, HELD, replace(HELD, max_ratio=0.7), replace(HELD, max_ratio=9.0, verdict="refuted")])
    assert group.tightest.max_ratio == 0.7
    (group,) = grouped([SAMPLED])
    assert group.tightest is SAMPLED


def test_pages_show_names_as_they_are_and_their_charts(tmp_path):
    odd = replace(HELD, problem="<b>x|y*z_w$", witness="`")
    kind = next(kind for kind in ALL if kind.id == "theorem2")
    text = page(kind, [odd, FALSE], "mastsim verify")
    assert r"\<b\>x\|y\*z\_w\$" in text
    files = write_pages(tmp_path, [odd, FALSE], "mastsim verify")
    pictures = re.findall(r"\]\((theorem2-[^)]*\.svg)\)", (tmp_path / "theorem2.md").read_text(encoding="utf-8"))
    assert len(pictures) == 3
    assert {tmp_path / name for name in pictures} <= set(files)
    assert "<b>" not in "".join((tmp_path / name).read_text(encoding="utf-8") for name in pictures)
