"""What an expression may do: a whitelist of ``ast`` nodes, each a function of arrays.

Scalars are ``(setting, trial)`` or broadcast to it, signals and images are flattened to
``(setting, trial, value)``, all float64.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter, suggestion
from virtlab.expressions.reductions import (
    ABOVE,
    INTEGRAL,
    PEAK,
    PLAIN,
    REDUCTIONS,
    Axis,
    fraction_above,
    integral,
    numbered,
    peak_position,
)
from virtlab.expressions.syntax import Refused
from virtlab.trials import Measurement

Array = NDArray[Any]
Values = Mapping[str, Array]
Evaluate = Callable[[Values], Array]

MOST_LEVELS = 100  # of nesting: far from Python's own limit, which is no error but an accident

_ARITHMETIC: dict[type[ast.operator], Callable[..., Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[..., Array]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_ABOVE: dict[type[ast.cmpop], float] = {ast.Lt: -1.0, ast.LtE: -1.0, ast.Gt: 1.0, ast.GtE: 1.0}
_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
}
ALLOWED = (
    "numbers, + - * / ** and ( ), "
    f"{' '.join(REDUCTIONS)} of a signal or image, {' '.join(_FUNCTIONS)}"
)


class Known(dict[str, Measurement | Parameter]):
    """What an expression may name, and where the entries of signals and images stand.

    Parameters
    ----------
    items
        Measurements and parameters by name.
    axes
        By dim; a dim without one is numbered from 0.
    """

    def __init__(
        self, items: Mapping[str, Measurement | Parameter], axes: Mapping[str, Axis] | None = None
    ) -> None:
        super().__init__(items)
        self.axes = dict(axes or {})


@dataclass(frozen=True)
class Term:
    """A part of an expression.

    Parameters
    ----------
    evaluate
        From an array per name to its own.
    names
        The measurements and parameters in it.
    dims, shape
        Own dims that are not reduced yet, and their lengths.
    units
        ``""`` where they are not plain.
    margin
        Of a requirement, by how much it is met; negative where it is not. None where there is no
        more or less.
    """

    evaluate: Evaluate
    names: frozenset[str] = frozenset()
    dims: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    units: str = ""
    margin: Evaluate | None = None


class Compiler:
    """Turns a tree into functions of arrays, and refuses all that it does not know."""

    def __init__(self, text: str, known: Known, aliases: Mapping[str, str]) -> None:
        self.text, self.known, self.aliases = text, known, aliases

    def requirement(self, node: ast.expr) -> Term:
        """Compile a comparison, which stands at the top or nowhere."""
        if not isinstance(node, ast.Compare):
            self.scalar(node)  # another fault in it is told first
            raise self._refused(node, "is no comparison; write, for example, … > 20")
        sides = [self.scalar(side) for side in (node.left, *node.comparators)]
        compare = [_COMPARISONS.get(type(operator)) for operator in node.ops]

        def evaluate(values: Values) -> Array:
            found = [side.evaluate(values) for side in sides]
            met: Array = np.True_  # type: ignore[assignment]  # broadcasts like an array
            for test, left, right in zip(compare, found, found[1:], strict=False):
                assert test is not None
                # NaN is unequal to everything, but meets no requirement
                met = met & test(left, right) & ~np.isnan(left) & ~np.isnan(right)
            return met

        above = [_ABOVE.get(type(operator)) for operator in node.ops]

        def margin(values: Values) -> Array:
            found = [side.evaluate(values) for side in sides]
            each = (
                sign * (left - right)
                for sign, left, right in zip(above, found, found[1:], strict=False)
            )
            return functools.reduce(np.minimum, each)

        if None in compare:
            raise self._refused(node, "is not allowed; compare numbers")
        names: frozenset[str] = frozenset().union(*(side.names for side in sides))
        return Term(evaluate, names, margin=None if None in above else margin)

    def scalar(self, node: ast.expr) -> Term:
        """Compile what must be one number per trial."""
        term = self._term(node, 0)
        if term.dims:
            said = self._segment(node)
            raise self._refused(
                node,
                f"{said} has many values per trial (along {', '.join(term.dims)}); "
                f"reduce them: {', '.join(f'{name}({said})' for name in REDUCTIONS[:-1])}",
            )
        return term

    def _term(self, node: ast.expr, level: int) -> Term:
        if level > MOST_LEVELS:
            raise self._refused(node, "is nested too deeply")
        match node:
            case ast.Constant():
                term = self._number(node)
            case ast.Name():
                return self._name(node)
            case ast.UnaryOp(op=ast.USub()):
                inner = self._term(node.operand, level + 1)
                term = _applied(np.negative, inner, inner.units)
            case ast.BinOp():
                term = self._binary(node, level)
            case ast.Call():
                term = self._call(node, level)
            case ast.Compare():
                raise self._refused(
                    node, "a comparison may only stand in require, one per item, alone"
                )
            case ast.BoolOp():
                raise self._refused(node, "write each condition as an item of its own in require")
            case _:
                raise self._refused(node, f"{self._segment(node)!r} is not allowed here")
        if not term.names:
            with np.errstate(all="ignore"):
                value = float(term.evaluate({}).ravel()[0])
            if not np.isfinite(value):
                raise self._refused(node, f"{self._segment(node)} is not a finite number")
        return term

    def _number(self, node: ast.Constant) -> Term:
        number = node.value
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise self._refused(node, f"{self._segment(node)!r} is no number")
        try:
            value = np.full((1, 1), float(number))
        except OverflowError:
            value = np.full((1, 1), np.inf)  # refused as not finite
        return Term(lambda _values: value)

    def _name(self, node: ast.Name) -> Term:
        name = self.aliases.get(node.id, node.id)
        item = self.known.get(name)
        if item is None:
            if name in _FUNCTIONS or name in REDUCTIONS:
                raise self._refused(node, f"{name} is a function; write {name}(…)")
            raise self._refused(node, f"unknown name {name!r}{suggestion(name, list(self.known))}")
        if item.kind == "categorical":
            example = next(iter(item.categories), "…")
            raise self._refused(
                node, f'{name} is a category; only {name} == "{example}", alone, can be asked of it'
            )
        own = (item.dims, item.shape) if isinstance(item, Measurement) else ((), ())
        units = "" if item.units == "1" else item.units
        return Term(lambda values: values[name], frozenset({name}), *own, units)

    def _binary(self, node: ast.BinOp, level: int) -> Term:
        operation = _ARITHMETIC.get(type(node.op))
        if operation is None:
            raise self._refused(node, f"{self._segment(node)!r} is not allowed here")
        left, right = self._term(node.left, level + 1), self._term(node.right, level + 1)
        dims = left.dims or right.dims
        if right.dims and right.dims != dims:
            raise self._refused(
                node,
                f"values along {', '.join(left.dims)} and along {', '.join(right.dims)} do not "
                "fit together; reduce one or both, e.g. by mean(…)",
            )
        first, second = _along(left, dims), _along(right, dims)
        same = isinstance(node.op, ast.Add | ast.Sub) and left.units == right.units
        return Term(
            lambda values: operation(first(values), second(values)),
            left.names | right.names,
            dims,
            left.shape or right.shape,
            left.units if same else "",
        )

    def _call(self, node: ast.Call, level: int) -> Term:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in _FUNCTIONS and name not in REDUCTIONS:
            near = suggestion(name, [*REDUCTIONS, *_FUNCTIONS])
            raise self._refused(node.func, f"unknown function {self._segment(node.func)!r}{near}")
        if name == ABOVE and len(node.args) != 2:
            raise self._refused(node, f"{name} takes values and a level: {name}(…, 3)")
        most = 2 if name in (ABOVE, PEAK) else 1
        if not 1 <= len(node.args) <= most or node.keywords:
            raise self._refused(node, f"{name} takes one value, in ( )")
        inner = self._term(node.args[0], level + 1)
        if name in _FUNCTIONS:
            return _applied(_FUNCTIONS[name], inner, inner.units if name == "abs" else "")
        if not inner.dims:
            raise self._refused(
                node,
                f"{self._segment(node.args[0])} is one value per trial, so {name} has nothing to "
                "reduce; what is expected over trials is computed anyway: leave it out",
            )
        if name == ABOVE:
            return self._above(inner, self._term(node.args[1], level + 1), node)
        if name in PLAIN:
            reduce, units = PLAIN[name], inner.units
            return Term(
                lambda values: reduce(inner.evaluate(values), axis=-1), inner.names, units=units
            )
        return self._by_place(name, inner, node)

    def _above(self, inner: Term, level: Term, node: ast.Call) -> Term:
        if level.dims:
            raise self._refused(node.args[1], f"{ABOVE} takes one level per trial; reduce this")
        return Term(
            lambda values: fraction_above(inner.evaluate(values), level.evaluate(values)),
            inner.names | level.names,
        )

    def _by_place(self, name: str, inner: Term, node: ast.Call) -> Term:
        """Reduce by where the entries stand."""
        axes = [
            self.known.axes.get(dim, numbered(length))
            for dim, length in zip(inner.dims, inner.shape, strict=True)
        ]
        which = self._which(inner, node) if name == PEAK else 0
        for dim, axis in zip(inner.dims, axes, strict=True):
            if axis.named and (name == INTEGRAL or dim == inner.dims[which]):
                raise self._refused(node, f"entries along {dim} have names and no places")
        if name == PEAK:
            return Term(
                lambda values: peak_position(inner.evaluate(values), axes, which),
                inner.names,
                units=axes[which].units,
            )
        units = [inner.units, *(axis.units for axis in axes)]
        return Term(
            lambda values: integral(inner.evaluate(values), axes),
            inner.names,
            units=" ".join(units) if all(units) else "",
        )

    def _which(self, inner: Term, node: ast.Call) -> int:
        """Number of the dim that a peak's position is asked along."""
        if len(node.args) == 1:
            if len(inner.dims) == 1:
                return 0
            said = self._segment(node.args[0])
            each = " or ".join(f"{PEAK}({said}, {dim})" for dim in inner.dims)
            raise self._refused(
                node, f"a peak of {said} has {len(inner.dims)} places; write {each}"
            )
        dim = node.args[1]
        if not isinstance(dim, ast.Name) or dim.id not in inner.dims:
            raise self._refused(dim, f"expected a dim of the values: {', '.join(inner.dims)}")
        return inner.dims.index(dim.id)

    def _segment(self, node: ast.expr) -> str:
        said = self.text[node.col_offset : node.end_col_offset]
        return said if len(said) <= 40 else said[:39] + "…"

    def _refused(self, node: ast.expr, why: str) -> Refused:
        return Refused(node.col_offset, node.end_col_offset, why)


def _applied(function: Callable[..., Array], inner: Term, units: str) -> Term:
    return Term(
        lambda values: function(inner.evaluate(values)),
        inner.names,
        inner.dims,
        inner.shape,
        units,
    )


def _along(term: Term, dims: tuple[str, ...]) -> Evaluate:
    """Let one number per trial meet many: a last axis of length one."""
    if dims and not term.dims:
        return lambda values: term.evaluate(values)[..., None]
    return term.evaluate
