"""Every number that a page of the gallery says is the one in the figure's file, and none is said that nobody compares."""

import json
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in (ROOT / "docs" / "gallery").glob("*.md"))
SETTINGS = (
    r"\ba5a\b|Theorems? \d|Lemma 1|Figures 2 and 3|as of November 2026|Rand-K|x_D\*|10⁻³⁰|"
    r"with (a share of )?[\d.]+( %)?( of the weights)? kept|and 50 %|v [=≠] 0|p = 0\.1|γL = 1/\d+|M = 64|95 %|"
    r"1/√\(𝔇T\)|1 − 2γμ_Dμ_f \+ γ²L_S\^max·μ_D·μ_f²|10⁻⁹|with 4,000 steps planned|in 24 runs"
)
"""What a number stands in without being one that was measured: settings, names and formulas."""


COUNTS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
)
"""Numbers as words."""


def percent(value):
    """Return a share as pages say it."""
    return f"{value:.0%}".replace("%", " %")


def power(value):
    """Return a number as d·10⁻ⁿ."""
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def said_of_bernoulli(f, _):
    yield "gaps differ by at most {}", f"{f['largest gap of Bernoulli over Rand-K'] - 1:.1%}".replace("%", " %")
    assert {value for key, value in f.items() if "stepsize of" in key} == {1.0}
    assert f["largest difference of accuracies"] < 0.001
    yield "test accuracies by less than {}", 0.001


def said_of_convergence(f, document):
    shorter = [1 / value for key, value in f.items() if key.startswith("theorem3_over_paper_stepsize")]
    yield "Theorem 3's step is {:.0f} to {:.0f} times smaller", min(shorter), max(shorter)
    assert not any(value for key, value in f.items() if key.startswith("steps_at_which_a_bound_is_crossed"))
    assert max(document["steps"]) == 4000


def said_of_cost(f, _):
    over = "flops to f goal over those of gradient descent, best step, keep"
    yield "DSGD takes {:.2f} times its operations with 70 % kept", f[f"{over} 0.7"]
    yield "and {:.2f} times with 30 %", f[f"{over} 0.3"]
    yield (
        "A step with 10 % kept takes {} of the operations",
        percent(f["flops of a step over those of gradient descent, keep 0.1"]),
    )


def said_of_designed_keeps(f, _):
    yield "the step allow {:.1f} times the step of uniform keeps", f["step, designed over uniform, keep 0.3"]
    yield "and {:.1f} times that of Rand-K", f["step, designed over rand-k, keep 0.3"]
    yield "they leave {} of it", percent(f["floor, designed over uniform, keep 0.3"])


def said_of_gap(f, _):
    yield "is met at {:.0f} to {}", 100 * f["smallest gap over bound"], percent(f["largest gap over bound"])
    yield "at most {} of it is left", percent(f["largest sharp gap over gap"])
    yield "and {} in the best case", percent(f["smallest sharp gap over gap"])


def said_of_gdci(f, _):
    yield "({:.3f} of that of GDCI with 10 % kept)", f["mast_over_gdci_largest_step least squares keep 0.1"]
    assert (
        f["mast_over_gdci_largest_step logistic regression keep 0.1"]
        == f["mast_over_gdci_largest_step least squares keep 0.1"]
    )
    yield "at 99 % kept, {:.3f} of that", f["mast_over_gdci_error each at its largest step least squares keep 0.99"]


def said_of_moving_shift(f, _):
    yield "distance to x* ends at {:.3f}", f["last E‖x − x*‖², p = 0"]
    yield "it falls to {}", power(f["last E‖x − x*‖², p = 0.1"])


def said_of_network(f, _):
    better, settings = f["mast_better_than_baseline_at_95_percent_early"], f["settings"]
    yield "without masks in {:.0f} of {:.0f} settings", better, settings
    assert f["mast_worse_than_baseline_at_95_percent_early"] == 0
    yield "it is up to {:.1f} points worse", -100 * f["worst_unpruned_mast_minus_dense_baseline_early"]


def said_of_rates(f, _):
    as_claimed, better = f["consistent"], f["better than claimed"]
    assert f["not consistent"] == f["undecided"] == 0
    yield "Of {} orders that theory claims", COUNTS[as_claimed + better]
    yield "{} are measured as claimed and {} better; none is worse", COUNTS[as_claimed], COUNTS[better]
    assert round(f["rate of DSGD, over the claimed"]) == 4  # "about four times the claimed one"
    floors = [abs(value - 1) for key, value in f.items() if key.startswith("floor in γ")]
    yield "as claimed, within {} %", math.ceil(100 * max(floors))


def said_of_reshuffled(f, _):
    times = "times smaller than of independent masks at γL ="
    yield "{:.0f} times nearer (squared distance) at γL = 1/4", f[f"{times} 0.25"]
    yield "and {:,.0f} times at γL = 1/256", round(f[f"{times} 0.00390625"], -2)
    assert f["bounds_crossed"] == 0


def said_of_shift(f, _):
    yield "the gap falls from {:.3f} at v = 0", f["gap, v = 0, keep 0.5"]
    yield "to {:.4f} at a v trained on the other half", f["gap, v = ERM of related rows, keep 0.5"]
    yield "a squared distance of {:.3f} for v = 0", f["last distance, v = 0"]
    yield "reaches {} for v = x*", power(f["last distance, v = x*"])
    assert round(f["accuracy, v = x*, keep 0.5"], 3) == round(f["accuracy_of_shift, v = x*, keep 0.5"], 3)
    yield "(accuracy {:.3f} of both)", f["accuracy, v = x*, keep 0.5"]


