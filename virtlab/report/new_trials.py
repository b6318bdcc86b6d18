"""The new trials that a model is judged on: all of them, those chosen, or a sample of many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtlab.progress import Progress, Report

if TYPE_CHECKING:
    import xarray as xr

SEED = 20_265
LEAVE_OUT = "--leave-out"


def open_new(
    data: Path, leave_out: str | None, tell: Report
) -> tuple[xr.Dataset, tuple[int, str] | None]:
    """Open the trials of an experiment.toml to judge on.

    Parameters
    ----------
    data
        The experiment.toml.
    leave_out
        Comparisons over parameters: only trials that meet them are judged on.
    tell
        Called with `Progress`.

    Returns
    -------
    trials, drawn_from
        Where memory does not hold them, `trials` are a random sample, of so many with that digest.

    Raises
    ------
    VirtlabError
        They cannot be read, or `leave_out` chooses none of them.
    """
    from virtlab.config import read_experiment
    from virtlab.expressions import chosen, parse_choice
    from virtlab.storage import LargeTrials, open_within
    from virtlab.storage.sample import picked

    experiment = read_experiment(data)
    found = open_within(
        experiment,
        experiment.training.memory,
        seed=SEED,
        report=lambda said, part: tell(Progress("reading", part / 10, None, None, said)),
        keep=None
        if leave_out is None
        else lambda trials: parse_choice(trials, leave_out, LEAVE_OUT).of(trials),
    )
    if isinstance(found, LargeTrials):
        return found.sample, (found.trials, found.digest)
    if leave_out is not None:
        found = picked(found, np.flatnonzero(chosen(found, leave_out, LEAVE_OUT)))
    return found, None
