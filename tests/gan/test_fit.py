"""The whole loop on small data: it learns, stops, resumes, and keeps only what is better."""

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan import attempt
from virtlab.gan import fit as fitting
from virtlab.gan import judge as judging
from virtlab.gan.fit import fit
from virtlab.gan.judge import Judge, Look
from virtlab.gan.mixture import Mixture
from virtlab.gan.options import Options
from virtlab.gan.predict import held_out_draws
from virtlab.gan.presets import Sizes, sizes_for
from virtlab.gan.state import State

SMALL = Sizes(
    members=2,
    folds=2,
    batch=16,
    likelihood_steps=20,
    game_steps=20,
    every=10,
    patience=10,
    game_patience=10,
    decay=0.01,
)


@pytest.fixture
def small(monkeypatch, gaussian_blocks):
    """Blocks, and a fit of two tiny networks for twice 20 steps, or as `sizes` say."""
    blocks = gaussian_blocks(settings=10, replicates=3)
    generator = Mixture(1, blocks.layout, components=1, width=4)
    monkeypatch.setattr(fitting, "generator_for", lambda *_, **__: generator)

    def run(options=Options(seed=1), *, sizes=SMALL, **more):  # noqa: B008
        monkeypatch.setattr(fitting, "sizes_for", lambda *_: sizes)
        return fit(blocks, options, **more)

    return run


@pytest.fixture
def quick(small, monkeypatch):
    """The same with steps that only shift the networks: for what the loop itself decides."""

    def by_likelihood(generator, batches, weights, ema, *_, **__):
        def advance(first, steps):
            for name, weight in weights.items():
                shift = tf.random.stateless_normal(weight.shape, (batches.seed, first))
                weight.assign_add(0.01 * shift)
                ema[name].assign(weight)
            return {"loss": tf.zeros(batches.folds.members)}

        return advance

    def by_game(generator, table, batches, players, *_, **__):
        return by_likelihood(generator, batches, players.weights, players.ema)

    monkeypatch.setattr(attempt, "by_likelihood", by_likelihood)
    monkeypatch.setattr(attempt, "by_game", by_game)
    return small


def equal(a, b):
    assert a.keys() == b.keys()
    return all(np.array_equal(a[name], b[name]) for name in a)


def look(scores):
    """What a judge might see of two members: draws that scatter as they should."""
    return Look(np.array(scores), np.ones((2, 15)), np.ones((2, 15)))


def stop_after(calls):
    """A report that presses Ctrl-C at its last call."""
    seen = []

    def report(moment):
        seen.append(moment)
        if len(seen) == calls:
            raise KeyboardInterrupt

    return report


def test_resumed_fit_ends_with_the_same_weights_bit_for_bit(small, monkeypatch):
    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    saved = []
    fitted = small(save=saved.append)
    assert [position["stage"] for _, position in saved] == [0, 0, 1, 1, 1]  # and at its end
    for checkpoint in (saved[0], saved[2]):  # amid likelihood, amid refinement
        again = small(resume=checkpoint)
        assert equal(again.weights, fitted.weights)
        assert equal(again.critic, fitted.critic)
        assert again.history == fitted.history
        np.testing.assert_array_equal(again.scores, fitted.scores)


def test_equal_seeds_give_equal_fits_and_others_do_not(quick):
    assert equal(quick().weights, quick().weights)
    assert not equal(quick().weights, quick(Options(seed=2)).weights)


def test_ctrl_c_keeps_the_best_so_far(quick):
    found = quick(report=stop_after(2))
    assert found.ended == "interrupted"
    assert found.stage == "likelihood"
    assert len(found.history) == 2
    assert found.scores.mean() == pytest.approx(found.history[-1]["best"], rel=1e-5)


def test_ctrl_c_in_refinement_keeps_what_likelihood_left(quick):
    without = quick(sizes=replace(SMALL, game_steps=0))
    found = quick(report=stop_after(3), sizes=replace(SMALL, game_steps=1000))
    assert (found.ended, len(found.history)) == ("interrupted", 3)
    if found.stage == "likelihood":
        assert equal(found.weights, without.weights)
    assert found.scores.mean() <= without.scores.mean() * 1.001


