"""A category compared with a text: ``state == "up"``, alone or as a goal of 0 and 1."""

from __future__ import annotations

import re

from virtlab.conditioning import suggestion
from virtlab.expressions.arithmetic import Array, Known, Term, Values
from virtlab.expressions.syntax import Refused
from virtlab.trials import MISSING_CATEGORY

_COMPARED = re.compile(r"(\w+) ?(==|!=) ?(\"[^\"]*\"|'[^']*')")


def compare_category(text: str, known: Known) -> Term | None:
    """Understand a text that is such a comparison; None where it is something else.

    Returns
    -------
    Term
        Of texts ``(setting, trial)`` or ``(setting, 1)``, true or false; a missing category is
        neither equal nor unequal.

    Raises
    ------
    Refused
        There is no such category.
    """
    match = _COMPARED.fullmatch(text)
    if match is None:
        return None
    name, category = match[1], match[3][1:-1]
    item = known.get(name)
    if item is None:
        raise Refused(0, len(name), f"unknown name {name!r}{suggestion(name, list(known))}")
    if item.kind != "categorical":
        raise Refused(*match.span(3), f"{name} is a number; compare it with one, without quotes")
    if category not in item.categories:
        near = suggestion(category, item.categories)
        told = ", ".join(item.categories[:8]) + ", …" * (len(item.categories) > 8)
        raise Refused(*match.span(3), f"{name} is never {category!r}{near}; it is one of: {told}")
    same = match[2] == "=="

    def evaluate(values: Values) -> Array:
        found = values[name]
        met: Array = ((found == category) == same) & (found != MISSING_CATEGORY)
        return met

    return Term(evaluate, frozenset({name}))
