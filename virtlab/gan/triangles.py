"""Regressions of each feature on those before it, as packed triangles: rows one after another."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def squared(entries: tf.Tensor, size: int) -> tf.Tensor:
    """Strictly lower triangular matrices, ``(…, size, size)``, from their rows' entries."""
    place = np.zeros((size, size), np.int32)  # 0: a zero, put before the entries
    place[np.tril_indices(size, -1)] = np.arange(1, (size * (size - 1)) // 2 + 1)
    padded = tf.concat([tf.zeros_like(entries[..., :1]), entries], axis=-1)
    found = tf.gather(padded, place.ravel(), axis=-1)
    return tf.reshape(found, tf.concat([tf.shape(entries)[:-1], (size, size)], axis=0))


def accumulate(regression: tf.Tensor, shock: tf.Tensor) -> tf.Tensor:
    """Solve ``delta = regression @ delta + shock`` by forward substitution.

    `regression` is the triangle alone, row by row, ``(member, row, entry)``.
    """
    delta, rows = [shock[..., 0]], range(1, shock.shape[-1])
    for j, entries in zip(rows, tf.split(regression, list(rows), axis=-1), strict=True):
        before = tf.stack(delta, axis=-1)
        delta.append(shock[..., j] + tf.reduce_sum(entries * before, axis=-1))
    return tf.stack(delta, axis=-1)


def multiplied_out(regression: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Multiply the regressions out: rows of ``(I - regression)^-1 diag(sigma)``, packed."""
    size = sigma.shape[-1]
    if size == 1:
        return sigma
    unit = np.eye(size, dtype=np.float32)
    rows = [tf.broadcast_to(unit[0], tf.shape(sigma))]
    for j, entries in enumerate(tf.split(regression, list(range(1, size)), axis=-1), start=1):
        before = tf.stack(rows, axis=-2)
        rows.append(unit[j] + tf.reduce_sum(entries[..., None] * before, axis=-2))
    return tf.concat([(row * sigma)[..., : j + 1] for j, row in enumerate(rows)], axis=-1)


def times(triangle: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
    """Packed triangles ``(member, row, entry)`` times vectors ``(member, row, feature)``.

    Two products with constant matrices: the first repeats the vector for every entry, the second
    sums up rows. On LiteRT this is several times as fast as a loop over rows or a full square.
    """
    size = normal.shape[-1]
    if size == 1:
        return triangle * normal
    row, column = np.tril_indices(size)
    entry = np.arange(len(row))
    repeat, total = (np.zeros((size, len(row)), np.float32) for _ in range(2))
    repeat[column, entry] = total[row, entry] = 1
    return tf.tensordot(triangle * tf.tensordot(normal, repeat, 1), total.T, 1)
