"""mastsim.extend names everything that one subclasses, and nothing private."""

import inspect

import mastsim as ms
from mastsim import extend


def test_every_base_class_is_there_and_is_the_one_of_its_folder():
    for name in ("Sketch", "SelectionSketch", "Law", "Selection"):
        assert getattr(extend, name) is getattr(ms.sketches, name)
    for name in ("Loss", "ResidualLoss", "MarginLoss", "PiecewiseLoss", "GeneralizedLinearModel", "Problem"):
        assert getattr(extend, name) is getattr(ms.problems, name)
    for name in ("LinearRate", "SublinearRate", "HorizonRate", "SketchedRate", "Inequality", "Assumption"):
        assert getattr(extend, name) is getattr(ms.theorems, name)
    assert ms.extend is extend


def test_every_name_is_public_and_the_document_tells_of_every_base_class():
    for name in extend.__all__:
        found = getattr(extend, name)
        assert not name.startswith("_")
        if inspect.isclass(found) and inspect.isabstract(found) and name not in ("Compressor", "Draw", "Loss", "Rate"):
            assert f"`{name}`" in extend.__doc__ or name in ("Sampling", "SketchBatch", "StepRule", "Theorem"), name
