"""Trainings sabotaged for real are noticed, acted on and told; sound ones are healthy."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan import attempt
from virtlab.gan import fit as fitting
from virtlab.gan.blocks import Blocks
from virtlab.gan.critic import Critic
from virtlab.gan.fit import fit
from virtlab.gan.games import GAMES, Table
from virtlab.gan.generators import Textbook
from virtlab.gan.judge import Look
from virtlab.gan.monitor import HEALTHY, MOST_RESTARTS, TROUBLES, Monitor, health
from virtlab.gan.options import Options
from virtlab.gan.presets import Sizes
from virtlab.gan.stages import Rates
from virtlab.gan.state import State

SIZES = Sizes(
    members=2,
    folds=2,
    batch=16,
    likelihood_steps=200,
    game_steps=300,
    every=20,
    patience=100,
    game_patience=100,
    decay=0.01,
)


@pytest.fixture
def signals(layouts):
    """60 trials on few of many dimensions: whatever is beside them, a critic can tell apart."""
    layout, rng = layouts["wide"](values=40), np.random.default_rng(0)
    setting = np.repeat(np.arange(20), 3)
    condition = np.linspace(-1.7, 1.7, 20)[setting]
    means = np.stack([condition, np.sin(2 * condition), condition], axis=1)
    drawn = means + 0.3 * rng.standard_normal(means.shape)
    waves = np.sin(np.outer([1, 2], np.linspace(0, np.pi, 40)))
    values = np.concatenate([drawn[:, :2] @ waves, drawn[:, 2:]], axis=1)
    return Blocks(
        conditions=condition[:, None].astype(np.float32),
        values=values.astype(np.float32),
        observed=np.ones(values.shape, np.float32),
        codes=np.zeros((60, 0), np.int32),
        setting=setting,
        layout=layout,
    )


def saturating(_real, fake):
    """Goodfellow's first generator loss, which he warns of: no gradient once the critic wins."""
    return -tf.reduce_mean(tf.nn.softplus(fake), axis=-1)


UNFAIR = replace(GAMES["vanilla"], generator_loss=saturating, critic_rate=20.0, critic_steps=2)


@pytest.fixture
def run(monkeypatch, gaussian_blocks):
    """A fit of two members, on trials of little noise or others, as a game and sizes say."""
    few = gaussian_blocks(settings=20, replicates=3, noise=0.05)

    def run(preset="vanilla", *, blocks=few, game=None, sizes=SIZES, **more):
        monkeypatch.setattr(fitting, "sizes_for", lambda *_: sizes)
        monkeypatch.setitem(GAMES, preset, game or GAMES[preset])
        return fit(blocks, Options(preset=preset, seed=1, members=2), **more)

    return run


def test_sound_training_is_healthy(run):
    fitted = run("auto", sizes=replace(SIZES, game_steps=40))
    assert fitted.health == (HEALTHY,)


def test_members_that_an_absurd_learning_rate_threw_out_are_set_back_and_given_up(run, monkeypatch):
    sound = run()
    monkeypatch.setattr(
        attempt, "Rates", lambda start, end, *rest: Rates(1e5 * start, 1e5 * end, *rest)
    )
    saved = []
    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    fitted = run(save=saved.append)
    assert sound.health == (HEALTHY,)
    said = " ".join(fitted.health)
    assert "2 of 2 members" in said
    assert "in refinement (restarted from the best state at a lower rate, 2 given up" in said
    arrays, position = saved[-1]
    np.testing.assert_array_equal(arrays["pace"], 0)
    struck = [event["member"] for event in position["events"]]
    assert sorted(struck) == [0] * (MOST_RESTARTS + 1) + [1] * (MOST_RESTARTS + 1)
    assert np.isfinite(fitted.scores).all()
    assert all(np.isfinite(weight).all() for weight in fitted.weights.values())


