"""Trials to the plain arrays that the networks learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Sum
from virtlab.conditioning.lines import to_lines
from virtlab.gan.blocks import Blocks, Floats, Layout, Part, Tie
from virtlab.gan.start import latents_for
from virtlab.scaling import Column
from virtlab.trials import TRIAL, WEIGHT, settings_of

if TYPE_CHECKING:
    import xarray as xr

FEW_VALUES = 8  # a signal this short needs no head, unless it has a floor
MOST_LATENTS = 16
MOST_ROWS = 2000  # trials that tell how many latents a signal has
REACH = 1.25  # times the largest scaled value that was seen
FAINT = 0.1  # of the largest spread: entries that vary less count no more for it


def make_blocks(
    trials: xr.Dataset,
    columns: Sequence[Column],
    conditions: Floats,
    setting: NDArray[np.int64],
    layout: Layout | None = None,
) -> Blocks:
    """Scale all measurements side by side and say what the columns mean.

    `layout` is that of a sample of the trials, where it was chosen already.
    """
    n = trials.sizes[TRIAL]
    settings = settings_of(trials)
    scaled = [
        column.scale_down(trials[column.measurement.name].values, column.totals(settings, n))
        for column in columns
    ]
    values = np.concatenate([values for values, _, _ in scaled], axis=1)
    observed = np.concatenate([seen for _, seen, _ in scaled], axis=1)
    codes = [codes for column, (_, _, codes) in zip(columns, scaled, strict=True) if column.levels]
    if not values.shape[1]:  # categories alone: one value that is never observed
        values = observed = np.zeros((len(values), 1), np.float32)
    return Blocks(
        conditions=conditions,
        values=values,
        observed=observed,
        codes=np.stack(codes, axis=1) if codes else np.zeros((len(values), 0), np.int32),
        setting=setting,
        layout=layout or _layout(columns, _parts(columns, scaled), values, observed),
        weight=trials[WEIGHT].values / trials[WEIGHT].values.mean() if WEIGHT in trials else None,
    )


def _parts(
    columns: Sequence[Column], scaled: Sequence[tuple[Floats, Floats, NDArray[np.int32]]]
) -> tuple[Part, ...]:
    """Where each measurement's values stand, and which have a head."""
    parts, at = [], 0
    for column, (values, observed, _) in zip(columns, scaled, strict=True):
        if not column.values:
            continue
        part = Part(column.measurement.name, at, at + column.values, column.measurement.shape)
        at = part.stop
        if column.values > FEW_VALUES or column.floor:
            some = slice(None, None, max(1, len(values) // MOST_ROWS))
            latents = latents_for(values[some], observed[some], MOST_LATENTS)
            latents = min(latents, column.values)
            gaps = bool((observed.any(axis=1) != observed.all(axis=1)).any())
            part = replace(part, latents=latents, floor=column.floor, gaps=gaps)
        if part.floor:
            logs = np.log(values[(values > 0) & (observed > 0)])
            part = replace(part, log=(float(logs.mean()), max(float(logs.std()), 1e-3)))
        parts.append(part)
    return tuple(parts)


def _ties(columns: Sequence[Column], parts: tuple[Part, ...]) -> tuple[Tie, ...]:
    """Values without a head that sum up: the one that varies most follows from the others."""
    ties = []
    for column, part in zip((column for column in columns if column.values), parts, strict=True):
        constraint, measurement = column.constraint, column.measurement
        if part.latents or not isinstance(constraint, Sum):
            continue
        entries = np.arange(column.values, dtype=np.float64)[None]
        for line in to_lines(entries, measurement, constraint.dim)[0].astype(int):
            line = line[np.argsort(-np.array(column.scale)[line], kind="stable")]
            total = (0 if column.ratios else 1) - sum(column.center[i] for i in line)
            weights = tuple(column.scale[i] for i in line)
            ties.append(Tie(tuple((part.start + line).tolist()), weights, total))
    return tuple(ties)


def _layout(
    columns: Sequence[Column], parts: tuple[Part, ...], values: Floats, observed: Floats
) -> Layout:
    """Where everything stands in a row."""
    width = values.shape[1]
    levels = tuple(column.levels for column in columns if column.levels)
    weight, step = np.zeros(width, np.float32), np.zeros(width, np.float32)
    atom = np.zeros((sum(levels), width), np.float32)
    replaces, level_weight = np.zeros_like(atom), np.zeros(sum(levels), np.float32)
    at = level = 0
    for column in columns:
        here = slice(at, at + column.values)
        weight[here] = _weight(column, values[:, here])
        step[here] = column.step
        if column.measurement.kind == "categorical":
            # Two different categories are one unit apart.
            level_weight[level : level + column.levels] = np.sqrt(0.5)
        elif column.levels:
            atom[level + 1 : level + column.levels, at] = column.scaled_atoms
            replaces[level + 1 : level + column.levels, at] = 1
        at, level = at + column.values, level + column.levels
    reach = REACH * np.abs(values * observed).max(axis=0, initial=0)
    return Layout(
        reach=reach.astype(np.float32),
        weight=weight,
        levels=levels,
        atom=atom,
        replaces=replaces,
        level_weight=level_weight,
        step=step,
        parts=parts,
        ties=_ties(columns, parts),
    )


def _weight(column: Column, values: Floats) -> Floats:
    """Weight of each value in the joint distance: a measurement counts as one."""
    weight = np.full(column.values, 1 / np.sqrt(max(column.values, 1)), np.float32)
    if column.floor:  # its entries share one scale, but should count alike
        spread = values.std(axis=0)
        weight /= np.maximum(spread, FAINT * spread.max())
    return weight
