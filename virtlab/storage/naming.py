"""Names for a starter: from whatever stands in a file to what experiment.toml allows."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING

from virtlab.config.tables import RESERVED
from virtlab.errors import DataError

if TYPE_CHECKING:
    from virtlab.storage.guessed import Guess
    from virtlab.storage.survey import Series
    from virtlab.storage.varying import Single


class Names:
    """Gives every parameter, measurement, dim and coordinate a name that only it has."""

    def __init__(self, found: Guess) -> None:
        self._taken: set[str] = set(RESERVED)
        self._by_path: dict[str, str] = {}
        self._unknown: dict[tuple[str, int], str] = {}
        for entry in [*found.parameters, *found.measurements]:
            self._by_path[entry.path] = self.new(entry.name, entry.path)

    def of(self, entry: Series | Single) -> str:
        """Return the name of something in the file; an axis gets one when first asked for."""
        if entry.path not in self._by_path:
            self._by_path[entry.path] = self.new(entry.name, entry.path)
        return self._by_path[entry.path]

    def of_unknown_dim(self, declared: str, owner: str, size: int, number: int) -> str:
        """Return a name for a dim without axis: one for all dims of a length in one place."""
        key = (declared or f"{number}", size)
        if key not in self._unknown:
            self._unknown[key] = self.new(declared or f"{owner}_{number + 1}", "")
        return self._unknown[key]

    def new(self, wanted: str, path: str) -> str:
        """Make a name from a name in a file; where it is taken, its group's name comes first."""
        name = _identifier(wanted)
        if name in self._taken:
            parts = [part for part in re.split(r"[/@:]", path)[:-1] if part]
            name = _identifier("_".join([*parts[-1:], wanted])) if parts else name
        base, number = name[:58], 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name


def _identifier(text: str) -> str:
    """Keep ASCII letters, digits and single underscores of a text."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:64].rstrip("_")
    return f"_{name}"[:64] if name[:1].isdigit() else name or "value"


def quoted(text: str) -> str:
    """Write a TOML basic string."""
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        raise DataError(f"the name {text!r} is no valid text; rename it in the file, or read it "
                        "by a plugin")  # fmt: skip
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
