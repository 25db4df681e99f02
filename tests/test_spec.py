"""One description of an experiment: the same objective, method and step from the command line, a sweep and Python."""

import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import methods, problems, theorems
from mastsim.cli import main
from mastsim.methods import ALL_COMPRESSORS, ALL_METHODS, ALL_SAMPLINGS, ALL_STEP_RULES
from mastsim.methods import families as method_families
from mastsim.methods.families import method_names
from mastsim.problems import ALL_PROBLEMS
from mastsim.problems import families as problem_families
from mastsim.problems.families import problem_names
from mastsim.provenance import content_hash
from mastsim.sketches import sketch_names
from mastsim.spec import Spec
from mastsim.stepsizes import AskedStep
from mastsim.sweeps import read_grid, sweep
from tests.examples import examples

ROWS = "synthetic:n=12,d=4,condition=10"


def document(command: str, **options: object) -> dict:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]
    done = CliRunner().invoke(main, [command, *words, "--json", "-"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refusal(command: str, **options: object) -> str:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = CliRunner().invoke(main, [command, *words])
    assert done.exit_code == 2, done.output
    return done.output


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """Return the path of a file whose labels are counts, which every family about numbers takes."""
    path = tmp_path_factory.mktemp("counts") / "rows"
    rows = np.random.default_rng(0).integers(-3, 4, (12, 4))
    lines = (f"{i % 3} " + " ".join(f"{j + 1}:{v / 2}" for j, v in enumerate(row)) for i, row in enumerate(rows))
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


# ------------------------------------------------------------------------------------------------ all three agree

# λ = 0.1 makes every loss of these strongly convex on this data but for the two that are not convex.
FAMILIES = {
    "least-squares": (ms.LeastSquares, {}, "strongly convex"),
    "logistic": (ms.LogisticRegression, {}, "strongly convex"),
    "poisson": (ms.PoissonRegression, {}, None),
    "exponential": (ms.ExponentialClassification, {}, None),
    "huber": (ms.HuberRegression, {"delta": 0.25}, "strongly convex"),
    "smoothed-hinge": (ms.SmoothedHingeClassification, {}, "strongly convex"),
    "sigmoid": (ms.SigmoidClassification, {}, "nonconvex"),
    "welsch": (ms.WelschRegression, {}, "nonconvex"),
}
L2 = {"sigmoid": 1e-4, "welsch": 1e-3}
TEXTS = {"huber": "huber:delta=0.25"}
METHODS = {
    "gd": ms.GD,
    "dsgd": ms.DSGD,
    "lsvrdsg:probability=0.3": lambda gamma: ms.LSVRDSG(gamma, probability=0.3),
    "page:probability=0.4,sketches=2": lambda gamma: ms.PAGE(gamma, probability=0.4, sketches=2),
    "distributed": ms.DistributedDSGD,
    "sgd": ms.SGD,
    "gdci": ms.GDCI,
    "averaged-momentum:growth=0.7": lambda gamma: ms.AveragedMomentum(gamma, growth=0.7),
}
# What each method's own theorem is, by what f is: strongly convex, nonconvex, no smoothness at all.
OWN = {
    ("dsgd", "strongly convex"): "theorem2",
    ("dsgd", "nonconvex"): "theorem3",
    ("lsvrdsg", "strongly convex"): "theorem5",
    ("page", "strongly convex"): "page",
    ("page", "nonconvex"): "page",
    ("averaged-momentum", "strongly convex"): "averaged-momentum",
    ("distributed", "strongly convex"): "distributed-independent",
    ("distributed", "nonconvex"): "theorem6",
}
STEPS = ("theory", "2.0*sharp", 0.01, "harmonic:0.5*theory:0.25")


def objective(problem: str, data: str, many: bool):
    family, given, shape = FAMILIES[problem]
    rows = ms.load(data)
    f = family(rows.A, rows.signs if family.takes_classes else rows.y, l2=L2.get(problem, 0.1), **given)
    F = ms.Distributed(ms.split(f, 4), ms.RandK(4, k=2)) if many else ms.Mast(f, ms.RandK(4, k=2))
    return F, shape


def test_the_table_has_every_loss_and_every_method():
    assert set(FAMILIES) == set(problem_names())
    assert {kind for kind in ALL_PROBLEMS if kind.keyword} == {kind for kind, _, _ in FAMILIES.values()}
    assert {text.partition(":")[0] for text in METHODS} == set(method_names())
    assert set(method_names().values()) == set(ALL_METHODS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", FAMILIES)
def test_one_description_gives_one_objective_and_one_step_everywhere(problem, method, counts, tmp_path, monkeypatch):
    # The list of guarantees is another test's; here it would take nine tenths of the time.
    monkeypatch.setattr("mastsim.advice.guarantees", lambda *a, **k: [])
    keyword = method.partition(":")[0]
    many = keyword == "distributed"
    data = ROWS if FAMILIES[problem][0].takes_classes else counts
    F, shape = objective(problem, data, many)
    told = {"data": data, "problem": TEXTS.get(problem, problem), "l2": L2.get(problem, 0.1), "sketch": "randk:0.5"}
    told |= {"clients": 4 if many else None, "method": method}
    given = {name: value for name, value in told.items() if value is not None}
    theorem = OWN.get((keyword, shape))
    if keyword == "gdci" and theorems.CompressedIterates.refuse(F) is None:
        theorem = "gdci"
    expected = theorem is not None or (keyword == "gd" and shape is not None)
    grid = given | {"steps": 3, "replicas": 2, "measures": "f"}
    # Every loss and every method meets every step, in pairs of each two of them that meet two.
    steps = STEPS[:1] + STEPS[1 + (list(FAMILIES).index(problem) + list(METHODS).index(method)) % 3 :][:1]
    asked = [stepsize for stepsize in steps if expected or stepsize == 0.01]
    rows = sweep(grid | {"stepsize": asked}, tmp_path, progress=False).table() if asked else []
    rows = {row["stepsize_asked"]: row for row in rows}
    for stepsize in steps:
        spec = Spec(**given, stepsize=stepsize)
        listed = document("stepsize", **told, stepsize=stepsize, steps=3)
        assert listed["objective"]["sha256"] == content_hash(F)
        assert listed["spec"]["sha256"] == spec.key
        if stepsize not in asked:
            assert listed["step"]["value"] is None
            assert "no theorem covers" in refusal("simulate", **given, stepsize=stepsize, steps=3, replicas=2)
            continue
        ran = document("simulate", **told, stepsize=stepsize, steps=3, replicas=2)
        assert ran["objective"] == listed["objective"]
        assert ran["step"] == listed["step"]
        assert ran["step"]["theorem"] == (theorem if isinstance(stepsize, str) else None)
        assert (rows[stepsize]["objective_sha256"], rows[stepsize]["stepsize"]) == (content_hash(F), ran["stepsize"])
        assert rows[stepsize]["stepsize_theorem"] == ran["step"]["theorem"]
        chosen = spec.choose(F, steps=3)
        assert chosen.stepsize == ran["stepsize"]
        assert rows[stepsize]["method_sha256"] == content_hash(chosen.method)
        assert type(chosen.method) is type(METHODS[method](1.0))
        assert dataclasses.replace(chosen.method, stepsize=1.0) == METHODS[method](1.0)


def test_steps_are_those_of_the_theorem_built_by_hand(counts):
    F, _ = objective("huber", counts, many=False)
    two = {unit: theorems.StronglyConvexDSGD(F, sharp=unit == "sharp").stepsize for unit in ("theory", "sharp")}
    F3, _ = objective("welsch", counts, many=False)
    three = theorems.NonconvexDSGD(F3, horizon=7).stepsize
    told = {"data": counts, "sketch": "randk:0.5", "method": "dsgd"}
    for text, factor, unit in (("theory", 1, "theory"), ("3*sharp", 3, "sharp"), ("0.5*theory", 0.5, "theory")):
        huber = Spec(**told, problem="huber:0.25", l2=0.1, stepsize=text).choose(F, steps=7)
        assert huber.stepsize == factor * two[unit]
        assert (huber.claim is None) == (factor > 1)
        assert Spec(**told, problem="welsch", l2=1e-3, stepsize="0.5*theory").choose(F3, 7).stepsize == 0.5 * three


@pytest.mark.parametrize(
    ("stepsize", "claims"),
    [
        ("theory", True),
        ("constant:theory", True),
        ("harmonic:theory:0", True),
        ("harmonic:theory:0.1", False),
        ("inverse-sqrt:0.1*theory", False),
        ("0.999*theory", True),
        ("1.001*theory", False),
        (1e-3, True),
    ],
)
def test_a_bound_is_claimed_for_constant_steps_that_the_theorem_allows(stepsize, claims):
    spec = Spec(data=ROWS, sketch="randk:0.5", method="dsgd", stepsize=stepsize)
    chosen = spec.choose(spec.objective_of(spec.load())[1], steps=5)
    assert chosen.theorem.id == "theorem2"
    assert (chosen.claim is not None) == claims


# ------------------------------------------------------------------------------------------------ which theorem


@pytest.mark.parametrize(
    ("problem", "l2", "theorem"),
    [
        ("logistic", 1e-6, "theorem2"),
        ("logistic", 10.0, "theorem2"),
        ("logistic", 0.0, "theorem2-convex-any-step"),
        ("smoothed-hinge", 0.0, "theorem2-convex-any-step"),
        ("sigmoid", 0.0, "theorem3"),
        ("sigmoid", 1e-3, "theorem3"),
        ("sigmoid", 10.0, "theorem2"),
    ],
)
@pytest.mark.parametrize("unit", ["theory", "sharp", "0.1*theory"])
def test_the_objective_alone_chooses_the_theorem(problem, l2, theorem, unit):
    spec = Spec(data=ROWS, problem=problem, l2=l2, sketch="randk:0.5", method="dsgd", stepsize=unit)
    F = spec.objective_of(spec.load())[1]
    found = [spec.choose(F, steps) for steps in (1, 2, 3, 10, 30, 1000, 10**6, 10**12)]
    assert {chosen.theorem.id for chosen in found} == {theorem}
    assert len({chosen.stepsize for chosen in found}) == (8 if theorem == "theorem3" else 1)


def test_a_loss_whose_sketched_curvature_is_positive_is_still_not_convex():
    # E[SᵀMS] may be positive definite where M is not: then the Polyak-Łojasiewicz record applies, and is not what is taken.
    from mastsim.advice import covering

    f = next(
        f
        for l2 in np.linspace(0.01, 0.2, 60)
        if (f := ms.SigmoidClassification(ms.load(ROWS).A, ms.load(ROWS).signs, l2=float(l2))).mu_f < 0
        and ms.Mast(f, ms.RandK(4, k=1)).mu_fD_sharp > 1e-3
    )
    F = ms.Mast(f, ms.RandK(4, k=1))
    assert theorems.PolyakLojasiewiczDSGD.refuse(F) is None
    assert {covering(F, ms.DSGD(1.0), steps, sharp=False).id for steps in (1, 10**9)} == {"theorem3"}


def test_the_output_names_the_theorem_in_words_too():
    told = ["--data", ROWS, "--sketch", "randk:0.5", "--steps", "3", "--stepsize", "2*theory"]
    said = CliRunner().invoke(main, ["simulate", *told]).output
    assert "2.0*theory: Theorem 2 (strongly convex DSGD)" in said
    assert "no bound" in said


# ------------------------------------------------------------------------------------------------ every setting


SAMPLINGS = {
    "full": ms.FullBatch(),
    "nice:3": ms.Nice(3),
    "independent:0.25": ms.IndependentSampling(0.25),
    "with-replacement:5": ms.WithReplacement(5),
    "with-replacement:5:importance": None,
}
COMPRESSORS = {
    "none": ms.Uncompressed(),
    "natural": ms.NaturalCompressor(),
    "dithering:4": ms.DitheringCompressor(4),
    "randk:0.5": ms.SketchCompressor(ms.RandK(4, k=2)),
    "bernoulli:0.5": ms.SketchCompressor(ms.Bernoulli(4, 0.5)),
}


def test_the_tables_have_every_sampling_compressor_and_rule():
    assert {text.partition(":")[0] for text in SAMPLINGS} == {kind.keyword for kind in ALL_SAMPLINGS}
    built = {type(compressor) for compressor in COMPRESSORS.values()}
    assert built == set(ALL_COMPRESSORS)
    assert {kind.keyword for kind in ALL_STEP_RULES} == {"constant", "inverse-sqrt", "harmonic", "stagewise"}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("compression", COMPRESSORS)
def test_samplings_and_compressors_reach_the_method(sampling, compression, tmp_path):
    told = {"data": ROWS, "sketch": "randk:0.5", "stepsize": "0.5*theory"}
    text = f"dsgd:sampling={sampling},compression={compression}"
    spec = Spec(**told, method=text)
    F = spec.objective_of(spec.load())[1]
    law = SAMPLINGS[sampling] or ms.importance_sampling(F.problem.component_smoothness, 5)
    mine = ms.DSGD(1.0, law, COMPRESSORS[compression])
    chosen = spec.choose(F, steps=3)
    assert content_hash(dataclasses.replace(chosen.method, stepsize=1.0)) == content_hash(mine)
    sampled = theorems.SampledStronglyConvexDSGD(F, sampling=law, compression=COMPRESSORS[compression])
    assert chosen.stepsize == pytest.approx(0.5 * sampled.stepsize, rel=1e-12)
    assert chosen.claim is not None
    ran = document("simulate", **told, method=text, steps=2, replicas=2)
    assert ran["stepsize"] == chosen.stepsize
    rows = sweep({**told, "method": text, "steps": 2, "replicas": 2}, tmp_path, progress=False).table()
    assert {row["method_sha256"] for row in rows} == {content_hash(chosen.method)}


def test_a_minibatch_is_said_in_three_ways_and_is_one_description():
    told = {"data": ROWS, "sketch": "randk:0.5"}
    specs = [Spec(**told, method=text) for text in ("dsgd:minibatch=3", "dsgd:sampling=nice:3", "dsgd:sampling=nice:03")]
    specs.append(Spec(**told, method="dsgd", settings={"sampling": "nice:3"}))
    assert len({spec.key for spec in specs}) == len(set(specs)) == 1
    ran = document("simulate", **told, method="dsgd", minibatch=3, steps=2, replicas=2)
    assert ran["spec"]["sha256"] == specs[0].key
    assert "two of them say the same" in refusal("simulate", **told, method="dsgd:sampling=full", minibatch=3)


@pytest.mark.parametrize("split", ["iid", "label"])
@pytest.mark.parametrize("shift", ["zero", "erm"])
def test_clients_split_and_shift_reach_the_objective(split, shift):
    spec = Spec(data=ROWS, sketch="bernoulli:0.5", clients=3, split=split, shift=shift, problem="logistic", l2=0.1)
    data = ms.load(ROWS)
    f = ms.LogisticRegression(data.A, data.signs, l2=0.1)
    v = f.minimize().x if shift == "erm" else None
    F = ms.Distributed(ms.split(f, 3, by=split), ms.Bernoulli(4, 0.5), shift=v)
    assert content_hash(spec.objective_of(spec.load())[1]) == content_hash(F)


def test_a_grid_takes_lists_of_settings_of_problems():
    grid = {"data": ROWS, "sketch": "identity", "problem": ["logistic", {"name": "huber", "delta": [0.5, 1]}]}
    assert [(task.problem, dict(task.problem_settings)) for task in read_grid(grid)] == [
        ("logistic", {}),
        ("huber", {"delta": 0.5}),
        ("huber", {"delta": 1.0}),
    ]


# ------------------------------------------------------------------------------------------------ something new


class ToyLoss(problems.SquaredLoss):
    """A toy: half of the squared loss, under another name."""

    name = "toy"
    curvature_max = curvature_min = 0.5

    def psi(self, w, order=0):
        return 0.5 * super().psi(w, order)

    def exponential_sum(self, reach):
        return dataclasses.replace(super().exponential_sum(reach), square=0.25)


@dataclasses.dataclass(frozen=True, eq=False)
class ToyRegression(problems.GeneralizedLinearModel):
    """A toy family with a setting."""

    keyword: ClassVar[str] = "toy-loss"
    tilt: float = 2.0

    @property
    def loss(self):
        """The toy loss."""
        return ToyLoss()


@dataclasses.dataclass(frozen=True)
class ToyMethod(ms.DSGD):
    """A toy method with a setting, and a step of its own."""

    keyword = "toy-method"
    pull: float = 0.5

    def safe_step(self, objective, sharp):
        """Return 1/L."""
        return ms.Constant(0.125 if sharp else 0.25, "lower", "a toy's step")


def test_a_new_loss_and_a_new_method_appear_everywhere(monkeypatch, tmp_path):
    told = {"data": ROWS, "sketch": "randk:0.5", "problem": "toy-loss:tilt=3", "l2": 0.1, "method": "toy-method:pull=0.25"}
    told |= {"stepsize": "0.5*sharp"}
    assert "unknown problem 'toy-loss'" in refusal("simulate", **told)
    monkeypatch.setattr(problem_families, "ALL_PROBLEMS", (*ALL_PROBLEMS, ToyRegression))
    assert "unknown method 'toy-method'" in refusal("simulate", **told)
    monkeypatch.setattr(method_families, "ALL_METHODS", (*ALL_METHODS, ToyMethod))
    data = ms.load(ROWS)
    F = ms.Mast(ToyRegression(data.A, data.y, l2=0.1, tilt=3.0), ms.RandK(4, k=2))
    ran = document("simulate", **told, steps=2, replicas=2)
    listed = document("stepsize", **told, steps=2)
    (row,) = sweep({**told, "steps": 2, "replicas": 2, "measures": "f"}, tmp_path, progress=False).table()
    hashes = {ran["objective"]["sha256"], listed["objective"]["sha256"], row["objective_sha256"], content_hash(F)}
    assert len(hashes) == 1
    assert (
        ran["step"]
        == listed["step"]
        == {"asked": told["stepsize"], "value": 0.0625, "theorem": None} | {"source": "a toy's step"}
    )
    assert row["stepsize"] == 0.0625
    assert row["method_sha256"] == content_hash(ToyMethod(0.0625, pull=0.25))
    helped = CliRunner().invoke(main, ["simulate", "--help"]).output
    assert "toy-loss" in helped
    assert "toy-method" in helped
    assert document("constants", **told | {"method": None, "stepsize": None})["objective"] == ran["objective"]


# ------------------------------------------------------------------------------------------------ one spelling

NUMBER = st.floats(1e-6, 1e6)
STEP = st.one_of(
    NUMBER,
    st.sampled_from(["theory", "sharp"]),
    st.builds("{!r}*{}".format, NUMBER, st.sampled_from(["theory", "sharp"])),
    st.builds("harmonic:{!r}*theory:{!r}".format, NUMBER, st.floats(0, 1e3)),
    st.builds("inverse-sqrt:{!r}".format, NUMBER),
)
SKETCH = st.one_of(
    st.just("identity"),
    st.builds("{}:{!r}".format, st.sampled_from(["randk", "bernoulli"]), st.floats(0.01, 1)),
    st.builds("nofm:{}:{}".format, st.integers(1, 9), st.integers(9, 99)),
)
SAMPLING = st.one_of(
    st.builds(lambda tau: {"minibatch": tau}, st.integers(1, 99)),
    st.builds(lambda p: {"sampling": f"independent:{p!r}"}, st.floats(0.01, 1)),
    st.builds(lambda tau: {"sampling": f"with-replacement:{tau}:importance"}, st.integers(1, 99)),
    st.just({}),
)
COMPRESSION = st.sampled_from([{}, {"compression": "natural"}, {"compression": "dithering:3"}, {"compression": "randk:0.3"}])
PROBABILITY = st.builds(lambda p: {"probability": p}, st.floats(0.001, 1))


@st.composite
def specs(draw):
    """Draw descriptions whose every key may differ from what it is by default."""
    clients = draw(st.none() | st.integers(1, 9))
    method = draw(st.sampled_from(["dsgd", "lsvrdsg", "page", "sgd", "gdci"] if clients is None else ["distributed", "gd"]))
    known, table = method_names()[method].settings(), {}
    for part in (SAMPLING, COMPRESSION, PROBABILITY, st.sampled_from([{}, {"anchor": 2}, {"sketches": 3}])):
        table |= {name: value for name, value in draw(part).items() if name in known}
    problem = draw(st.sampled_from(["auto", *problem_names()]))
    ridge = draw(st.sampled_from(["l2", "condition_number"]))
    ridge = "l2" if problem in ("poisson", "exponential") else ridge
    return Spec(
        data=draw(st.sampled_from(["breast-cancer", "a file, with spaces", "synthetic:n=9,d=3"])),
        positive=draw(st.none() | st.floats(-9, 9)),
        features=draw(st.none() | st.integers(1, 99)),
        zero_based=draw(st.booleans()),
        problem=problem,
        problem_settings=draw(st.sampled_from([{}, {"delta": 0.3}])) if problem == "huber" else {},
        **{ridge: draw(NUMBER) + (ridge == "condition_number")},
        sketch=draw(SKETCH),
        shift=draw(st.sampled_from(["zero", "erm"])),
        clients=clients,
        split=draw(st.sampled_from(["iid", "label"])),
        method=draw(st.sampled_from([method, None])) if not table else method,
        settings=table,
        stepsize=draw(STEP),
    )


@settings(max_examples=examples(300), deadline=None)
@given(specs())
def test_a_description_goes_through_text_and_json_and_back(spec):
    assert Spec.from_text(spec.text) == spec
    read = Spec(**json.loads(json.dumps(spec.record())))
    assert read == spec
    assert read.key == spec.key
    assert len(spec.key) == 64


@settings(max_examples=examples(200), deadline=None)
@given(specs(), specs())
def test_two_descriptions_have_two_keys(one, two):
    assert (one.key == two.key) == (one == two)


@given(STEP)
def test_a_step_is_read_as_it_is_spelled(given_step):
    asked = AskedStep.read(given_step)
    assert AskedStep.read(asked.spelled) == asked
    assert AskedStep.read(str(asked.spelled)) == asked


REFUSED = [
    ({"problem": "hubber"}, r"unknown problem 'hubber'; did you mean 'huber'"),
    ({"problem": "huber:dleta=1"}, r"unknown setting of huber 'dleta'; did you mean 'delta'"),
    ({"problem": "huber:delta=-1"}, r"delta=-1"),
    ({"problem": "huber:delta=x"}, r"delta 'x' is not accepted"),
    ({"problem": "huber:delta=1,delta=2"}, r"gives 'delta' twice"),
    ({"problem": "logistic:3"}, r"logistic has no settings"),
    ({"problem": "poisson"}, r"condition_number=100.*pass l2 instead"),
    ({"problem": 3}, r"problem=3 is not accepted"),
    ({"method": "dsgd:minibatch=0"}, r"minibatch=0 is not accepted"),
    ({"method": "dsgd:minibatch=2.5"}, r"minibatch=2.5 is not accepted"),
    ({"method": "dsgd:minibatch"}, r"write dsgd:SETTING=VALUE"),
    ({"method": "dsgd:sampling=nise:3"}, r"unknown sampling 'nise'; did you mean 'nice'"),
    ({"method": "dsgd:compression=dihtering:3"}, r"unknown compression 'dihtering'; did you mean 'dithering'"),
    ({"method": "page:probability=2"}, r"probability=2"),
    ({"method": "gd:minibatch=2"}, r"gd has no setting 'minibatch': it takes exact gradients"),
    ({"method": "distributed"}, r"needs the grid key 'clients'.*--clients"),
    ({"method": "page", "clients": 2}, r"'page' is not for clients=2: use --method distributed"),
    ({"settings": {"minibatch": 2}}, r"without a method"),
    ({"stepsize": "thoery"}, r"stepsize='thoery' is not accepted.*did you mean 'theory'"),
    ({"stepsize": "0*theory"}, r"stepsize=0"),
    ({"stepsize": "inf"}, r"stepsize=inf"),
    ({"stepsize": "harmonic:theory"}, r"write harmonic:SIZE:DECAY"),
    ({"stepsize": "harmonic:theory:-1"}, r"decay=-1"),
    ({"stepsize": "harmonik:theory:1"}, r"a rule is one of constant, inverse-sqrt, harmonic"),
    ({"l2": 1, "condition_number": 9}, r"exactly one"),
    ({"condition_number": 1}, r"condition_number=1.* must be above 1"),
    ({"l2": True}, r"l2=True"),
    ({"clients": 0}, r"clients=0"),
    ({"split": "lable"}, r"did you mean 'label'"),
    ({"shift": "nowhere"}, r"shift='nowhere' is not accepted: it must be zero, erm"),
    ({"sketch": 3}, r"sketch: 3 is not accepted: it must be a text"),
    ({"zero_based": 1}, r"zero_based: 1 is not accepted"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[str(change) for change, _ in REFUSED])
def test_a_description_that_makes_no_sense_is_refused_before_data_are_read(change, message, monkeypatch):
    monkeypatch.setattr("mastsim.spec.description.load", lambda *a, **k: pytest.fail("data were read"))
    with pytest.raises((ValueError, TypeError), match=message):
        Spec(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": "poisson", "l2": 0.1}, "Poisson loss takes counts"),
        ({"sketch": "rankd:0.5"}, "did you mean 'randk'"),
        ({"sketch": "haar:5"}, "k=5"),
        ({"clients": 13}, "clients=13"),
        ({"method": "dsgd:minibatch=13"}, "tau=13"),
        ({"method": "dsgd:sampling=nice:13"}, "tau=13"),
        ({"method": "dsgd:compression=haar:5"}, "k=5"),
        ({"method": "dsgd:sampling=independent:0"}, "probabilities=0"),
        ({"method": "distributed:minibatch=7", "clients": 2}, "tau=7"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_anything_is_computed(change, message, monkeypatch):
    monkeypatch.setattr("mastsim.spec.Spec.problem_of", lambda *a: pytest.fail("a problem was built"))
    spec = Spec(data=ROWS, **change)
    with pytest.raises(ValueError, match=message):
        spec.objective_of(spec.load())
    with pytest.raises(ValueError, match=message):
        read_grid({"data": ROWS, "sketch": "identity", "method": "gd", **change})


def test_a_family_says_which_labels_its_loss_takes():
    two = np.array([-1.0, 1.0])
    for kind in problem_names().values():
        loss = kind(np.eye(2), np.ones(2), l2=1.0).loss
        assert kind.takes_classes == isinstance(loss, problems.losses.MarginLoss)
        if kind.takes_classes:
            loss.check_labels(two)


def test_keywords_are_unlike_each_other():
    for names in (problem_names(), method_names(), sketch_names()):
        assert all(name == name.lower() and not set(name) & set(":,= ") for name in names)
    assert not set(sketch_names()) & {kind.keyword for kind in methods.ALL_COMPRESSORS}


@pytest.mark.parametrize(
    "wrong", [None, "breast-cancer", ms.Spec, ms.LogisticRegression(np.eye(2), [1, -1], l2=1)], ids=repr
)
def test_what_is_no_data_set_and_no_objective_is_refused_by_name(wrong):
    spec = ms.Spec(method="dsgd")
    for method in (spec.fit, spec.problem_of, spec.objective_of):
        with pytest.raises(TypeError, match="data"):
            method(wrong)
    with pytest.raises(TypeError, match="objective"):
        spec.trial(wrong)
    with pytest.raises(TypeError, match="objective"):
        spec.choose(wrong, 10)


@pytest.mark.parametrize("text", [None, 3, "--l2=1 --l2=2", "--data='x"])
def test_texts_of_options_are_refused_in_their_own_words(text):
    with pytest.raises((TypeError, ValueError), match=r"text=|text must|given twice|text"):
        ms.Spec.from_text(text)


def test_truth_is_no_step_size():
    with pytest.raises(TypeError, match="stepsize=True is not accepted"):
        ms.Spec(stepsize=True)
