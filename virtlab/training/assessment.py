"""How far a fit can be trusted: held-out scores beside the noise floor and simpler models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab import scores
from virtlab.gan.blocks import Blocks
from virtlab.gan.fit import Fit
from virtlab.gan.monitor import HEALTHY
from virtlab.gan.predict import HeldOut, held_out_draws
from virtlab.jury import Jury
from virtlab.scaling import Column
from virtlab.training.calibration import max_rows, value_slices

Array = NDArray[np.float64]

DRAWS = 100
FEW_SETTINGS = 20
STRAYING = 1.5  # times the real scatter
LEVELS = (0.5, 0.9)


def draw_held_out(fit: Fit, blocks: Blocks, *, seed: int, effort: float = 1.0) -> HeldOut:
    """Out-of-fold draws to assess, of a share of the trials where time is short."""
    most = max_rows(blocks, DRAWS, effort)
    return held_out_draws(fit, blocks, draws=DRAWS, max_rows=most, seed=seed)


def assess(
    fit: Fit,
    blocks: Blocks,
    columns: Sequence[Column],
    *,
    seed: int,
    settings: Mapping[str, NDArray[Any]] | None = None,
    effort: float = 1.0,
    held: HeldOut | None = None,
) -> dict[str, dict[str, Any]]:
    """Score the ensemble, measurement by measurement, on settings that its members never saw.

    The members that a setting was held out for speak for all, see `virtlab.jury`.

    Parameters
    ----------
    settings
        One value per trial of each parameter that is the total of a measurement.
    effort
        Share of the trials to judge on, where time is short.
    held
        What to judge, if it is drawn already.

    Returns
    -------
    scores
        Per measurement, in its own unit (a category: the share of mistaken draws): ``model``,
        ``marginal`` (training trials whatever the setting), ``nearest`` (trials of the nearest
        training settings), ``floor`` (replicates against each other; None without enough of
        them), ``repeated`` (trials with replicates, and all), ``coverage_50`` and
        ``coverage_90`` and ``dispersion`` (stated over real scatter; None for a category), and
        ``trials``.
    """
    held = held or draw_held_out(fit, blocks, seed=seed, effort=effort)
    rng = np.random.default_rng(seed)
    # The fold of a member's first shuffle: the baselines learn what that member learned.
    baselines = {
        "marginal": _resampled(fit, blocks, held.rows, rng, near=False),
        "nearest": _resampled(fit, blocks, held.rows, rng, near=True),
    }
    found, code = {}, 0
    slices = value_slices(columns)
    for column in columns:
        here = slices.get(column.measurement.name, slice(0, 0))
        levels = _levels(held, blocks, code) if column.levels else None
        real_codes = blocks.codes[:, code] if column.levels else None
        code += bool(column.levels)
        totals = column.totals(settings or {}, len(blocks))
        real = _physical(
            column, blocks.values[:, here], blocks.observed[:, here], real_codes, totals
        )
        totals = None if totals is None else totals[held.rows]
        drawn = np.stack(
            [
                _physical(
                    column,
                    held.values[i, :, here],
                    None,
                    None if levels is None else levels[i],
                    totals,
                )
                for i in range(len(held.values))
            ]
        )
        found[column.measurement.name] = _score(
            column, drawn, held.jury, real, held.rows, baselines, blocks, rng
        )
    return found


def _score(
    column: Column,
    drawn: Array,
    jury: Jury,
    real: Array,
    rows: NDArray[np.int64],
    baselines: dict[str, NDArray[np.int64]],
    blocks: Blocks,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One measurement's scores."""
    seen = ~np.isnan(real[rows]).all(axis=1)
    rows, drawn = rows[seen], drawn[:, seen]
    weights = np.ones(len(real)) if blocks.weight is None else blocks.weight
    weight, truth = weights[rows], real[rows]

    def mean(draws: Array) -> float:
        return scores.mean_of(scores.energy_scores(draws, truth), weight)

    model = scores.mean_of(jury.energy_scores(drawn, truth), weight)
    found: dict[str, Any] = {"model": model, "trials": len(rows)}
    missing: NDArray[np.bool_] = np.asarray(np.isnan(real).all(axis=1))
    found |= {
        name: mean(real[_measured(index[:, seen], missing)]) for name, index in baselines.items()
    }
    setting = blocks.setting[~missing]
    found["repeated"] = [scores.count_repeated(setting), len(setting)]
    enough = scores.repeats_enough(setting)
    floor = scores.replicate_floor(real, blocks.setting, weights) if enough else math.nan
    found["floor"] = None if math.isnan(floor) else floor
    categorical = column.measurement.kind == "categorical"
    found["dispersion"] = None if categorical else jury.dispersion(drawn, truth, weight)
    covered = jury.coverage(drawn, truth, LEVELS, rng, weight)
    for level, share in zip(LEVELS, covered, strict=True):
        found[f"coverage_{level:.0%}".rstrip("%")] = None if categorical else share
    return found


