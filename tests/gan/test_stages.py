"""Steps of training: rates, minibatches, averages, and members that do not touch each other."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.batches import TrainingSet
from virtlab.gan.critic import Critic
from virtlab.gan.folds import Folds
from virtlab.gan.games import GAMES, Players, Table, by_game
from virtlab.gan.generators import Textbook
from virtlab.gan.mixture import Mixture
from virtlab.gan.stages import Minibatches, Rates, average, by_likelihood
from virtlab.gan.state import State


def halves(n):
    """Member 0 learns from the first half of the trials, member 1 from the second."""
    half = n // 2
    rows = np.arange(n, dtype=np.int32).reshape(2, half)
    counts = np.full(2, half, np.int32)
    return Folds(train=rows, train_count=counts, held=rows[::-1].copy(), held_count=counts)


def start(blocks, preset):
    """Generator and state of two small members."""
    layout, features = blocks.layout, blocks.conditions.shape[1]
    generator = (
        Textbook(features, layout, width=8)
        if preset == "vanilla"
        else Mixture(features, layout, components=2, width=8)
    )
    rng = np.random.default_rng(0)
    table = Table(Critic(features, layout, width=8), members=2)
    return generator, table, State.start(generator.init(rng, 2), table.critic.init(rng, 2))


def run(blocks, stage, preset):
    """State after a few steps of one stage, and the last loss."""
    generator, table, state = start(blocks, preset)
    advance = advance_of(stage, preset, blocks, generator, table, state)
    return state, np.asarray(advance(tf.constant(0), tf.constant(4))["loss"])


def advance_of(stage, preset, blocks, generator, table, state, *, compiled=False):
    """What takes steps of one stage."""
    batches = Minibatches(TrainingSet(blocks), halves(len(blocks)), 16, seed=3)
    rates = Rates(1e-2, 1e-4, tf.Variable([0, 100]), state.pace)
    generators = (state.weights, state.ema, state.moments)
    if stage == "likelihood":
        return by_likelihood(generator, batches, *generators, rates, 0.01, compiled=compiled)
    players = Players(*generators, state.critic, state.critic_moments)
    game = replace(GAMES[preset], draws=2)
    return by_game(generator, table, batches, players, rates, 0.01, game, compiled=compiled)


@pytest.fixture(scope="module")
def trained(coded_blocks):
    """Each stage once: nearly all its time goes into tracing."""
    return functools.cache(functools.partial(run, coded_blocks))


def changed_by(state, blocks, preset):
    """First parts of the names of the weights that training changed."""
    _, _, before = start(blocks, preset)
    return {
        name.split(".")[0]
        for group in ("weights", "critic")
        for name, weight in state.groups[group].items()
        if not np.array_equal(weight, before.groups[group][name])
    }


@pytest.mark.parametrize(
    ("stage", "preset"), [("likelihood", "auto"), ("game", "auto"), ("game", "vanilla")]
)
def test_a_member_learns_the_same_whatever_the_other_learns_from(
    coded_blocks, trained, stage, preset
):
    other = coded_blocks.values.copy()
    other[60:] *= -3
    state, loss = trained(stage, preset)
    again, loss_again = run(replace(coded_blocks, values=other), stage, preset)
    moved = False
    for group, variables in state.groups.items():
        for name, variable in variables.items():
            theirs = again.groups[group][name]
            np.testing.assert_array_equal(variable[0], theirs[0], err_msg=f"{group} {name}")
            moved |= not np.array_equal(variable[1], theirs[1])
    assert moved
    assert loss[0] == loss_again[0]


@pytest.mark.parametrize(
    ("stage", "preset", "changed"),
    [
        ("likelihood", "auto", {"trunk", "head", "skip"}),
        ("game", "auto", {"trunk", "head", "skip", "residual", "critic"}),
        ("game", "energy", {"trunk", "head", "skip", "residual"}),
        ("game", "vanilla", {"dense", "critic"}),
    ],
)
def test_each_stage_trains_its_own_weights_and_none_the_spread(
    coded_blocks, trained, stage, preset, changed
):
    state, _ = trained(stage, preset)
    assert changed_by(state, coded_blocks, preset) == changed


def test_rate_warms_up_stays_and_falls_to_its_end_when_told():
    fall = tf.Variable([1000, 2000])
    rates = Rates(1e-2, 1e-4, fall, tf.Variable([1.0, 0.25]))
    steps = (0, 49, 1000, 1500, 2000, 3000)
    both = [rates.at(tf.constant(step)) for step in steps]
    np.testing.assert_allclose([rate[1] / rate[0] for rate in both], 0.25)
    middle = (1e-2 + 1e-4) / 2
    expected = [1e-2 / 50, 1e-2, 1e-2, middle, 1e-4, 1e-4]
    np.testing.assert_allclose([rate[0] for rate in both], expected, rtol=1e-3)
    fall.assign([0, 100])
    assert float(rates.at(tf.constant(50))[0]) == pytest.approx(middle, rel=1e-3)


@pytest.mark.parametrize("stage", ["likelihood", "game"])
def test_compiled_steps_go_on_where_they_ended_as_one_run_does(coded_blocks, stage):
    def after(*runs):
        generator, table, state = start(coded_blocks, "auto")
        advance = advance_of(stage, "auto", coded_blocks, generator, table, state, compiled=True)
        for first, steps in runs:
            advance(tf.constant(first), tf.constant(steps))
        return state

    once, twice = after((0, 6)), after((0, 2), (2, 4))
    assert any(np.any(weight) for weight in once.weights.values())
    for name, weight in once.weights.items():
        np.testing.assert_array_equal(weight, twice.weights[name])
        assert np.isfinite(weight).all()


def test_compiled_or_not_a_step_is_the_same_but_for_its_random_numbers(coded_blocks):
    """XLA draws others: so what is compared is where all of them lead."""
    losses = []
    for compiled in (False, True):
        generator, table, state = start(coded_blocks, "auto")
        advance = advance_of(
            "likelihood", "auto", coded_blocks, generator, table, state, compiled=compiled
        )
        found = [advance(tf.constant(at), tf.constant(10))["loss"] for at in range(0, 400, 10)]
        losses.append(np.mean(found[-10:]))
    first, losses = float(np.mean(found[0])), list(map(float, losses))
    assert losses[0] < first - 0.5
    assert losses[1] == pytest.approx(losses[0], abs=0.2 * (first - losses[0]))


def test_average_forgets_its_start():
    weights, ema = {"w": tf.Variable([1.0])}, {"w": tf.Variable([100.0])}
    for step in range(60):
        average(ema, weights, tf.constant(step), 0.99)
    assert float(ema["w"][0]) == pytest.approx(1.0, abs=0.01)


def test_minibatches_draw_only_rows_to_train_on_and_depend_on_seed_and_step(gaussian_blocks):
    blocks = gaussian_blocks(settings=50, replicates=2)
    marked = replace(blocks, values=np.arange(100, dtype=np.float32)[:, None])
    folds = halves(100)
    short = replace(folds, train_count=np.array([10, 50], np.int32))
    batches = Minibatches(TrainingSet(marked), short, 400, seed=1)
    rows = np.asarray(batches.at(tf.constant(0)).values)[..., 0]
    assert set(rows[0]) == set(range(10))
    assert set(rows[1]) == set(range(50, 100))
    np.testing.assert_array_equal(rows, batches.at(tf.constant(0)).values[..., 0])
    assert not np.array_equal(rows, batches.at(tf.constant(1)).values[..., 0])
    other = replace(batches, seed=2)
    assert not np.array_equal(rows, other.at(tf.constant(0)).values[..., 0])


def test_counts_are_blurred_by_less_than_half_a_count(gaussian_blocks):
    blocks = gaussian_blocks(settings=50, replicates=2)
    counts = np.round(3 * blocks.values)
    layout = replace(blocks.layout, step=np.ones(1, np.float32))
    batches = Minibatches(
        TrainingSet(replace(blocks, values=counts, layout=layout)), halves(100), 500, seed=1
    )
    found = np.asarray(batches.at(tf.constant(0)).values)
    blur = found - np.round(found)
    assert np.abs(blur).max() <= 0.5
    assert blur.std() == pytest.approx(12**-0.5, rel=0.1)
    assert set(np.round(found).ravel()) <= set(np.unique(counts)) | {counts.max() + 1}
