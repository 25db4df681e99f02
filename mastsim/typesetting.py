"""LaTeX statements as MathML, which browsers render without scripts or a network, and as Markdown for pages."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_STYLES = {"bold": "BOLD", "double-struck": "DOUBLE-STRUCK", "fraktur": "FRAKTUR", "script": "SCRIPT"}
_LIMITS = {"min", "max", "inf", "sup", "∑"}
_BREAKS = ("≤", "≥", "+", "−")
_RELATIONS = ("le", "ge", "leq", "geq")
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
_OPENING, _CLOSING = ("{", "(", "[", r"\{", r"\left"), ("}", ")", "]", r"\}", r"\right")


class Clause(NamedTuple):
    """A clause of a statement.

    Parameters
    ----------
    word : str
        ``if``, ``then``, ``where``, or empty for a statement without conditions.
    tex : str
        The clause in LaTeX.
    """

    word: str
    tex: str


def clauses(statement: str) -> list[Clause]:
    r"""Return the conditions, the claim and the definitions of a statement.

    They are told apart by ``\Rightarrow`` and ``\quad`` outside of brackets.

    Parameters
    ----------
    statement : str
        LaTeX, without dollars.

    References
    ----------
    This package.

    Examples
    --------
    >>> clauses(r"\gamma \le 1 \Rightarrow a \le b, \quad b = c")
    [Clause(word='if', tex='\\gamma \\le 1'), Clause(word='then', tex='a \\le b'), Clause(word='where', tex='b = c')]
    """
    parts = [list(_split(part, r"\Rightarrow")) for part in _split(statement, r"\quad")]
    claim = parts[0]
    words = [""] if len(claim) == 1 else ["if"] * (len(claim) - 1) + ["then"]
    pairs = [*zip(words, claim, strict=True), *(("where", text) for part in parts[1:] for text in part)]
    return [Clause(word, stripped) for word, text in pairs if (stripped := text.strip().rstrip(",").rstrip())]


def typeset(statement: str) -> str:
    r"""Return a statement in HTML: a line for each clause, broken before relations and sums where it does not fit.

    Parameters
    ----------
    statement : str
        LaTeX, without dollars; what cannot be typeset is shown as it is.

    References
    ----------
    This package.

    Examples
    --------
    >>> typeset("")
    ''
    >>> typeset(r"a \Rightarrow b").count("<math")
    2
    """
    if not statement.strip():
        return ""
    lines = "".join(f"<p>{_word(clause)}<span>{typeset_display(clause.tex)}</span></p>" for clause in clauses(statement))
    return f'<div class="statement">{lines}</div>'


def typeset_display(tex: str) -> str:
    """Return displayed LaTeX as pieces of MathML between which a browser may break the line."""
    return _typeset(tex, " ", display=True)


def typeset_inline(tex: str) -> str:
    """Return LaTeX within a sentence as pieces of MathML between which a browser may break the line."""
    return _typeset(tex, "<wbr/>", display=False)


def markdown_statement(statement: str) -> str:
    r"""Return a statement as Markdown: a displayed formula for each clause.

    Examples
    --------
    >>> print(markdown_statement(r"a \Rightarrow b"))
    if
    <BLANKLINE>
    $$a$$
    <BLANKLINE>
    then
    <BLANKLINE>
    $$b$$
    """
    lines = [text for clause in clauses(statement) for text in (clause.word, f"$${clause.tex}$$") if text]
    return "\n\n".join(lines)


def _word(clause: Clause) -> str:
    return f'<span class="clause">{clause.word}</span> ' if clause.word else ""


def _typeset(tex: str, between: str, display: bool) -> str:
    """Return LaTeX in pieces of MathML; as it is where one of them cannot be typeset."""
    pieces = [_mathml(piece, display) for piece in _pieces(tex)]
    known = [piece for piece in pieces if piece is not None]
    return between.join(known) if len(known) == len(pieces) else f"<code>{html.escape(tex)}</code>"


def _tokens(tex: str) -> Iterator[tuple[str, int]]:
    """Yield the tokens of LaTeX with the depth of brackets and norms that each stands at."""
    depth, sized, norm = 0, False, False
    for token in _TOKEN.findall(tex):
        bar = token == r"\|"
        depth -= (token in _CLOSING and not sized) or (bar and norm)
        yield token, depth
        depth += (token in _OPENING and not sized) or (bar and not norm)
        norm ^= bar
        sized = token in (r"\left", r"\right")


def _split(tex: str, separator: str) -> Iterator[str]:
    """Yield what stands between a command outside of brackets."""
    part = ""
    for token, depth in _tokens(tex):
        if token == separator and depth == 0:
            yield part
            part = ""
        else:
            part += token
    yield part


def _pieces(tex: str) -> list[str]:
    """Return LaTeX cut before relations and sums, and after commas with a blank, outside of brackets and of scripts."""
    parts, before = [""], ""
    for token, depth in _tokens(tex):
        breaks = token in "+-" or token[1:] in _RELATIONS
        if depth == 0 and breaks and before not in ("^", "_") and parts[-1].strip():
            parts.append("")
        if depth == 0 and token == r"\ " and before == ",":
            parts.append("")
        else:
            parts[-1] += token
        before = token if token.strip() else before
    return [part for part in parts if part.strip()]


def _mathml(tex: str, display: bool) -> str | None:
    """Return LaTeX as MathML for browsers; None where the converter does not know it."""
    from latex2mathml.converter import convert

    try:
        tree = ElementTree.fromstring(convert(tex))
    except Exception:  # whatever a converter raises, the statement is shown as it was written
        return None
    for node in list(tree.iter()):
        _adapt(node, display)
    first = next((node for node in tree.iter() if not len(node)), tree)
    if first.tag.endswith("}mo") and first.text in _BREAKS:
        first.set("form", "infix")
    tree.set("displaystyle", "true" if display else "false")
    ElementTree.register_namespace("", _NAMESPACE)
    return re.sub(r' xmlns="[^"]*"', "", ElementTree.tostring(tree, encoding="unicode"))


def _adapt(node: ElementTree.Element, display: bool) -> None:
    """Rewrite what browsers do not render: styles of letters, and limits beside rather than below min and sum."""
    if (style := node.attrib.pop("mathvariant", None)) in _STYLES and node.text:
        node.text = "".join(_styled(letter, _STYLES[style]) for letter in node.text)
    elif style == "normal":
        node.set("mathvariant", "normal")
    name = node.tag.rpartition("}")[2]
    if display and name == "msub" and len(node) and node[0].text in _LIMITS and node[0].tag.endswith("}mo"):
        node.tag = f"{{{_NAMESPACE}}}munder"


def _styled(letter: str, style: str) -> str:
    """Return a letter in a style of Unicode's mathematical alphabets; itself where there is none."""
    size = "CAPITAL" if letter.isupper() else "SMALL"
    spelled = [f"MATHEMATICAL {style} {size} {letter.upper()}", f"{style} {size} {letter.upper()}"]
    spelled.append(f"BLACK-LETTER {size} {letter.upper()}" if style == "FRAKTUR" else spelled[0])
    for name in spelled:
        try:
            return unicodedata.lookup(name)
        except KeyError:
            continue
    return letter
