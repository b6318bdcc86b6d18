"""Runs an exported generator on LiteRT, block by block; TensorFlow is never imported.

Latents come from numpy's Philox, a counter-based generator (Salmon et al. 2011), keyed by the
seed and by the setting's values, with the block of trials in the counter: the trials of a
setting are the same whatever else is simulated beside them, and the first ten of ten are the
first ten of a thousand. Arithmetic runs on a fixed number of rows, padded, for the same reason.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import ModelFileError

Floats = NDArray[np.float32]

BLOCK = 1024  # trials of one setting that share a counter, at most
BLOCK_LATENTS = 2**22  # and so many latents: some images have a million
ROWS_AT_ONCE = 65_536  # trials that are drawn together, at most
NUMBERS_AT_ONCE = 2**21  # and so many latents and values, since each thread holds them in memory
_UNIFORM, _NORMAL = 0, 1


@dataclass(frozen=True)
class Trials:
    """A run of trials of one setting: ``first`` to ``first + count``, within one block.

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
    """

    def __init__(self, generator: bytes, threads: int = 1) -> None:
        self._generator, self._threads = generator, threads
        self._idle: list[_Runners] = []
        with self._runners() as runners:
            inputs, outputs = runners.trial.get_input_details(), runners.trial.get_output_details()
            conditions = runners.setting.get_input_details()["conditions"]
            self._branched = "chances" in runners.setting.get_output_details()
        self.members, self._rows, self._normals = (int(n) for n in inputs["normal"]["shape"])
        self._own = int(inputs["uniform"]["shape"][-1]) if "uniform" in inputs else 0
        self._uniforms = self._own + self._branched  # the last picks the branch
        self._setting_rows, self.features = (int(n) for n in conditions["shape"])
        self.values = int(outputs["values"]["shape"][-1])
        self.levels = int(outputs["levels"]["shape"][-1]) if "levels" in outputs else 0
        latents = self._uniforms + self._normals
        self.call = self.members * self._rows  # trials per call; blocks fill calls evenly
        self.block = _even(self.call, max(1, min(BLOCK, BLOCK_LATENTS // latents)))
        most = min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // (latents + 2 * self.values))
        self.rows = max(1, most // self.call) * self.call

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
            Which trials, each run within one block; at most `rows` in all to bound memory.
        seed
            0 to 2^63 - 1.

        Returns
        -------
        values, levels
            Scaled values ``(trial, value)`` and one-hot levels ``(trial, level)``, in the
            order of `runs`.
        """
        total = sum(run.count for run in runs)
        uniform = np.empty((total, self._uniforms), np.float32)
        normal = np.empty((total, self._normals), np.float32)
        setting, member = np.empty(total, np.int64), np.empty(total, np.int64)
        source, at = _Source(seed), 0
        for run in runs:
            here = slice(at, at + run.count)
            block, skip = divmod(run.first, self.block)
            source.uniform(run.key, block, skip, uniform[here])
            source.normal(run.key, block, skip, normal[here])
            setting[here] = run.setting
            trial = np.arange(run.first, run.first + run.count)
            member[here] = member_of(run.key, trial, self.members)
            at += run.count
        place = member * parameters.numbers.shape[1] + setting
        if parameters.chances is not None:
            place = _branches(parameters.chances, place, uniform[:, -1])
        numbers = parameters.numbers.reshape(-1, parameters.numbers.shape[-1])
        latents = {"uniform": uniform[:, : self._own]} if self._own else {}
        return self._by_member(member, numbers, place, latents | {"normal": normal})

    def _by_member(
        self,
        member: NDArray[np.int64],
        numbers: Floats,
        place: NDArray[np.int64],
        latents: Mapping[str, Floats],
    ) -> tuple[Floats, Floats]:
        """Sort trials to their members, run them in blocks of fixed size, and sort back."""
        values = np.empty((len(member), self.values), np.float32)
        levels = np.empty((len(member), self.levels), np.float32)
        rows_of = [np.flatnonzero(member == m) for m in range(self.members)]
        for start in range(0, max(len(rows) for rows in rows_of), self._rows):
            index = np.zeros((self.members, self._rows), np.int64)
            here = [rows[start : start + self._rows] for rows in rows_of]
            for m, rows in enumerate(here):
                index[m, : len(rows)] = rows
            given = {name: array.take(index, axis=0) for name, array in latents.items()}
            given["parameters"] = numbers.take(place.take(index), axis=0)
            with self._runners() as runners:
                found = runners.trial(**given)
            for m, rows in enumerate(here):
                values[rows] = found["values"][m, : len(rows)]
                if self.levels:
                    levels[rows] = found["levels"][m, : len(rows)]
        return values, levels


def _branches(chances: Floats, place: NDArray[np.int64], uniform: Floats) -> NDArray[np.int64]:
    """Pick each trial's branch: the first whose accumulated probability is above its number.

    `place` counts settings member by member; what is returned counts their branches.
    """
    count = chances.shape[-1]
    below = chances.reshape(-1, count)[:, :-1].take(place, axis=0) <= uniform[:, None]
    branches: NDArray[np.int64] = place * count + below.sum(axis=1)
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
    """Latents of a seed: every block of trials has two streams, at most 2^64 numbers long."""

    def __init__(self, seed: int) -> None:
        self._philox: Any = np.random.Philox(0)
        self._generator = np.random.Generator(self._philox)
        self._seed = seed

    def uniform(self, key: int, block: int, skip: int, out: Floats) -> None:
        """Fill rows with uniform numbers, those after the first `skip` rows of a block."""
        self._turn_to(key, block, _UNIFORM)
        if skip:
            self._generator.random((skip, out.shape[1]), dtype=np.float32)
        self._generator.random(out=out, dtype=np.float32)

    def normal(self, key: int, block: int, skip: int, out: Floats) -> None:
        """Fill rows with Gaussian numbers, those after the first `skip` rows of a block."""
        self._turn_to(key, block, _NORMAL)
        if skip:
            self._generator.standard_normal((skip, out.shape[1]), dtype=np.float32)
        self._generator.standard_normal(out=out, dtype=np.float32)

    def _turn_to(self, key: int, block: int, which: int) -> None:
        # A new Philox would ask the operating system for randomness, which takes longer than a
        # block's numbers. As uint64: a list of a small and a large integer would become float64.
        state = self._philox.state
        state["state"]["key"] = np.array([self._seed, key], np.uint64)
        state["state"]["counter"] = np.array([0, 0, block, which], np.uint64)
        state |= {"buffer_pos": len(state["buffer"]), "has_uint32": 0}
        self._philox.state = state
