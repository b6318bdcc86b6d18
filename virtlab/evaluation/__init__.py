"""How far a model can be trusted: held-out scores, and virtual beside new real trials."""

from __future__ import annotations

from virtlab.evaluation.audit import examine
from virtlab.evaluation.baselines import BASELINES
from virtlab.evaluation.evaluation import Evaluation, evaluate

__all__ = ["BASELINES", "Evaluation", "evaluate", "examine"]
