"""How to read a screen's table, and how far its order can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.screening.findings import LIKELY, MOST_ON_FRONT
from virtlab.screening.numerals import cell
from virtlab.screening.replicates import MOST_REPLICATES
from virtlab.screening.table import bracketed
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr


def remarks(dataset: xr.Dataset) -> list[str]:
    """How far the order can be trusted; sentences, the important ones first."""
    ranked = int((dataset["rank"] > 0).sum())
    if not ranked:
        return ["no setting lies inside the training data or at its edge: none is ranked"]
    found, said = dataset.isel({SETTING: slice(0, ranked)}), []
    contenders = np.ones(ranked, bool)
    if "require_probability" in found:
        likely = found["require_probability"].values >= LIKELY
        contenders = likely if likely.any() else contenders
        said.append(
            f"{likely.sum():,} of {ranked:,} ranked settings meet what is required in at "
            f"least {LIKELY:.0%} of trials; they come first"
        )
    if "front" in found:
        said.append(
            f"{int((found['front'] == 1).sum()):,} settings stand on the Pareto front: no other "
            "one is expected to be better in one goal and as good in the others"
        )
    if dataset.attrs["goals"]:
        if not dataset.attrs["errors_out_of_fold"]:
            said.append(
                "the 90 % intervals are of the members' disagreement alone: the model keeps no "
                "trials, or too few, that tell what all members miss; take them for too narrow"
            )
        if not {"best_probability", "front_probability"} & set(found.data_vars):
            said.append(
                f"how likely each comes first is told of {MOST_ON_FRONT:,} settings at most; of so "
                "many, the first owe their place to chance, too: screen the best again, with more "
                "trials"
            )
        said += [*_order(found, contenders), _best(dataset)]
    return said


def _order(found: xr.Dataset, contenders: np.ndarray) -> list[str]:
    """How many others may be the best."""
    if "front" in found:
        return []
    low, high = (found[f"objective_{end}"].values for end in ("low", "high"))
    level = int(((low <= high[0]) & (high >= low[0]) & contenders).sum()) - 1
    if not level:
        return []
    return [
        f"the order is not sure: the 90 % intervals of {level:,} more "
        f"{'setting overlaps' if level == 1 else 'settings overlap'} that of rank 1"
    ]


def _best(dataset: xr.Dataset) -> str:
    """What the best measured trial is, or how to say it."""
    source = dataset.attrs.get("best_measured_source")
    if source is None:
        return (
            "best measured: not known, so there is no improvement over it; give --data "
            "experiment.toml, or best = … in [objective]"
        )
    if "best_measured" not in dataset.attrs:
        return f"best measured: no measured trial meets all requirements ({source})"
    if "front" in dataset:
        return f"best measured: those {source} that no other one beats; P(better): beaten by none"
    value = float(np.ravel(dataset.attrs["best_measured"])[0])
    unit = bracketed(dataset["expected_objective"].attrs).strip(" []")
    return (
        f"best measured: {cell(value, 4)}{' ' * bool(unit)}{unit} ({source}); P(better), "
        "improvement: of one more trial, noise included"
    )


def legend(dataset: xr.Dataset) -> list[str]:
    """What the columns mean that are not plain from their heads."""
    said = (
        []
        if not dataset.attrs["goals"]
        else [
            "noise: sd between trials; ignorance: sd between members' means beyond noise "
            "(<: lost in it, less than this in 95 of 100 cases; more trials tell)"
        ]
    )
    if "replicates" in dataset:
        against, power = dataset.attrs["replicates_against"], dataset.attrs["replicates_power"]
        most = min(MOST_REPLICATES, int(dataset.attrs["trials_per_setting"]))
        said.append(
            f"replicates: trials at each setting that tell its expected value from {against}, "
            f"{power:.0%} of the time (many: more than {most})"
        )
    return said
