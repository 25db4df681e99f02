"""The README as a code-hosting site shows it: no wider than the window, its pictures there, its links and anchors alive."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STYLE = """
body { margin: 0; font: 16px/1.5 -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; color: #1f2328; }
article { max-width: 894px; margin: 0 auto; padding: 32px; box-sizing: border-box; overflow-wrap: break-word; }
h1, h2 { border-bottom: 1px solid #d1d9e0b3; padding-bottom: .3em; } img { max-width: 100%; }
a { color: #0969da; }
code { font: 85% ui-monospace, "DejaVu Sans Mono", monospace; background: #818b981f; padding: .2em .4em; }
pre { background: #f6f8fa; padding: 16px; overflow: auto; } pre code { background: none; padding: 0; white-space: pre; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
td, th { border: 1px solid #d1d9e0; padding: 6px 13px; }
@media (max-width: 767px) { article { padding: 16px; } }
"""
"""Such a site's rules that matter here: a column beside the README, text that wraps, code and tables that scroll."""


@pytest.fixture(scope="module")
def readme(tmp_path_factory):
    """Return the page; links and pictures are looked up beside the README."""
    markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py comes with the extra 'docs'")
    body = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render((ROOT / "README.md").read_text(encoding="utf-8"))
    named = re.sub(r"<h(\d)>(.*?)</h\1>", lambda found: f'<h{found[1]} id="{slug(found[2])}">{found[2]}</h{found[1]}>', body)
    page = tmp_path_factory.mktemp("readme") / "README.html"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><base href="{ROOT.as_uri()}/">'
    page.write_text(f"<!doctype html><title>README</title>{head}<style>{STYLE}</style><article>{named}</article>", "utf-8")
    return page


def slug(heading):
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", re.sub(r"<.*?>", "", heading).lower()).replace(" ", "-")


@pytest.fixture
def shown(browser, readme):
    """Return the browser, at one of its widths, with the README open."""
    browser.get(readme.as_uri())
    return browser


def test_the_page_is_no_wider_than_the_window(shown):
    assert shown.execute_script("return document.documentElement.scrollWidth") <= shown.width
    assert [entry for entry in shown.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_pictures_are_there_and_fit(shown):
    pictures = shown.execute_script(
        "return [...document.images].map(i => [i.getAttribute('src'), i.complete, i.naturalWidth, i.width, i.alt])"
    )
    assert pictures
    for source, complete, natural, width, said in pictures:
        assert complete and natural > 0, source  # noqa: PT018
        assert 0 < width <= shown.width
        assert len(said) > 20, f"{source} says too little to those who do not see it"


def test_on_a_desk_no_line_of_code_is_cut_off(shown):
    """On a phone code scrolls by itself; at full width a line that has to be scrolled is too long."""
    wide = shown.execute_script(
        "return [...document.querySelectorAll('pre')].filter(p => p.scrollWidth > p.clientWidth).map(p => p.innerText)"
    )
    assert wide == [] or shown.width < 1000


def test_first_screen_of_a_desk_holds_sentence_installation_and_example(shown):
    bottoms = shown.execute_script("return [...document.querySelectorAll('pre')].map(p => p.getBoundingClientRect().bottom)")
    assert len(bottoms) >= 3
    assert shown.width < 1000 or bottoms[1] < 900


def test_links_lead_to_files_and_headings(shown):
    targets = shown.execute_script("return [...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    names = set(shown.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)"))
    for target in targets:
        file, _, anchor = target.partition("#")
        assert (ROOT / file).exists(), target
        assert file or anchor in names, target
