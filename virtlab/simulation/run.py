"""params.toml to a file of virtual trials, with a plan before and a summary after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.config import Params
from virtlab.design import Design, make_design
from virtlab.domain import VERDICTS
from virtlab.errors import ConfigError, OutputError
from virtlab.progress import Progress, Report
from virtlab.simulation.drawing import Drawn, draw, dtype_of
from virtlab.simulation.model import Model, load
from virtlab.simulation.outside import Outside, find_outside, refuse_outside
from virtlab.trials import Measurement

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Plan:
    """How much would be simulated.

    Parameters
    ----------
    model, output
        The files.
    settings, trials
        Settings, and virtual trials at each.
    values
        Numbers in all.
    bytes
        Size before compression.
    """

    model: Path
    output: Path
    settings: int
    trials: int
    values: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """What was simulated.

    Parameters
    ----------
    plan
        How much.
    seed
        Of the latents.
    measurements
        Per measurement: unit, mean, sd and quantiles, or shares of the categories.
    domain
        Number of settings inside, at the edge, outside.
    outside
        What lies outside the data, if anything does.
    trust
        How far the model can be trusted, from its held-out scores, a sentence each.
    """

    plan: Plan
    seed: int
    measurements: dict[str, dict[str, Any]]
    domain: dict[str, int]
    outside: Outside | None
    trust: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "output": str(self.plan.output),
            "settings": self.plan.settings,
            "trials": self.plan.trials,
            "seed": self.seed,
            "measurements": self.measurements,
            "domain": self.domain,
            "worst": self.outside.farthest if self.outside else None,
            "trust": self.trust,
        }

    def lines(self) -> list[str]:
        """For the terminal."""
        rows: list[tuple[str, ...]] = [("measurement", "unit", "mean", "sd", "5 %", "50 %", "95 %")]
        notes = []
        for name, found in self.measurements.items():
            if "shares" in found:
                top = sorted(found["shares"].items(), key=lambda item: -item[1])[:5]
                notes.append(f"{name}: " + ", ".join(f"{key} {share:.1%}" for key, share in top))
                continue
            numbers = [found["mean"], found["sd"], *found["quantiles"].values()]
            rows.append((name, found["units"] or "-", *(f"{number:.4g}" for number in numbers)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        total = self.plan.settings * self.plan.trials
        head = f"{total:,} virtual trials at {self.plan.settings:,} settings, seed {self.seed}"
        head += "; over all of them:" if self.plan.settings > 1 else ""
        body = (table if len(rows) > 1 else []) + notes
        end = f"written to {self.plan.output}"
        return [head, *body, *self.trust, self._domain_line(), end]

    def _domain_line(self) -> str:
        counts = ", ".join(f"{self.domain[name]:,} {name}" for name in VERDICTS)
        line = f"settings: {counts} the training data"
        return line + (f"\nwarning: {self.outside}" if self.outside else "")


def plan(
    params: Params,
    *,
    output: Path | None = None,
    seed: int | None = None,
    trials: int | None = None,
    strict: bool = False,
) -> Plan:
    """Say how much params.toml asks for, without simulating.

    Raises
    ------
    VirtlabError
        The model, the design or the output cannot be used; with `strict`, `DomainError` where
        settings lie outside the data.
    """
    model, params, path = _prepare(params, output, seed, trials)
    design = make_design(params, model.parameters)
    if strict:
        refuse_outside(design, model.domain.distance(model.conditions(design.settings)))
    return _plan(model, design, params, path)


def simulate_to_file(
    params: Params,
    *,
    output: Path | None = None,
    seed: int | None = None,
    trials: int | None = None,
    force: bool = False,
    strict: bool = False,
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
    report
        Called with `Progress`.

    Raises
    ------
    VirtlabError
        The model, a setting or the output cannot be used; with `strict`, `DomainError` where
        settings lie outside the data.
    """
    from virtlab.storage.output import check_output

    tell = report or (lambda _progress: None)
    model, params, path = _prepare(params, output, seed, trials)
    check_output(path, force=force)
    design = make_design(params, model.parameters)
    planned = _plan(model, design, params, path)
    _check_memory(planned)
    if strict:
        refuse_outside(design, model.domain.distance(model.conditions(design.settings)))
    drawn = draw(
        model,
        design,
        trials=params.trials,
        seed=params.seed,
        report=lambda part: tell(Progress("simulating", part)),
    )
    tell(Progress("writing", 1.0, message=path.name))
    _write(model, design, drawn, params, path, force=force)
    return _summarise(model, design, drawn, planned, params.seed)