def test_ctrl_c_before_the_first_score_has_nothing_to_keep(quick, monkeypatch):
    def interrupt(self, weights):
        raise KeyboardInterrupt

    monkeypatch.setattr(Judge, "look", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quick()


@pytest.mark.parametrize(
    ("options", "ended"),
    [
        (Options(seed=1, max_seconds=0.0), "max_time reached"),
        (Options(seed=1, stop_at=100.0), "stop_when reached"),
    ],
)
def test_limits_of_time_and_score_stop_training(quick, options, ended):
    found = quick(options)
    assert found.ended == ended
    assert len(found.history) == 1


@pytest.mark.parametrize(("looks", "rounds"), [(0, 19), (5, 14), (1000, 9)])
def test_time_for_what_follows_is_kept_up_to_half(quick, monkeypatch, looks, rounds):
    clock = SimpleNamespace(monotonic=count().__next__)  # the start and each round take a second
    monkeypatch.setattr(fitting, "time", clock)
    monkeypatch.setattr(attempt, "time", clock)
    of_looks = SimpleNamespace(monotonic=count().__next__)  # and so does each look
    monkeypatch.setattr(judging, "time", of_looks)
    sizes = replace(SMALL, likelihood_steps=10**6, patience=10**6)
    found = quick(Options(seed=1, max_seconds=20.0, looks_after=looks), sizes=sizes)
    assert (found.ended, len(found.history)) == ("max_time reached", rounds)
    assert found.look_seconds == 1


def test_where_time_runs_out_the_rate_has_fallen_before(quick, monkeypatch):
    clock = SimpleNamespace(monotonic=count().__next__)  # each round takes a second
    monkeypatch.setattr(fitting, "time", clock)
    monkeypatch.setattr(attempt, "time", clock)
    settled = []
    settle = State.settle

    def settling(state, steps):
        settled.append((state.step, state.step + steps))
        settle(state, steps)

    monkeypatch.setattr(State, "settle", settling)
    sizes = replace(SMALL, likelihood_steps=10**6, patience=10**6)
    found = quick(Options(seed=1, max_seconds=40.0), sizes=sizes)
    ((first, last),) = settled
    assert found.ended == "max_time reached"
    assert found.history[-1]["step"] == last
    assert last / first == pytest.approx(1 + attempt.SETTLING, abs=0.05)


@pytest.fixture
def two(quick, monkeypatch, gaussian_blocks):
    """`quick` with a second generator, which the judge finds better from its first look."""
    layout = gaussian_blocks(settings=10, replicates=3).layout
    both = [Mixture(1, layout, components=1, width=width) for width in (4, 5)]
    monkeypatch.setattr(fitting, "alternatives", lambda _: both)
    true_look = Judge.look

    def look_at(self, weights):
        found = true_look(self, weights)
        return replace(found, scores=found.scores + (self._generator.width == 4))

    monkeypatch.setattr(Judge, "look", look_at)
    return quick


def test_the_generator_that_is_better_on_held_out_settings_goes_on(two):
    moments = []
    found = two(report=moments.append)
    assert found.generator.width == 5
    assert [row["stage"] for row in found.history] == ["likelihood"] * 2 + ["refinement"] * 2
    fractions = [moment.fraction for moment in moments]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_resumed_fit_goes_on_with_the_generator_that_was_chosen(two, monkeypatch):
    monkeypatch.setattr(attempt, "CHECKPOINT_SECONDS", -1.0)
    saved = []
    fitted = two(save=saved.append)
    again = two(resume=saved[0])
    assert saved[0][1]["stage"] == 1
    assert again.generator.width == 5
    assert equal(again.weights, fitted.weights)


@pytest.mark.parametrize(("calls", "width"), [(1, 4), (2, 4), (3, 5), (4, 5)])
def test_ctrl_c_amid_the_choice_keeps_the_best_of_what_there_is(two, calls, width):
    found = two(report=stop_after(calls))
    assert found.ended == "interrupted"
    assert found.generator.width == width


def test_time_that_runs_out_amid_the_choice_ends_training(two):
    found = two(Options(seed=1, max_seconds=1e-9))
    assert (found.ended, found.generator.width) == ("max_time reached", 4)


def test_stop_when_is_not_reached_by_a_score_above_it(quick):
    assert quick(Options(seed=1, stop_at=1e-9)).ended == "all steps done"


def test_rate_falls_when_members_improve_no_more_and_the_stage_ends(quick, monkeypatch):
    monkeypatch.setattr(Judge, "look", lambda *_: look([1.0, 1.0]))
    sizes = replace(SMALL, likelihood_steps=1000, game_steps=1000, patience=10, game_patience=5)
    found = quick(sizes=sizes)
    assert found.ended == "held-out score stopped improving"
    # The first score is an improvement; the fall takes three tenths of the steps before it.
    looks = {"likelihood": 11 + 3, "refinement": 6 + 2}
    stages = [row["stage"] for row in found.history]
    assert stages == [stage for stage, count in looks.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("gain", "stage"),
    [((0.009, 0.01), "likelihood"), ((-0.5, 0.01), "likelihood"), ((0.011, 0.01), "refinement")],
)
def test_refinement_is_kept_only_where_its_gain_is_clear(quick, monkeypatch, gain, stage):
    kept = {}

    def judged(self, before, after, setting):
        kept["likelihood"], kept["refinement"] = (
            {name: weight.numpy() for name, weight in state.items()} for state in (before, after)
        )
        return gain

    monkeypatch.setattr(Judge, "gain", judged)
    # Any score is an improvement: the states before and after must differ.
    falling = iter(np.linspace(1, 0, 100))
    monkeypatch.setattr(Judge, "look", lambda *_: look([next(falling)] * 2))
    found = quick()
    assert not equal(kept["likelihood"], kept["refinement"])
    assert (found.stage, (found.gain, found.gain_error)) == (stage, gain)
    assert equal(found.weights, kept[stage])


def test_where_settings_are_few_other_trials_end_training_than_judge_it(quick, monkeypatch):
    looked, judged = [], []
    row_scores, seen = Judge.row_scores, Judge.look

    def look_at(judge, weights):
        looked.append(judge._folds)
        return seen(judge, weights)

    def judge_by(judge, *given, **more):
        judged.append(judge._folds)
        return row_scores(judge, *given, **more)

    monkeypatch.setattr(Judge, "look", look_at)
    monkeypatch.setattr(Judge, "row_scores", judge_by)
    fitted = quick(sizes=replace(SMALL, members=5, folds=5, stop=True))
    *during, last = looked  # the last is of the state that was kept
    assert judged
    for judge in (*judged, last):
        np.testing.assert_array_equal(judge.held, fitted.folds.held)
    for ended in during:
        np.testing.assert_array_equal(ended.held, fitted.folds.stop)
    assert not (fitted.folds.held[:, :, None] == fitted.folds.stop[:, None, :]).any()


@pytest.mark.parametrize(
    ("settings", "wanted", "members", "folds", "judging", "stop"),
    [
        (5, None, 10, 5, 1, False),
        (20, None, 20, 20, 2, True),
        (60, None, 20, 20, 2, True),
        (300, None, 10, 10, 1, True),
        (600, None, 10, 10, 1, True),
        (3000, None, 5, 5, 1, False),
        (60, 4, 4, 4, 1, False),
    ],
)
def test_folds_follow_the_number_of_settings(
    gaussian_blocks, settings, wanted, members, folds, judging, stop
):
    found = sizes_for(gaussian_blocks(settings=settings, replicates=2), "auto", wanted)
    assert (found.members, found.folds) == (members, folds)
    assert (found.judging, found.stop) == (judging, stop)


@pytest.mark.parametrize("settings", [60, 600])
def test_refinement_is_given_up_sooner_than_what_learns_from_scratch(gaussian_blocks, settings):
    blocks = gaussian_blocks(settings=settings, replicates=2)
    auto, textbook = (sizes_for(blocks, preset, None) for preset in ("auto", "vanilla"))
    assert auto.game_patience * auto.every == 300 < auto.patience * auto.every
    assert textbook.game_patience == auto.patience


def test_scores_that_are_not_finite_are_never_kept(quick, monkeypatch):
    answers = iter([look([1.0, np.nan]), look([np.nan, 2.0])])
    monkeypatch.setattr(Judge, "look", lambda *_: next(answers, look([5.0, 5.0])))
    found = quick(sizes=replace(SMALL, game_steps=0))
    assert found.history[-1]["best"] == 1.5


def test_moments_tell_stage_fraction_and_best_score(quick):
    moments = []
    found = quick(report=moments.append)
    assert [moment.stage for moment in moments] == ["likelihood"] * 2 + ["refinement"] * 2
    assert [moment.fraction for moment in moments] == [0.25, 0.5, 0.75, 1.0]
    assert [moment.score for moment in moments] == [row["best"] for row in found.history]


def test_fitted_generator_learns_a_gaussian_whose_mean_is_the_condition(
    gaussian_blocks, monkeypatch
):
    blocks = gaussian_blocks(settings=40, replicates=5, noise=0.5)
    sizes = replace(sizes_for(blocks, "auto", 2), folds=2, likelihood_steps=400, game_steps=0)
    monkeypatch.setattr(fitting, "sizes_for", lambda *_: sizes)
    spreads = []
    for seed in range(3):  # of one split of forty settings the noise is known to a tenth or two
        fitted = fit(blocks, Options(seed=seed, members=2))
        held = held_out_draws(fitted, blocks, draws=200, max_rows=10_000, seed=0)
        np.testing.assert_array_equal(held.rows, np.arange(200))
        drawn = held.values[..., 0]
        off = drawn.mean(axis=0) - blocks.conditions[:, 0]
        assert np.sqrt((off**2).mean()) < 0.2
        spreads.append(drawn.std(axis=0).mean())
        # The marginal is a mixture over conditions from -1.7 to 1.7: the score says so.
        assert fitted.scores.mean() < 0.7
    assert np.mean(spreads) == pytest.approx(0.5, rel=0.15)
