"""Trials chosen by what was set: ``temperature > 80 and material == "steel"``.

Comparisons of numbers are parsed as everywhere; categories are compared by ``==`` and ``!=`` with a
text in quotes. ``and`` binds more tightly than ``or``; there are no parentheses around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter, suggestion
from virtlab.errors import ConfigError, DataError
from virtlab.expressions.parsing import known_names, parse_requirement
from virtlab.trials import TRIAL, WEIGHT

if TYPE_CHECKING:
    import xarray as xr

Mask = NDArray[np.bool_]

_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_STAND_IN = "\x00"  # for what is in quotes: no text has it
_OF_CATEGORY = re.compile(rf"\s*(\w+)\s*(==|!=)\s*{_STAND_IN}\s*")
MOST_NAMED = 8  # categories told in a message


@dataclass(frozen=True)
class Choice:
    """A text that was understood.

    Parameters
    ----------
    text
        As written, blanks made single.
    names
        The parameters in it.
    of
        From trials to which of them are chosen, ``(trial,)``.
    """

    text: str
    names: tuple[str, ...]
    of: Callable[[xr.Dataset], Mask]


def parse_choice(trials: xr.Dataset, text: str, where: str) -> Choice:
    """Understand comparisons over parameters, joined by ``and`` and ``or``.

    Parameters
    ----------
    trials
        Some of the trials: their parameters are what may be named, in their units.
    text
        Such as ``temperature > 80 and material == "steel"``.
    where
        For messages.

    Raises
    ------
    ConfigError
        The text cannot be used.
    """
    parameters = {
        str(name): Parameter(
            str(name), kind=coord.attrs.get("kind", "continuous"), units=_units(coord)
        )
        for name, coord in trials.coords.items()
        if coord.dims == (TRIAL,) and name != WEIGHT
    }
    text = " ".join(text.split())
    quoted = [found[1:-1] for found in _QUOTED.findall(text)]
    bare = _QUOTED.sub(_STAND_IN, text)
    names: list[str] = []
    either = []
    for part in _split(bare, "or", parameters):
        every = []
        for piece in _split(part, "and", parameters):
            own = [quoted.pop(0) for _ in range(piece.count(_STAND_IN))]
            name_of, term = _term(piece, own, parameters, where)
            names += name_of
            every.append(term)
        either.append(every)

    def of(found: xr.Dataset) -> Mask:
        met = [np.all([term(found) for term in every], axis=0) for every in either]
        chosen_ones: Mask = np.any(met, axis=0)
        return chosen_ones

    return Choice(text, tuple(dict.fromkeys(names)), of)


def chosen(trials: xr.Dataset, text: str, where: str) -> Mask:
    """Which trials' settings meet comparisons over parameters, ``(trial,)``; at least one.

    Raises
    ------
    ConfigError
        The text cannot be used; see `parse_choice`.
    DataError
        It holds for no trial, or for all.
    """
    choice = parse_choice(trials, text, where)
    met = choice.of(trials)
    if met.all() or not met.any():
        raise no_choice(choice, trials, where, every=bool(met.all()))
    return met


def no_choice(choice: Choice, trials: xr.Dataset, where: str, *, every: bool) -> DataError:
    """What to say of a choice that holds for all trials, or for none."""
    told = ", ".join(_spanned(name, trials[name].values) for name in choice.names)
    which = "all" if every else "none"
    return DataError(f"{where}: {choice.text} holds for {which} of the trials; {told}")


def _split(text: str, word: str, parameters: dict[str, Parameter]) -> list[str]:
    """Parts between a word, unless a parameter is called so."""
    return [text] if word in parameters else re.split(rf"\s+{word}\s+", text)


def _term(
    piece: str, quoted: list[str], parameters: dict[str, Parameter], where: str
) -> tuple[list[str], Callable[[xr.Dataset], Mask]]:
    """One comparison: the parameters in it, and what it says of trials."""
    plain = piece
    for text in quoted:
        plain = plain.replace(_STAND_IN, f'"{text}"', 1)
    match = _OF_CATEGORY.fullmatch(piece)
    if match is None and not quoted:
        for name in re.findall(r"\w+", piece):
            if name in parameters and parameters[name].kind == "categorical":
                raise ConfigError(
                    f"{where}: {name} is a category, in {plain!r}; compare it by == or != with a "
                    f'text in quotes: {name} == "…"'
                )
        found = parse_requirement(piece, known_names([], parameters.values()), where)
        return sorted(found.names), lambda trials: _numbers_met(trials, found.names, found.evaluate)
    if match is None:
        raise ConfigError(
            f"{where}: cannot read {plain!r}; expected a comparison such as temperature > 80, or "
            'material == "steel"; several are joined by and, or'
        )
    name, operator = match[1], match[2]
    if name not in parameters:
        raise ConfigError(f"{where}: unknown name {name!r}{suggestion(name, list(parameters))}")
    if parameters[name].kind != "categorical":
        raise ConfigError(f"{where}: {name} is a number, in {plain!r}; compare it without quotes")
    category, same = quoted[0], operator == "=="
    return [name], lambda trials: (trials[name].values.astype(str) == category) == same


def _numbers_met(
    trials: xr.Dataset, names: frozenset[str], evaluate: Callable[..., NDArray[np.bool_]]
) -> Mask:
    values = {name: trials[name].values.astype(np.float64)[:, None] for name in names}
    return np.broadcast_to(evaluate(values), (trials.sizes[TRIAL], 1)).ravel()


def _spanned(name: str, values: NDArray[np.generic]) -> str:
    """What a parameter is in the trials."""
    if values.dtype.kind in "OSU":
        known = sorted({str(value) for value in values})
        more = f", … {len(known)} in all" if len(known) > MOST_NAMED else ""
        return f"{name} is {', '.join(known[:MOST_NAMED])}{more}"
    return f"{name} is {float(values.min()):g} to {float(values.max()):g}"


def _units(coord: xr.DataArray) -> str:
    return str(coord.attrs.get("units", ""))
