"""Who plays whom, and what is said of a game that goes on."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.batches import TrainingSet
from virtlab.gan.critic import Critic
from virtlab.gan.folds import split_by_setting
from virtlab.gan.games import GAMES, Players, Table, by_game
from virtlab.gan.generators import Textbook
from virtlab.gan.stages import Minibatches, Rates
from virtlab.gan.state import State

MEMBERS = 2


def table(generators=1, critics=1, layout=None):
    return Table(Critic(1, layout, width=8), MEMBERS, generators, critics)


def test_every_critic_of_a_member_sees_all_its_generators():
    x = tf.constant(np.arange(2 * 2 * 3, dtype=np.float32).reshape(4, 3, 1))  # 2 generators each
    seen = np.asarray(table(generators=2, critics=3).to_critics(x))[..., 0]
    assert seen.shape == (6, 6)
    for critic in range(3):
        np.testing.assert_array_equal(seen[critic], [0, 1, 2, 3, 4, 5])
        np.testing.assert_array_equal(seen[3 + critic], [6, 7, 8, 9, 10, 11])


def test_every_generator_gets_its_own_scores_of_all_critics():
    arena = table(generators=2, critics=3)
    x = tf.constant(np.arange(2 * 2 * 3, dtype=np.float32).reshape(4, 3, 1))
    scores = arena.to_critics(x)[..., 0] + 100 * np.arange(6, dtype=np.float32)[:, None]
    found = np.asarray(arena.to_generators(scores))
    np.testing.assert_array_equal(found[1], [3, 4, 5, 103, 104, 105, 203, 204, 205])
    np.testing.assert_array_equal(found[2, :4], [306, 307, 308, 406])


def test_numbers_of_generators_and_critics_are_averaged_within_a_member():
    arena = table(generators=2, critics=3)
    found = arena.mean_over_critics(tf.constant([1.0, 2, 3, 10, 20, 30]))
    np.testing.assert_array_equal(found, [2, 2, 20, 20])
    found = arena.mean_over_generators(tf.constant([1.0, 3, 10, 20]))
    np.testing.assert_array_equal(found, [2, 2, 2, 15, 15, 15])


def play(blocks, game, generators=1, critics=1, steps=4, rate=1e-3):
    """State after a few steps, and the last signs."""
    generator = Textbook(1, blocks.layout, width=8)
    arena = table(generators, critics, blocks.layout)
    rng = np.random.default_rng(0)
    folds = split_by_setting(blocks.setting, members=MEMBERS, folds=2, rng=rng)
    folds = folds.repeated(generators)
    start = (
        generator.init(rng, MEMBERS * generators),
        arena.critic.init(rng, MEMBERS * critics),
    )
    state = State.start(*start)
    batches = Minibatches(TrainingSet(blocks), folds, 16, seed=3)
    players = Players(state.weights, state.ema, state.moments, state.critic, state.critic_moments)
    rates = Rates(rate, rate, tf.Variable([0, 100]), state.pace)
    advance = by_game(generator, arena, batches, players, rates, 0.0, game)
    signs = advance(tf.constant(0), tf.constant(steps))
    return state, start, {name: np.asarray(sign) for name, sign in signs.items()}


@pytest.mark.parametrize(("generators", "critics"), [(1, 1), (3, 1), (1, 2), (2, 2)])
def test_all_generators_and_critics_learn_and_differ(gaussian_blocks, generators, critics):
    blocks = gaussian_blocks(settings=10, replicates=3)
    state, start, signs = play(blocks, GAMES["vanilla"], generators, critics)
    for trained, before in ((state.weights, start[0]), (state.critic, start[1])):
        for name, weight in trained.items():
            changed = np.asarray(weight) != before[name]
            assert changed.reshape(len(changed), -1).any(axis=1).all(), name
        apart = np.asarray(next(iter(trained.values()))).reshape(len(changed), -1)
        assert len(np.unique(apart, axis=0)) == len(apart)
    for sign in signs.values():
        assert sign.shape == (MEMBERS * generators,)
        assert np.isfinite(sign).all()


def test_critic_takes_as_many_steps_as_the_game_says(gaussian_blocks):
    blocks = gaussian_blocks(settings=10, replicates=3)
    game = replace(GAMES["wgan-gp"], critic_steps=3)
    few, start, _ = play(blocks, game, steps=1)
    many, _, _ = play(blocks, replace(game, critic_steps=6), steps=1)
    moved = [
        np.abs(np.asarray(state.critic["critic.1.w"]) - start[1]["critic.1.w"]).max()
        for state in (few, many)
    ]
    assert 1.4 * moved[0] < moved[1]


def test_critic_that_learns_fast_separates_real_from_fake_better(gaussian_blocks):
    blocks = gaussian_blocks(settings=10, replicates=3, noise=0.1)
    _, _, slow = play(blocks, replace(GAMES["vanilla"], critic_rate=1e-3), steps=60)
    _, _, fast = play(blocks, replace(GAMES["vanilla"], critic_rate=30.0), steps=60)
    assert (fast["separation"] > slow["separation"]).all()
    assert (fast["separation"] > 0.8).all()
    assert (fast["slope"] > 0).all()


def test_game_without_a_critic_says_nothing_of_it(gaussian_blocks):
    game = replace(GAMES["energy"], generator="dense")
    _, _, signs = play(gaussian_blocks(settings=10, replicates=3), game)
    assert set(signs) == {"loss"}
