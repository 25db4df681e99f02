"""The families of instances that attacks search: each a plan, which draws and decodes, and what it decodes to."""

from __future__ import annotations

from typing import NamedTuple

from mastsim.verification.attack.cosines import CosineInstance, CosinePlan
from mastsim.verification.attack.quadratic_instance import Instance
from mastsim.verification.attack.quadratic_plan import QuadraticPlan


class Family(NamedTuple):
    """A plan with the class of its instances."""

    plan: type[QuadraticPlan] | type[CosinePlan]
    instance: type[Instance] | type[CosineInstance]


FAMILIES: dict[str, Family] = {
    "quadratic": Family(QuadraticPlan, Instance),
    "cosines": Family(CosinePlan, CosineInstance),
}
"""Every family by the name that `Theorem.family` and saved witnesses use."""
