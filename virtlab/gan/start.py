"""Where training starts: bins, principal components and Gaussian processes of the trials."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from virtlab.gan.batches import one_hot_levels
from virtlab.gan.bins import bin_edges, bin_weights
from virtlab.gan.blocks import Blocks, Floats, Part
from virtlab.gan.colour import colour_of
from virtlab.gan.folds import Folds
from virtlab.gan.heads import LEAST, START_SD, Head
from virtlab.gan.mixture import UNIT, Mixture
from virtlab.gan.process import Process, fit_process, pack

WHOLE = 0.9  # of a signal's values measured, for its latents to teach a process
MOST_ROWS = 4000  # trials that components are found from
STANDS_OUT = 10.0  # times the noise's variance
FLOOR_BIAS = 0.5  # log widths of what is above a floor start this far below the whole's

_Target = tuple[Floats, NDArray[np.bool_]]
"""What a process learns, ``(trial,)``, and where it was measured."""


def start_bins(generator: Mixture, blocks: Blocks, members: int) -> dict[str, Floats]:
    """The edges of the bins that the generator sees its conditions in."""
    if not generator.bins:
        return {}
    return bin_weights(bin_edges(blocks), generator.conditions, members)


def start_processes(
    generator: Mixture,
    weights: dict[str, Floats],
    blocks: Blocks,
    folds: Folds,
    rng: np.random.Generator,
    prior: Floats | None = None,
) -> tuple[dict[str, Floats], Floats | None, dict[str, Floats]]:
    """Weights whose core starts from Gaussian processes, and what those predict.

    With a `prior`, ``(member, trial, target)``, processes learn what it leaves of the values
    themselves, and nothing of latents: those of a trained encoder are not principal components.

    Returns
    -------
    weights
        With ``process.*``, and a core as wide as the processes err on settings left out.
    predicted
        For every trial, ``(member, trial, target)``: by a process that does not know its
        setting. None: the generator has no processes.
    whole
        Processes of all trials, for when nothing needs to be held out any more.
    """
    if not generator.processes:
        return weights, None, {}
    _, first, where = np.unique(blocks.setting, return_index=True, return_inverse=True)
    places = blocks.conditions[first].astype(np.float64)
    fitted, whole = _processes(generator, weights, blocks, folds, places, where, rng, prior)
    predicted = np.empty((folds.members, len(places), len(generator.processes)))
    for own, found in zip(fitted, predicted, strict=True):
        for target, process in enumerate(own):
            found[:, target] = process.predict(places)
            found[process.rows, target] = process.without
    weights = _core_around(generator, weights | pack(fitted), fitted)
    return weights, predicted[:, where].astype(np.float32), pack(whole)


def _processes(
    generator: Mixture,
    weights: dict[str, Floats],
    blocks: Blocks,
    folds: Folds,
    places: NDArray[np.float64],
    where: NDArray[np.int64],
    rng: np.random.Generator,
    prior: Floats | None,
) -> tuple[list[list[Process]], list[list[Process]]]:
    """One process per member and target: of the member's own trials, and of all."""
    targets = [
        _targets(generator, weights, blocks, member, None if prior is None else prior[member])
        for member in range(folds.members)
    ]
    rows = [
        np.unique(folds.train[member, :count]).astype(np.int64)
        for member, count in enumerate(folds.train_count)
    ]
    everything = np.arange(len(blocks))

    def key(member: int, feature: int, rows: NDArray[np.int64]) -> tuple[int, int, bytes]:
        """Of values themselves a process is the same for all who see the same rows."""
        shared = prior is None and feature < len(generator.layout.plain)
        return -1 if shared else member, feature, rows.tobytes()

    def fitted(task: tuple[_Target, NDArray[np.int64]], own: np.random.Generator) -> Process:
        (value, seen), some = task
        return _process(value, seen, some, where, places, own)

    wanted = {
        key(member, feature, some): (target, some)
        for member, own in enumerate(rows)
        for some in (own, everything)
        for feature, target in zip(generator.processes, targets[member], strict=True)
    }
    # Matrices are too small for several threads to share one. So several processes are fitted at
    # once, each with random numbers of its own: the same, however many threads there are.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(fitted, wanted.values(), rng.spawn(len(wanted)))
        known = dict(zip(wanted, found, strict=True))

    def of(member: int, rows: NDArray[np.int64]) -> list[Process]:
        return [known[key(member, feature, rows)] for feature in generator.processes]

    return [of(*each) for each in enumerate(rows)], [of(m, everything) for m in range(len(rows))]


