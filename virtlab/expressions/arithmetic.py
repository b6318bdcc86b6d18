"""What an expression may do: a whitelist of ``ast`` nodes, each a function of arrays.

Scalars are ``(setting, trial)`` or broadcast to it, signals and images are flattened to
``(setting, trial, value)``, all float64.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter, suggestion
from virtlab.expressions.syntax import Refused
from virtlab.trials import Measurement

Array = NDArray[Any]
Values = Mapping[str, Array]
Evaluate = Callable[[Values], Array]
Known = Mapping[str, Measurement | Parameter]

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
_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
}
_REDUCTIONS: dict[str, Callable[..., Array]] = {
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "sum": np.sum,
    "std": np.std,
}
ALLOWED = (
    "numbers, + - * / ** and ( ), "
    f"{' '.join(_REDUCTIONS)} of a signal or image, {' '.join(_FUNCTIONS)}"
)


@dataclass(frozen=True)
class Term:
    """A part of an expression.

    Parameters
    ----------
    evaluate
        From an array per name to its own.
    names
        The measurements and parameters in it.
    dims
        Own dims that are not reduced yet.
    units
        ``""`` where they are not plain.
    """

    evaluate: Evaluate
    names: frozenset[str] = frozenset()
    dims: tuple[str, ...] = ()
    units: str = ""


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

        if None in compare:
            raise self._refused(node, "is not allowed; compare numbers")
        return Term(evaluate, frozenset().union(*(side.names for side in sides)))

    def scalar(self, node: ast.expr) -> Term:
        """Compile what must be one number per trial."""
        term = self._term(node, 0)
        if term.dims:
            said = self._segment(node)
            raise self._refused(
                node,
                f"{said} has many values per trial (along {', '.join(term.dims)}); "
                f"reduce them: {', '.join(f'{name}({said})' for name in _REDUCTIONS)}",
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
            if name in _FUNCTIONS or name in _REDUCTIONS:
                raise self._refused(node, f"{name} is a function; write {name}(…)")
            raise self._refused(node, f"unknown name {name!r}{suggestion(name, list(self.known))}")
        if item.kind == "categorical":
            raise self._refused(node, f"{name} is a category; an objective takes numbers only")
        dims = item.dims if isinstance(item, Measurement) else ()
        units = "" if item.units == "1" else item.units
        return Term(lambda values: values[name], frozenset({name}), dims, units)

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
            left.units if same else "",
        )

    def _call(self, node: ast.Call, level: int) -> Term:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = _FUNCTIONS.get(name) or _REDUCTIONS.get(name)
        if function is None:
            near = suggestion(name, [*_REDUCTIONS, *_FUNCTIONS])
            raise self._refused(node.func, f"unknown function {self._segment(node.func)!r}{near}")
        if len(node.args) != 1 or node.keywords:
            raise self._refused(node, f"{name} takes one value, in ( )")
        inner = self._term(node.args[0], level + 1)
        if name in _FUNCTIONS:
            return _applied(function, inner, inner.units if name == "abs" else "")
        if not inner.dims:
            raise self._refused(
                node,
                f"{self._segment(node.args[0])} is one value per trial, so {name} has nothing to "
                "reduce; what is expected over trials is computed anyway: leave it out",
            )
        return Term(
            lambda values: function(inner.evaluate(values), axis=-1), inner.names, (), inner.units
        )

    def _segment(self, node: ast.expr) -> str:
        said = self.text[node.col_offset : node.end_col_offset]
        return said if len(said) <= 40 else said[:39] + "…"

    def _refused(self, node: ast.expr, why: str) -> Refused:
        return Refused(node.col_offset, node.end_col_offset, why)


def _applied(function: Callable[..., Array], inner: Term, units: str) -> Term:
    return Term(lambda values: function(inner.evaluate(values)), inner.names, inner.dims, units)


def _along(term: Term, dims: tuple[str, ...]) -> Evaluate:
    """Let one number per trial meet many: a last axis of length one."""
    if dims and not term.dims:
        return lambda values: term.evaluate(values)[..., None]
    return term.evaluate
