"""params.toml to ranked settings: simulate portion by portion, keep what each setting says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from virtlab.config import Params
from virtlab.design import Design, make_design
from virtlab.errors import ConfigError
from virtlab.expressions.parsing import known_names
from virtlab.progress import Progress, Report
from virtlab.runtime import ROWS_AT_ONCE
from virtlab.screening.findings import Findings, find, join
from virtlab.screening.objective import Objective, read_objective
from virtlab.screening.result import Screen
from virtlab.simulation import Model, load
from virtlab.simulation.drawing import draw

PORTION = 2**25
"""Bytes of virtual trials held at once, where one setting does not need more."""
MOST_BYTES = 2**28
"""Of the virtual trials of one setting."""


def screen(
    params: Params,
    *,
    output: Path | None = None,
    seed: int | None = None,
    trials: int | None = None,
    force: bool = False,
    report: Report | None = None,
) -> Screen:
    """Rank the settings of params.toml by its objective.

    Parameters
    ----------
    params
        What to simulate, and its [objective].
    output
        Where to write the result whole or not at all, ``.csv``, ``.nc`` or ``.zarr``; None:
        nowhere.
    seed, trials
        Win over params.toml.
    force
        Replace an existing output.
    report
        Called with `Progress`.

    Raises
    ------
    VirtlabError
        The model, a setting, the objective or the output cannot be used.
    """
    from virtlab.screening.dataset import check_names, make_dataset
    from virtlab.screening.output import check_output, write_screen

    tell = report or (lambda _progress: None)
    if output is not None:
        check_output(output, force=force)
    changes = {"seed": seed, "trials": trials}
    params = params.model_copy(update={k: v for k, v in changes.items() if v is not None})
    model = load(params.path.parent / params.model)
    check_names(model.parameters)
    objective = read_objective(params, known_names(model.measurements, model.parameters))
    design = make_design(params, model.parameters)
    findings = _simulate(
        model, design, objective, params, lambda part: tell(Progress("screening", part))
    )
    made = Screen(make_dataset(model, design, objective, findings, params), objective, output)
    if output is not None:
        tell(Progress("writing", 1.0, message=output.name))
        write_screen(made.dataset, output, force=force)
    return made


def _simulate(
    model: Model,
    design: Design,
    objective: Objective,
    params: Params,
    tell: Callable[[float], None],
) -> Findings:
    """Draw the design's trials a portion at a time, and keep only what is found in them."""
    size, found = _portion(model, params), []
    for first in range(0, design.size, size):
        part = Design({name: v[first : first + size] for name, v in design.settings.items()})
        drawn = draw(model, part, trials=params.trials, seed=params.seed)
        where = f"{params.path.name}: objective.{objective.direction}"
        found.append(find(objective, part, drawn, members=model.runtime.members, where=where))
        tell(min(1.0, (first + size) / design.size))
    return join(found)


def _portion(model: Model, params: Params) -> int:
    """Settings to draw together; refuses what cannot be held or told apart."""
    file, trials, members = params.path.name, params.trials, model.runtime.members
    if trials < 2 * members:
        raise ConfigError(
            f"{file}: trials = {trials}: too few to tell noise from ignorance; the model's "
            f"{members} members draw in turn, two trials each: ask for {2 * members} or more"
        )
    values = sum(measurement.size for measurement in model.measurements)
    each = trials * values * np.dtype(np.float64).itemsize
    if each > MOST_BYTES:
        raise ConfigError(
            f"{file}: trials = {trials:,}: those of one setting alone need {each / 1e9:.1f} GB; "
            f"ask for {trials * MOST_BYTES // each:,} or fewer"
        )
    return max(1, min(ROWS_AT_ONCE // trials, PORTION // each))
