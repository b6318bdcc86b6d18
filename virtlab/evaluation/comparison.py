"""Virtual trials held against real ones at the same settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.domain import VERDICTS, verdicts
from virtlab.evaluation.baselines import CHEAP, Baseline, judge_baselines
from virtlab.evaluation.case import SEED, Case, held_out_case, new_case
from virtlab.evaluation.collecting import Collected
from virtlab.evaluation.compared import Compared
from virtlab.evaluation.correlation import Correlation, find_correlations
from virtlab.evaluation.fidelity import Fidelity, compare_clouds
from virtlab.evaluation.heldout import read_held_out
from virtlab.evaluation.joint import CollectedJoint, Joint
from virtlab.evaluation.matching import count_copies
from virtlab.evaluation.scoring import Scored, score
from virtlab.evaluation.two_sample import TwoSample, judge_apart
from virtlab.evaluation.usefulness import Usefulness, find_usefulness

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation import Model

MOST_HELD = 2e7  # of draws x settings x values, simulated at once
EXAMPLES = 3


@dataclass(frozen=True)
class Comparison:
    """Real trials beside virtual ones.

    Parameters
    ----------
    held_out
        Whether they are the model's own trials, each judged by members that never saw its
        setting; else they are new, and judged by the whole model.
    trials, settings
        How many.
    draws, seed
        Virtual trials per setting, and what they were drawn with.
    values
        The settings: one array ``(setting,)`` per parameter.
    region, distance
        Of each setting: inside, edge or outside of what the judging members had seen; how far,
        in units of the training settings' usual gap.
    copied
        Trials that equal another one of their setting to the last digit.
    known
        New settings that the model was trained on.
    learned_from
        How many of the training trials baselines could learn from; 0: none are kept.
    measurements
        One `Scored` each.
    joint
        All measurements together.
    two_sample
        Whether a classifier can tell virtual from real.
    fidelity
        Metrics of clouds of features, by name.
    correlations
        Of real and virtual trials.
    usefulness
        Of virtual trials as training data.
    baselines
        Simpler models.
    """

    held_out: bool
    trials: int
    settings: int
    draws: int
    seed: int
    values: dict[str, NDArray[Any]]
    region: NDArray[np.object_]
    distance: NDArray[np.float64]
    copied: int
    known: int
    learned_from: int
    measurements: tuple[Scored, ...]
    joint: Joint
    two_sample: TwoSample
    fidelity: dict[str, Fidelity]
    correlations: list[Correlation]
    usefulness: list[Usefulness]
    baselines: list[Baseline]

    @property
    def region_counts(self) -> dict[str, int]:
        """Settings inside, at the edge, outside."""
        return {name: int((self.region == name).sum()) for name in VERDICTS}


def compare(
    model: Model,
    trials: xr.Dataset | None = None,
    report: Callable[[float], None] | None = None,
    baselines: Sequence[str] = CHEAP,
) -> Comparison:
    """Hold virtual trials against new ones, or against the held-out ones of the model file.

    Raises
    ------
    DataError
        The trials are not of the model's kind; see `match_trials`.
    ModelFileError
        There are no new trials, and the model file keeps none.
    """
    tell = report or (lambda _part: None)
    if trials is None:
        case = held_out_case(read_held_out(model))
        far = _gaps(model, case)
    else:
        case = new_case(model, trials)
        far = model.domain.distance(case.matched.conditions)
    region, matched = verdicts(far), case.matched
    compared, joint = _collect(model, case, lambda part: tell(0.3 * part))
    virtual = {name: found.one for name, found in compared.items()}
    by_trial = matched.conditions[matched.setting]
    measurements = model.measurements
    apart = judge_apart(matched.conditions, compared, seed=SEED)
    tell(0.4)
    fidelity = compare_clouds(by_trial, measurements, matched.real, virtual, seed=SEED)
    tell(0.5)
    useful = find_usefulness(case, measurements, compared, seed=SEED)
    tell(0.6)
    found = judge_baselines(
        case,
        baselines,
        measurements,
        compared,
        joint,
        region,
        columns=model.columns,
        seed=SEED,
        report=lambda part: tell(0.6 + 0.4 * part),
    )
    return Comparison(
        held_out=case.held_out,
        trials=len(matched.setting),
        settings=len(far),
        draws=case.draws,
        seed=SEED,
        values=matched.settings,
        region=region,
        distance=far,
        copied=count_copies(matched),
        known=0 if case.held_out else int((far == 0).sum()),
        learned_from=0 if case.material is None else len(case.material.trials.setting),
        measurements=tuple(score(each, region, seed=SEED) for each in compared.values()),
        joint=joint,
        two_sample=apart,
        fidelity=fidelity,
        correlations=find_correlations(list(compared.values()), seed=SEED),
        usefulness=useful,
        baselines=found,
    )


def _gaps(model: Model, case: Case) -> NDArray[np.float64]:
    """Distance of each held-out setting to those that its judges had seen."""
    assert case.material is not None
    conditions, fold = case.material.trials.conditions, case.material.fold
    found = np.zeros(len(case.matched.conditions))
    for each in np.unique(case.material.judged_fold):
        here = case.material.judged_fold == each
        seen = replace(model.domain, reference=conditions[fold != each])
        found[here] = seen.distance(case.matched.conditions[here])
    return found


def _collect(
    model: Model, case: Case, tell: Callable[[float], None]
) -> tuple[dict[str, Compared], Joint]:
    """Score the model's draws, portion by portion."""
    matched, rng = case.matched, np.random.default_rng(SEED)
    size = len(matched.conditions)
    collected = {
        m.name: Collected.empty(m, matched.real[m.name], size, rng, case.jury)
        for m in model.measurements
    }
    joint = CollectedJoint.empty(matched.real, rng, case.jury)
    shown = _examples(matched.setting)
    width = sum(values.shape[1] for values in matched.real.values())
    portion = max(1, int(MOST_HELD / (case.draws * width)))
    for start in range(0, size, portion):
        here = np.arange(start, min(start + portion, size))
        drawn = case.draw(here)
        for name, values in drawn.items():
            collected[name].add(values, here, matched, shown)
        joint.add(drawn, here, matched)
        tell((start + len(here)) / size)
    finished = {name: each.finish(matched) for name, each in collected.items()}
    return finished, joint.finish(matched)


def _examples(setting: NDArray[np.int64]) -> list[int]:
    """A few settings to show, of those with the most trials."""
    counts = np.bincount(setting)
    most = np.flatnonzero(counts == counts.max())
    picked: list[Any] = most[np.linspace(0, len(most) - 1, EXAMPLES + 2).astype(int)[1:-1]].tolist()
    return sorted(set(picked))
