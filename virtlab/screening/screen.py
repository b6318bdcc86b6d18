"""params.toml to ranked settings: simulate portion by portion, keep what each setting says."""

from __future__ import annotations

from pathlib import Path

from virtlab.config import Params
from virtlab.design import Design, make_design
from virtlab.progress import Progress, Report
from virtlab.screening.candidates import read_candidates
from virtlab.screening.findings import Findings, find, join, rank
from virtlab.screening.objective import names_of, read_objective
from virtlab.screening.outcomes import draw_outcomes
from virtlab.screening.result import Screen
from virtlab.screening.suggestion import Asked, Running, suggest
from virtlab.simulation import load


def screen(
    params: Params,
    *,
    output: Path | None = None,
    seed: int | None = None,
    trials: int | None = None,
    force: bool = False,
    candidates: Path | None = None,
    asked: Asked | None = None,
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
    candidates
        CSV of the settings that are possible, instead of the design of params.toml.
    asked
        Suggest settings to run next.
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
    if candidates is None:
        design = make_design(params, model.parameters)
    else:
        design = read_candidates(params, candidates, model.parameters)

    def found_at(settings: Design) -> Findings:
        portions = draw_outcomes(
            model, settings, objective, params, lambda part: tell(Progress("screening", part))
        )
        members = model.runtime.members
        return join([find(objective, portion, members=members) for portion in portions])

    findings = found_at(design)
    suggestion = None
    if asked is not None:
        tell(Progress("suggesting", 1.0))
        running = None
        if asked.pending is not None:
            pending = read_candidates(params, asked.pending, model.parameters)
            running = Running(pending, found_at(pending))
        suggestion = suggest(
            model,
            objective,
            design,
            findings,
            asked,
            running,
            trials=params.trials,
            seed=params.seed,
        )
    order = rank(objective, findings, seed=params.seed)
    dataset = make_dataset(model, design, objective, findings, order, params, suggestion)
    made = Screen(dataset, objective, output, suggestion)
    if output is not None:
        tell(Progress("writing", 1.0, message=output.name))
        write_screen(made.dataset, output, force=force)
    return made
