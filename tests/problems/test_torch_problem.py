"""A PyTorch model as f: against the two-layer network that is derived by hand. Skipped, aloud, where PyTorch is missing."""

import numpy as np
import pytest

import mastsim as ms
from tests.oracles.fresh_interpreter import run_python

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make torch` runs these tests")

RNG = np.random.default_rng(0)
A, Y = RNG.standard_normal((10, 3)), np.where(RNG.random(10) < 0.5, 1.0, -1.0)


def network(width=4):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))


def logistic(out, y):
    return torch.nn.functional.softplus(-y * out[:, 0]).mean()


def problem(width=4):
    return ms.TorchProblem(network(width), logistic, (torch.tensor(A), torch.tensor(Y)))


def test_it_is_the_two_layer_network_derived_by_hand():
    f, g = problem(), ms.TwoLayerNetwork(A, Y, width=4, l2=0.0)
    x, w = RNG.standard_normal((2, 5, f.dim))
    assert f.dim == g.dim
    assert np.allclose(f.value(x), g.value(x), rtol=1e-12)
    assert np.allclose(f.gradient(x), g.gradient(x), atol=1e-13)
    assert np.allclose(f.hessian_product(x, w), g.hessian_product(x, w), atol=1e-12)
    assert float(f.local_smoothness(x[0])) == pytest.approx(float(g.local_smoothness(x[0])), rel=1e-10)


def test_it_passes_the_check_and_simulates_from_its_weights():
    f = problem()
    ms.testing.check_problem(f)
    assert np.allclose(f.weights, np.concatenate([p.detach().numpy().ravel() for p in network().parameters()]))
    F = ms.Mast(f, ms.BlockBernoulli(f.dim, f.blocks("unit"), keep=0.8), shift=f.weights)
    run = ms.simulate(ms.DSGD(0.05), F, steps=5, replicas=2, seed=0, measures=("f",))
    assert np.isfinite(run.traces["f"]).all()
    assert not any(g.applies for g in ms.guarantees(F))
    found = ms.smoothness_along(ms.DSGD(0.05), F, steps=5, every=5)
    assert (found.largest.kind, found.stepsize.kind) == ("estimate", "estimate")


def test_blocks_are_layers_or_units_whatever_the_shapes():
    f = problem(width=2)
    assert f.blocks().tolist() == [0] * 8 + [1] * 3
    assert f.blocks("unit").tolist() == [0, 0, 0, 1, 1, 1, 0, 1, 2, 2, 2]
    conv = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False))
    g = ms.TorchProblem(conv, lambda out, y: (out[:, 0] - y).square().mean(), (torch.tensor(A)[:, None, :], torch.tensor(Y)))
    assert g.blocks("unit").tolist() == [0, 0, 0, 1, 1, 1, 0, 1, 2, 2]
    ms.testing.check_problem(g)


def test_the_module_that_was_given_is_left_alone():
    module = network()
    ms.TorchProblem(module, logistic, (torch.tensor(A), torch.tensor(Y)))
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert module.training


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"module": 3}, TypeError, "module=3 is not accepted"),
        ({"module": torch.nn.Tanh()}, ValueError, "module has no parameters"),
        ({"data": torch.tensor(A)}, TypeError, "data must be a pair"),
        ({"loss": lambda out, y: out}, ValueError, "loss must return one number"),
    ],
)
def test_arguments_are_refused_by_name(change, error, told):
    given = {"module": network(), "loss": logistic, "data": (torch.tensor(A), torch.tensor(Y))}
    with pytest.raises(error, match=told):
        ms.TorchProblem(**(given | change))


def test_torch_is_imported_only_when_a_problem_is_built():
    assert run_python("import sys, mastsim as ms; ms.TorchProblem; print('torch' in sys.modules)").split() == ["False"]
