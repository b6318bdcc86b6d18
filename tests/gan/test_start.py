"""Heads start as the principal components of what each member may see."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import lfilter

from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import Blocks
from virtlab.gan.folds import split_by_setting
from virtlab.gan.mixture import Mixture
from virtlab.gan.stages import Minibatches, Rates, by_likelihood
from virtlab.gan.start import latents_for, principal, start_heads, start_processes
from virtlab.gan.state import State

MEMBERS, TRIALS = 2, 80


def blocks_of(layout, values, observed=None):
    """Blocks of plain values, two trials per setting, without a condition to speak of."""
    observed = np.ones_like(values) if observed is None else observed
    n = len(values)
    return Blocks(
        conditions=np.zeros((n, 1), np.float32),
        values=(values * observed).astype(np.float32),
        observed=observed.astype(np.float32),
        codes=np.zeros((n, 0), np.int32),
        setting=np.arange(n) // 2,
        layout=layout,
    )


def started(blocks, seed=0):
    """Generator, weights and folds at the start of training."""
    rng = np.random.default_rng(seed)
    folds = split_by_setting(blocks.setting, members=MEMBERS, folds=2, rng=rng)
    generator = Mixture(1, blocks.layout, components=1, width=8)
    return generator, start_heads(generator, generator.init(rng, MEMBERS), blocks, folds), folds


def linear(values, latents=2, seed=1, n=TRIALS):
    """Signals of a few components and a trace of noise."""
    rng = np.random.default_rng(seed)
    shapes = rng.standard_normal((latents, values))
    signals = rng.standard_normal((n, latents)) @ shapes + rng.standard_normal(values)
    return (signals + 0.01 * rng.standard_normal(signals.shape)).astype(np.float32)


def encoded_and_decoded(blocks):
    """Values, per member, that heads make of the trials' own latents."""
    generator, weights, _ = started(blocks)
    (head,) = generator.heads
    rows = (MEMBERS, *blocks.values.shape)
    values, observed = np.broadcast_to(blocks.values, rows), np.broadcast_to(blocks.observed, rows)
    conditions = np.zeros((*rows[:2], 1), np.float32)
    latents, _ = head.encode(weights, tf.constant(values), tf.constant(observed), conditions)
    context = np.zeros((*rows[:2], 16), np.float32)
    return np.asarray(latents), np.asarray(head.decode(weights, latents, context)[0])


@pytest.mark.parametrize("shape", [(9,), (50,), (65,), (7, 12), (2, 64)])
def test_linear_signal_comes_back_from_its_latents(layouts, shape):
    layout = layouts["of_parts"](s={"shape": shape, "latents": 2})
    blocks = blocks_of(layout, linear(layout.values))
    latents, decoded = encoded_and_decoded(blocks)
    spread = blocks.values.std(axis=0)
    # The networks around the components start small in what these leave, a hundredth here.
    assert np.sqrt(np.mean(((decoded - blocks.values) / spread) ** 2)) < 0.05
    np.testing.assert_allclose(latents.std(axis=1), 1, rtol=0.35)  # members see half each


def test_held_out_trials_play_no_part(layouts):
    blocks = blocks_of(layouts["wide"](), np.pad(linear(9), ((0, 0), (0, 1))))
    _, weights, folds = started(blocks)
    for member in range(MEMBERS):
        held = folds.held[member, : folds.held_count[member]]
        changed = blocks.values.copy()
        changed[held] += 5 * np.random.default_rng(2).standard_normal(changed[held].shape)
        _, other, _ = started(replace(blocks, values=changed.astype(np.float32)))
        for name, array in weights.items():
            np.testing.assert_array_equal(other[name][member], array[member])
            if name.startswith("frame"):  # the other member saw them
                assert np.any(other[name][1 - member] != array[1 - member])


