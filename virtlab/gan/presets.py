"""Sizes that follow the data and the preset."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from virtlab.gan.bins import bin_edges
from virtlab.gan.blocks import Blocks, Layout
from virtlab.gan.folds import MANY_SETTINGS
from virtlab.gan.games import GAMES, Game
from virtlab.gan.generators import Convolutional, Generator, Textbook
from virtlab.gan.mixture import Mixture

FOLDS = 5
FEW_SETTINGS = 100
LUCK = (20, MANY_SETTINGS)  # settings: what ends a member's training does not judge it, then
LUCK_OF_SLOW = 500  # where a step takes long: it needs twice as many members
MOST_FOR_PROCESSES = 500  # settings; from there on networks find out more by themselves
MOST_PROCESSES = 8
MOST_HELD = 2000
REFINING = 300  # steps that a likelihood's best state may be refined without a gain
MOST_DRAWN = 50_000  # values of the trials that score a member


@dataclass(frozen=True)
class Sizes:
    """How large and how long.

    Parameters
    ----------
    members, folds
        Networks in the ensemble, and folds that they are spread over.
    batch
        Trials per step and member.
    likelihood_steps, game_steps
        Most steps of each stage; held-out scores end them sooner. 0: no such stage.
    every
        Steps between held-out scores.
    patience, game_patience
        Scores without improvement of the members' mean that end the first stage, and the game.
    decay
        Weight decay: strong on few trials.
    judging, stop
        How many folds judge a member, and whether another one ends its training.
    """

    members: int
    folds: int
    batch: int
    likelihood_steps: int
    game_steps: int
    every: int
    patience: int
    game_patience: int
    decay: float
    judging: int = 1
    stop: bool = False


def sizes_for(blocks: Blocks, preset: str, members: int | None) -> Sizes:
    """Sizes that suit the data; `members` overrides the number of networks."""
    n, settings = blocks.effective, len(np.unique(blocks.setting))
    textbook = GAMES[preset].generator != "mixture"
    wide, few = bool(blocks.layout.wide), settings < FEW_SETTINGS
    slow = wide or n >= 5000
    # The core of signals and images was taught before, see `virtlab.gan.pretraining`.
    every, patience = (50, 10 if textbook else 6) if wide else (25, 40) if n < 300 else (100, 20)
    stop = members is None and LUCK[0] <= settings < (LUCK_OF_SLOW if slow else LUCK[1])
    if members is not None:
        folds = folds_for(members, settings)
    else:
        # With few settings each that is held out is missed.
        folds = FOLDS * (4 if stop and few and not slow else 2 if stop or few else 1)
        folds = max(2, min(folds, settings))
    return Sizes(
        members=members or (folds if slow or folds > FOLDS else 2 * folds),
        folds=folds,
        batch=min(64 if n < 5000 else 128, max(16, int(n) // 2)),
        likelihood_steps=0 if textbook else _steps(blocks.layout, 2e5, 500, 3000, plain=8000),
        game_steps=4000 if textbook else _steps(blocks.layout, 2.5e4, 100, 600, plain=600),
        every=every,
        patience=patience,
        game_patience=patience if textbook else REFINING // every,
        decay=float(np.clip(50 / n, 1e-3, 1.0)),
        judging=2 if folds > 2 * FOLDS and stop else 1,
        stop=stop,
    )


def sizes_to_stream(sizes: Sizes, trials: int, effective: float) -> Sizes:
    """Sizes for a sample, made those for all trials: steps enough to meet each one once.

    `effective` is the share of trials of equal weight that would say as much.
    """
    once = -(-trials // sizes.batch)
    return replace(
        sizes,
        likelihood_steps=max(sizes.likelihood_steps, once) if sizes.likelihood_steps else 0,
        game_steps=max(sizes.game_steps, once),
        decay=float(np.clip(50 / (effective * trials), 1e-3, 1.0)),
    )


def _steps(layout: Layout, work: float, least: int, most: int, *, plain: int) -> int:
    """Steps of a stage: the more values a head draws, the longer each takes; without, `plain`."""
    return int(np.clip(work / layout.values, least, most)) if layout.wide else plain


def folds_for(members: int, settings: int) -> int:
    """Folds that the members divide into evenly, so that each setting is held out equally often.

    As near to `FOLDS` as can be; where a prime number of members exceeds the settings, as many
    folds as settings allow.
    """
    most = max(2, min(members, settings))
    even = [folds for folds in range(2, most + 1) if members % folds == 0]
    return min(even, key=lambda folds: (abs(folds - FOLDS), folds), default=min(most, FOLDS))


def held_for(layout: Layout) -> int:
    """Trials that score a member, at most: drawing signals and images takes time."""
    return int(np.clip(MOST_DRAWN // layout.values, 50, MOST_HELD)) if layout.wide else MOST_HELD


def game_for(layout: Layout, preset: str) -> Game:
    """The game that a preset plays; with fewer draws per trial of signals and images."""
    game = GAMES[preset]
    return replace(game, draws=min(game.draws, 2)) if layout.wide else game


def generator_for(blocks: Blocks, preset: str, *, processes: bool, bins: bool) -> Generator:
    """The generator that a preset trains.

    `processes` may be used where settings are few, `bins` where they are not.
    """
    conditions, layout, n = blocks.conditions.shape[1], blocks.layout, blocks.effective
    kind = GAMES[preset].generator
    if kind == "dense":
        return Textbook(conditions, layout)
    if kind == "convolutional":
        return Convolutional(conditions, layout)
    wide = bool(layout.wide)
    # More components than modes turn some into a background of rare, absurd values.
    components = 1 if n < 100 or wide else 3 if n < 1000 else 5
    settings = len(np.unique(blocks.setting))
    leading = [
        int(layout.features_of(part)[i])
        for i in range(4)
        for part in layout.wide
        if i < part.latents
    ]
    modelled = [*range(len(layout.plain)), *leading][:MOST_PROCESSES]
    few = settings <= MOST_FOR_PROCESSES
    by_process = tuple(modelled) if few and processes else ()
    # More width and depth than this did worse out of fold on fewer trials, better on more.
    width, depth = (64, 2) if n < 100 else (128, 3)
    return Mixture(
        conditions,
        layout,
        components,
        width,
        depth,
        processes=by_process,
        bins=len(bin_edges(blocks)) if bins and settings >= FEW_SETTINGS else 0,
    )


def alternatives(generator: Generator) -> list[Generator]:
    """The generator, and others that the held-out score may find to suit the data better.

    A process expects smoothness; where the data have edges, bins alone do better, and no
    property of the data that is seen beforehand told which. Of signals and images, whose steps
    take long, one is trained.
    """
    if not (isinstance(generator, Mixture) and generator.processes and generator.bins):
        return [generator]
    without = replace(generator, processes=())
    return [generator] if generator.layout.wide else [generator, without]
