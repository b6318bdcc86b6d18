"""What a model file keeps for `virtlab evaluate`: trials, and draws at settings held out.

The exported generator has seen all trials. What its members drew at settings that they had not
seen can therefore not be made again, and is kept: some trials, and out-of-fold draws at their
settings, as many as `MOST_BYTES` hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter
from virtlab.gan.blocks import Blocks
from virtlab.gan.fit import Fit
from virtlab.gan.predict import HeldOut
from virtlab.scaling import Column

Arrays = dict[str, NDArray[Any]]
Indices = NDArray[np.int64]

MOST_BYTES = 6e6  # of draws, and of trials
MOST_TRIALS = 10_000
MOST_SETTINGS = 2_000  # with draws
DRAWS = (24, 400)  # per setting: as many settings as leave room for the first, at most the last
HALF_MAX = 65504.0  # the largest number of half precision


def keep_held_out(
    held: HeldOut,
    fit: Fit,
    blocks: Blocks,
    columns: Sequence[Column],
    parameters: Sequence[Parameter],
    trials: Mapping[str, NDArray[Any]],
    *,
    generators: int,
    seed: int,
) -> Arrays:
    """Choose trials and out-of-fold draws to keep, as arrays for a model file.

    Parameters
    ----------
    held
        Out-of-fold draws, as assessment made them.
    trials
        Values ``(trial, …)`` of each parameter and measurement by name, in their own units.
    generators
        Of each member: the first so many repeats of `held` are of the first split into folds.

    Returns
    -------
    arrays
        Of the kept settings: ``fold (setting,)`` (those kept apart from all members are the last
        one), ``parameter/0 (setting,)`` and so on (a category as its number). Of the kept trials:
        ``setting (trial,)``, ``weight (trial,)``, ``real/0 (trial, value)`` (a category as its
        number, -1 where missing) and ``seen/0``, 0 where a value is missing. Of the draws:
        ``judged (k,)``, the settings that have some, ``drawn/values (k, draw, value)``, scaled, in
        half precision, which adds an error of at most a two-thousandth, ``drawn/codes (k, draw,
        code)``, and ``drawn/first (1,)``: so many of the draws are by members of one split into
        folds, and ``drawn/jury (3,)``: see `virtlab.jury.Jury`. ``unseen (1,)``: so many folds,
        one after the other, a member did not learn from.
    """
    rng = np.random.default_rng(seed)
    judged, apart = _judged(held, blocks, rng), len(fit.folds.apart) > 0
    rows = _rows(blocks, judged, rng, half=apart)
    kept, first, setting = np.unique(blocks.setting[rows], return_index=True, return_inverse=True)
    judged = judged[np.isin(judged, kept)]
    fold = _fold(fit, blocks)
    # Trials kept apart are judged by all members of the first split, not by one fold's.
    judges = generators * (int(fold.max()) if apart else 1)
    values, codes, of_first = pool_draws(held, blocks, judged, judges)
    found: Arrays = {
        "fold": fold[rows[first]],
        "setting": setting.ravel().astype(np.int32),
        "judged": np.searchsorted(kept, judged).astype(np.int32),
        "drawn/values": values,
        "drawn/codes": codes,
        "drawn/first": np.array([of_first], np.int32),
        "drawn/jury": np.array(astuple(held.jury), np.int32),
        "unseen": np.array([fit.folds.unseen], np.int32),
    }
    if blocks.weight is not None:
        found["weight"] = blocks.weight[rows].astype(np.float32)
    for i, parameter in enumerate(parameters):
        chosen = trials[parameter.name][rows[first]]
        if parameter.kind == "categorical":
            chosen = np.array([parameter.categories.index(str(v)) for v in chosen], np.int32)
        found[f"parameter/{i}"] = chosen
    for i, column in enumerate(columns):
        found |= _measured(i, column, trials[column.measurement.name][rows])
    return found


def _measured(number: int, column: Column, values: NDArray[Any]) -> Arrays:
    """One measurement's kept values, and which are not missing."""
    if column.measurement.kind == "categorical":
        place = {name: i for i, name in enumerate(column.measurement.categories)}
        return {f"real/{number}": np.array([place.get(str(v), -1) for v in values], np.int32)}
    flat = values.reshape(len(values), -1).astype(np.float64)
    seen = np.isfinite(flat)
    stored = np.where(seen, flat, 0).astype(np.float64 if column.double else np.float32)
    return {f"real/{number}": stored} | ({} if seen.all() else {f"seen/{number}": seen})


