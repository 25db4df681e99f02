"""What one subclasses to bring a sketch, a loss, a method, a problem or a theorem of one's own, and what each needs.

==========================  ==========================================================================================
base class                  what to give; all else follows, and may be overridden
==========================  ==========================================================================================
`SelectionSketch`           field `dim`; `law`, a `Selection`: which coordinates stand together and how many are kept
`Sketch`                    field `dim`; `uniforms`, `from_uniforms` (a draw); `law`, a `Law` that says what it knows
`ResidualLoss`              `name`, `psi` at w = u − y; `curvature_max` and `curvature_min` where they are known
`MarginLoss`                the same at w = yu, for labels −1 and +1
`PiecewiseLoss`             beside one of these: `pieces` in place of `psi`
`GeneralizedLinearModel`    `loss`, an instance of one's `Loss`; data, ridge and constants come with it
`Problem`                   `dim`, `value`, `gradient`, `hessian_product`, curvatures and `lower_bound`; for
                            functions that are at hand `mastsim.CallableProblem` asks for less
`Method`                    `init` and `step`; a `State`, or a NamedTuple of arrays (replicas, dim) that begins with `x`;
                            ``affine = True`` in the class body where each outcome of a step is an affine map
`StochasticMethod`          `init` and `direction`; sampling, compression and step rules come with it
`LinearRate`                `method_at`, `stepsize`, `contraction`, `neighbourhood`
`SublinearRate`             `method_at`, `stepsize`, `weight(steps, stepsize)`, `noise`; `measure` and `over` of the bound
`HorizonRate`               `method_at`, `variance`, `noise`: a step size for a planned number of steps
`SketchedRate`              before one of these: `L`, `mu`, `gap` and `variance`, published or sharp as `sharp` says
`Inequality`                `parts`, `sides`, `spectral_sides`: a claim about points, not about a method
==========================  ==========================================================================================

Every theorem also says `id`, `title`, `source`, `statement` (LaTeX), `assumptions` and `constants_used`; a rate the name
of its `method`, and where that is not the distance to x_D* after T steps, the `measure` it bounds (``"gap"``,
``"gradient_norm2"``, …) and whether at the ``"last"`` step, on ``"average"`` or at the ``"minimum"`` (`over`). Constants
are looked up in ``self.constants``, which is what verdicts move by their errors and what `mastsim.testing.check_theorem`
changes to see whether a trial would notice. Assumptions are the constants below in capitals, or an `Assumption` of one's
own: its name, whether it holds, what was measured, and what would help.

Each has a check: `mastsim.testing.check_sketch`, `check_loss`, `check_problem`, `check_method`, `check_theorem`.

Examples
--------
>>> import numpy as np, mastsim as ms
>>> class LogCosh(ResidualLoss):
...     name, curvature_max, curvature_min = "log-cosh", 1.0, 0.0
...     def psi(self, w, order=0):
...         if order == 0:
...             return np.logaddexp(w, -w) - np.log(2)
...         return np.tanh(w) if order == 1 else 1 - np.tanh(w) ** 2
>>> ms.testing.check_loss(LogCosh())
"""

from mastsim.draws import Draw
from mastsim.linalg import Curvature
from mastsim.methods import Compressor, Method, Sampling, State, StepRule, StochasticMethod
from mastsim.problems import (
    ExponentialSum,
    GeneralizedLinearModel,
    Loss,
    MarginLoss,
    Minimum,
    Pieces,
    PiecewiseLoss,
    Problem,
    ResidualLoss,
    RowForm,
)
from mastsim.provenance import Constant
from mastsim.sketches import DiagonalBatch, Law, MatrixBatch, Selection, SelectionSketch, Sketch, SketchBatch
from mastsim.theorems import (
    Assumption,
    AssumptionError,
    HorizonRate,
    Inequality,
    LinearRate,
    Rate,
    Sides,
    SketchedRate,
    SublinearRate,
    Theorem,
)
from mastsim.theorems.assumptions import (
    BOUNDED,
    CONVEX,
    DISTRIBUTED,
    EXACT,
    INDEPENDENT,
    NO_SKETCH,
    SINGLE_NODE,
    SMOOTH,
    STRONGLY_CONVEX,
    UNBIASED,
)

__all__ = [
    "BOUNDED",
    "CONVEX",
    "DISTRIBUTED",
    "EXACT",
    "INDEPENDENT",
    "NO_SKETCH",
    "SINGLE_NODE",
    "SMOOTH",
    "STRONGLY_CONVEX",
    "UNBIASED",
    "Assumption",
    "AssumptionError",
    "Compressor",
    "Constant",
    "Curvature",
    "DiagonalBatch",
    "Draw",
    "ExponentialSum",
    "GeneralizedLinearModel",
    "HorizonRate",
    "Inequality",
    "Law",
    "LinearRate",
    "Loss",
    "MarginLoss",
    "MatrixBatch",
    "Method",
    "Minimum",
    "Pieces",
    "PiecewiseLoss",
    "Problem",
    "Rate",
    "ResidualLoss",
    "RowForm",
    "Sampling",
    "Selection",
    "SelectionSketch",
    "Sides",
    "Sketch",
    "SketchBatch",
    "SketchedRate",
    "State",
    "StepRule",
    "StochasticMethod",
    "SublinearRate",
    "Theorem",
]
