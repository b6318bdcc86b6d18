"""The text of an expression: its characters, its tree, and where in it a fault is."""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from collections.abc import Collection

MOST_CHARACTERS = 1000
_WIDTH = 76


class Refused(Exception):
    """What is wrong, and where in the text."""

    def __init__(self, start: int, end: int | None, why: str) -> None:
        super().__init__(why)
        self.start, self.end, self.why = start, end or start + 1, why


def pointed(text: str, fault: Refused) -> str:
    """The text, or its part around the fault, and carets below the fault."""
    first = 0 if len(text) <= _WIDTH else max(0, fault.start - _WIDTH // 2)
    shown = text[first : first + _WIDTH]
    carets = max(1, min(fault.end, first + len(shown)) - fault.start)
    return f"    {shown}\n    {' ' * (fault.start - first)}{'^' * carets}"


def parse_tree(text: str, known: Collection[str]) -> tuple[ast.expr, dict[str, str]]:
    """Parse by Python's grammar what has only the characters of arithmetic.

    Returns
    -------
    tree
        Not yet checked: the grammar knows much more than arithmetic.
    aliases
        Names in the tree that stand for one of `known`.

    Raises
    ------
    Refused
        With its place in the text.
    """
    if not text:
        raise Refused(0, 1, "is empty")
    if len(text) > MOST_CHARACTERS:
        raise Refused(MOST_CHARACTERS, None, f"longer than {MOST_CHARACTERS:,} characters")
    if odd := re.search(r"[^A-Za-z0-9_ .,+\-*/()<>=!]", text):
        hint = "; a power is written **" if odd[0] == "^" else ""
        raise Refused(odd.start(), odd.end(), f"{odd[0]!r} is not allowed here{hint}")
    if single := re.search(r"(?<![<>=!])=(?!=)", text):
        raise Refused(single.start(), single.end(), "a single = compares nothing; write ==")
    aliases = _aliases(text, known)
    swapped = re.sub(r"[A-Za-z_]\w*", lambda word: aliases.get(word[0], word[0]), text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1and 2": refused below, in our words
            tree = ast.parse(swapped, mode="eval")
    except SyntaxError as error:
        at = min(error.offset or len(text), len(text)) - 1
        said = error.msg if "(" in error.msg or ")" in error.msg else "cannot be read here"
        raise Refused(at, None, said) from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise Refused(0, len(text), "is nested too deeply") from error
    return tree.body, {alias: name for name, alias in aliases.items()}


def _aliases(text: str, known: Collection[str]) -> dict[str, str]:
    """Stand-ins, equally long, for names that Python keeps for itself: ``yield``, ``lambda``."""
    found: dict[str, str] = {}
    for name in known:
        if keyword.iskeyword(name) and name in text:
            stand_ins = (f"_{number:0{len(name) - 1}d}" for number in range(10 ** (len(name) - 1)))
            taken = {*known, *found.values(), *re.findall(r"\w+", text)}
            found[name] = next(word for word in stand_ins if word not in taken)
    return found