def _prepare(
    params: Params, output: Path | None, seed: int | None, trials: int | None
) -> tuple[Model, Params, Path]:
    """Load the model and settle what the command line overrides."""
    folder = params.path.parent
    if output is None and params.output is None:
        raise ConfigError(
            f'{params.path.name}: no output; add output = "virtual.nc", or give -o virtual.nc'
        )
    path = output if output is not None else folder / str(params.output)
    changes = {"seed": seed, "trials": trials}
    changed = params.model_copy(update={k: v for k, v in changes.items() if v is not None})
    return load(folder / params.model), changed, path


def _plan(model: Model, design: Design, params: Params, path: Path) -> Plan:
    count = design.size * params.trials
    values = count * sum(column.measurement.size for column in model.columns)
    size = sum(
        column.measurement.size * np.dtype(dtype_of(column)).itemsize for column in model.columns
    )
    return Plan(model.file.path, path, design.size, params.trials, values, count * (size + 2))


def _check_memory(planned: Plan) -> None:
    """Refuse what cannot be held: the file is made in memory before it is written."""
    import os

    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    if 2.5 * planned.bytes > have:
        raise OutputError(
            f"{planned.output}: {planned.settings:,} settings x {planned.trials:,} trials need "
            f"{planned.bytes / 1e9:.1f} GB, more than memory holds ({have / 1e9:.1f} GB free); "
            "ask for fewer settings or trials, or simulate in parts"
        )


def _write(
    model: Model, design: Design, drawn: Drawn, params: Params, path: Path, *, force: bool
) -> None:
    from virtlab.simulation.dataset import make_dataset
    from virtlab.storage.output import write_virtual_trials

    made = make_dataset(model, design, drawn, seed=params.seed, params_text=params.text)
    write_virtual_trials(made, path, force=force)


def _summarise(model: Model, design: Design, drawn: Drawn, planned: Plan, seed: int) -> Summary:
    counts = Counter(drawn.domain.tolist())
    return Summary(
        plan=planned,
        seed=seed,
        measurements={
            column.measurement.name: _describe(
                drawn.measurements[column.measurement.name], column.measurement.units
            )
            for column in model.columns
        },
        domain={name: counts[name] for name in VERDICTS},
        outside=find_outside(design, drawn.domain_distance),
        trust=[_trust(column.measurement, model) for column in model.columns]
        + [f"note: {said}" for said in model.manifest["verdict"]],
    )


def _trust(measurement: Measurement, model: Model) -> str:
    """One measurement's held-out scores in a sentence."""
    score = model.scores[measurement.name]
    unit = f" {measurement.units}" if measurement.units not in ("", "1") else ""
    said = (
        f"held out, {measurement.name}: CRPS {score['model']:.3g}{unit}, "
        f"{score['marginal']:.3g} ignoring the parameters"
    )
    if score["floor"] is not None:
        said += f", {score['floor']:.3g} between replicates"
    if score["coverage_90"] is not None:
        said += f"; 90 % intervals held {score['coverage_90']:.0%}"
    return said


def _describe(values: NDArray[Any], units: str) -> dict[str, Any]:
    """Mean, spread and quantiles over all settings, trials and own dims."""
    if values.dtype == object:
        shares = Counter(values.ravel().tolist())
        return {"units": units, "shares": {k: n / values.size for k, n in sorted(shares.items())}}
    quantiles = np.quantile(values, QUANTILES)
    return {
        "units": units,
        "mean": float(values.mean(dtype=np.float64)),
        "sd": float(values.std(dtype=np.float64)),
        "quantiles": {f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
    }
