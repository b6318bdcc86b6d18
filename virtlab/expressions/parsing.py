"""Arithmetic over measurements and parameters, read from text: never by ``eval``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from virtlab.conditioning import Parameter
from virtlab.errors import ConfigError
from virtlab.expressions.arithmetic import (
    ALLOWED,
    Array,
    Compiler,
    Evaluate,
    Known,
    Term,
    Values,
)
from virtlab.expressions.categories import compare_category
from virtlab.expressions.reductions import Axis
from virtlab.expressions.syntax import Refused, parse_tree, pointed
from virtlab.trials import Measurement

_NAMES_SHOWN = 20


@dataclass(frozen=True)
class Expression:
    """A text that was understood.

    Parameters
    ----------
    text
        As written, blanks made single.
    names
        The measurements and parameters in it.
    units
        Of its value, ``""`` where that is not plain from the text.
    evaluate
        From an array per name, ``(setting, trial)``, ``(setting, 1)`` or ``(setting, trial,
        value)``, to an array that broadcasts to ``(setting, trial)``: float64, or bool of a
        requirement.
    margin
        Of a requirement, by how much it is met, as `evaluate`; negative where it is not. None
        where there is no more or less: categories, ``==`` and ``!=``.
    """

    text: str
    names: frozenset[str]
    units: str
    evaluate: Evaluate
    margin: Evaluate | None = None


def known_names(
    measurements: Iterable[Measurement],
    parameters: Iterable[Parameter],
    coords: Mapping[str, Mapping[str, Any]] | None = None,
) -> Known:
    """What an expression may name.

    Parameters
    ----------
    coords
        Of the measurements' own dims, as a model's manifest has them: by name ``dims``,
        ``values`` and ``units``.
    """
    known: dict[str, Measurement | Parameter] = {item.name: item for item in measurements}
    known |= {item.name: item for item in parameters}
    axes = {
        name: Axis(np.asarray(coord["values"]), coord["units"] or "")
        for name, coord in (coords or {}).items()
        if list(coord["dims"]) == [name]
    }
    return Known(known, axes)


def parse_goal(text: str, known: Known, where: str) -> Expression:
    """Understand what is maximized or minimized: one number per trial.

    Parameters
    ----------
    text
        The expression.
    known
        What it may name, see `known_names`.
    where
        File and key, for messages.

    Raises
    ------
    ConfigError
        With the place in the text and what is allowed.
    """
    return _parse(text, known, where, requirement=False)


def parse_requirement(text: str, known: Known, where: str) -> Expression:
    """Understand a comparison, such as ``toughness > 20``: true or false per trial.

    Comparisons chain as in mathematics (``1 < x < 2``); what is not a number meets none.

    Raises
    ------
    ConfigError
        With the place in the text and what is allowed.
    """
    return _parse(text, known, where, requirement=True)


def _compiled(text: str, known: Known, *, requirement: bool) -> Term:
    node, aliases = parse_tree(text, known)
    compiler = Compiler(text, known, aliases)
    return compiler.requirement(node) if requirement else compiler.scalar(node)


def _parse(text: str, known: Known, where: str, *, requirement: bool) -> Expression:
    text = " ".join(text.split())
    try:
        term = compare_category(text, known) or _compiled(text, known, requirement=requirement)
        if not term.names:
            raise Refused(0, len(text), "names no measurement and no parameter")
    except Refused as fault:
        told = pointed(text, fault)
        allowed = ALLOWED + (", one comparison < <= > >= == !=" if requirement else "")
        names = list(known)[:_NAMES_SHOWN] + ["…"] * (len(known) > _NAMES_SHOWN)
        raise ConfigError(
            f"{where}: {fault.why}\n{told}\n  allowed: {allowed}; names: {', '.join(names)}"
        ) from fault

    def evaluate(values: Values) -> Array:
        with np.errstate(all="ignore"):  # who asked sees to values that are not finite
            found = term.evaluate(values)
        return found if requirement else found.astype(np.float64)

    def margin(values: Values) -> Array:
        assert term.margin is not None
        with np.errstate(all="ignore"):
            return term.margin(values).astype(np.float64)

    own = None if term.margin is None else margin
    return Expression(text, term.names, term.units, evaluate, own)
