"""Statements in MathML and Markdown: nothing of a statement is lost, and whatever it says it is only shown."""

import html
import re
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latex2mathml.converter import convert

from mastsim.theorems import ALL
from mastsim.typesetting import Clause, clauses, markdown_statement, typeset, typeset_display, typeset_inline

ATOMS = [
    "x",
    r"\gamma",
    r"\mathbb E",
    "f_D",
    r"\frac{a + b}{c \le d}",
    r"\left(a + b\right)",
    r"\|x - v\|^2",
    "(1 - a)",
    "x^+",
    "g_-",
]


def shown(markup):
    """Return the texts of what a browser would show, and fail where the markup is not well-formed."""
    return "".join(ElementTree.fromstring(f"<div>{markup}</div>").itertext())


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.id)
def test_every_statement_of_the_registry_is_typeset(kind):
    markup = typeset(kind.statement)
    assert "<code" not in markup
    assert "\\" not in shown(markup)
    assert markup.count("<p>") == len(clauses(kind.statement))


@given(st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from([r"\le", r"\ge", "+", "-"])), min_size=1, max_size=6))
def test_pieces_of_a_line_hold_all_of_it_and_break_only_outside_of_brackets(terms):
    tex = " ".join(part for pair in terms for part in pair) + " y"
    markup = typeset_display(tex)
    assert "<code" not in markup
    assert markup.count("<math") == typeset_inline(tex).count("<math") == len(terms) + 1
    letters = re.compile(r"[\W\d_]")
    whole = "".join(ElementTree.fromstring(convert(tex)).itertext())
    assert letters.sub("", unicodedata.normalize("NFKC", shown(markup))) == letters.sub("", whole)


@given(st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3), st.lists(st.sampled_from(ATOMS), max_size=3))
def test_clauses_are_conditions_claim_and_definitions(claim, definitions):
    statement = r" \Rightarrow ".join(claim) + "".join(rf", \quad {each}" for each in definitions)
    found = clauses(statement)
    words = ["if"] * (len(claim) - 1) + ["then"] if len(claim) > 1 else [""]
    assert found == [
        Clause(*pair) for pair in zip([*words, *["where"] * len(definitions)], [*claim, *definitions], strict=True)
    ]
    assert markdown_statement(statement).count("$$") == 2 * len(found)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30))
def test_any_text_is_shown_and_never_run(text):
    for markup in (typeset(text), typeset(rf"\text{{{text}}}"), typeset_inline(text)):
        assert "<script" not in markup
        shown(markup)


@pytest.mark.parametrize(
    ("tex", "letter"),
    [
        (r"\mathbb E", "𝔼"),
        (r"\mathbb R", "ℝ"),
        (r"\mathbf S", "𝐒"),
        (r"\mathfrak D", "𝔇"),
        (r"\mathfrak H", "ℌ"),
        (r"\mathcal L", "ℒ"),
    ],
)
def test_letters_are_those_that_browsers_draw(tex, letter):
    assert shown(typeset_inline(tex)) == letter


def test_limits_stand_below_in_displays_and_beside_in_sentences():
    assert "<munder>" in typeset_display(r"\min_{t<T} x")
    assert "<munder>" not in typeset_inline(r"\min_{t<T} x")


@pytest.mark.parametrize("tex", [r"\text{<b> \& c}", r"a_b_<b>", r"\left( <b>"])
def test_what_cannot_be_typeset_is_shown_as_it_is(tex):
    assert typeset(tex) == f'<div class="statement"><p><span><code>{html.escape(tex)}</code></span></p></div>'
