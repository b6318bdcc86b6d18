"""A tree of an HDF5 file as aligned lines for the terminal, within a number of lines.

Where there are more, room is shared out fairly: what is short stays whole, what is long is
folded, so that one group of a thousand settings never hides the measurement beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.storage.description import printable, shape_name
from virtlab.storage.tree import Node, every

_INDENT = "  "
_WIDEST_NAME = 44
_WIDEST_TEXT = 90
_ATTRIBUTES = 4


@dataclass(frozen=True)
class _Line:
    """Name column, then the cells to align; a `rest` that is never aligned."""

    name: str
    cells: tuple[str, str, str] = ("", "", "")
    rest: str = ""


def tree_lines(root: Node, *, most: int = 120, attributes: int = _ATTRIBUTES) -> list[str]:
    """Draw a tree in at most about `most` lines.

    Parameters
    ----------
    root
        What `virtlab.storage.tree.tree_of` returned.
    most
        Lines to use.
    attributes
        Attributes to show of each object, as far as there is room.
    """
    return _aligned(_drawn(root, 0, max(most, 1), attributes))


def _drawn(node: Node, depth: int, room: int, attributes: int) -> list[_Line]:
    """Draw a node and what it holds in at most `room` lines (at least one)."""
    needs = [_need(child, attributes) for child in node.children]
    own = _own_attributes(node, min(attributes, room - 1 - len(node.children)))
    left = room - 1 - len(own)
    if node.children and left < min(len(node.children), 2):
        return [_head(node, depth, folded=True)]
    shown = len(node.children) if left >= len(node.children) else left - 1
    lines = [_head(node, depth, shown=len(own))]
    lines += [_Line(_INDENT * (depth + 1) + name, rest=text) for name, text in own]
    for child, share in zip(node.children, _shares(needs[:shown], left), strict=False):
        lines += _drawn(child, depth + 1, share, attributes)
    if shown < len(node.children):
        rest = len(node.children) - shown
        lines.append(_Line(f"{_INDENT * (depth + 1)}… and {rest:,} more"))
    return lines


def _need(node: Node, attributes: int) -> int:
    """Count the lines of a node drawn whole."""
    return sum(1 + min(len(each.attributes), attributes) for each in every(node, lambda _: True))


def _shares(needs: list[int], room: int) -> list[int]:
    """Share lines out: each gets what it needs or an equal part of what is left."""
    shares = [1] * len(needs)
    for place, index in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        fair = room // (len(needs) - place)
        shares[index] = max(1, min(needs[index], fair))
        room -= shares[index]
    return shares


def _own_attributes(node: Node, most: int) -> list[tuple[str, str]]:
    """Choose the attributes to draw; if not all fit, the head says how many there are."""
    items = list(node.attributes.items())[: max(0, most)]
    return [(f"@{printable(n, 60)}", f"= {printable(text, _WIDEST_TEXT)}") for n, text in items]


def _head(node: Node, depth: int, *, folded: bool = False, shown: int = 0) -> _Line:
    """Draw a node's own line."""
    if node.kind == "more":
        last = printable(node.name, 30)
        return _Line(f"{_INDENT * depth}… and {node.count:,} more like it, up to {last}")
    same = f"the same as {node.same_as}" if node.same_as and node.kind != "link" else ""
    remarks = [node.nx_class, node.storage, node.note, same]
    if node.value:
        remarks.insert(0, printable(f"= {node.value}", 60))
    if folded:
        remarks.append(_inventory(node))
    hidden = len(node.attributes) - shown
    if hidden:
        remarks.append(f"(+{hidden} attribute{'s' * (hidden > 1)})")
    if node.faulty:
        remarks.insert(0, "!")
    name = printable(node.name, _WIDEST_NAME) + "/" * (node.kind == "group" and node.path != "/")
    rest = "  ".join(printable(remark, 200) for remark in remarks if remark)
    if node.shape is None and not node.dtype:
        return _Line(_INDENT * depth + name, rest=rest)
    cells = (shape_name(node.shape), node.dtype, node.units)
    return _Line(_INDENT * depth + name, tuple(printable(cell, 60) for cell in cells), rest)  # type: ignore[arg-type]


def _inventory(node: Node) -> str:
    """Count what a folded group holds."""
    inside = every(node, lambda _: True)[1:]
    groups = sum(each.count for each in inside if each.kind == "group")
    others = sum(each.count for each in inside if each.kind != "group")
    counted = [(groups, "group"), (others, "other object" if groups else "object")]
    return "holds " + ", ".join(f"{n:,} {what}{'s' * (n > 1)}" for n, what in counted if n)


def _aligned(lines: list[_Line]) -> list[str]:
    """Set the columns one below the other."""
    tabular = [line for line in lines if any(line.cells)]
    name = max((min(len(line.name), _WIDEST_NAME) for line in tabular), default=0)
    widths = [max((min(len(line.cells[i]), 24) for line in tabular), default=0) for i in range(3)]
    drawn = []
    for line in lines:
        if any(line.cells):
            cells = [cell.ljust(width) for cell, width in zip(line.cells, widths, strict=True)]
            text = "  ".join([line.name.ljust(name), *cells, line.rest])
        else:
            text = f"{line.name}  {line.rest}"
        drawn.append(text.rstrip())
    return drawn
