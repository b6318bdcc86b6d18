"""How much would be simulated, and whether there is room for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from virtlab.design import Design
from virtlab.errors import OutputError
from virtlab.simulation.drawing import Drawer
from virtlab.simulation.model import Model
from virtlab.storage.inspection import bytes_text
from virtlab.storage.output import compressed
from virtlab.storage.template import Template

LOOKS = 8
"""Settings of which some trials are drawn, to see how much compression takes off."""
LOOK_VALUES = 2**18
SPARE = 2**24  # bytes of the disk that stay free


@dataclass(frozen=True)
class Plan:
    """How much would be simulated.

    Parameters
    ----------
    model, output
        The files; an output may be a URL.
    settings, trials
        Settings, and virtual trials at each.
    values
        Numbers in all.
    bytes
        Size before compression.
    file_bytes
        Size on the disk, about.
    free_bytes
        Room on that disk; None where nobody knows.
    """

    model: Path
    output: Path | str
    settings: int
    trials: int
    values: int
    bytes: int
    file_bytes: int
    free_bytes: int | None


def make_plan(model: Model, design: Design, template: Template, target: Path | str) -> Plan:
    """Count, and draw a few trials to see how well they compress."""
    trials = template.regions.shape[-1]
    size = sum(column.measurement.size for column in model.columns)
    return Plan(
        model=model.file.path,
        output=target,
        settings=design.size,
        trials=trials,
        values=design.size * trials * size,
        bytes=template.bytes,
        file_bytes=_predicted(model, design, template, target, size),
        free_bytes=shutil.disk_usage(target.parent).free if isinstance(target, Path) else None,
    )


def check_room(plan: Plan) -> None:
    """Refuse what the disk cannot hold.

    Raises
    ------
    OutputError
        The disk has less room than the file is going to take.
    """
    if plan.free_bytes is not None and plan.file_bytes + SPARE > plan.free_bytes:
        raise OutputError(
            f"{plan.output}: {plan.settings:,} settings x {plan.trials:,} trials need about "
            f"{bytes_text(plan.file_bytes)}, more than the disk holds with {bytes_text(SPARE)} to "
            f"spare ({bytes_text(plan.free_bytes)} free); ask for fewer settings or trials, or "
            "write to another disk with -o"
        )


def _predicted(
    model: Model, design: Design, template: Template, target: Path | str, size: int
) -> int:
    """Bytes on the disk."""
    at = sorted({int(i) for i in np.linspace(0, design.size - 1, LOOKS)})
    some = Design({name: values[at] for name, values in design.settings.items()})
    trials = range(max(1, min(template.regions.shape[-1], LOOK_VALUES // (len(at) * size))))
    looked = Drawer(model, some, seed=0).draw(range(some.size), trials)
    bytes_in_all = template.bytes
    for name, variable in template.drawn.items():
        seen = looked[name]
        share = compressed(target, variable, seen) / (seen.size * variable.width)
        raw = variable.width * int(np.prod(variable.shape, dtype=object))
        bytes_in_all += round(raw * min(share, 1.0)) - raw
    return bytes_in_all