def _targets(
    generator: Mixture,
    weights: dict[str, Floats],
    blocks: Blocks,
    member: int,
    prior: Floats | None,
) -> list[_Target]:
    """What a member's processes learn, ``(trial,)`` each, and where it was measured.

    Values that are on no atom, and a head's latents as its encoder has them at the start.
    """
    layout = generator.layout
    levels, _ = one_hot_levels(blocks.codes, layout)
    free = (blocks.observed > 0) & (levels @ layout.replaces == 0)
    columns = [(blocks.values[:, value], free[:, value]) for value in layout.plain]
    for head in generator.heads:
        here = slice(head.part.start, head.part.stop)
        # A gap counts as the mean: with many, the latents would follow the gaps.
        whole = blocks.observed[:, here].mean(axis=1) > WHOLE
        columns += [(latent, whole) for latent in _latents(head, weights, blocks, member).T]
    chosen = [columns[feature] for feature in generator.processes]
    if prior is None:
        return chosen
    plain = [feature < len(layout.plain) for feature in generator.processes]
    return [
        (target - said if own else np.zeros_like(target), seen)
        for (target, seen), said, own in zip(chosen, prior.T, plain, strict=True)
    ]


def latents_of(
    generator: Mixture, weights: Mapping[str, Floats], blocks: Blocks, member: int
) -> Floats:
    """Latents of all heads, ``(trial, latent)``, as a member's encoders have them at the start."""
    found = [_latents(head, weights, blocks, member) for head in generator.heads]
    return np.concatenate(found, axis=1).astype(np.float32)


def _latents(head: Head, weights: Mapping[str, Floats], blocks: Blocks, member: int) -> Floats:
    here, frame = slice(head.part.start, head.part.stop), f"frame{head.index}"
    seen = blocks.values[:, here] * blocks.observed[:, here]
    found: Floats = seen @ weights[f"{frame}.encoder"][member] - weights[f"{frame}.center"][member]
    return found


def _process(
    target: Floats,
    seen: NDArray[np.bool_],
    rows: NDArray[np.int64],
    where: NDArray[np.int64],
    places: NDArray[np.float64],
    rng: np.random.Generator,
) -> Process:
    """Fit a target's means over the settings of some rows."""
    rows = rows[seen[rows]]
    counts = np.bincount(where[rows], minlength=len(places)).astype(np.float64)
    sums = np.bincount(where[rows], target[rows], minlength=len(places))
    used = np.flatnonzero(counts)
    return fit_process(places, sums / np.maximum(counts, 1), counts, used, rng)


def _core_around(
    generator: Mixture, weights: dict[str, Floats], fitted: list[list[Process]]
) -> dict[str, Floats]:
    """Give the core's components the width of the processes' errors."""
    weights, q = dict(weights), generator.layout.features
    mean, sigma = (generator.offset(piece) for piece in ("mean", "sigma"))
    for member, own in enumerate(fitted):
        bias = weights["head.0.b"][member, 0]
        for feature, process in zip(generator.processes, own, strict=True):
            width = float(np.clip(process.error, 0.02, 1.0))
            for component in range(generator.components):
                at = component * q + feature
                bias[mean + at] *= width
                bias[sigma + at] += math.log(math.expm1(width)) - UNIT
    return weights


