"""params.toml to a file of virtual trials, with a plan before and a summary after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from virtlab.config import Params
from virtlab.design import Design, make_design
from virtlab.errors import ConfigError
from virtlab.progress import Progress, Report
from virtlab.simulation.drawing import MOST_SEED, MOST_TRIALS, Drawer, check_whole, threads
from virtlab.simulation.labels import make_template
from virtlab.simulation.model import Model, load
from virtlab.simulation.outside import refuse_outside
from virtlab.simulation.plan import Plan, check_room, make_plan
from virtlab.simulation.streaming import stream
from virtlab.simulation.summary import Sample, Summary, summarise
from virtlab.storage.output import NETCDF, TRIALS, Writer, check_output, opened
from virtlab.storage.places import is_url
from virtlab.storage.template import Template


@dataclass(frozen=True)
class _Job:
    """What params.toml asks for, with what the command line overrides."""

    model: Model
    params: Params
    target: Path | str
    design: Design
    template: Template

    def drawer(self) -> Drawer:
        return Drawer(self.model, self.design, seed=self.params.seed)


def plan(
    params: Params,
    *,
    output: Path | str | None = None,
    seed: int | None = None,
    trials: int | None = None,
    strict: bool = False,
) -> Plan:
    """Say how much params.toml asks for; only a few trials are simulated.

    Raises
    ------
    VirtlabError
        The model, the design or the output cannot be used; with `strict`, `DomainError` where
        settings lie outside the data.
    """
    job = _prepare(params, output, seed, trials, strict=strict)
    return make_plan(job.model, job.design, job.template, job.target)


def simulate_to_file(
    params: Params,
    *,
    output: Path | str | None = None,
    seed: int | None = None,
    trials: int | None = None,
    force: bool = False,
    strict: bool = False,
    resume: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    inference: bool = False,
    report: Report | None = None,
) -> Summary:
    """Simulate what params.toml describes and write it whole or not at all.

    Parameters
    ----------
    params
        What to simulate.
    output, seed, trials
        Win over params.toml.
    force
        Replace an existing output.
    strict
        Refuse settings outside the data, before anything is drawn.
    resume
        Of a Zarr store: go on with what an interrupted run left, and leave what is done if this
        one is interrupted, too.
    workers, cluster
        Have a Zarr store written by so many processes of their own, or by the workers of the Dask
        scheduler at this address, who have to reach the output.
    inference
        Write NetCDF as ArviZ' InferenceData.
    report
        Called with `Progress`.

    Raises
    ------
    VirtlabError
        The model, a setting or the output cannot be used; with `strict`, `DomainError` where
        settings lie outside the data.
    """
    tell = report or (lambda _progress: None)
    several = workers is not None or cluster is not None
    target = _target(params, output)
    check_output(target, force=force, resume=resume, several=several, suffixes=TRIALS)
    if inference and not str(target).endswith(NETCDF):
        raise ConfigError(f"{target}: InferenceData is a NetCDF file; name one ({NETCDF}) with -o")
    job = _prepare(params, output, seed, trials, strict=strict)
    planned = make_plan(job.model, job.design, job.template, job.target)
    check_room(planned)
    largest = max(column.measurement.size for column in job.model.columns)
    sample = Sample(job.design.size, job.params.trials, largest)
    with opened(
        job.target, job.template, resume=resume, force=force, inference=inference
    ) as writer:
        if several:
            _simulate_elsewhere(job, writer, sample, tell, workers, cluster)
        else:
            with threads() as pool:
                stream(job.drawer(), job.template, writer, sample, pool=pool, tell=tell)
        tell(Progress("writing", 1.0, message=Path(job.target).name))
    return summarise(job.model, job.design, job.template, sample, planned, seed=job.params.seed)


def _simulate_elsewhere(
    job: _Job,
    writer: Writer,
    sample: Sample,
    tell: Report,
    workers: int | None,
    cluster: str | None,
) -> None:
    """Have a Dask cluster do the work."""
    try:
        from virtlab.simulation.cluster import connected, simulate_regions
    except ImportError as error:
        raise ConfigError(
            f"a cluster needs Dask ({error}); pip install 'virtlab[cluster]'"
        ) from error
    from virtlab.storage.zarr_store import ZarrWriter

    assert isinstance(writer, ZarrWriter)
    with connected(workers, cluster) as client:
        simulate_regions(
            client,
            job.model,
            job.drawer(),
            job.design,
            job.template,
            writer,
            sample,
            seed=job.params.seed,
            tell=tell,
        )


def _prepare(
    params: Params,
    output: Path | str | None,
    seed: int | None,
    trials: int | None,
    *,
    strict: bool,
) -> _Job:
    """Load the model, settle what the command line overrides, and make the design."""
    target = _target(params, output)
    changes = {"seed": seed, "trials": trials}
    changed = params.model_copy(update={k: v for k, v in changes.items() if v is not None})
    check_whole("trials", changed.trials, 1, MOST_TRIALS)
    check_whole("seed", changed.seed, 0, MOST_SEED)
    model = load(params.path.parent / params.model)
    design = make_design(changed, model.parameters)
    template = make_template(
        model, design, trials=changed.trials, seed=changed.seed, params_text=params.text
    )
    if strict:
        refuse_outside(design, np.ravel(template.variables["domain_distance"].known))
    return _Job(model, changed, target, design, template)


def _target(params: Params, output: Path | str | None) -> Path | str:
    """Where to write: the command line wins; a relative path in params.toml is beside it."""
    if output is not None:
        return str(output) if is_url(output) else Path(output)
    if params.output is None:
        raise ConfigError(
            f'{params.path.name}: no output; add output = "virtual.nc", or give -o virtual.nc'
        )
    return params.output if is_url(params.output) else params.path.parent / params.output
