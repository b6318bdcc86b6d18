"""One hash that says whether trials are the same trials, in one piece or in many."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import xarray as xr

from virtlab.trials import TRIAL


def data_digest(trials: xr.Dataset) -> str:
    """Hash what the trials are: names, dims, types, shapes and values, not where they came from.

    Returns
    -------
    digest
        SHA-256, hexadecimal.
    """
    digest = Digest()
    digest.add(trials)
    return digest.hexdigest()


class Digest:
    """The hash of trials that come in parts; how they are cut changes nothing."""

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}
        self._heads: dict[str, tuple[Any, ...]] = {}
        self._trials = 0

    def add(self, trials: xr.Dataset) -> None:
        """Go on with some trials; what does not belong to trials is that of the first part."""
        self._trials += trials.sizes[TRIAL]
        for name in sorted(map(str, trials.variables)):
            variable = trials[name]
            known = name in self._hashes
            if known and TRIAL not in variable.dims:
                continue
            values = variable.values
            text = values.dtype.kind in "OSU"
            dtype = "str" if text else values.dtype.newbyteorder("<").str
            if not known:
                own = tuple(variable.sizes[dim] for dim in variable.dims if dim != TRIAL)
                self._hashes[name] = hashlib.sha256()
                self._heads[name] = (name, variable.dims, dtype, own)
            if text:
                for value in values.ravel():
                    written = str(value).encode()
                    self._hashes[name].update(len(written).to_bytes(8, "little") + written)
            elif values.size:
                self._hashes[name].update(np.ascontiguousarray(values, dtype=dtype).data.cast("B"))

    def hexdigest(self) -> str:
        """SHA-256 over the heads and hashes of all variables."""
        whole = hashlib.sha256(repr(self._trials).encode())
        for name, head in sorted(self._heads.items()):
            whole.update(repr(head).encode() + self._hashes[name].digest())
        return whole.hexdigest()
