"""A fitted ensemble as one LiteRT file with two signatures, ``setting`` and ``trial``."""

from __future__ import annotations

import tempfile
from typing import Any

import tensorflow as tf

from virtlab.errors import OutputError
from virtlab.gan.branches import Branches
from virtlab.gan.fit import Fit
from virtlab.gan.generators import Generator
from virtlab.gan.mixture import Mixture

SETTING_ROWS = 16
TRIAL_ROWS = 256  # per member, at most
TRIAL_VALUES = 2**14  # per member and call: wide trials take some times that between layers
LEAST_ROWS = 4


def trial_rows(values: int) -> int:
    """Rows per member and call, of trials with so many values: a power of 2."""
    fitting = max(LEAST_ROWS, min(TRIAL_ROWS, TRIAL_VALUES // values))
    return int(2 ** (fitting.bit_length() - 1))


def export(fit: Fit) -> bytes:
    """Serialise the generator of all members.

    ``setting`` takes ``conditions (16, feature)`` to ``parameters (member, 16, number)``; ``trial``
    takes ``parameters (member, row, number)``, ``uniform`` and ``normal`` ``(member, row, …)`` to
    ``values (member, row, value)`` and ``levels (member, row, level)``. A mixture of several
    components has ``parameters (member, 16, branch, number)``, of which a trial takes one branch,
    and gives ``chances (member, 16, branch)``, accumulated. ``uniform`` and ``levels`` are missing
    where there are none. The numbers of rows are fixed: bytes must not depend on how many trials
    are asked for. Wide trials are drawn member by member within a call.
    """
    form: Generator | Branches = fit.generator
    if isinstance(fit.generator, Mixture):
        form = Branches.of(fit.generator, fit.weights)
    members, layout = fit.folds.members, fit.generator.layout
    module = tf.Module()
    module.weights = {name: tf.constant(value) for name, value in fit.weights.items()}
    # Wide trials go member by member: a cache holds one's, and convolutions are LiteRT's own.
    module.each = [
        {name: tf.constant(value[m : m + 1]) for name, value in fit.weights.items()}
        for m in range(members if layout.wide else 0)
    ]
    conditions = tf.TensorSpec((SETTING_ROWS, form.conditions), tf.float32, name="conditions")

    @tf.function(input_signature=[conditions], autograph=False)
    def setting(conditions: tf.Tensor) -> dict[str, tf.Tensor]:
        shared = tf.tile(conditions[None], (members, 1, 1))
        found = form.setting_part(module.weights, shared)
        if not isinstance(form, Branches):
            return {"parameters": found}
        parameters, chances = found
        if form.mixture.components == 1:
            return {"parameters": parameters[:, :, 0]}
        return {"parameters": parameters, "chances": chances}

    width = setting.get_concrete_function().structured_outputs["parameters"].shape[-1]
    widths = {"parameters": width, "uniform": form.uniforms, "normal": form.normals}
    count = trial_rows(layout.values)
    given = {
        name: tf.TensorSpec((members, count, width), tf.float32, name=name)
        for name, width in widths.items()
        if width
    }

    @tf.function(input_signature=list(given.values()), autograph=False)
    def trial(*arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        named, none = dict(zip(given, arrays, strict=True)), tf.zeros((members, count, 0))
        rows = [named.get(name, none) for name in widths]
        if layout.wide:
            split = zip(*(tf.split(array, members) for array in rows), strict=True)
            drawn = [form.trial_part(w, *own) for w, own in zip(module.each, split, strict=True)]
            values, levels = (tf.concat(pieces, axis=0) for pieces in zip(*drawn, strict=True))
        else:
            values, levels = form.trial_part(module.weights, *rows)
        return {"values": values, "levels": levels} if layout.levels else {"values": values}

    return _converted(module, {"setting": setting, "trial": trial})


def _converted(module: tf.Module, signatures: dict[str, Any]) -> bytes:
    """Convert functions to a LiteRT file."""
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
        return bytes(converter.convert())
