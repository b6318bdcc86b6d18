"""params.toml to ranked settings: simulate portion by portion, keep what each setting says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from virtlab.config import Params
from virtlab.design import Design, make_design
from virtlab.progress import Progress, Report
from virtlab.screening.best import best_known, settings_in
from virtlab.screening.candidates import read_candidates
from virtlab.screening.findings import Findings, Order, find, join, rank, with_shared
from virtlab.screening.knowledge import Running, gather
from virtlab.screening.objective import Floats, Objective, names_of, read_objective
from virtlab.screening.outcomes import draw_outcomes, join_outcomes
from virtlab.screening.replicates import replicates
from virtlab.screening.result import Screen
from virtlab.screening.shared import margin_errors, shared_errors
from virtlab.screening.suggestion import Asked, suggest
from virtlab.simulation import Model, load

MOST_COMPARED = 100
"""Settings, best first, whose replicates are counted."""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Add numbers up in one order: that of several threads depends on how many cores there are."""
    import scipy.linalg  # noqa: F401  # it brings a BLAS of its own, to be limited with numpy's
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@_one_thread()
def screen(
    params: Params,
    *,
    output: Path | Sequence[Path] | None = None,
    data: Path | None = None,
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
        Where to write the result whole or not at all, ``.csv``, ``.nc`` or ``.zarr``; or several
        such; None: nowhere.
    data
        An experiment.toml whose trials say what the best measured one has reached.
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
    from virtlab.screening.output import check_output, outputs_of, write_screen
    from virtlab.storage import open_trials

    tell = report or (lambda _progress: None)
    outputs = outputs_of(output)
    for path in outputs:
        check_output(path, force=force)
    changes = {"seed": seed, "trials": trials}
    params = params.model_copy(update={k: v for k, v in changes.items() if v is not None})
    model = load(params.path.parent / params.model)
    check_names(model.parameters)
    objective = read_objective(params, names_of(model))
    if candidates is None:
        design = make_design(params, model.parameters)
    else:
        design = read_candidates(params, candidates, model.parameters)

    measured = None if data is None else open_trials(data)
    best = best_known(objective, model, measured)

    def found_at(settings: Design) -> Findings:
        portions = draw_outcomes(
            model, settings, objective, params, lambda part: tell(Progress("screening", part))
        )
        off = margin_errors(model, objective, settings)
        members, found = model.runtime.members, []
        for portion in portions:
            here, off = off[: len(portion.cost)], off[len(portion.cost) :]
            found.append(find(objective, portion, members=members, best=best, off=here))
        return join(found)

    findings = found_at(design)
    suggestion = None
    if asked is not None:
        tell(Progress("suggesting", 1.0))
        running = None
        if asked.pending is not None:
            pending = read_candidates(params, asked.pending, model.parameters)
            running = Running(pending, found_at(pending))
        told = measured is not None or objective.best is not None
        knowledge = gather(
            model,
            objective,
            running=running,
            best=best if told else None,
            measured=None if measured is None else settings_in(model, measured),
        )
        suggestion = suggest(
            knowledge, design, findings, asked, trials=params.trials, seed=params.seed
        )
    shared = shared_errors(model, objective, design)
    findings = with_shared(findings, shared, objective.limits(names_of(model)))
    order = rank(objective, findings, seed=params.seed, shared=shared)
    tell(Progress("comparing", 1.0))
    needed = _replicates(model, design, objective, order, params)
    dataset = make_dataset(
        model, design, objective, findings, order, params, best, needed, suggestion
    )
    dataset.attrs["errors_out_of_fold"] = int(shared is not None)
    for path in outputs:
        tell(Progress("writing", 1.0, message=path.name))
        write_screen(dataset, path, force=force)
    return Screen(dataset, objective, outputs, suggestion)


def _replicates(
    model: Model, design: Design, objective: Objective, order: Order, params: Params
) -> Floats | None:
    """Replicates that tell the best from each other, or from the threshold, by rank."""
    if len(objective.goals) != 1 or not order.ranked:
        return None
    # a setting's trials are the same in any design: those of the first are drawn once more
    first = order.settings[: min(order.ranked, MOST_COMPARED)]
    again = Design({name: values[first] for name, values in design.settings.items()})
    outcomes = join_outcomes(list(draw_outcomes(model, again, objective, params)))
    values, member, rng = outcomes.values[0], outcomes.member, np.random.default_rng(params.seed)
    power = objective.power
    if objective.threshold is not None:
        return replicates(values, member, objective.threshold, power=power, rng=rng)
    if len(first) == 1:
        return np.full(1, np.nan)
    others = replicates(values[1:], member[1:], values[0], member[0], power=power, rng=rng)
    found: Floats = np.r_[np.nan, others]
    return found
