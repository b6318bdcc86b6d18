"""The members of an ensemble spread over several devices, for as long as they train.

Members never speak to each other, so each device trains some of them with all their rows, and
nothing has to be summed over devices at each step, as it would if each minibatch were shared out
(`tf.distribute.MirroredStrategy`): these minibatches are too small for that to pay. Random numbers
are those that the members would get on one device, so that the result is the same, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from virtlab.gan.adam import Variables
from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.folds import Folds
from virtlab.gan.games import Table
from virtlab.gan.stages import Advance, Signs
from virtlab.gan.state import State


@dataclass(frozen=True)
class Share:
    """Some members of an ensemble on a device.

    Parameters
    ----------
    device
        Its name.
    table
        With these members alone.
    data
        The trials, on this device.
    folds
        Of their generators.
    state
        Of these members, on this device.
    among
        Their first generator's number, and how many there are in all.
    generators, critics
        Their rows in the arrays of all.
    """

    device: str
    table: Table
    data: TrainingSet
    folds: Folds
    state: State
    among: tuple[int, int]
    generators: slice
    critics: slice

    @property
    def moving(self) -> list[tuple[str, slice]]:
        """Groups of variables that training changes, and which rows of them are here."""
        generators = ("weights", "ema", "moments")
        return [
            *((name, self.generators) for name in generators),
            *((name, self.critics) for name in ("critic", "critic_moments")),
        ]


def several_accelerators() -> tuple[str, ...]:
    """Names of the accelerators, if there are several."""
    found = tuple(device.name for device in tf.config.list_logical_devices("GPU"))
    return found if len(found) > 1 else ()


def shares_of(
    devices: Sequence[str],
    blocks: Blocks,
    predicted: Floats | None,
    table: Table,
    folds: Folds,
    state: State,
) -> list[Share]:
    """Share the members out, in order and as evenly as can be.

    Parameters
    ----------
    devices
        Their names; those for which no member is left stay idle.
    blocks
        The trials: each device has them all.
    predicted
        As of `TrainingSet`, by all members.
    table, folds, state
        Of all members.
    """
    shares = []
    for device, mine in zip(
        devices, np.array_split(np.arange(table.members), len(devices)), strict=True
    ):
        if not len(mine):
            continue
        start, end = int(mine[0]), int(mine[-1]) + 1
        generators = slice(start * table.generators, end * table.generators)
        critics = slice(start * table.critics, end * table.critics)
        with tf.device(device):
            share = Share(
                device=device,
                table=replace(table, members=len(mine)),
                data=TrainingSet(blocks, None if predicted is None else predicted[generators]),
                folds=folds.some(generators),
                state=State.start(_rows(state.weights, generators), _rows(state.critic, critics)),
                among=(generators.start, folds.members),
                generators=generators,
                critics=critics,
            )
        shares.append(share)
    return shares


def together(shares: Sequence[Share], advances: Sequence[Advance], state: State) -> Advance:
    """One stage of all members from those of the shares: side by side, each on its device.

    Parameters
    ----------
    shares
        The members on each device.
    advances
        Train each share in place.
    state
        Of all members: read before, written after.
    """
    pool = ThreadPoolExecutor(len(shares))

    def advance(first: tf.Tensor, steps: tf.Tensor) -> Signs:
        def one(share: Share, go: Advance) -> Signs:
            with tf.device(share.device):
                for name, rows in share.moving:
                    _take(getattr(share.state, name), getattr(state, name), rows)
                share.state.pace.assign(state.pace[share.generators])
                share.state.fall.assign(state.fall)
                return go(first, steps)

        signs = list(pool.map(one, shares, advances))
        for name, _ in shares[0].moving:
            for key, whole in getattr(state, name).items():
                whole.assign(tf.concat([getattr(s.state, name)[key] for s in shares], axis=0))
        return {key: tf.concat([sign[key] for sign in signs], axis=0) for key in signs[0]}

    return advance


def _rows(variables: Variables, rows: slice) -> dict[str, Floats]:
    return {name: np.asarray(variable)[rows] for name, variable in variables.items()}


def _take(here: Variables, whole: Variables, rows: slice) -> None:
    for name, variable in here.items():
        variable.assign(whole[name][rows])