def test_stated_noise_is_what_the_components_leave(layouts):
    rng = np.random.default_rng(3)
    values = linear(50, n=800) + 0.3 * rng.standard_normal((800, 50))
    layout = layouts["of_parts"](s={"shape": (50,), "latents": 2})
    _, weights, _ = started(blocks_of(layout, values))
    stated = np.exp(weights["decoder0.place"][:, 0, 50:])
    np.testing.assert_allclose(stated, 0.3, rtol=0.15)


@pytest.mark.parametrize("noise", [0.001, 0.1])
def test_doubt_about_latents_is_no_louder_than_what_the_components_leave(layouts, noise):
    rng = np.random.default_rng(3)
    values = linear(50, n=800) + noise * rng.standard_normal((800, 50))
    blocks = blocks_of(layouts["of_parts"](s={"shape": (50,), "latents": 2}), values)
    generator, weights, _ = started(blocks)
    (head,) = generator.heads
    rows = np.broadcast_to(blocks.values, (MEMBERS, *blocks.values.shape))
    conditions = np.zeros((*rows.shape[:2], 1), np.float32)
    _, log_sd = head.encode(weights, tf.constant(rows), tf.ones(rows.shape), conditions)
    precision = 1 + np.square(weights["frame0.decoder"]).sum(axis=-1) / (0.01**2 + noise**2)
    expected = np.broadcast_to(precision[:, None] ** -0.5, log_sd.shape)
    np.testing.assert_allclose(np.exp(log_sd), expected, rtol=0.2)


def test_first_steps_of_learning_do_not_turn_what_components_explain_into_noise(layouts):
    blocks = blocks_of(layouts["of_parts"](s={"shape": (50,), "latents": 6}), linear(50, 6))
    generator, weights, folds = started(blocks)
    state = State.start(weights, {})
    rates = Rates(3e-3, 1e-4, tf.Variable([1000, 2000]), state.pace)
    batches = Minibatches(TrainingSet(blocks), folds, 20, seed=3)
    learner = (state.weights, state.ema, state.moments, rates, 0.5)
    by_likelihood(generator, batches, *learner)(tf.constant(0), tf.constant(50))
    (head,) = generator.heads
    rows = np.broadcast_to(blocks.values, (MEMBERS, *blocks.values.shape))
    conditions = np.zeros((*rows.shape[:2], 1), np.float32)
    latents, _ = head.encode(state.ema, tf.constant(rows), tf.ones(rows.shape), conditions)
    _, log_sd = head.decode(state.ema, latents, np.zeros((*rows.shape[:2], 16), np.float32))
    np.testing.assert_allclose(np.exp(log_sd).mean(axis=(1, 2)), 0.01, rtol=0.4)


def test_floor_starts_with_each_values_own_share_above_it(layouts):
    rng = np.random.default_rng(3)
    share = np.linspace(0.1, 0.9, 20)
    above = np.exp(-1 + 0.8 * rng.standard_normal((800, 20)))
    values = np.where(rng.random((800, 20)) < share, above, 0)
    part = {"shape": (20,), "latents": 2, "floor": True, "log": (-1.0, 0.8)}
    _, weights, _ = started(blocks_of(layouts["of_parts"](s=part), values))
    lit, _, low, high, *_ = np.split(weights["decoder0.place"][:, 0], 6, axis=-1)
    np.testing.assert_allclose(1 / (1 + np.exp(-lit)), np.broadcast_to(share, lit.shape), atol=0.1)
    np.testing.assert_allclose((low + high) / 2, 0, atol=0.4)
    assert "frame0.decoder" not in weights


