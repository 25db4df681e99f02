"""Symmetric matrices whose spectra, ranks and quadratic minima come with proven errors, many in 106-bit arithmetic."""

from mastsim.linalg.compiling import compile_kernels as compile_kernels
from mastsim.linalg.curvature import Curvature as Curvature
from mastsim.linalg.means import mean_curvature as mean_curvature
from mastsim.linalg.means import mean_form as mean_form
from mastsim.linalg.pairs import Pair as Pair
from mastsim.linalg.quadratic_form import Bottom as Bottom
from mastsim.linalg.quadratic_form import QuadraticForm as QuadraticForm
from mastsim.linalg.rank import exact_rank as exact_rank
from mastsim.linalg.rows import gram_form as gram_form
from mastsim.linalg.sparse_curvature import SparseCurvature as SparseCurvature
from mastsim.linalg.sparse_curvature import mean_sparse_curvature as mean_sparse_curvature
from mastsim.linalg.sparse_curvature import split as split
from mastsim.linalg.sparse_curvature import squares_of as squares_of
from mastsim.linalg.symmetric import diagonal as diagonal
from mastsim.linalg.symmetric import outer as outer
from mastsim.linalg.symmetric import symmetric_part as symmetric_part
from mastsim.linalg.symmetric import transposed as transposed
