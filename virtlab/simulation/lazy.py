"""Virtual trials that are drawn when they are looked at: arrays of Dask, a task per block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import dask.array as da
import numpy as np
from dask import delayed
from numpy.typing import NDArray

from virtlab.conditioning import Settings
from virtlab.design import Design
from virtlab.errors import ConfigError
from virtlab.simulation.drawing import Drawer, decoded
from virtlab.storage.template import Template
from virtlab.trials import TRIAL

if TYPE_CHECKING:
    from virtlab.simulation.model import Model

Chunks = int | Literal["auto"] | Mapping[str, int]
"""Trials per block; or lengths by dim, -1 for all of it; or ``"auto"``: some 16 MB."""


def lazy_arrays(
    model: Model, design: Design, template: Template, *, seed: int, chunks: Chunks
) -> dict[str, Any]:
    """Arrays of Dask for the variables that a template leaves open.

    All variables of a block come from one task: what is looked at together is drawn once.

    Raises
    ------
    ConfigError
        `chunks` names a dim that blocks do not have, or no whole number.
    """
    steps = _steps(template, chunks)
    shape = template.regions.shape
    order = np.arange(math.prod(shape[:-1])).reshape(shape[:-1])
    shared = delayed(model, pure=True, traverse=False)
    counts = [-(-length // step) for length, step in zip(shape, steps, strict=True)]
    blocks = {name: np.empty(counts, object) for name in template.drawn}
    for place in product(*map(range, counts)):
        here = tuple(
            slice(i * step, min((i + 1) * step, length))
            for i, step, length in zip(place, steps, shape, strict=True)
        )
        chosen = {name: v[order[here[:-1]].ravel()] for name, v in design.settings.items()}
        lengths = tuple(part.stop - part.start for part in here)
        drawn = delayed(_draw)(shared, chosen, here[-1].start, here[-1].stop, seed)
        for name, variable in template.drawn.items():
            size = (*lengths, *variable.shape[len(shape) :])
            taken = delayed(_take)(drawn, name, size)
            blocks[name][place] = da.from_delayed(taken, size, dtype=variable.dtype)
    whole = len(shape)
    return {
        name: da.block(_padded(found.tolist(), whole, template.variables[name].shape[whole:]))
        for name, found in blocks.items()
    }


def _padded(nested: Any, depth: int, own: tuple[int, ...]) -> Any:
    """`da.block` joins along the last axes: lists of one stand for a measurement's own dims."""
    if depth:
        return [_padded(inner, depth - 1, own) for inner in nested]
    for _ in own:
        nested = [nested]
    return nested


def _draw(
    model: Model, settings: Settings, first: int, last: int, seed: int
) -> dict[str, NDArray[Any]]:
    """One block: all variables, ``(setting, trial, *own dims)``."""
    design = Design(dict(settings))
    found = Drawer(model, design, seed=seed).draw(range(design.size), range(first, last))
    for column in model.columns:
        found[column.measurement.name] = decoded(column, found[column.measurement.name])
    return found


def _take(drawn: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    return drawn[name].reshape(shape)


def _steps(template: Template, chunks: Chunks) -> tuple[int, ...]:
    """Length of a block along each dim of the settings and along ``trial``."""
    shape = template.regions.shape
    if chunks == "auto":
        return template.regions.piece
    dims = next(iter(template.drawn.values())).dims[: len(shape)]
    asked = chunks if isinstance(chunks, Mapping) else {TRIAL: chunks}
    unknown = [name for name in asked if name not in dims]
    if unknown:
        raise ConfigError(
            f"chunks: unknown dim {unknown[0]!r}; blocks are cut along {', '.join(dims)}"
        )
    steps = []
    for dim, length in zip(dims, shape, strict=True):
        step = asked.get(dim, -1)
        whole = isinstance(step, int | np.integer) and not isinstance(step, bool)
        if not whole or (step < 1 and step != -1):
            raise ConfigError(f"chunks: {dim}: expected a whole number or -1, found {step!r}")
        steps.append(length if step == -1 else min(int(step), length))
    return tuple(steps)