def _judged(held: HeldOut, blocks: Blocks, rng: np.random.Generator) -> Indices:
    """Settings to keep draws of, sorted."""
    found = np.unique(blocks.setting[held.rows])
    each = DRAWS[0] * _bytes_per_draw(held)
    most = int(np.clip(MOST_BYTES / each, 1, MOST_SETTINGS))
    if len(found) > most:
        found = np.sort(rng.choice(found, most, replace=False))
    return found


def _bytes_per_draw(held: HeldOut) -> int:
    return int(2 * held.values.shape[-1] + 2 * held.levels.shape[-1])


def _rows(blocks: Blocks, judged: Indices, rng: np.random.Generator, *, half: bool) -> Indices:
    """Trials to keep, sorted: those at settings with draws, and others if there is room.

    With `half`, the former are half of them at most: the others are all that was learned from.
    """
    most = int(np.clip(MOST_BYTES / (4 * blocks.values.shape[1]), 1, MOST_TRIALS))
    order = rng.permutation(len(blocks))
    drawn = np.isin(blocks.setting[order], judged)
    first = order[drawn][: most // 2 if half else most]
    return np.sort(np.append(first, order[~drawn])[:most])


def _fold(fit: Fit, blocks: Blocks) -> NDArray[np.int16]:
    """Which fold of the first split each trial is in; what no member learns from is the last."""
    found, unseen = np.full(len(blocks), -1, np.int16), np.ones(len(blocks), bool)
    folds, fold = fit.folds, 0
    for member in range(folds.members):
        out = np.ones(len(blocks), bool)
        out[folds.train[member, : folds.train_count[member]]] = False
        unseen &= out
        if folds.stop is not None:
            held = folds.held[member, : folds.held_count[member]]
            out = np.isin(blocks.setting, blocks.setting[held])
        if (found[out] < 0).any():
            found[out & (found < 0)] = fold
            fold += 1
    found[unseen] = fold
    return found


def pool_draws(
    held: HeldOut, blocks: Blocks, judged: Indices, generators: int
) -> tuple[NDArray[np.float16], NDArray[np.int16], int]:
    """Draws of each judged setting: of all its trials together, by turns.

    All trials of a setting are drawn at the same condition by the same members.

    Returns
    -------
    values, codes
        ``(setting, draw, value)`` in half precision, and ``(setting, draw, code)``.
    first
        How many of the draws are by members of the first split into folds.
    """
    setting, repeats = blocks.setting[held.rows], held.jury.size
    levels = _codes(held, blocks)
    rows = [np.flatnonzero(setting == each) for each in judged]
    room = int(MOST_BYTES / max(1, len(judged) * _bytes_per_draw(held)))
    each = len(held.values) // repeats
    fewest = min(map(len, rows), default=1)
    count = max(1, min(room, DRAWS[1], each * repeats * fewest) // repeats)

    def pooled(drawn: NDArray[Any]) -> NDArray[Any]:
        width = drawn.shape[-1]
        by_repeat = drawn.reshape(repeats, each, *drawn.shape[1:])
        found = np.empty((len(rows), repeats, count, width), drawn.dtype)
        for i, mine in enumerate(rows):
            found[i] = by_repeat[:, :, mine].reshape(repeats, each * len(mine), width)[:, :count]
        return found.reshape(len(rows), repeats * count, width)

    values = np.clip(pooled(held.values), -HALF_MAX, HALF_MAX).astype(np.float16)
    return values, pooled(levels).astype(np.int16), min(generators, held.jury.judges) * count


def _codes(held: HeldOut, blocks: Blocks) -> NDArray[np.int16]:
    """Drawn level of each code, ``(draw, row, code)``."""
    at, found = 0, []
    for levels in blocks.layout.levels:
        found.append(held.levels[..., at : at + levels].argmax(axis=-1))
        at += levels
    shape = (*held.values.shape[:2], 0)
    return np.stack(found, axis=-1).astype(np.int16) if found else np.zeros(shape, np.int16)
