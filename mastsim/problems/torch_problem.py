"""A PyTorch model with its data as f on flat parameters. PyTorch is imported when a problem is built, and not before."""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.problems.callable_problem import CallableProblem
from mastsim.validation import one_of, shown


@dataclass(frozen=True, eq=False, init=False, repr=False)
class TorchProblem(CallableProblem):
    """f(x) = loss(module(inputs), targets) with the parameters of a PyTorch module as one vector x.

    The module is copied, taken to double precision and put into evaluation mode. Nothing is known of the curvature of f: no
    theorem applies, and `local_smoothness` estimates it at a point.

    Parameters
    ----------
    module : torch.nn.Module
        The model.
    loss : callable
        Maps what the module returns, and the targets, to one number, such as ``torch.nn.functional.cross_entropy``.
    data : tuple of torch.Tensor
        Inputs and targets.
    lower_bound : float, default 0.0
        A number that the loss never goes below.

    Raises
    ------
    ModuleNotFoundError
        If PyTorch is not installed.
    TypeError, ValueError
        If `module` is no module, it has no parameters, `data` is not a pair, or the loss is not one number.

    References
    ----------
    This package.
    """

    def __init__(self, module: Any, loss: Any, data: Any, *, lower_bound: float = 0.0) -> None:
        torch = _torch()
        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"module={shown(module)} is not accepted: it must be a torch.nn.Module")
        if not (isinstance(data, tuple) and len(data) == 2):
            raise TypeError("data must be a pair: inputs and targets, as tensors")
        own = copy.deepcopy(module).double().eval()
        if not (size := sum(p.numel() for p in own.parameters())):
            raise ValueError("module has no parameters: there is nothing to train")
        inputs, targets = (part.double() if part.is_floating_point() else part for part in data)
        object.__setattr__(self, "_module", own)
        flat = _Flat(torch, own, loss, inputs, targets)
        if flat.at(torch.from_numpy(np.array(self.weights))).ndim:
            raise ValueError("loss must return one number: take the mean over the data")
        super().__init__(size, flat.value, flat.gradient, flat.hessian_product, lower_bound=lower_bound)

    @property
    def module(self) -> Any:
        """The copy of the module, in double precision."""
        return self.__dict__["_module"]

    @property
    def name(self) -> str:
        """For example ``Sequential of PyTorch (d = 41)``."""
        return f"{type(self.module).__name__} of PyTorch (d = {self.dim})"

    @cached_property
    def weights(self) -> np.ndarray:
        """The parameters that the module came with, shape (dim,): a shift v that is pre-trained if they are."""
        return np.concatenate([p.detach().numpy().ravel() for p in self.module.parameters()])

    def blocks(self, by: str = "layer") -> np.ndarray:
        """Return which parameters are kept or dropped together, as labels for `BlockBernoulli` or `BlockRandK`.

        Parameters
        ----------
        by : {"layer", "unit"}, default "layer"
            ``layer``: weights and bias of a module are one block. ``unit``: a row of a weight with its entry of the bias is
            one, that is all that leads to an output of the module.

        Returns
        -------
        ndarray of int, shape (dim,)
            Labels from 0.
        """
        one_of("by", by, ("layer", "unit"))
        known: dict[tuple[str, int], int] = {}
        labels = []
        for name, p in self.module.named_parameters():
            layer, rows = name.rpartition(".")[0], p.shape[0] if p.ndim else 1
            unit = np.repeat(np.arange(rows), p.numel() // max(rows, 1)) if by == "unit" else np.zeros(p.numel(), dtype=int)
            labels += [known.setdefault((layer, int(i)), len(known)) for i in unit]
        return np.array(labels)

    @property
    def _start(self) -> np.ndarray:
        # Not from zero: there all units are alike and stay so.
        return np.array(self.weights)


class _Flat:
    """The loss of a module as a function of a flat vector, and its derivatives."""

    def __init__(self, torch: Any, module: Any, loss: Any, inputs: Any, targets: Any) -> None:
        self.torch, self.module, self.loss, self.inputs, self.targets = torch, module, loss, inputs, targets

    def at(self, flat: Any) -> Any:
        parts, start = {}, 0
        for name, p in self.module.named_parameters():
            parts[name] = flat[start : start + p.numel()].view(p.shape)
            start += p.numel()
        out = self.torch.func.functional_call(self.module, parts, (self.inputs,))
        return self.loss(out, self.targets)

    def value(self, x: np.ndarray) -> float:
        with self.torch.no_grad():
            return float(self.at(self.torch.from_numpy(x)))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        flat = self.torch.from_numpy(x).requires_grad_()
        (slope,) = self.torch.autograd.grad(self.at(flat), flat)
        return np.array(slope.detach().numpy())

    def hessian_product(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        flat = self.torch.from_numpy(x).requires_grad_()
        (slope,) = self.torch.autograd.grad(self.at(flat), flat, create_graph=True)
        if not slope.requires_grad:
            return np.zeros_like(x)
        (bent,) = self.torch.autograd.grad(slope @ self.torch.from_numpy(w), flat, allow_unused=True)
        return np.zeros_like(x) if bent is None else np.array(bent.detach().numpy())


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError("TorchProblem needs PyTorch: install mastsim[torch]", name="torch") from missing
