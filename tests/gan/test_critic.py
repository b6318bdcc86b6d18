"""Critics and how they look at signals and images."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.blocks import Layout, Part
from virtlab.gan.critic import Critic, spectrally_normalised
from virtlab.gan.encoders import encoder_of, strides
from virtlab.gan.losses import zero_centred_penalty

MEMBERS, ROWS = 2, 5
PARTS = {"dose": (), "trace": (40,), "both": (2, 20), "short": (5,), "picture": (12, 10)}


@pytest.fixture
def layout():
    parts, at = [], 0
    for name, shape in PARTS.items():
        size = int(np.prod(shape))
        parts.append(Part(name, at, at + size, shape))
        at += size
    weight = np.concatenate([np.full(p.stop - p.start, (p.stop - p.start) ** -0.5) for p in parts])
    zeros = np.zeros(at, np.float32)
    none = np.zeros((0, at), np.float32)
    return Layout(
        reach=zeros + 10,
        weight=weight.astype(np.float32),
        levels=(2,),
        atom=none,
        replaces=none,
        level_weight=np.zeros(2, np.float32),
        step=zeros,
        parts=tuple(parts),
    )


def made(layout, encoder, **more):
    critic = Critic(3, layout, encoder=encoder, width=16, **more)
    start = critic.init(np.random.default_rng(0), MEMBERS)
    return critic, {name: tf.constant(array) for name, array in start.items()}


def trials(layout, seed=1):
    rng = np.random.default_rng(seed)
    conditions = rng.standard_normal((MEMBERS, ROWS, 3)).astype(np.float32)
    values = rng.standard_normal((MEMBERS, ROWS, layout.values + 2)).astype(np.float32)
    weight = np.append(layout.weight, [1, 1]).astype(np.float32)
    return tf.constant(conditions), tf.constant(values * weight)


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        ("dense", []),
        ("auto", ["conv", "conv", "conv"]),
        ("conv", ["conv", "conv", "conv", "conv"]),
        ("gru", ["gru", "gru", "gru", "conv"]),
    ],
)
def test_each_measurement_is_looked_at_as_was_asked(layout, wanted, kinds):
    critic, _ = made(layout, wanted)
    assert [kind for _, kind in critic.encoded] == kinds
    assert encoder_of(layout.parts[0], wanted) == "dense"  # a scalar, always


@pytest.mark.parametrize("encoder", ["dense", "auto", "conv", "gru"])
def test_score_depends_on_condition_and_every_value_and_on_nothing_of_other_trials(layout, encoder):
    critic, weights = made(layout, encoder)
    conditions, joint = trials(layout)
    with tf.GradientTape() as tape:
        tape.watch([conditions, joint])
        total = tf.reduce_sum(critic.scores(weights, conditions, joint)[0, 2])
    for slope in tape.gradient(total, [conditions, joint]):
        slope = np.array(slope)
        assert (slope[0, 2] != 0).mean() > 0.9
        slope[0, 2] = 0
        np.testing.assert_array_equal(slope, 0)


def test_signal_alone_can_be_looked_at(layout):
    part = Part("trace", 0, 40, (40,))
    few = slice(0, 40)
    alone = replace(
        layout,
        reach=layout.reach[few],
        atom=layout.atom[:0, few],
        replaces=layout.replaces[:0, few],
        level_weight=layout.level_weight[:0],
        step=layout.step[few],
        weight=np.full(40, 40**-0.5, np.float32),
        levels=(),
        parts=(part,),
    )
    critic, weights = made(alone, "auto")
    conditions, joint = trials(layout)
    assert critic.scores(weights, conditions, joint[..., few]).shape == (MEMBERS, ROWS)


@pytest.mark.parametrize("encoder", ["dense", "auto", "gru"])
def test_scores_of_measurements_of_any_length_are_of_one_size(layout, encoder):
    critic, weights = made(layout, encoder)
    scores = np.asarray(critic.scores(weights, *trials(layout)))
    assert scores.shape == (MEMBERS, ROWS)
    assert 0.03 < scores.std() < 10


@pytest.mark.parametrize("encoder", ["auto", "gru"])
def test_gradient_penalty_reaches_every_weight(layout, encoder):
    critic, start = made(layout, encoder)
    weights = {name: tf.Variable(array) for name, array in start.items()}
    conditions, joint = trials(layout)
    with tf.GradientTape() as tape:
        penalty = zero_centred_penalty(
            lambda x: critic.scores(weights, conditions, x), joint, 2 * joint, None
        )
        total = tf.reduce_sum(penalty)
    matrices = [weight for name, weight in weights.items() if name.endswith(".w")]
    for slope in tape.gradient(total, matrices):
        assert np.isfinite(slope).all()
        assert np.abs(np.asarray(slope)).max() > 0


def test_signals_shrink_until_they_are_short():
    for space in ((24,), (256,), (1000,), (16, 16), (64, 64), (40, 5)):
        at = space
        for stride in strides(space):
            at = tuple(-(-n // s) for n, s in zip(at, stride, strict=True))
        assert max(at) <= 4
    assert strides((3,)) == []


def test_spectral_normalisation_divides_by_the_largest_singular_value():
    rng = np.random.default_rng(0)
    # Singular values 5, 1 and 0.2, in a random frame.
    frames = [np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2)]
    w = frames[0] @ np.diag([5.0, 1, 0.2]) @ frames[1]
    weights = {"a.w": tf.constant(w[None], tf.float32), "a.b": tf.ones((1, 1, 3))}
    found = spectrally_normalised(weights)
    np.testing.assert_allclose(found["a.w"][0], w / 5, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found["a.b"], weights["a.b"])
    critic = Critic(1, None, spectral=True)
    np.testing.assert_array_equal(critic.ready(weights)["a.w"], found["a.w"])