def test_processes_are_the_same_however_many_are_fitted_at_once(gaussian_blocks, monkeypatch):
    blocks = gaussian_blocks(settings=240, replicates=1)  # more than length scales are found from
    rng = np.random.default_rng(0)
    folds = split_by_setting(blocks.setting, members=4, folds=2, rng=rng)
    generator = Mixture(1, blocks.layout, components=1, width=8, processes=(0,))
    weights = generator.init(rng, 4)

    def found(threads):
        monkeypatch.setattr("os.cpu_count", lambda: threads)
        return start_processes(generator, weights, blocks, folds, np.random.default_rng(1))

    (start, predicted, whole), (other, again, all_again) = found(1), found(4)
    np.testing.assert_array_equal(predicted, again)
    for one, same in ((start, other), (whole, all_again)):
        assert all(np.array_equal(array, same[name]) for name, array in one.items())
    assert not np.array_equal(predicted[0], predicted[1])  # they learn from other trials


def test_noise_has_at_the_start_the_colour_of_what_components_leave(layouts):
    part = layouts["of_parts"](s={"shape": (60,), "latents": 2})
    rng = np.random.default_rng(3)
    white = rng.standard_normal((400, 60)).astype(np.float32)
    steady = lfilter([1], [1, -0.8], white, axis=1)
    found = {}
    for name, noise in (("white", white), ("steady", steady)):
        values = linear(60, n=400) + noise.astype(np.float32)
        _, weights, _ = started(blocks_of(part, values))
        found[name] = np.tanh(weights["decoder0.colour"][:, 0])
    np.testing.assert_allclose(found["white"], 0, atol=0.1)
    np.testing.assert_allclose(found["steady"], [[0.8, 0, 0]] * MEMBERS, atol=0.1)


def test_components_are_orthogonal_and_explain_what_they_should():
    values = linear(30, n=400)
    basis, center, remains = principal(values, np.ones_like(values), 2)
    np.testing.assert_allclose(center, values.mean(axis=0), atol=1e-5)
    assert basis[0] @ basis[1] == pytest.approx(0, abs=1e-3)
    inside = (values - center) @ np.linalg.pinv(basis)
    np.testing.assert_allclose(np.cov(inside.T, bias=True), np.eye(2), atol=1e-4)
    np.testing.assert_allclose(remains.std(axis=0), 0.01, rtol=0.3)


def test_missing_entries_do_not_shift_the_centre():
    values = linear(30, n=400) + 7
    observed = (np.random.default_rng(4).random(values.shape) < 0.7).astype(np.float32)
    _, center, _ = principal(values * observed, observed, 2)
    np.testing.assert_allclose(center, values.mean(axis=0), atol=0.5)


@pytest.mark.parametrize("rows", [1, 3])
def test_components_that_the_trials_do_not_have_are_zero(rows):
    values = linear(30, n=400)[:rows]
    basis, _, remains = principal(values, np.ones_like(values), 5)
    assert basis.shape == (5, 30)
    np.testing.assert_array_equal(basis[rows - 1 :], 0)
    assert np.isfinite(np.linalg.pinv(basis)).all()
    np.testing.assert_allclose(remains, 0, atol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 5.0])
def test_signal_that_never_varies_has_latents_that_stay_small(layouts, constant):
    layout = layouts["of_parts"](s={"shape": (20,), "latents": 2})
    blocks = blocks_of(layout, np.full((TRIALS, 20), constant, np.float32))
    latents, decoded = encoded_and_decoded(blocks)
    assert np.abs(latents).max() < 1
    np.testing.assert_allclose(decoded, constant, atol=0.5)
    blurred = replace(blocks, values=blocks.values + 0.5)  # as counts are in training
    generator, weights, _ = started(blocks)
    rows = np.broadcast_to(blurred.values, (MEMBERS, TRIALS, 20))
    found, _ = generator.heads[0].encode(
        weights, tf.constant(rows), tf.ones_like(rows), np.zeros((MEMBERS, TRIALS, 1), np.float32)
    )
    assert np.abs(found).max() < 5


@pytest.mark.parametrize(("components", "expected"), [(1, 2), (2, 2), (5, 5), (30, 16)])
def test_latents_are_the_components_that_stand_out_of_the_noise(components, expected):
    values = linear(60, latents=components, n=400)
    assert latents_for(values, np.ones_like(values), most=16) == expected
