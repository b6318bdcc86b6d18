"""What a file of virtual trials will hold, known before the first of them is drawn.

It is written region by region. A region is a block of neighbouring settings and trials, and which
there are follows from the sizes alone: not from memory, cores or workers, so that neither do the
bytes of a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

REGION_BYTES = 2**24
"""Of a region's values, before compression: what is held in memory a few times over."""

Region = tuple[slice, ...]
"""Where a region lies along the dims of the settings and along ``trial``."""


@dataclass(frozen=True)
class Variable:
    """One variable of a file.

    Parameters
    ----------
    dims, shape
        Names and lengths of its dims.
    dtype
        What is stored; of text ``object``.
    attrs
        Text, numbers and lists of them.
    values
        All of it, where it is known from the start; None: it comes region by region, and its
        first dims are those of the settings, then ``trial``.
    categories
        Of a text that comes by regions: what it may be. Regions then hold codes, indices of these.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Any]
    values: NDArray[Any] | None = None
    categories: tuple[str, ...] = ()

    @property
    def known(self) -> NDArray[Any]:
        """All of it, where it is known from the start."""
        if self.values is None:
            raise ValueError("its values come region by region")
        return self.values

    @property
    def width(self) -> int:
        """Bytes per value: of a text those of the longest category."""
        if self.categories:
            return max(len(name.encode()) for name in self.categories) or 1
        return self.dtype.itemsize


@dataclass(frozen=True)
class Regions:
    """How the settings' dims and ``trial`` are cut.

    Parameters
    ----------
    shape
        Their lengths, ``trial`` last.
    piece
        Lengths of a region; the last one along a dim may be shorter.
    """

    shape: tuple[int, ...]
    piece: tuple[int, ...]

    def __len__(self) -> int:
        return math.prod(self._counts)

    def __iter__(self) -> Iterator[Region]:
        for index in np.ndindex(*self._counts):
            yield tuple(
                slice(i * step, min((i + 1) * step, length))
                for i, step, length in zip(index, self.piece, self.shape, strict=True)
            )

    @property
    def _counts(self) -> tuple[int, ...]:
        return tuple(-(-n // step) for n, step in zip(self.shape, self.piece, strict=True))

    def settings(self, region: Region) -> range:
        """Settings of a region: neighbours in the order in which a design lists them."""
        lead, shape = region[:-1], self.shape[:-1]
        if not shape:
            return range(1)
        first = int(np.ravel_multi_index(tuple(part.start for part in lead), shape))
        return range(first, first + math.prod(part.stop - part.start for part in lead))


@dataclass(frozen=True)
class Template:
    """Variables, coordinates and attributes of a file of virtual trials.

    Parameters
    ----------
    variables, coords
        By name, in their order.
    attrs
        Of the whole.
    regions
        How those variables are cut whose values are not known from the start.
    """

    variables: Mapping[str, Variable]
    coords: Mapping[str, Variable]
    attrs: Mapping[str, Any]
    regions: Regions

    @property
    def drawn(self) -> dict[str, Variable]:
        """Variables that come region by region."""
        return {name: found for name, found in self.variables.items() if found.values is None}

    def only_drawn(self) -> Template:
        """What is needed to write regions: small, however many settings there are."""
        return Template(self.drawn, {}, {}, self.regions)

    @property
    def dims(self) -> dict[str, int]:
        """Length of every dim."""
        everything = (*self.coords.values(), *self.variables.values())
        return {
            dim: length
            for variable in everything
            for dim, length in zip(variable.dims, variable.shape, strict=True)
        }

    @property
    def bytes(self) -> int:
        """Size before compression."""
        everything = (*self.coords.values(), *self.variables.values())
        return sum(math.prod(variable.shape) * variable.width for variable in everything)

    def attrs_of(self, name: str) -> dict[str, Any]:
        """Attributes of a variable with, as CF asks, its coordinates that are no dims."""
        variable = self.variables[name]
        beside = [
            coord
            for coord, found in self.coords.items()
            if found.dims != (coord,) and set(found.dims) <= set(variable.dims)
        ]
        return {**variable.attrs, **({"coordinates": " ".join(beside)} if beside else {})}


def cut(shape: Sequence[int], trial_bytes: int, block: int) -> Regions:
    """Cut settings and trials into regions of about `REGION_BYTES`.

    Parameters
    ----------
    shape
        Lengths of the settings' dims, then of ``trial``.
    trial_bytes
        Of all that one trial holds.
    block
        Trials that share a random stream: a piece of a setting's trials is some of them whole.

    Returns
    -------
    Regions
        Outer dims are cut first; pieces of a dim are a power of 2 long, or that many blocks, so
        that chunks fill them evenly.
    """
    piece, size = list(shape), math.prod(shape) * trial_bytes
    for axis, length in enumerate(shape):
        if size <= REGION_BYTES:
            break
        step = size // length
        unit = block if axis == len(shape) - 1 else 1
        fitting = max(1, REGION_BYTES // (step * unit))
        piece[axis] = min(length, unit * 2 ** (fitting.bit_length() - 1))
        size = step * piece[axis]
    return Regions(tuple(shape), tuple(piece))


def chunk_of(piece: Sequence[int], shape: Sequence[int], width: int, limit: int) -> tuple[int, ...]:
    """Cut a region's piece of one variable into chunks of about `limit` bytes that fill it evenly.

    Along a dim that the piece spans whole, where only `limit` can be met by a sliver or not at
    all, chunks stay up to eight times as large.
    """
    chunk, size = list(piece), math.prod(piece) * width
    for axis, length in enumerate(piece):
        if size <= limit:
            break
        step = size // length
        most = max(1, limit // step)
        fitting = max(d for d in range(1, most + 1) if length % d == 0)
        if fitting * 8 < most and length == shape[axis]:
            continue
        chunk[axis] = fitting
        size = step * fitting
    return tuple(chunk)
