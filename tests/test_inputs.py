"""What is handed in: every public callable refuses what does not fit, in one sentence that names the argument."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Estimator

import mastsim as ms
from mastsim import expected, kernels, methods, moments, problems, reproduce, sketches, sweeps, theorems, verification
from mastsim import testing as checks
from mastsim.theorems.preconditioned_subnetworks import one_coordinate_each
from mastsim.validation import integer
from mastsim.worstcase import factor, search, worst_case_factor

A = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]])
Y = np.array([1.0, -1.0, 1.0])
X = np.array([0.5, -0.25])
f = ms.LeastSquares(A, Y, l2=0.1)
S = ms.RandK(2, k=1)
F = ms.Mast(f, S, shift=X)
Q = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
D = ms.Distributed([f, f], S)
RUN = ms.simulate(ms.DSGD(0.01), Q, steps=2, replicas=2)
FALLING = ms.moments.propagate(Q, ms.DSGD(0.01), X, 8)
DATA = ms.load("synthetic:n=12,d=3")
BATCH = S.sample(np.random.default_rng(0), 2)
MINIBATCH = ms.Nice(2).law(3).from_uniforms(np.full((2, 2), 0.5))
ORIGIN = ms.Mast(Q.problem, ms.Bernoulli(2, 0.99))
PLAIN = ms.Mast(Q.problem, ms.Identity(2))
CLIENTS = ms.Distributed([Q.problem] * 2, ms.Bernoulli(2, 0.5))
ONE_EACH = one_coordinate_each()[0]
AGREEING = ms.Distributed([ms.Quadratic(np.diag([1.0, 2.0]), np.zeros(2))] * 2, ms.Bernoulli(2, 0.5))
T = theorems.StronglyConvexDSGD(Q)

WRONG = {
    "None": None,
    "text": "no such thing",
    "complex": 1j,
    "object": object(),
    "class": ms.RandK,
    "estimator": Estimator(),
    "problem": f,
    "objective": F,
    "sketch": ms.RandK(2, k=2),
    "method": ms.DSGD(0.1),
    "masked": np.ma.masked_array([1.0, 2.0], [False, True]),
    "dates": np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"),
    "complex array": np.array([1j, 2.0]),
    "dictionary": {"a": 1},
    "list of None": [None, None],
    "huge": 10**400,
    "nan": float("nan"),
}
"""Everything that people pass by mistake; what an argument accepts of it is said with the argument."""


class Arg:
    """A value that is accepted, and the kinds of wrong values that happen to be accepted too."""

    def __init__(self, value, *also):
        self.value, self.also = value, set(also)


def glm(kind, y=Y, **more):
    l2 = Arg(0.1)
    options = {"weights": Arg(None, "None"), "intercept": Arg(False), "copy": Arg(True)}
    return kind, {"A": Arg(A), "y": Arg(y), "l2": l2, "condition_number": Arg(None, "None"), **options, **more}


def softmax():
    kind, arguments = glm(ms.SoftmaxRegression, np.array([0, 1, 2]))
    return kind, {name: value for name, value in arguments.items() if name != "intercept"}


def rate(kind, objective=Q, **more):
    return kind, {"objective": Arg(objective, "objective"), "sharp": Arg(False), **more}


def bound(method, *names, **more):
    return method, {**{name: Arg(X) for name in names}, **more}


SAMPLED = {"sampling": Arg(ms.FullBatch()), "compression": Arg(ms.methods.Uncompressed())}
STEP = {"stepsize": Arg(0.1)}
RUNNING = {"probability": Arg(0.5)}
SHIFTED = {"shift": Arg(ms.methods.FixedShift())}
POINT = np.zeros(13)
TABLE = problems.Dataset("mine", A, Y, "", "here")

CALLS = {
    # problems
    "LeastSquares": glm(ms.LeastSquares),
    "LogisticRegression": glm(ms.LogisticRegression),
    "PoissonRegression": glm(ms.PoissonRegression, np.array([1.0, 0.0, 2.0])),
    "ExponentialClassification": glm(ms.ExponentialClassification),
    "HuberRegression": glm(ms.HuberRegression, delta=Arg(1.0)),
    "SmoothedHingeClassification": glm(ms.SmoothedHingeClassification),
    "SigmoidClassification": glm(ms.SigmoidClassification),
    "WelschRegression": glm(ms.WelschRegression),
    "Quadratic": (ms.Quadratic, {"A": Arg(np.eye(2)), "b": Arg(X), "c": Arg(0.0)}),
    "TwoLayerNetwork": (ms.TwoLayerNetwork, {"A": Arg(A), "y": Arg(Y), "width": Arg(2), "l2": Arg(0.1)}),
    "FiniteSum": (ms.FiniteSum, {"problems": Arg([f])}),
    "split": (ms.split, {"problem": Arg(f, "problem"), "clients": Arg(2), "by": Arg("iid"), "seed": Arg(0, "huge")}),
    "load": (
        ms.load,
        {
            "spec": Arg("breast-cancer", "text"),
            "target": Arg(None, "None"),
            "weights": Arg(None, "None"),
            "standardise": Arg(False),
        },
    ),
    "design": (
        ms.design,
        {
            "f": Arg(f, "problem"),
            "budget": Arg(1.0),
            "objective": Arg("step"),
            "shift": Arg(None, "None"),
            "least": Arg(1e-3),
        },
    ),
    "advise": (
        ms.advise,
        {
            "data": Arg(TABLE),
            "target": Arg(None, "None"),
            "keep": Arg(0.5),
            "sketch": Arg("bernoulli"),
            "method": Arg("dsgd"),
            "problem": Arg("auto"),
            "positive": Arg(None, "None"),
            "l2": Arg(0.1, "None"),
            "condition_number": Arg(None, "None"),
            "weights": Arg(None, "None"),
            "intercept": Arg(False),
            "accuracy": Arg(None, "None"),
            "design": Arg(None, "None"),
            "seed": Arg(0),
        },
    ),
    "Dataset": (
        problems.Dataset,
        {"name": Arg("mine", "text"), "A": Arg(A), "y": Arg(Y), "sha256": Arg("", "text"), "source": Arg("", "text")},
    ),
    "Curvature": (problems.Curvature, {"matrix": Arg(np.eye(2))}),
    "f.value": bound(f.value, "x"),
    "f.gradient": bound(f.gradient, "x"),
    "f.hessian": bound(f.hessian, "x"),
    "f.hessian_product": bound(f.hessian_product, "x", "w"),
    "f.minibatch_gradient": (f.minibatch_gradient, {"x": Arg(np.ones((2, 2))), "minibatch": Arg(MINIBATCH)}),
    "f.with_rows": (f.with_rows, {"A": Arg(A)}),
    # sketches
    "Identity": (ms.Identity, {"dim": Arg(2, "huge")}),
    "Bernoulli": (ms.Bernoulli, {"dim": Arg(2), "keep": Arg(0.5)}),
    "RandK": (ms.RandK, {"dim": Arg(2, "huge"), "k": Arg(1)}),
    "BlockBernoulli": (ms.BlockBernoulli, {"dim": Arg(2), "blocks": Arg(2), "keep": Arg(0.5)}),
    "BlockRandK": (ms.BlockRandK, {"dim": Arg(2), "blocks": Arg(2), "k": Arg(1)}),
    "NofM": (ms.NofM, {"dim": Arg(4, "huge"), "n": Arg(1), "m": Arg(2)}),
    "Haar": (ms.Haar, {"dim": Arg(2, "huge"), "k": Arg(1)}),
    "Gaussian": (ms.Gaussian, {"dim": Arg(2, "huge"), "k": Arg(1, "huge")}),
    "PermK": (ms.PermK, {"dim": Arg(4, "huge"), "clients": Arg(2)}),
    "FiniteSupport": (ms.FiniteSupport, {"matrices": Arg([np.eye(2)]), "weights": Arg([1.0], "None")}),
    "IndependentDiagonal": (ms.IndependentDiagonal, {"values": Arg([[0.0, 2.0]]), "weights": Arg([0.5, 0.5])}),
    "Rotated": (ms.Rotated, {"sketch": Arg(S, "sketch"), "rotation": Arg(np.eye(2))}),
    "Composed": (ms.Composed, {"outer": Arg(S, "sketch"), "inner": Arg(S, "sketch")}),
    "Unmasked": (ms.Unmasked, {"sketch": Arg(S, "sketch"), "count": Arg(1, "huge")}),
    "Unscaled": (ms.Unscaled, {"sketch": Arg(S, "sketch")}),
    "DiagonalBatch": (sketches.DiagonalBatch, {"diagonals": Arg(np.ones((2, 2)), "masked", "dates", "complex array")}),
    "MatrixBatch": (
        sketches.MatrixBatch,
        {
            "atoms": Arg(np.ones((1, 2, 2)), "masked", "dates", "complex array"),
            "index": Arg(np.zeros(2, dtype=int), "masked", "dates", "complex array"),
        },
    ),
    "parse_sketch": (sketches.parse_sketch, {"text": Arg("randk:0.5", "text"), "dim": Arg(2)}),
    "S.sample": (S.sample, {"rng": Arg(np.random.default_rng(0)), "size": Arg(2)}),
    "S.quadratic_moment": (S.quadratic_moment, {"A": Arg(np.eye(2))}),
    "S.fourth_moment": (S.fourth_moment, {"A": Arg(np.eye(2))}),
    "S.supremum_curvature": (S.supremum_curvature, {"A": Arg(np.eye(2))}),
    "S.projection": (S.projection, {"a": Arg(X), "z": Arg(X)}),
    # objectives and constants
    "Mast": (
        ms.Mast,
        {
            "problem": Arg(f, "problem"),
            "sketch": Arg(S, "sketch"),
            "shift": Arg(X, "None"),
            "evaluate": Arg("auto"),
        },
    ),
    "Distributed": (ms.Distributed, {"problems": Arg([f, f]), "sketches": Arg(S, "sketch"), "shift": Arg(X, "None")}),
    "F.value": bound(F.value, "x"),
    "F.gradient": bound(F.gradient, "x"),
    "F.value_and_gradient": bound(F.value_and_gradient, "x"),
    "F.hessian": bound(F.hessian, "x"),
    "F.hessian_product": bound(F.hessian_product, "x", "w"),
    "F.excess_bound": bound(F.excess_bound, "x"),
    "Constants": (ms.Constants, {"objective": Arg(F, "objective")}),
    "Constant": (
        ms.Constant,
        {"value": Arg(1.0, "nan"), "kind": Arg("exact"), "source": Arg("here", "text"), "error": Arg(0.0, "nan")},
    ),
    "guarantees": (
        ms.guarantees,
        {"objective": Arg(Q, "objective"), "accuracy": Arg(0.1, "None"), "sampling": Arg(ms.FullBatch(), "None")},
    ),
    # methods
    "ConstantStep": (ms.ConstantStep, {"stepsize": Arg(0.1)}),
    "InverseSqrtStep": (ms.InverseSqrtStep, {"initial": Arg(0.1)}),
    "HarmonicStep": (ms.HarmonicStep, {"initial": Arg(0.1), "decay": Arg(0.1)}),
    "StagewiseStep": (ms.StagewiseStep, {"initial": Arg(0.1), "length": Arg(2, "huge"), "factor": Arg(0.5)}),
    "PolyakStep": (ms.PolyakStep, {"cap": Arg(0.1), "c": Arg(1.0), "lower": Arg(-1.0, "None", "huge")}),
    "GD": (ms.GD, STEP),
    "PreconditionedSubnetworks": (ms.PreconditionedSubnetworks, STEP),
    "DSGD": (ms.DSGD, STEP | SAMPLED | SHIFTED | {"order": Arg(ms.Reshuffled())}),
    "SGD": (ms.SGD, STEP | SAMPLED),
    "AveragedMomentum": (ms.AveragedMomentum, STEP | SAMPLED | {"growth": Arg(0.5)}),
    "DistributedDSGD": (
        ms.DistributedDSGD,
        STEP | SAMPLED | SHIFTED | {"participation": Arg(ms.Participation(p=0.5)), "averaging": Arg("mean")},
    ),
    "Refreshed": (ms.Refreshed, {"probability": Arg(0.5), "variant": Arg("a")}),
    "Held": (ms.Held, {"tau": Arg(2, "huge")}),
    "HeldSketch": (ms.HeldSketch, {"tau": Arg(2, "huge")}),
    "Participation": (ms.Participation, {"p": Arg(0.5, "None"), "m": Arg(None, "None", "huge")}),
    "GDCI": (ms.GDCI, STEP | {"compression": Arg(ms.NaturalCompressor(), "None")}),
    "LSVRDSG": (ms.LSVRDSG, STEP | SAMPLED | RUNNING | {"anchor": Arg(1, "None", "huge")}),
    "PAGE": (ms.PAGE, STEP | SAMPLED | RUNNING | {"sketches": Arg(1, "huge")}),
    "Nice": (ms.Nice, {"tau": Arg(1, "huge")}),
    "IndependentSampling": (ms.IndependentSampling, {"probabilities": Arg(0.5)}),
    "WithReplacement": (ms.WithReplacement, {"tau": Arg(1, "huge"), "probabilities": Arg([1.0], "None")}),
    "importance_sampling": (ms.importance_sampling, {"problem_smoothness": Arg([1.0, 2.0]), "tau": Arg(1, "huge")}),
    "SketchCompressor": (ms.SketchCompressor, {"sketch": Arg(S, "sketch")}),
    "DitheringCompressor": (ms.DitheringCompressor, {"levels": Arg(2, "huge")}),
    "Minibatch": (
        methods.Minibatch,
        {
            "index": Arg(np.zeros((1, 1), dtype=int), "None", "masked", "dates", "complex array"),
            "weights": Arg(np.ones((1, 1)), "masked", "dates", "complex array"),
        },
    ),
    "Nice.law": (ms.Nice(1).law, {"n": Arg(3, "huge")}),
    "method.init": (ms.DSGD(0.1).init, {"objective": Arg(F, "objective"), "x0": Arg(np.ones((1, 2)), *WRONG)}),
    # simulations and moments
    "simulate": (
        ms.simulate,
        {
            "method": Arg(ms.DSGD(0.01), "method"),
            "objective": Arg(Q, "objective"),
            "steps": Arg(2),
            "replicas": Arg(2),
            "seed": Arg(0),
            "x0": Arg(X, "None"),
            "every": Arg(1, "None", "huge"),
            "measures": Arg(("f",), "None"),
            "threads": Arg(1, "huge"),
            "chunk": Arg(1, "None", "huge"),
            "device": Arg("cpu"),
            "engine": Arg("auto"),
            "precision": Arg("float64"),
            "progress": Arg(False, "None"),
            "resume": Arg(None, "None"),
        },
    ),
    "Run.save": (RUN.save, {"path": Arg("here", "text")}),
    "Run.load": (ms.Run.load, {"path": Arg("here", "text")}),
    "propagate": (
        moments.propagate,
        {
            "objective": Arg(Q, "objective"),
            "method": Arg(ms.DSGD(0.01), "method"),
            "x0": Arg(X),
            "steps": Arg(2),
        },
    ),
    "recursion": (moments.recursion, {"objective": Arg(Q, "objective"), "method": Arg(ms.DSGD(0.01), "method")}),
    "contraction": (moments.contraction, {"objective": Arg(Q, "objective"), "method": Arg(ms.DSGD(0.01), "method")}),
    "stationary": (moments.stationary, {"objective": Arg(Q, "objective"), "method": Arg(ms.DSGD(0.01), "method")}),
    "largest_stable_stepsize": (moments.largest_stable_stepsize, {"objective": Arg(Q, "objective")}),
    "standard_forms": (moments.standard_forms, {"objective": Arg(Q, "objective"), "center": Arg(X)}),
    "ClosedRecursion": (moments.ClosedRecursion, {"objective": Arg(Q, "objective"), "method": Arg(ms.DSGD(0.01), "method")}),
    "EnumeratedRecursion": (
        moments.EnumeratedRecursion,
        {"objective": Arg(Q, "objective"), "method": Arg(ms.DSGD(0.01), "method")},
    ),
    "plan": (
        kernels.plan,
        {
            "method": Arg(ms.DSGD(0.01), "method"),
            "objective": Arg(Q, "objective"),
            "engine": Arg("auto"),
            "precision": Arg("float64"),
        },
    ),
    # theorems and verdicts
    **{kind.__name__: rate(kind) for kind in theorems.ALL if issubclass(kind, theorems.Rate) and kind.refuse(Q) is None},
    **{
        kind.__name__: (kind, {"objective": Arg(Q, "objective")})
        for kind in theorems.ALL
        if issubclass(kind, theorems.Inequality)
    },
    **{
        kind.__name__: rate(kind, F)
        for F in (AGREEING, CLIENTS, ONE_EACH)
        for kind in theorems.ALL
        if kind.refuse(Q) is not None and kind.refuse(F) is None
    },
    "SampledStronglyConvexDSGD": rate(theorems.SampledStronglyConvexDSGD, **SAMPLED),
    "SampledNonconvexDSGD": rate(theorems.SampledNonconvexDSGD, horizon=Arg(2, "huge"), **SAMPLED),
    "CompressedIterates": rate(theorems.CompressedIterates, ORIGIN, compression=Arg(ms.NaturalCompressor(), "None")),
    "StronglyConvexSGD": rate(theorems.StronglyConvexSGD, PLAIN, sampling=Arg(ms.FullBatch())),
    "T.bound": (
        T.bound,
        {"steps": Arg(3, "huge", "nan"), "stepsize": Arg(T.stepsize, "None"), "initial": Arg(1.0, "None")},
    ),
    "T.steps_to_accuracy": (T.steps_to_accuracy, {"accuracy": Arg(0.1), "initial": Arg(1.0, "None")}),
    "T.stepsize_to_accuracy": (T.stepsize_to_accuracy, {"accuracy": Arg(0.1)}),
    "fit_rate": (
        ms.fit_rate,
        {
            "run": Arg(FALLING),
            "theorem": Arg(None, "None"),
            "measure": Arg("distance"),
            "kind": Arg("linear"),
            "floor": Arg(False, "None"),
            "alpha": Arg(0.1),
        },
    ),
    "measure_rates": (
        ms.measure_rates,
        {
            "spec": Arg(ms.Spec(data="synthetic:n=12,d=3")),
            "data": Arg(DATA, "None"),
            "seed": Arg(0),
            "replicas": Arg(16),
            "alpha": Arg(0.1),
            "progress": Arg(None, "None"),
        },
    ),
    "verify": (ms.verify, {"theorem": Arg(T), "run": Arg(None, "None"), "alpha": Arg(1e-6), "seed": Arg(0)}),
    "decide_inequality": (
        verification.decide_inequality,
        {"theorem": Arg(theorems.Lemma1(Q)), "points": Arg(4), "seed": Arg(0)},
    ),
    "decide_mean_at_most": (
        verification.decide_mean_at_most,
        {"samples": Arg([1.0, 2.0]), "bound": Arg(1.0), "alpha": Arg(0.1), "upper": Arg(2.0, "None"), "rounding": Arg(0.0)},
    ),
    "as_expected": (verification.as_expected, {"verdicts": Arg([])}),
    "run_suite": (
        verification.run_suite,
        {
            "data": Arg(DATA),
            "sketches": Arg(("identity",)),
            "only": Arg(("lemma1",)),
            "seed": Arg(0),
            "effort": Arg(verification.QUICK),
            "progress": Arg(False),
            "workers": Arg(1),
        },
    ),
    "worst_case_factor": (
        worst_case_factor,
        {
            "stepsize": Arg(0.1),
            "smoothness": Arg(1.0),
            "strong_convexity": Arg(0.1),
            "blocks": Arg(2),
            "keep": Arg(1),
            "solver": Arg(None, "None"),
        },
    ),
    "worstcase.factor": (
        factor,
        {
            "sketch": Arg(S, "sketch"),
            "stepsize": Arg(0.1),
            "smoothness": Arg(1.0),
            "strong_convexity": Arg(0.1),
            "shift": Arg(None, "None"),
            "lag": Arg(1.0),
            "solver": Arg(None, "None"),
        },
    ),
    "worstcase.search": (
        search,
        {
            "sketch": Arg(S, "sketch"),
            "method": Arg(ms.DSGD(0.1, shift=ms.Refreshed(1.0))),
            "smoothness": Arg(1.0),
            "strong_convexity": Arg(0.5),
            "state": Arg(("x",), "None"),
            "tolerance": Arg(0.5),
            "solver": Arg(None, "None"),
        },
    ),
    # sweeps, figures, checks
    "sweep": (
        ms.sweep,
        {
            "grid": Arg({"data": "synthetic:n=20,d=4"}, "text"),
            "folder": Arg("here", "text"),
            "workers": Arg(1, "huge"),
            "backend": Arg("loky", "None"),
            "progress": Arg(False, "None"),
            "runs": Arg(False),
        },
    ),
    "read_grid": (sweeps.read_grid, {"grid": Arg({"data": "synthetic:n=20,d=4"}, "text")}),
    "reproduce": (
        reproduce.reproduce,
        {"names": Arg(["gap"]), "data": Arg(None, "None"), "quick": Arg(True), "out": Arg("here", "text"), "seed": Arg(0)},
    ),
    "Spec": (
        ms.Spec,
        {
            "data": Arg("breast-cancer", "text"),
            "positive": Arg(None, "None", "text"),
            "features": Arg(None, "None"),
            "zero_based": Arg(True),
            "problem": Arg("huber"),
            "l2": Arg(0.1, "None"),
            "sketch": Arg("identity", "text"),
            "shift": Arg("zero"),
            "clients": Arg(2, "None", "huge"),
            "split": Arg("iid", "None"),
            "method": Arg("distributed", "None"),
            "stepsize": Arg(0.1, "None"),
        },
    ),
    "check_sketch": (checks.check_sketch, {"sketch": Arg(S, "sketch"), "seed": Arg(0)}),
    "check_problem": (checks.check_problem, {"problem": Arg(f, "problem"), "seed": Arg(0)}),
    "check_loss": (checks.check_loss, {"loss": Arg(f.loss), "seed": Arg(0)}),
    "check_method": (
        checks.check_method,
        {"method": Arg(ms.DSGD(0.1), "method"), "objective": Arg(Q, "objective", "None"), "seed": Arg(0)},
    ),
    "check_theorem": (
        checks.check_theorem,
        {"kind": Arg(theorems.StronglyConvexDSGD), "budget": Arg(1), "alpha": Arg(1e-6), "seed": Arg(0)},
    ),
    "smoothness_along": (
        ms.smoothness_along,
        {
            "method": Arg(ms.DSGD(0.1), "method"),
            "objective": Arg(Q, "objective"),
            "x0": Arg(X, "None"),
            "steps": Arg(1),
            "every": Arg(1),
            "seed": Arg(0),
        },
    ),
    "CallableProblem": (
        ms.CallableProblem,
        {
            "dim": Arg(2),
            "value": Arg(lambda x: 0.5 * float(x @ x), "class"),
            "gradient": Arg(lambda x: x, "class"),
            "hessian_product": Arg(lambda x, w: w, "None", "class"),
            "smoothness": Arg(1.0),
            "strong_convexity": Arg(1.0),
            "lower_bound": Arg(0.0),
        },
    ),
    "SoftmaxRegression": softmax(),
}

ABSTRACT = "Problem GeneralizedLinearModel Loss Sketch SelectionSketch SketchBatch Expectation Objective Method Sampling "
ABSTRACT += "Law Compressor StepRule ShiftRule Order ShiftingMethod "
ABSTRACT += "MarginLoss ResidualLoss PiecewiseLoss SketchedRate "
ABSTRACT += "StochasticMethod Theorem Rate LinearRate SublinearRate HorizonRate Inequality Recursion"
RECORDS = "Constants Evaluation Minimum Moments State Verdict Curve Effort Assumption AssumptionError Sweep "
RECORDS += "SweepError SweepInterrupted Task Plan Run ExponentialSum Pieces RowForm ScalarLaw Selection FigureModule Form "
RECORDS += "FactorBracket CertificateWarning family_for pictures Stationary "
RECORDS += "FixedShift IndependentSketches Reshuffled FreshPartition ShiftedState "
RECORDS += "Interrupted MinimizationInterrupted SuiteInterrupted MethodReport TheoremReport Sides TorchProblem default_data "
RECORDS += "FullBatch NaturalCompressor Uncompressed LogisticLoss SquaredLoss sketch_names NonconvexDistributedQuoted"
EXEMPT = set(f"{ABSTRACT} {RECORDS}".split())
"""Abstract classes, classes without arguments, and records that only the package makes."""

PAIRS = [(call, argument) for call, (_, arguments) in CALLS.items() for argument in arguments]


@pytest.mark.parametrize(("call", "argument"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_what_does_not_fit_is_refused_by_name(call, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target, arguments = CALLS[call]
    accepted = {name: spec.value for name, spec in arguments.items()}
    for kind, wrong in WRONG.items():
        if kind in arguments[argument].also:
            continue
        with pytest.raises((TypeError, ValueError)) as refused:
            target(**accepted | {argument: wrong})
        message = str(refused.value)
        # One of many is called by its singular: unknown measure 'x'.
        assert re.search(rf"\b{argument.removesuffix('s')}", message), (kind, message)
        assert "\n" not in message, kind
        assert len(message) < 700, kind


def test_every_public_callable_is_tried():
    modules = (
        ms,
        expected,
        kernels,
        methods,
        moments,
        problems,
        reproduce,
        sketches,
        sweeps,
        theorems,
        verification,
        checks,
    )
    public = {name for module in modules for name in module.__all__ if callable(getattr(module, name))}
    assert public - set(CALLS) - EXEMPT == set()


def test_a_seed_beyond_its_range_is_refused_by_its_own_range():
    with pytest.raises(ValueError, match=r"from 0 to 18446744073709551615$"):
        integer("seed", 2**64, 0, 2**64 - 1)
    assert integer("seed", 2**63, 0, 2**64 - 1) == 2**63
