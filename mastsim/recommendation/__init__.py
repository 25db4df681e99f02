"""Advice for a data file: which step, which floor, and what would change them."""

from mastsim.recommendation.advising import advise
from mastsim.recommendation.record import KeepAdvice, Recommendation, Scaling

__all__ = ["KeepAdvice", "Recommendation", "Scaling", "advise"]
