"""Weights of a trained ensemble as the start of another one, whose conditions may be others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.blocks import Blocks, Floats, Layout, Part
from virtlab.gan.folds import Folds
from virtlab.gan.generators import Generator
from virtlab.gan.mixture import Mixture
from virtlab.gan.process import groups_of, predictions
from virtlab.gan.start import start_processes

FIRST_LAYERS = re.compile(r"(trunk|skip|critic|dense|edges)\.0|encoder\d+\.0")
"""Layers that see the condition."""
OWN = ("spread", "process", "prior")
"""Weights that calibration sets, and those that no fresh network has."""


@dataclass(frozen=True)
class Start:
    """A trained ensemble to start from.

    Parameters
    ----------
    weights
        Of its generators and critics; members lead.
    sizes
        Of its generator, by name: see `sizes_of`.
    slope, offset
        Its conditions are ``conditions @ slope + offset`` of the new ones: ``(new, old)`` and
        ``(old,)``. An old condition follows from one new one at most.
    layout
        Of its values.
    """

    weights: Mapping[str, Floats]
    sizes: Mapping[str, Any]
    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    layout: Layout

    def resized(self, generator: Generator) -> Generator:
        """The generator with the sizes of the old one."""
        known = {name: size for name, size in self.sizes.items() if name in sizes_of(generator)}
        return replace(generator, **known)  # type: ignore[type-var]  # all are dataclasses

    def carried(self, fresh: Mapping[str, Floats]) -> dict[str, Floats]:
        """Fresh weights, replaced by the old ones wherever those fit; new members by turns.

        First layers take the change of conditions into their weights and biases: at equal
        settings the networks compute what they did. A new condition has no influence yet.
        """
        carried = dict(fresh)
        for name, weight in fresh.items():
            if name not in self.weights or name.startswith(OWN):
                continue
            turns = self._turns(name, len(weight))
            given, layer = self.weights[name][turns].astype(np.float64), name[:-2]
            if FIRST_LAYERS.fullmatch(layer):
                w = self.weights[f"{layer}.w"][turns].astype(np.float64)
                first = self._first_row(layer)
                before, seen, beyond = np.split(w, [first, first + len(self.offset)], axis=1)
                moved = np.concatenate([before, self.slope @ seen, beyond], axis=1)
                given = moved if name.endswith(".w") else given + self.offset[None, None] @ seen
            if given.shape == weight.shape:
                carried[name] = given.astype(np.float32)
        return carried

    def begun(
        self,
        generator: Generator,
        fresh: Mapping[str, Floats],
        blocks: Blocks,
        folds: Folds,
        rng: np.random.Generator,
    ) -> tuple[dict[str, Floats], Floats | None, dict[str, Floats]]:
        """Weights to begin with, as `virtlab.gan.start.start_processes` returns them.

        New processes learn what the old ones, which know none of these trials, leave of them
        (Kennedy & O'Hagan 2000).
        """
        carried = self.carried(fresh)
        if not (isinstance(generator, Mixture) and generator.processes):
            return carried, None, {}
        prior = self._priors(folds.members)
        conditions = np.broadcast_to(blocks.conditions, (folds.members, *blocks.conditions.shape))
        said = np.asarray(predictions(prior, tf.constant(conditions)), np.float32)
        found, predicted, whole = start_processes(
            generator, dict(fresh), blocks, folds, rng, prior=said
        )
        assert predicted is not None  # there are processes
        own = {name: array for name, array in found.items() if name.startswith("process.")}
        return carried | own | prior, said + predicted, whole

    def _priors(self, members: int) -> dict[str, Floats]:
        """The old ensemble's Gaussian processes as functions of the new conditions."""
        found: dict[str, Floats] = {}
        for i, group in enumerate(groups_of(self.weights)):
            old = {
                name: self.weights[f"{group}.{name}"][self._turns(f"{group}.{name}", members)]
                for name in ("places", "weights", "center", "rates", "shares", "ratio")
                if f"{group}.{name}" in self.weights
            }
            places = (old["places"] - self.offset * old["rates"]) @ (self.slope != 0).T
            moved = {"places": places, "rates": old["rates"] @ self.slope.T}
            # Older files know nothing of what a parameter does alone.
            moved["shares"] = old.get("shares", 0 * old["rates"]) @ (self.slope != 0).T
            moved["ratio"] = old.get("ratio", np.ones_like(old["rates"][..., :1]))
            found |= {f"prior{i}.{n}": a.astype(np.float32) for n, a in (old | moved).items()}
        return found

    def _turns(self, name: str, members: int) -> NDArray[np.int64]:
        return np.arange(members) % len(self.weights[name])

    def _first_row(self, layer: str) -> int:
        """Which input of a first layer is the first condition."""
        if not layer.startswith("encoder"):
            return 0
        part = self.layout.wide[int(re.sub(r"\D", "", layer.split(".")[0]))]
        return part.stop - part.start


def sizes_of(generator: Generator) -> dict[str, Any]:
    """What says how large a generator is, without what the data say."""
    found = {f.name: getattr(generator, f.name) for f in fields(generator)}  # type: ignore[arg-type]
    return {name: v for name, v in found.items() if name not in ("conditions", "layout")}


def layout_arrays(layout: Layout) -> dict[str, Floats]:
    """What data say of a layout, as arrays by field."""
    found = {f.name: getattr(layout, f.name) for f in fields(layout)}
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def adopted(layout: Layout, arrays: Mapping[str, Floats], parts: list[dict[str, Any]]) -> Layout:
    """A layout of new trials with all that an old one learned from its own.

    What both may reach is reached.
    """
    kept: dict[str, Any] = {n: a for n, a in arrays.items() if n in layout_arrays(layout)}
    if kept["reach"].shape == layout.reach.shape:
        kept["reach"] = np.maximum(kept["reach"], layout.reach)
    new = {part.name: part for part in layout.parts}
    return replace(layout, **kept, parts=tuple(_part(part, new[part["name"]]) for part in parts))


def _part(found: Mapping[str, Any], new: Part) -> Part:
    """From JSON, which knows lists only; with the gaps of new trials."""
    raw: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    return replace(Part(**raw), gaps=new.gaps)
