"""A fitted ensemble as one LiteRT file with two signatures, ``setting`` and ``trial``."""

from __future__ import annotations

import tempfile

import tensorflow as tf

from virtlab.errors import OutputError
from virtlab.gan.fit import Fit

SETTING_ROWS = 16
TRIAL_ROWS = 256  # per member, at most
TRIAL_VALUES = 2**15  # per member and call: between layers, wide trials take a hundred times that
LEAST_ROWS = 16


def trial_rows(values: int) -> int:
    """Rows per member and call, of trials with so many values: a power of 2."""
    fitting = max(LEAST_ROWS, min(TRIAL_ROWS, TRIAL_VALUES // values))
    return int(2 ** (fitting.bit_length() - 1))


def export(fit: Fit) -> bytes:
    """Serialise the generator of all members.

    ``setting`` takes ``conditions (16, feature)`` to ``parameters (member, 16, parameter)``;
    ``trial`` takes ``parameters (member, row, parameter)``, ``uniform`` and ``normal``
    ``(member, row, …)`` to ``values (member, row, value)`` and ``levels (member, row, level)``.
    The numbers of rows are fixed: bytes must not depend on how many trials are asked for.
    """
    generator, members = fit.generator, fit.folds.members
    count = trial_rows(generator.layout.values)
    module = tf.Module()
    module.weights = {name: tf.constant(value) for name, value in fit.weights.items()}

    def rows(width: int, name: str) -> tf.TensorSpec:
        return tf.TensorSpec((members, count, width), tf.float32, name=name)

    @tf.function(
        input_signature=[
            tf.TensorSpec((SETTING_ROWS, generator.conditions), tf.float32, name="conditions")
        ],
        autograph=False,
    )
    def setting(conditions: tf.Tensor) -> dict[str, tf.Tensor]:
        shared = tf.tile(conditions[None], (members, 1, 1))
        return {"parameters": generator.setting_part(module.weights, shared)}

    width = setting.get_concrete_function().structured_outputs["parameters"].shape[-1]

    @tf.function(
        input_signature=[
            rows(width, "parameters"),
            rows(max(generator.uniforms, 1), "uniform"),
            rows(generator.normals, "normal"),
        ],
        autograph=False,
    )
    def trial(parameters: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor) -> dict[str, tf.Tensor]:
        values, levels = generator.trial_part(module.weights, parameters, uniform, normal)
        drawn = {"values": values}
        if generator.layout.levels:
            drawn["levels"] = levels
        return drawn

    signatures = {"setting": setting, "trial": trial}
    with tempfile.TemporaryDirectory() as folder:
        try:
            tf.saved_model.save(module, folder, signatures=signatures)
        except tf.errors.OpError as error:
            raise OutputError(
                f"{folder}: cannot be written: {error.message}; make room there, or set TMPDIR to "
                "another folder, then go on with --resume"
            ) from error
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(signatures)
        )
        converted = converter.convert()
    return bytes(converted)