def _physical(
    column: Column,
    values: NDArray[np.float32],
    observed: NDArray[np.float32] | None,
    codes: NDArray[Any] | None,
    totals: Array | None,
) -> Array:
    """A measurement in its own unit, ``(trial, value)``; a category as one-hot halves.

    Two different categories are a distance of 1 apart in the root mean square.
    """
    if column.measurement.kind == "categorical":
        assert codes is not None
        hot: Array = np.eye(column.levels)[np.maximum(codes, 0)] * math.sqrt(column.levels / 2)
        hot[codes < 0] = np.nan
        return hot
    shaped = column.scale_up(values, None if codes is None else np.maximum(codes, 0), totals)
    physical: Array = np.array(shaped.reshape(len(values), -1), np.float64)
    if observed is not None:
        physical[observed == 0] = np.nan
    return physical


def _levels(held: HeldOut, blocks: Blocks, code: int) -> NDArray[np.int64]:
    """Drawn level of one code, ``(draw, row)``."""
    start = sum(blocks.layout.levels[:code])
    piece = held.levels[..., start : start + blocks.layout.levels[code]]
    drawn: NDArray[np.int64] = piece.argmax(axis=-1)
    return drawn


def _resampled(
    fit: Fit,
    blocks: Blocks,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    near: bool,
) -> NDArray[np.int64]:
    """Training trials to stand in for draws, ``(draw, row)``: any, or of the nearest settings.

    Each held-out trial draws only from what a member that held it out was trained on.
    """
    found = np.zeros((DRAWS, len(rows)), np.int64)
    place, folds = {int(row): i for i, row in enumerate(rows)}, fit.folds.judging
    for member in reversed(range(folds.members)):
        train = folds.train[member, : folds.train_count[member]]
        own = folds.held[member, : folds.held_count[member]]
        mine = np.array([row for row in own if int(row) in place], np.int64)
        if not len(mine):
            continue
        at = [place[int(row)] for row in mine]
        share = None if blocks.weight is None else blocks.weight[train]
        if not near:
            found[:, at] = _choose(rng, train, share, (DRAWS, len(mine)))
            continue
        count = min(len(train), max(5, round(math.sqrt(len(train)))))
        neighbours = _neighbours(blocks.conditions[mine], blocks.conditions[train], count)
        if share is None:
            pick = rng.integers(0, count, (DRAWS, len(mine)))
            found[:, at] = train[neighbours[np.arange(len(mine)), pick]]
            continue
        for spot, near_rows in zip(at, neighbours, strict=True):
            found[:, spot] = _choose(rng, train[near_rows], share[near_rows], (DRAWS,))
    return found


def _choose(
    rng: np.random.Generator, rows: NDArray[Any], share: Array | None, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Rows drawn in proportion to their weights."""
    part = None if share is None else share / share.sum()
    return rng.choice(rows, shape, p=part).astype(np.int64)


def _measured(index: NDArray[np.int64], missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Stand-ins ``(draw, row)`` that lack this measurement, replaced by a row's other ones."""
    index = index.copy()
    lacking = missing[index]
    for row in np.flatnonzero(lacking.any(axis=0) & ~lacking.all(axis=0)):
        others = index[~lacking[:, row], row]
        index[lacking[:, row], row] = np.resize(others, lacking[:, row].sum())
    return index


def _neighbours(
    rows: NDArray[np.float32], reference: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """Indices of the nearest reference rows, ``(row, count)``."""
    from sklearn.neighbors import NearestNeighbors

    found: NDArray[np.int64] = (
        NearestNeighbors(n_neighbors=count).fit(reference).kneighbors(rows, return_distance=False)
    )
    return found


def verdict(found: dict[str, dict[str, Any]], fit: Fit, settings: int) -> list[str]:
    """What the scores mean, one sentence each; the bad first."""
    said = []
    if fit.ended == "interrupted":
        said.append("training was interrupted: longer training may do better")
    said += [sentence for sentence in fit.health if sentence != HEALTHY]
    for name, score in found.items():
        best = min(("marginal", "nearest"), key=lambda other: score[other])
        if not all(math.isfinite(score[key]) for key in ("model", "marginal", "nearest")):
            said.append(f"{name}: measured at too few settings to be judged on settings held out")
        elif score["model"] >= score[best] and score["model"] > 0:  # 0: it never varies
            other = {
                "marginal": "ignoring the parameters",
                "nearest": "resampling the nearest settings",
            }[best]
            better = "better" if score[best] < 0.9 * score["model"] else "as well"
            said.append(
                f"{name}: {other} does {better} on held-out settings "
                f"({score[best]:.4g} against {score['model']:.4g}): prefer it"
            )
        if score["floor"] is None:
            said.append(scores.without_floor(name, *score["repeated"]))
        covered = score["coverage_90"]
        if covered is not None and abs(covered - 0.9) > 0.08:
            alone = fit.folds.alone and covered < 0.9
            who = " (of single members: all together are wider)" if alone else ""
            said.append(
                f"{name}: intervals stated as 90 % held {covered:.0%} on held-out settings{who}"
            )
        dispersion = score["dispersion"]
        if dispersion is not None and dispersion > STRAYING:
            said.append(
                f"{name}: a few virtual trials stray far ({dispersion:.1f} times the real scatter "
                "in standard deviation): use medians and quantiles, not means and variances"
            )
    if settings < FEW_SETTINGS:
        said.append(f"only {settings} settings: held-out scores are themselves uncertain")
    return said