def test_member_poisoned_amid_training_goes_on_from_its_best(run, monkeypatch):
    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    saved = []
    sizes = replace(SIZES, game_steps=0)
    sound = run("auto", sizes=sizes, save=saved.append)
    arrays, position = saved[3]
    poisoned = {name: array.copy() for name, array in arrays.items()}
    poisoned["weights/head.0.w"][0] = np.nan
    found = run("auto", sizes=sizes, resume=(poisoned, position))
    assert len(found.health) == 1
    assert found.health[0].startswith("1 of 2 members met numbers that are not finite in like")
    assert "absurd values" in found.health[0]
    # It learned on afterwards; the other member never noticed.
    for name, weight in found.weights.items():
        assert np.isfinite(weight).all()
        np.testing.assert_array_equal(weight[1], sound.weights[name][1])
    assert found.scores[0] <= arrays["best_score"][0]


def test_critic_that_won_is_noticed_and_the_training_resumes_to_the_same_end(
    run, signals, monkeypatch
):
    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    saved = []
    whole = run(blocks=signals, game=UNFAIR, save=saved.append)
    said = " ".join(whole.health)
    assert "taught nothing more in refinement" in said or "left the generator no gradient" in said
    acted = next(i for i, (_, position) in enumerate(saved) if position["events"])
    for amid in (acted - 1, acted):
        again = run(blocks=signals, game=UNFAIR, resume=saved[amid])
        assert again.health == whole.health
        for name, weight in whole.weights.items():
            np.testing.assert_array_equal(again.weights[name], weight)


@dataclass(frozen=True)
class Deaf(Textbook):
    """Draws the same trial whatever the latent."""

    def trial_part(self, weights, parameters, uniform, normal, **more):
        return super().trial_part(weights, parameters, uniform, 0 * normal, **more)


def test_collapse_is_noticed(run, monkeypatch):
    monkeypatch.setattr(
        fitting, "generator_for", lambda blocks, *_, **__: Deaf(1, blocks.layout, width=16)
    )
    fitted = run(sizes=replace(SIZES, game_steps=120))
    assert any("drew nearly the same trial again and again" in said for said in fitted.health)


# what the monitor does with each sign


def look(score, same=False):
    """What a judge might see of two members and five rows of real spread 1."""
    spread = np.full((2, 5), 0.1 if same else 1.0)
    return Look(np.array(score), spread, np.ones((2, 5)))


def court(generators=1, critics=1):
    """A monitor and the state of two members, with a best score of 0.5."""
    table = Table(Critic(1, None), 2, generators, critics)
    n = 2 * generators
    start = {"c.0.w": np.ones((2 * critics, 1, 1), np.float32)}
    state = State.start({"g.0.w": np.ones((n, 1, 1), np.float32)}, start)
    state.best_score = np.full(n, 0.5)
    state.weights["g.0.w"].assign_add([[[2.0]]] * n)
    state.critic["c.0.w"].assign_add([[[2.0]]] * 2 * critics)
    share, real = np.full((n, 5), 0.2), np.full((n, 5), np.nan)
    return Monitor(table, start, real, share), state


def watch(monitor, state, times, seen, stage="refinement", **signs):
    for _ in range(times):
        found = {"loss": np.zeros(2)} | {name: np.array(sign) for name, sign in signs.items()}
        monitor.watch(stage, state, found, seen)
    return [event["trouble"] for event in state.events]


FAIR = {"separation": [0.6, 0.6], "slope": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("trouble", "seen", "signs"),
    [
        ("not finite", look([np.nan, 0.5]), FAIR),
        ("not finite", look([0.6, 0.6]), FAIR | {"loss": [np.inf, 0.0]}),
        ("diverged", look([2.0, 0.6]), FAIR),
        ("critic won", look([0.6, 0.6]), {"separation": [0.97, 0.6], "slope": [1.0, 1.0]}),
    ],
)
def test_trouble_that_lasts_sets_its_member_back(trouble, seen, signs):
    monitor, state = court()
    state.moments["adam1"].assign([[1.0], [1.0]])
    state.moments["adam2"].assign([[np.nan], [1.0]])
    lasting = TROUBLES[trouble].lasting
    assert watch(monitor, state, lasting - 1, seen, **signs) == []
    assert watch(monitor, state, 1, seen, **signs) == [trouble]
    np.testing.assert_array_equal(np.ravel(state.weights["g.0.w"]), [1, 3])
    np.testing.assert_array_equal(np.ravel(state.ema["g.0.w"]), [1, 1])
    np.testing.assert_array_equal(np.ravel(state.critic["c.0.w"]), [1, 3])
    np.testing.assert_array_equal(np.ravel(state.moments["adam1"]), [0, 1])
    np.testing.assert_array_equal(np.ravel(state.moments["adam2"]), [0, 1])
    np.testing.assert_array_equal(state.pace, [0.5, 1])
    assert state.events[0]["member"] == 0


