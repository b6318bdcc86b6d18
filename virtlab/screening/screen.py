"""params.toml to ranked settings: simulate portion by portion, keep what each setting says."""

from __future__ import annotations

from pathlib import Path

from virtlab.config import Params
from virtlab.design import make_design
from virtlab.progress import Progress, Report
from virtlab.screening.findings import find, join, rank
from virtlab.screening.objective import names_of, read_objective
from virtlab.screening.outcomes import draw_outcomes
from virtlab.screening.result import Screen
from virtlab.simulation import load


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
    objective = read_objective(params, names_of(model))
    design = make_design(params, model.parameters)
    portions = draw_outcomes(
        model, design, objective, params, lambda part: tell(Progress("screening", part))
    )
    members = model.runtime.members
    findings = join([find(objective, portion, members=members) for portion in portions])
    order = rank(objective, findings, seed=params.seed)
    dataset = make_dataset(model, design, objective, findings, order, params)
    made = Screen(dataset, objective, output)
    if output is not None:
        tell(Progress("writing", 1.0, message=output.name))
        write_screen(made.dataset, output, force=force)
    return made