def start_heads(
    generator: Mixture, weights: dict[str, Floats], blocks: Blocks, folds: Folds
) -> dict[str, Floats]:
    """Weights whose heads reproduce the principal components of what each member may see.

    Held-out trials play no part: a basis that knew them would flatter held-out scores.
    """
    weights = dict(weights)
    for head in generator.heads:
        for member in range(folds.members):
            rows = np.unique(folds.train[member, : folds.train_count[member]])
            rows = rows[:: max(1, len(rows) // MOST_ROWS)]
            here = slice(head.part.start, head.part.stop)
            values, observed = blocks.values[rows, here], blocks.observed[rows, here]
            basis, center, remains = principal(values, observed, head.part.latents)
            seen = np.maximum(observed.sum(axis=0), 1)
            left = np.sqrt(np.square(remains).sum(axis=0) / seen)
            encoder = np.linalg.pinv(basis)
            weights[f"frame{head.index}.encoder"][member] = encoder
            weights[f"frame{head.index}.center"][member, 0] = center @ encoder
            if not head.part.floor:
                noise = np.maximum(left, math.exp(LEAST))
                doubt = -0.5 * np.log1p(np.square(basis / noise).sum(axis=1))
                bias = weights[f"encoder{head.index}.2.b"]
                bias[member, 0, head.part.latents :] += doubt - math.log(START_SD)
                weights[f"frame{head.index}.decoder"][member] = basis
                colour = colour_of(head.part, remains / noise, observed)
                weights[f"decoder{head.index}.colour"][member, 0] = colour
            place = _place(head.part, values, observed, center, left)
            weights[f"decoder{head.index}.place"][member, 0] = place
    return weights


def principal(
    values: Floats, observed: Floats, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Principal components of unit variance.

    Parameters
    ----------
    values, observed
        Shape ``(trial, value)``; what was not observed counts as the mean.
    count
        Components.

    Returns
    -------
    basis, center, remains
        ``(count, value)``, zeros for a component that the trials do not have; ``(value,)``; and
        what the components leave of each value, ``(trial, value)``, 0 where it was not observed.
    """
    seen = np.maximum(observed.sum(axis=0), 1)
    center = (values * observed).sum(axis=0, dtype=np.float64) / seen
    centered = (values - center) * observed
    _, singular, components = np.linalg.svd(centered, full_matrices=False)
    deviation, components = singular[:count] / math.sqrt(len(values)), components[:count]
    # What is fainter than the least noise of a decoder would be magnified without limit.
    real = deviation > math.exp(LEAST)
    deviation, components = deviation[real], components[real]
    remains = observed * (centered - centered @ components.T @ components)
    basis = np.zeros((count, values.shape[1]))
    basis[: len(components)] = deviation[:, None] * components
    return basis, center, remains


def latents_for(values: Floats, observed: Floats, most: int) -> int:
    """Components whose variance is ten times that of noise, at least 2, at most `most`.

    Noise is the median eigenvalue. A weaker component is as a rule the bend of a stronger one,
    which the decoder learns: as a latent of its own it brings more noise than signal.

    Parameters
    ----------
    values, observed
        Shape ``(trial, value)``.
    most
        Upper limit.
    """
    seen = np.maximum(observed.sum(axis=0), 1)
    centered = (values - (values * observed).sum(axis=0) / seen) * observed
    variance = np.square(np.linalg.svd(centered.astype(np.float64), compute_uv=False))
    count = int((variance > STANDS_OUT * np.median(variance)).sum())
    return max(1, min(max(count, 2), most, len(values) // 4))


def _place(
    part: Part,
    values: Floats,
    observed: Floats,
    center: NDArray[np.float64],
    left: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What the decoder says of each value before it has learned anything."""
    if not part.floor:
        return np.concatenate([center, np.log(np.maximum(left, math.exp(LEAST)))])
    above = (values > 0) * observed
    share = (above.sum(axis=0) + 0.5) / (observed.sum(axis=0) + 1)
    zero = np.zeros(part.stop - part.start)
    mean, scale = part.log
    logs = (np.log(np.maximum(values, 1e-12)) - mean) / scale
    middle = (logs * above).sum(axis=0) / np.maximum(above.sum(axis=0), 1)
    lit = np.log(share) - np.log1p(-share)
    low, high = middle - FLOOR_BIAS, middle + FLOOR_BIAS
    return np.concatenate([lit, zero, low, high, zero - FLOOR_BIAS, zero - FLOOR_BIAS])
