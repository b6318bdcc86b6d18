"""Runs an exported generator on LiteRT, block by block; TensorFlow is never imported.

Latents come from numpy's Philox, a counter-based generator (Salmon et al. 2011), keyed by the
seed and by the setting's values, with the trial in the counter: the trials of a setting are the
same whatever else is simulated beside them, and the first ten of ten are the first ten of a
thousand. Arithmetic runs on a fixed number of rows, padded, for the same reason.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import ModelFileError

Floats = NDArray[np.float32]

BLOCK = 1024  # trials of one setting that are kept together, at most
BLOCK_LATENTS = 2**22  # and so many latents: some images have a million
NUMBERS_AT_ONCE = 2**22  # latents and values that a thread works on; fewer wait for Python's lock
PAIRS_AT_ONCE = 2**16  # of random words that become Gaussian numbers, so that the cache holds them
_UNIFORM, _NORMAL = 0, 1


@dataclass(frozen=True)
class Trials:
    """A run of trials of one setting: ``first`` to ``first + count``.

    Parameters
    ----------
    setting
        Row of the setting among those simulated.
    key
        Of the setting, see `setting_key`.
    first, count
        Which trials.
    """

    setting: int
    key: int
    first: int
    count: int


def setting_key(values: Mapping[str, float | str]) -> int:
    """64 bits from a setting's values; independent of its place in a design."""
    text = "\n".join(f"{name}={values[name]!r}" for name in sorted(values))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def member_of(key: int, trial: NDArray[np.int64], members: int) -> NDArray[np.int16]:
    """Tell which member draws each trial: all in turn, starting where the setting says."""
    return ((trial + key % members) % members).astype(np.int16)


