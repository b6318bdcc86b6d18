"""Baselines that are networks, on a law that they can learn."""

import numpy as np
import pytest

from virtlab.evaluation.baselines import LEARNERS
from virtlab.evaluation.comparison import compare
from virtlab.evaluation.learners import Lesson
from virtlab.trials import Measurement

MEASUREMENTS = (
    Measurement("light", support=(0, np.inf)),
    Measurement("clicks", kind="count"),
    Measurement("state", kind="categorical", categories=("down", "up")),
)


@pytest.fixture(scope="module")
def lesson():
    """600 trials: light is 3 + x with a spread of 0.3, clicks follow it, up where x is above 0."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.5, 1.5, 600)
    light = 3 + x + 0.3 * rng.normal(size=600)
    state = np.eye(2)[(x > 0).astype(int)]
    values = np.column_stack([light, np.round(4 * light), state])
    return Lesson(x[:, None], values, MEASUREMENTS, (1, 1, 2))


@pytest.mark.parametrize("name", ["conditional VAE", "autoencoder"])
def test_it_learns_the_law_and_draws_what_can_be_measured(lesson, name):
    draw = LEARNERS[name](lesson, np.random.default_rng(1), {})
    asked = np.array([[-1.0], [1.0]])
    drawn = draw(asked, 400)
    assert drawn.shape == (2, 400, 4)
    assert drawn[..., 0].mean(axis=1) == pytest.approx([2, 4], abs=0.25)
    assert 0.2 < drawn[..., 0].std(axis=1).mean() < 0.55
    assert (drawn[..., 0] >= 0).all()
    assert (drawn[..., 1] == np.round(drawn[..., 1])).all()
    assert set(np.unique(drawn[..., 2:])) == {0, 1}
    assert (drawn[..., 2:].sum(axis=-1) == 1).all()
    assert drawn[1, :, 3].mean() > 0.85 > 0.15 > drawn[0, :, 3].mean()


def test_a_second_fold_learns_anew(lesson):
    learner, memory = LEARNERS["conditional VAE"], {}
    rows = np.arange(600)
    for fold in (rows[lesson.conditions[:, 0] < 0], rows[lesson.conditions[:, 0] > 0]):
        part = lesson.some(fold)
        drawn = learner(part, np.random.default_rng(2), memory)(part.conditions[:50], 20)
        assert drawn[..., 0].mean() == pytest.approx(part.values[:50, 0].mean(), abs=0.2)


def test_the_energy_preset_learns_anew_and_is_judged_where_the_model_is(tiny, few_steps):
    with few_steps(likelihood=300):
        found = compare(tiny, baselines=("energy preset",))
    (baseline,) = found.baselines
    light = {s.measurement.name: s for s in baseline.measurements}["light"]
    assert light.trials == 120
    assert light.floor < light.model.value < 0.8 * light.marginal.value
    assert 0.7 < light.coverage[8].value <= 1
