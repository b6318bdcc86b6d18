"""What a user should know of a model's training data: gaps, lost trials, doubts, weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRIVATE = (
    "private: the model file holds no trial and no setting that was run; `domain` is judged by "
    "means of groups of settings, and does not see holes smaller than those; networks can remember "
    "what they saw all the same: see the audit"
)


def remarks(data: Mapping[str, Any]) -> list[str]:
    """Sentences on missing values, dropped trials, doubts, weights, of a manifest's ``data``."""
    said = []
    values, trials = data["missing"], data.get("missing_trials", {})
    gaps = [
        f"{name} {count:,}" + (f" in {trials[name]:,} trials" if name in trials else "")
        for name, count in values.items()
        if count
    ]
    if gaps:
        said.append(f"missing values, masked in training: {', '.join(gaps)}")
    if data["dropped_trials"]:
        why = ", ".join(data.get("dropped_reasons", []))
        said.append(f"trials dropped: {data['dropped_trials']:,}" + (f" ({why})" if why else ""))
    said += data.get("doubts", [])  # files older than these have none
    if data.get("private"):
        said.append(PRIVATE)
    left = data.get("left_out")
    if left:
        said.append(
            f"left out on purpose, {left['expression']}: {left['trials']:,} trials; "
            "`virtlab evaluate --data … --leave-out …` judges on them"
        )
    weights = data.get("weights")
    if weights:
        said.append(
            f"trial weights {weights['path']}: the {data['trials']:,} trials say as much as "
            f"{weights['effective_trials']:,.0f} of equal weight (Kish)"
        )
    return said