def members_of(key: int, first: int, count: int, members: int) -> NDArray[np.int16]:
    """`member_of` for trials from `first` on: some turns of all members, which is much faster."""
    turn = member_of(key, np.arange(first, first + members), members)
    return np.tile(turn, -(-count // members))[:count]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Parameters(NamedTuple):
    """What depends on the settings alone.

    Parameters
    ----------
    numbers
        ``(member, setting, branch, number)``: a trial takes one branch.
    chances
        Of the branches, accumulated, ``(member, setting, branch)``; None where there is one.
    """

    numbers: Floats
    chances: Floats | None


class _Runners(NamedTuple):
    """The two functions of a loaded generator."""

    setting: Any
    trial: Any


class Runtime:
    """An exported generator, ready to run; threads may share it.

    Parameters
    ----------
    generator
        From `virtlab.gan.export`.
    threads
        Of the arithmetic within a call. One is best where calls run side by side.

    Attributes
    ----------
    rows, settings
        Trials, and settings, to draw at once, at most.
    """

    def __init__(self, generator: bytes, threads: int = 1) -> None:
        self._generator, self._threads = generator, threads
        self._idle: list[_Runners] = []
        with self._runners() as runners:
            inputs, outputs = runners.trial.get_input_details(), runners.trial.get_output_details()
            conditions = runners.setting.get_input_details()["conditions"]
            found = runners.setting.get_output_details()
            self._branched = "chances" in found
        self.members, self._rows, self._normals = (int(n) for n in inputs["normal"]["shape"])
        self._own = int(inputs["uniform"]["shape"][-1]) if "uniform" in inputs else 0
        self._uniforms = self._own + self._branched  # the last picks the branch
        self._setting_rows, self.features = (int(n) for n in conditions["shape"])
        self.values = int(outputs["values"]["shape"][-1])
        self.levels = int(outputs["levels"]["shape"][-1]) if "levels" in outputs else 0
        latents = self._uniforms + self._normals
        self.call = self.members * self._rows  # trials per call; blocks fill calls evenly
        self.block = _even(self.call, max(1, min(BLOCK, BLOCK_LATENTS // latents)))
        most = NUMBERS_AT_ONCE // (latents + 2 * self.values)
        self.rows = max(1, most // self.call) * self.call
        each = math.prod(map(int, found["parameters"]["shape"])) // self._setting_rows
        self.settings = max(self._setting_rows, NUMBERS_AT_ONCE // each)

    @contextmanager
    def _runners(self) -> Iterator[_Runners]:
        """Lend an interpreter, which serves one thread at a time; loaded where none is idle."""
        try:
            lent = self._idle.pop()
        except IndexError:
            lent = _load(self._generator, self._threads)
        yield lent
        self._idle.append(lent)

    def setting_part(self, conditions: Floats) -> Parameters:
        """What depends on the settings alone, of conditions ``(setting, feature)``."""
        numbers, chances = [], []
        for start in range(0, len(conditions), self._setting_rows):
            rows = conditions[start : start + self._setting_rows]
            padded = np.zeros((self._setting_rows, conditions.shape[1]), np.float32)
            padded[: len(rows)] = rows
            with self._runners() as runners:
                found = runners.setting(conditions=padded)
            numbers.append(found["parameters"][:, : len(rows)])
            if self._branched:
                chances.append(found["chances"][:, : len(rows)])
        together = np.concatenate(numbers, axis=1)
        if not self._branched:
            return Parameters(together[:, :, None], None)
        return Parameters(together, np.concatenate(chances, axis=1))

    def draw(self, parameters: Parameters, runs: list[Trials], seed: int) -> tuple[Floats, Floats]:
        """Draw trials.

        Parameters
        ----------
        parameters
            From `setting_part`.
        runs
            Which trials; at most `rows` in all to bound memory.
        seed
            0 to 2^63 - 1.

        Returns
        -------
        values, levels
            Scaled values ``(trial, value)`` and one-hot levels ``(trial, level)``, in the
            order of `runs`.
        """
        source = _Source(seed)
        count = [run.count for run in runs]
        setting = np.repeat([run.setting for run in runs], count)
        member = _joined([members_of(run.key, run.first, run.count, self.members) for run in runs])
        place = member * np.int64(parameters.numbers.shape[1]) + setting
        latents = {"normal": source.normal(runs, self._normals)}
        if self._uniforms:
            uniform = source.uniform(runs, self._uniforms)
            if parameters.chances is not None:
                place = _branches(parameters.chances, place, uniform[:, -1])
            if self._own:
                latents["uniform"] = np.ascontiguousarray(uniform[:, : self._own])
        numbers = parameters.numbers.reshape(-1, parameters.numbers.shape[-1])
        return self._by_member(member, numbers, place, latents)

    def _by_member(
        self,
        member: NDArray[np.int16],
        numbers: Floats,
        place: NDArray[np.int64],
        latents: Mapping[str, Floats],
    ) -> tuple[Floats, Floats]:
        """Sort trials to their members, run them in blocks of fixed size, and sort back."""
        rows_of = [np.flatnonzero(member == m) for m in range(self.members)]
        calls = -(-max(len(rows) for rows in rows_of) // self._rows)
        place_of = np.arange(calls * self.call).reshape(calls, self.members, self._rows)
        taken, back = np.zeros_like(place_of), np.empty(len(member), np.int64)
        for m, rows in enumerate(rows_of):
            places = place_of[:, m].ravel()[: len(rows)]
            np.put(taken, places, rows)
            back[rows] = places
        values = np.empty((*place_of.shape, self.values), np.float32)
        levels = np.empty((*place_of.shape, self.levels), np.float32)
        for i, index in enumerate(taken):
            given = {name: array.take(index, axis=0) for name, array in latents.items()}
            given["parameters"] = numbers.take(place.take(index), axis=0)
            with self._runners() as runners:
                found = runners.trial(**given)
            values[i] = found["values"]
            if self.levels:
                levels[i] = found["levels"]
        return (
            values.reshape(place_of.size, -1).take(back, axis=0),
            levels.reshape(place_of.size, -1).take(back, axis=0),
        )


def _branches(chances: Floats, place: NDArray[np.int64], uniform: Floats) -> NDArray[np.int64]:
    """Pick each trial's branch: the first whose accumulated probability is above its number.

    `place` counts settings member by member; what is returned counts their branches.
    """
    count = chances.shape[-1]
    below = chances.reshape(-1, count).T[:-1].take(place, axis=1) <= uniform
    branches: NDArray[np.int64] = place * count + below.sum(axis=0)
    return branches


def _even(call: int, most: int) -> int:
    """Largest multiple or divisor of `call` up to `most`."""
    if call <= most:
        return most // call * call
    return max(size for size in range(1, most + 1) if call % size == 0)


def _load(generator: bytes, threads: int) -> _Runners:
    from ai_edge_litert.interpreter import Interpreter

    try:
        loaded = Interpreter(model_content=generator, num_threads=threads)
        return _Runners(*(loaded.get_signature_runner(name) for name in ("setting", "trial")))
    except (ValueError, RuntimeError) as error:
        raise ModelFileError(f"the generator cannot be loaded: {error}") from error


class _Source:
    """Latents of a seed: every trial of a setting has its own place in each of two streams."""

    def __init__(self, seed: int) -> None:
        self._philox: Any = np.random.Philox(0)
        self._generator = np.random.Generator(self._philox)
        self._seed = seed

    def uniform(self, runs: list[Trials], width: int) -> Floats:
        """Uniform numbers from 0 to below 1, ``(trial, width)``."""
        words = self._words(runs, width, _UNIFORM).reshape(-1, width + width % 2)
        return (words[:, :width] >> 8).astype(np.float32) * np.float32(2**-24)

    def normal(self, runs: list[Trials], width: int) -> Floats:
        """Gaussian numbers, ``(trial, width)``."""
        pairs = self._words(runs, width, _NORMAL).reshape(-1, 2)
        found = np.empty(pairs.shape, np.float32)
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            here = slice(start, start + PAIRS_AT_ONCE)
            _box_muller(pairs[here], found[here])
        return np.ascontiguousarray(found.reshape(-1, width + width % 2)[:, :width])

    def _words(self, runs: list[Trials], width: int, which: int) -> NDArray[np.uint32]:
        """At least `width` words of 32 bits for each trial, one trial after the other."""
        steps = -(-width // 2)  # of 64 bits, of which a counter gives four
        parts = []
        for run in runs:
            counter, skip = divmod(run.first * steps, 4)
            self._turn_to(run.key, counter, which)
            parts.append(self._raw(skip + run.count * steps)[skip:])
        return _joined(parts).astype("<u8", copy=False).view("<u4")

    def _raw(self, count: int) -> NDArray[np.uint64]:
        """Words of the stream as they are; unlike `random_raw` it lets other threads run."""
        return self._generator.integers(0, 2**64 - 1, count, np.uint64, endpoint=True)

    def _turn_to(self, key: int, counter: int, which: int) -> None:
        # A new Philox would ask the operating system for randomness, which takes longer than
        # some thousand numbers. As uint64: a list of integers would become float64.
        state = self._philox.state
        state["state"]["key"] = np.array([self._seed, key], np.uint64)
        state["state"]["counter"] = np.array([counter, 0, 0, which], np.uint64)
        state |= {"buffer_pos": len(state["buffer"]), "has_uint32": 0}
        self._philox.state = state


def _box_muller(pairs: NDArray[np.uint32], out: Floats) -> None:
    """Fill pairs of Gaussian numbers from pairs of words (Box & Muller 1958).

    Three times as fast as numpy's ziggurat, whose branches no processor foresees.
    """
    radius = pairs[:, 0].astype(np.float32)
    radius += np.float32(0.5)  # no logarithm of zero
    radius *= np.float32(2**-32)
    np.log(radius, out=radius)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    angle = pairs[:, 1].view(np.int32).astype(np.float32)
    angle *= np.float32(np.pi * 2**-31)
    np.multiply(radius, np.cos(angle), out=out[:, 0])
    np.multiply(radius, np.sin(angle), out=out[:, 1])


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
