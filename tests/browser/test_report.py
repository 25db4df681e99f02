"""The report in a browser, with real clicks: filters, anchors, folded tables, names from files, light and dark."""

from dataclasses import replace

import numpy as np
import pytest

from mastsim.verification.report import write_report
from mastsim.verification.verdict import Curve, Verdict

pytestmark = pytest.mark.slow

HEAD = {"mastsim": "0", "seed": 0, "alpha": 1e-6, "data": {"name": "<b>x", "n": 1, "d": 1, "sha256": "0" * 64}}
HELD = Verdict(
    *("theorem2", "Theorem 2", "MAST", "<b>x", "a sketch", "DSGD", "exact", "holds", "holds", 0.5, "step 1", "steps 1..2"),
    measure="distance",
    curve=Curve(np.arange(3), np.ones(3), 2 * np.ones(3)),
)
SAMPLED = replace(HELD, tier="Monte Carlo", alpha=1e-8, samples=9)
FALSE = replace(HELD, theorem="theorem2/halved", title="Halved", verdict="refuted", expected="refuted", max_ratio=3.0)
OTHER = replace(HELD, theorem="theorem6-quoted", title="Theorem 6", verdict="refuted", expected="refuted", max_ratio=9.0)


@pytest.fixture
def report(browser, tmp_path):
    """Return the browser with a report in it."""
    browser.get(write_report(tmp_path, [HELD, SAMPLED, FALSE, OTHER], HEAD).as_uri())
    return browser


def shown(browser, selector):
    """Return the elements that are shown."""
    return [each for each in browser.find_elements("css selector", selector) if each.is_displayed()]


def open_tables(browser):
    """Open the tables by a click."""
    browser.find_element("css selector", "button[name=open]").click()


def tick(browser, value):
    """Click the box of a tier or a verdict."""
    browser.find_element("css selector", f".filters input[value='{value}']").click()


def test_the_page_is_silent_narrow_enough_and_typeset(report, judged):
    assert judged(report) >= 6
    open_tables(report)
    judged(report)


def test_tables_are_folded_until_they_are_clicked(report):
    assert shown(report, "tbody tr") == []
    report.find_element("css selector", "#theorem2 summary").click()
    assert len(shown(report, "tbody tr")) == 3
    report.find_element("css selector", "#theorem2 summary").send_keys("\n")
    assert shown(report, "tbody tr") == []


def test_filters_by_tier_verdict_and_theorem(report):
    open_tables(report)
    count = report.find_element("css selector", ".filters output")
    assert (len(shown(report, "tbody tr")), count.text) == (4, "4 of 4 verdicts shown")
    tick(report, "Monte Carlo")
    assert (len(shown(report, "tbody tr")), count.text) == (3, "3 of 4 verdicts shown")
    tick(report, "holds")
    assert len(shown(report, "tbody tr")) == 2
    tick(report, "refuted")
    assert shown(report, "main section") == shown(report, "nav li") == []
    for value in ("refuted", "holds", "Monte Carlo"):
        tick(report, value)
    report.find_element("css selector", ".filters option[value='theorem6-quoted']").click()
    assert [section.get_attribute("id") for section in shown(report, "main section")] == ["theorem6-quoted"]
    assert (len(shown(report, "tbody tr")), len(shown(report, "nav li"))) == (1, 1)


def test_links_lead_to_sections_that_are_then_in_view(report):
    open_tables(report)
    report.find_element("css selector", "nav a[href='#theorem2']").click()
    top = report.execute_script("return document.querySelector('#theorem2 h2').getBoundingClientRect().top")
    bar = report.execute_script("return document.querySelector('.filters').getBoundingClientRect().bottom")
    assert max(0, bar) <= top <= 900


def test_names_from_files_are_shown_as_they_are(report):
    open_tables(report)
    assert report.find_elements("tag name", "b") == []
    assert "<b>x" in report.find_element("css selector", "header").text
    assert any("<b>x" in cell.text for cell in shown(report, "td"))


def test_everything_that_acts_is_reached_by_the_keyboard_and_has_a_name(report):
    acting = report.execute_script(
        "return [...document.querySelectorAll('a, button, input, select, summary, [tabindex]')]"
        ".filter(e => e.checkVisibility() && e.tabIndex < 0).length"
    )
    unnamed = report.execute_script(
        "return [...document.querySelectorAll('svg, input, select, button')].filter(e => "
        "!(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length"
    )
    assert (acting, unnamed) == (0, 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(report, scheme):
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    contrasts = report.execute_script(
        "const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255).map("
        "v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };"
        "const ground = light(getComputedStyle(document.body).backgroundColor);"
        "return ['body', 'a', 'h2', 'figcaption'].map(s => light(getComputedStyle(document.querySelector(s)).color))"
        ".map(ink => (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05));"
    )
    assert min(contrasts) >= 4.5
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_texts_of_charts_are_not_cut(report):
    cut = report.execute_script(
        "const box = e => e.getBoundingClientRect(), inside = (a, b) =>"
        " a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;"
        "return [...document.querySelectorAll('svg text')].filter(t => t.checkVisibility())"
        ".filter(t => !inside(box(t), box(t.ownerSVGElement))).map(t => t.textContent);"
    )
    assert cut == []
