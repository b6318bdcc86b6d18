"""Trials to the plain arrays that the networks learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Sum
from virtlab.gan.blocks import Blocks, Floats, Layout, Part
from virtlab.scaling import Column
from virtlab.trials import TRIAL, WEIGHT, settings_of

if TYPE_CHECKING:
    import xarray as xr

FEW_VALUES = 8  # a signal this short needs no basis
MOST_FEATURES = 16
SHARE_KEPT = 0.99999  # of the variance: what is left is modelled as noise, channel by channel
NOTHING_LEFT = 1e-4  # of a standard deviation
REACH = 1.25  # times the largest scaled value, or coordinate on a basis, that was seen


def make_blocks(
    trials: xr.Dataset,
    columns: Sequence[Column],
    conditions: Floats,
    setting: NDArray[np.int64],
    layout: Layout | None = None,
) -> Blocks:
    """Scale all measurements side by side and choose the basis they are modelled on.

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
    if layout is None:
        bases = [
            _basis(v, seen, tied=isinstance(column.constraint, Sum))
            for column, (v, seen, _) in zip(columns, scaled, strict=True)
        ]
        layout = _layout(columns, bases)
    if not values.shape[1]:  # categories alone: one value that is never observed
        values = observed = np.zeros((len(values), 1), np.float32)
    return Blocks(
        conditions=conditions,
        values=values,
        observed=observed,
        codes=np.stack(codes, axis=1) if codes else np.zeros((len(values), 0), np.int32),
        setting=setting,
        layout=layout,
        weight=trials[WEIGHT].values / trials[WEIGHT].values.mean() if WEIGHT in trials else None,
    )


@dataclass(frozen=True)
class _Basis:
    """One measurement's share of a layout: see `Layout`."""

    basis: Floats
    outside: Floats
    reach: Floats


def _basis(values: Floats, observed: Floats, *, tied: bool) -> _Basis:
    """Principal components of unit variance; the identity for a few values.

    A few that are tied by their sum have one direction less: a likelihood must not dwell on it.
    """
    n, width = values.shape
    few = width <= FEW_VALUES
    if few and not (tied and np.ptp(values, axis=0).any()):
        reach = REACH * np.abs(values * observed).max(axis=0, initial=0)
        none = np.zeros(width, np.float32)
        return _Basis(np.eye(width, dtype=np.float32), none, reach.astype(np.float32))
    filled = np.where(observed > 0, values, 0).astype(np.float64)
    centered = filled - filled.mean(axis=0)
    _, singular, components = np.linalg.svd(centered, full_matrices=False)
    share = np.cumsum(singular**2) / max((singular**2).sum(), 1e-300)
    most = max(1, min(MOST_FEATURES, n // 4, int(np.searchsorted(share, SHARE_KEPT)) + 1))
    if few:
        most = int((singular > NOTHING_LEFT * singular[0]).sum())
    basis = singular[:most, None] / np.sqrt(n) * components[:most]
    inside = centered @ components[:most].T @ components[:most]
    left = np.where(observed > 0, centered - inside, 0).std(axis=0)
    left = np.where((left > NOTHING_LEFT) & (not few), left, 0)
    reach = REACH * np.abs(filled @ np.linalg.pinv(basis)).max(axis=0)
    return _Basis(*(np.asarray(array, np.float32) for array in (basis, left, reach)))


def _layout(columns: Sequence[Column], bases: Sequence[_Basis]) -> Layout:
    """Where everything stands in a row."""
    width = max(1, sum(column.values for column in columns))
    levels = tuple(column.levels for column in columns if column.levels)
    height = max(1, sum(len(block.basis) for block in bases))
    basis = np.zeros((height, width), np.float32)
    outside, reach = np.zeros(width, np.float32), np.zeros(height, np.float32)
    weight, step = np.zeros(width, np.float32), np.zeros(width, np.float32)
    atom = np.zeros((sum(levels), width), np.float32)
    replaces, level_weight = np.zeros_like(atom), np.zeros(sum(levels), np.float32)
    parts = []
    row = at = level = 0
    for column, block in zip(columns, bases, strict=True):
        here, rows = slice(at, at + column.values), slice(row, row + len(block.basis))
        basis[rows, here] = block.basis
        outside[here], reach[rows] = block.outside, block.reach
        weight[here] = 1 / np.sqrt(max(column.values, 1))
        step[here] = column.step
        if column.measurement.kind == "categorical":
            # Two different categories are one unit apart.
            level_weight[level : level + column.levels] = np.sqrt(0.5)
        elif column.levels:
            atom[level + 1 : level + column.levels, at] = column.scaled_atoms
            replaces[level + 1 : level + column.levels, at] = 1
        if column.values:
            measurement = column.measurement
            parts.append(Part(measurement.name, here.start, here.stop, measurement.shape))
        row, at, level = rows.stop, at + column.values, level + column.levels
    return Layout(
        basis=basis,
        outside=outside,
        reach=reach,
        weight=weight,
        levels=levels,
        atom=atom,
        replaces=replaces,
        level_weight=level_weight,
        step=step,
        parts=tuple(parts),
    )
