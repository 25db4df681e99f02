"""The public names, and where each lives: read by type checkers, and by the package when a name is first used."""

from . import (
    extend as extend,
    moments as moments,
    problems as problems,
    sketches as sketches,
    testing as testing,
    theorems as theorems,
)
from .advice import guarantees as guarantees
from .constants import Constants as Constants
from .designs import design as design
from .empirical_rates import (
    fit_rate as fit_rate,
    measure_rates as measure_rates,
)
from .expected import (
    Distributed as Distributed,
    Mast as Mast,
)
from .interruption import Interrupted as Interrupted
from .local_smoothness import smoothness_along as smoothness_along
from .methods import (
    DSGD as DSGD,
    GD as GD,
    GDCI as GDCI,
    LSVRDSG as LSVRDSG,
    PAGE as PAGE,
    SGD as SGD,
    AveragedMomentum as AveragedMomentum,
    ConstantStep as ConstantStep,
    DistributedDSGD as DistributedDSGD,
    DitheringCompressor as DitheringCompressor,
    FixedShift as FixedShift,
    FreshPartition as FreshPartition,
    FullBatch as FullBatch,
    HarmonicStep as HarmonicStep,
    Held as Held,
    HeldSketch as HeldSketch,
    IndependentSampling as IndependentSampling,
    IndependentSketches as IndependentSketches,
    InverseSqrtStep as InverseSqrtStep,
    NaturalCompressor as NaturalCompressor,
    Nice as Nice,
    Participation as Participation,
    PolyakStep as PolyakStep,
    PreconditionedSubnetworks as PreconditionedSubnetworks,
    Refreshed as Refreshed,
    Reshuffled as Reshuffled,
    SketchCompressor as SketchCompressor,
    StagewiseStep as StagewiseStep,
    Uncompressed as Uncompressed,
    WithReplacement as WithReplacement,
    importance_sampling as importance_sampling,
)
from .problems import (
    CallableProblem as CallableProblem,
    CertificateWarning as CertificateWarning,
    ExponentialClassification as ExponentialClassification,
    FiniteSum as FiniteSum,
    HuberRegression as HuberRegression,
    LeastSquares as LeastSquares,
    LogisticRegression as LogisticRegression,
    MinimizationInterrupted as MinimizationInterrupted,
    PoissonRegression as PoissonRegression,
    Quadratic as Quadratic,
    SigmoidClassification as SigmoidClassification,
    SmoothedHingeClassification as SmoothedHingeClassification,
    SoftmaxRegression as SoftmaxRegression,
    TorchProblem as TorchProblem,
    TwoLayerNetwork as TwoLayerNetwork,
    WelschRegression as WelschRegression,
    load as load,
    split as split,
)
from .provenance import Constant as Constant
from .recommendation import advise as advise
from .run import Run as Run
from .simulation import simulate as simulate
from .sketches import (
    Bernoulli as Bernoulli,
    BlockBernoulli as BlockBernoulli,
    BlockRandK as BlockRandK,
    Composed as Composed,
    FiniteSupport as FiniteSupport,
    Gaussian as Gaussian,
    Haar as Haar,
    Identity as Identity,
    IndependentDiagonal as IndependentDiagonal,
    NofM as NofM,
    PermK as PermK,
    RandK as RandK,
    Rotated as Rotated,
    Unmasked as Unmasked,
    Unscaled as Unscaled,
)
from .spec import Spec as Spec
from .sweeps import (
    Sweep as Sweep,
    sweep as sweep,
)
from .verification import (
    Verdict as Verdict,
    verify as verify,
)
from .version import __version__ as __version__