def said_of_sketch_families(f, _):
    gaps = f["gap exact, Bernoulli, 8 blocks, keep 0.25"], f["gap exact, Rand-K, keep 0.25"]
    yield "(gap {:.3f} against {:.3f} of Rand-K with a share of 0.25 kept)", *gaps
    assert f["stepsize exact, Bernoulli, 8 blocks, keep 0.25"] == pytest.approx(f["stepsize exact, Rand-K, keep 0.25"])
    assert (f["runs"], f["bounds_crossed"]) == (24, 0)


def said_of_speed_up(f, _):
    same, shards = ([v for key, v in f.items() if word in key and key.endswith("M 64")] for word in ("the same f", "shards"))
    yield "M-fold: {:.0f} to {:.0f} times for M = 64", min(same), max(same)
    yield "reach {:.0f} to {:.0f} times", min(shards), max(shards)
    assert min(value for key, value in f.items() if key.startswith("permk_over_independent")) > 0.99
    assert f["neighbourhoods_that_cross_their_bound"] == 0


def said_of_step_sizes(f, _):
    stable, usable = ([f[f"{kind} step over paper's, keep {keep}"] for keep in (0.1, 0.5)] for kind in ("stable", "usable"))
    yield "is {:.1f} times the paper's with 10 % kept", stable[0]
    yield "and {:.1f} times with 50 %", stable[1]
    yield "usable step is {:.0f} and {:.0f} times the paper's", *usable


def said_of_test_accuracy(f, _):
    yield "the MAST solution is {:.1f} points of accuracy better", f["points_of_accuracy mast - erm keep 0.3"]
    yield "and {:.1f} in the median", f["median_points_of_accuracy mast - erm keep 0.3"]
    yield "the more frequent class gets ({:.3f})", f["majority_accuracy"]
    for other in ("erm", "erm_tuned"):
        name = f"points_of_accuracy mast - {other} keep 0.9"
        assert abs(f[name]) < 2 * f[f"{name} stderr"]  # "with 90 % kept the means tie"
    assert all(
        value < f["majority_accuracy"] + 5e-4 for key, value in f.items() if key.startswith("median_masked") and "0.1" in key
    )


def said_of_theorem6(f, _):
    quoted = [value for key, value in f.items() if key.startswith("quoted_ratio")]
    yield "exceeds the right {:.2f}, {:.2f}, {:.2f} and {:.2f} times", *quoted
    assert 0.19 < f["largest_corrected_ratio"] < 0.2
    yield "the ratio stays below {}", 0.2


def said_of_theory_table(f, document):
    yield "crosses its bound: {:.0f} curves of {:.0f} rates", f["curves"], f["rates_tried"]
    assert f["curves_that_cross_their_bound"] == 0
    page = [row["ratio"] for row in document["rows"] if row["theorem"] == "page"]
    strong = [row["radius"] / row["measured"] for row in document["rows"] if row["theorem"] == "theorem2"]
    yield "which exceeds what replicas reach {:.0f} to {:.0f} times", min(strong), max(strong)
    yield "PAGE is at {:.2f} to {:.2f} of its bound", min(page), max(page)
    assert len({row["keep"] for row in document["rows"] if row["theorem"] == "theorem2"}) == 4


def said_of_tight_factor(f, _):
    fewest, most = (f[f"{word}_proven_steps_that_one_certified_step_is_worth"] for word in ("fewest", "most"))
    yield "worth {:.1f} to {:.0f} of the proven ones", fewest, most
    assert f["largest_certified_minus_attained"] < 1e-9


def said_of_variance_reduction(f, _):
    assert f["final_squared_distance L-SVRDSG logistic regression"] < 1e-30
    yield "stalls at {} on logistic", power(f["final_squared_distance DSGD logistic regression"])
    yield "and {} on squared loss", power(f["final_squared_distance DSGD squared regression"])


SAID = {
    "bernoulli-randk": said_of_bernoulli,
    **{page: globals()[f"said_of_{page.replace('-', '_')}"] for page in PAGES if page != "bernoulli-randk"},
}


def sentences(page):
    """Return what a page must say, with the numbers of its figure's file filled in."""
    document = json.loads((ROOT / "figures" / f"{page}.json").read_text(encoding="utf-8"))
    findings = {key: value for finding in document["findings"] for key, value in finding.items()}
    return [template.format(*values) for template, *values in SAID[page](findings, document)]


def prose(page):
    """Return the text of a page without its title, pictures, code and targets of links, on one line."""
    lines = (ROOT / "docs" / "gallery" / f"{page}.md").read_text(encoding="utf-8").split("\n")
    text = " ".join(line for line in lines if not line.startswith(("#", "!", "Made by")))
    return re.sub(r"\s+", " ", re.sub(r"\]\([^)]*\)", "]", text))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_the_numbers_of_its_figure(page):
    for said in sentences(page):
        assert said in prose(page)


@pytest.mark.parametrize("page", PAGES)
def test_no_number_of_a_page_goes_without_comparison(page):
    rest = prose(page)
    for said in sentences(page):
        rest = rest.replace(said, " ")
    rest = re.sub(SETTINGS, " ", rest, flags=re.IGNORECASE)
    assert re.findall(r"\d[\d.,]*", rest) == [], rest


def test_every_page_has_its_figure():
    assert {path.stem for path in (ROOT / "figures").glob("*.json")} == set(PAGES)


def test_numbers_are_written_as_pages_do():
    assert (percent(0.053), power(4.6e-6), power(2.689e-29)) == ("5 %", "5·10⁻⁶", "3·10⁻²⁹")