def test_trouble_that_passes_is_left_alone():
    monitor, state = court()
    for _ in range(5):
        watch(monitor, state, 1, look([2.0, 0.6]))
        assert watch(monitor, state, 1, look([0.6, 0.6])) == []


def test_gradient_is_judged_by_the_largest_there_was():
    monitor, state = court()
    sure = {"separation": [1.0, 0.6]}
    watch(monitor, state, 2, look([0.5, 0.5]), **FAIR)
    assert watch(monitor, state, 3, look([0.5, 0.5]), slope=[0.2, 0.01], **sure) == []
    found = watch(monitor, state, 2, look([0.5, 0.5]), slope=[0.05, 0.01], **sure)
    assert found == ["gradient vanished"]


def test_draws_that_are_all_alike_are_a_collapse_unless_likelihood_found_them_so():
    monitor, state = court()
    assert watch(monitor, state, 4, look([0.5, 0.5], same=True)) == ["collapsed"] * 2
    monitor, state = court()
    watch(monitor, state, 1, look([0.5, 0.5], same=True))
    state.next_stage()
    assert watch(monitor, state, 8, look([0.5, 0.5], same=True)) == []


def test_draws_that_are_all_alike_in_likelihood_are_no_collapse():
    monitor, state = court()
    assert watch(monitor, state, 8, look([0.5, 0.5], same=True), stage="likelihood") == []


def test_replicates_that_do_not_scatter_either_are_no_collapse():
    monitor, state = court()
    still = replace(monitor, real_spread=np.zeros((2, 5)))
    assert watch(still, state, 8, look([0.5, 0.5], same=True)) == []


def test_member_that_cannot_be_helped_is_given_up():
    monitor, state = court()
    watch(monitor, state, 100, look([2.0, 0.6]))
    assert len(state.events) == MOST_RESTARTS + 1
    assert [event["given_up"] for event in state.events] == [False] * MOST_RESTARTS + [True]
    np.testing.assert_array_equal(state.pace, [0, 1])
    state.next_stage()
    np.testing.assert_array_equal(state.pace, 1)


def test_all_critics_of_a_member_start_afresh_and_only_the_generator_that_strayed():
    monitor, state = court(generators=2, critics=3)
    seen = Look(np.array([0.5, 2.0, 0.5, 0.5]), np.ones((4, 5)), np.ones((4, 5)))
    for _ in range(2):
        monitor.watch("refinement", state, {"loss": np.zeros(4)}, seen)
    np.testing.assert_array_equal(np.ravel(state.weights["g.0.w"]), [3, 1, 3, 3])
    np.testing.assert_array_equal(np.ravel(state.critic["c.0.w"]), [1, 1, 1, 3, 3, 3])


def test_health_counts_members_by_stage_and_trouble():
    def event(stage, member, trouble, given_up=False):
        return {"stage": stage, "member": member, "trouble": trouble, "given_up": given_up}

    events = [
        event("likelihood", 1, "diverged"),
        event("refinement", 1, "collapsed"),
        event("refinement", 1, "collapsed", given_up=True),
        event("refinement", 4, "collapsed"),
    ]
    first, second = health(events, 10)
    assert first.startswith("1 of 10 members diverged in likelihood (restarted")
    assert "given up" not in first
    assert second.startswith("2 of 10 members drew nearly the same trial again and again in refin")
    assert "1 given up" in second
    assert health([], 10) == (HEALTHY,)
