"""The exported generator computes what TensorFlow computes."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from virtlab.gan.blocks import Part
from virtlab.gan.export import SETTING_ROWS, export, trial_rows
from virtlab.gan.fit import Fit
from virtlab.gan.folds import split_by_setting
from virtlab.gan.generators import Convolutional, Textbook
from virtlab.gan.mixture import Mixture

MEMBERS = 2


def random_fit(generator, noise=0.3, seed=0):
    """A fit with random weights everywhere, the residual's too."""
    rng = np.random.default_rng(seed)
    start = generator.init(rng, MEMBERS)
    weights = {
        name: (value + noise * rng.standard_normal(value.shape)).astype(np.float32)
        for name, value in start.items()
    }
    folds = split_by_setting(np.arange(8), members=MEMBERS, folds=2, rng=rng)
    return Fit(generator, weights, {}, folds, np.ones(MEMBERS), "likelihood", 0, 0, [], "done")


def with_parts(layouts, name):
    """Two scalars with codes and what is beside them, or a signal alone."""
    if name == "signal":
        return replace(layouts["plain"](20), parts=(Part("s", 0, 20, (20,)),))
    shape = {"image": (7, 6), "channels": (2, 11)}[name]
    size, base = int(np.prod(shape)), layouts["coded"]()
    wider = layouts["plain"](2 + size)
    atom, replaces = (np.pad(a, [(0, 0), (0, size)]) for a in (base.atom, base.replaces))
    return replace(
        wider,
        levels=base.levels,
        level_weight=base.level_weight,
        atom=atom,
        replaces=replaces,
        parts=(Part("a", 0, 1, ()), Part("b", 1, 2, ()), Part("x", 2, 2 + size, shape)),
    )


def make(kind, layouts):
    name, layout = kind.split()
    if name == "textbook":
        return Textbook(3, layouts[layout](), width=16)
    if name == "convolutional":
        return Convolutional(3, with_parts(layouts, layout), width=16)
    return Mixture(3, layouts[layout](), components=3, width=16)


@pytest.mark.parametrize(
    "kind",
    [
        "mixture plain",
        "mixture coded",
        "mixture wide",
        "mixture heads",
        "textbook coded",
        "textbook wide",
        "convolutional image",
        "convolutional channels",
        "convolutional signal",
    ],
)
def test_exported_generator_equals_tensorflows(kind, layouts):
    generator = make(kind, layouts)
    # Deep decoders with an exponential at their end would magnify what rounding differs by.
    fit = random_fit(generator, noise=0.03 if "heads" in kind else 0.3)
    interpreter = Interpreter(model_content=export(fit), num_threads=1)
    rng = np.random.default_rng(1)
    weights = {name: tf.constant(value) for name, value in fit.weights.items()}

    conditions = rng.standard_normal((SETTING_ROWS, 3)).astype(np.float32)
    found = interpreter.get_signature_runner("setting")(conditions=conditions)["parameters"]
    shared = tf.tile(conditions[None], (MEMBERS, 1, 1))
    expected = np.asarray(generator.setting_part(weights, shared))
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)

    rows = trial_rows(generator.layout.values)
    parameters = np.resize(expected, (MEMBERS, rows, expected.shape[-1]))
    uniform = rng.random((MEMBERS, rows, max(1, generator.uniforms)), dtype=np.float32)
    normal = rng.standard_normal((MEMBERS, rows, generator.normals), dtype=np.float32)
    drawn = interpreter.get_signature_runner("trial")(
        parameters=parameters, uniform=uniform, normal=normal
    )
    values, levels = generator.trial_part(
        weights, *(tf.constant(x) for x in (parameters, uniform, normal))
    )
    np.testing.assert_allclose(drawn["values"], values, atol=1e-4, rtol=1e-5)
    assert np.asarray(values).std() > 0.1
    if generator.layout.levels:
        np.testing.assert_array_equal(drawn["levels"], levels)
    else:
        assert set(drawn) == {"values"}


def test_wide_trials_go_through_in_fewer_rows():
    assert [trial_rows(values) for values in (1, 128, 200, 2048, 10**6)] == [256, 256, 128, 16, 16]
