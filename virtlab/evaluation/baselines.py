"""Simpler models, judged as the model is: same trials, same folds, same scores.

A baseline that has nothing to learn from on some fold, or fails there, is left out and named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.case import Case, Material
from virtlab.evaluation.collecting import Collected
from virtlab.evaluation.compared import Compared
from virtlab.evaluation.ensemble import NAME, draw_energy_preset
from virtlab.evaluation.estimates import Estimate, estimate_mean
from virtlab.evaluation.joint import CollectedJoint, Joint
from virtlab.evaluation.learners import (
    Cache,
    Learner,
    Lesson,
    gaussian_process,
    nearest_settings,
    quantile_forest,
)
from virtlab.evaluation.matching import Array
from virtlab.evaluation.networks import conditional_vae, latent_resampling
from virtlab.evaluation.scoring import LEVELS, Scored, score
from virtlab.evaluation.two_sample import TwoSample, judge_apart
from virtlab.scaling import Column
from virtlab.trials import Measurement

Indices = NDArray[np.int64]

DRAWS = (20, 100)
MOST_VALUES = 1e7  # of settings x draws x values, in memory
CHEAP = ("nearest settings", "quantile forest", "Gaussian process")
BASELINES = {
    "cheap": CHEAP,
    "all": (*CHEAP, "conditional VAE", "autoencoder", NAME),
    "none": (),
}
LEARNERS: dict[str, Learner] = {
    "nearest settings": nearest_settings,
    "quantile forest": quantile_forest,
    "Gaussian process": gaussian_process,
    "conditional VAE": conditional_vae,
    "autoencoder": latent_resampling,
}


@dataclass(frozen=True)
class Baseline:
    """How a simpler model does.

    Parameters
    ----------
    name
        Of `LEARNERS`.
    measurements
        One `Scored` each.
    behind
        By measurement: its score minus the model's, trial by trial; above 0 the model is better.
    joint, joint_behind
        The same of all measurements together.
    two_sample
        Whether a classifier can tell its trials from real ones.
    seconds
        What it took to learn and to draw.
    """

    name: str
    measurements: tuple[Scored, ...]
    behind: dict[str, Estimate]
    joint: Joint
    joint_behind: Estimate
    two_sample: TwoSample
    seconds: float


def judge_baselines(
    case: Case,
    names: Sequence[str],
    measurements: Sequence[Measurement],
    own: Mapping[str, Compared],
    joint: Joint,
    region: NDArray[np.object_],
    *,
    columns: Sequence[Column],
    seed: int,
    report: Callable[[float], None],
) -> list[Baseline]:
    """Let baselines learn and draw, and score them; none where the model file keeps no trials.

    Parameters
    ----------
    names
        Of `LEARNERS`, or the energy preset, which is left out where settings are new.
    columns
        How the model scales its measurements.
    own, joint
        What the model came to.
    region
        Of each setting: inside, edge or outside.
    """
    if case.material is None:
        return []
    found = []
    for done, name in enumerate(names, start=1):
        begun = time.perf_counter()
        if name == NAME:
            drawn = draw_energy_preset(case, columns, seed)
        else:
            drawn = _draw(LEARNERS[name], case, case.material, measurements, seed)
        if drawn is None:
            continue
        seconds = time.perf_counter() - begun
        found.append(_judge(name, drawn, seconds, case, measurements, own, joint, region, seed))
        report(done / len(names))
    return found


def _draw(
    learner: Learner,
    case: Case,
    material: Material,
    measurements: Sequence[Measurement],
    seed: int,
) -> dict[str, Array]:
    """Draws at every setting, ``(setting, draw, value)`` by measurement."""
    rng = np.random.default_rng(seed)
    conditions = case.matched.conditions
    width = sum(values.shape[1] for values in material.trials.real.values())
    draws = int(np.clip(MOST_VALUES / (len(conditions) * width), *DRAWS))
    whole = np.empty((len(conditions), draws, width), np.float32)
    start = Lesson.of(material.trials, measurements)
    cache: Cache = {}
    for fold in np.unique(material.judged_fold):
        here = np.flatnonzero(material.judged_fold == fold)
        rows = np.flatnonzero(material.fold[material.trials.setting] != fold)
        draw = learner(start.some(rows), rng, cache)
        whole[here] = draw(conditions[here].astype(np.float64), draws)
    found, at = {}, 0
    for measurement in measurements:
        stop = at + material.trials.real[measurement.name].shape[1]
        found[measurement.name] = whole[..., at:stop].astype(np.float64)
        at = stop
    return found


def _judge(
    name: str,
    drawn: Mapping[str, Array],
    seconds: float,
    case: Case,
    measurements: Sequence[Measurement],
    own: Mapping[str, Compared],
    joint: Joint,
    region: NDArray[np.object_],
    seed: int,
) -> Baseline:
    """Score a baseline's draws as the model's were."""
    matched, rng = case.matched, np.random.default_rng(seed)
    size = len(matched.conditions)
    together = CollectedJoint.empty(matched.real, rng)
    collected = {m.name: Collected.empty(m, matched.real[m.name], size, rng) for m in measurements}
    for here in np.array_split(np.arange(size), max(1, size // 200)):
        for measurement in measurements:
            collected[measurement.name].add(drawn[measurement.name][here], here, matched, ())
        together.add({n: values[here] for n, values in drawn.items()}, here, matched)
    compared = {n: each.finish(matched, own[n].marginal) for n, each in collected.items()}
    whole = together.finish(matched)
    setting, weight = matched.setting, matched.weight
    return Baseline(
        name=name,
        measurements=tuple(score(compared[m.name], region, seed=seed) for m in measurements),
        behind={
            n: estimate_mean(each.score - own[n].score, weight, setting, rng)
            for n, each in compared.items()
        },
        joint=whole,
        joint_behind=estimate_mean(whole.scores - joint.scores, weight, setting, rng),
        two_sample=judge_apart(matched.conditions, compared, seed=seed % 2**30),
        seconds=seconds,
    )


def coverage_90(scored: Scored) -> float:
    """Share of real values inside the 90 % interval; NaN for a category."""
    return scored.coverage[LEVELS.index(0.9)].value if scored.coverage else float("nan")
