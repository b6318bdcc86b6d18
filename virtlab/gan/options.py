"""What a user may choose of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from virtlab.gan.encoders import Encoder


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Parameters
    ----------
    preset
        See `virtlab.gan.presets`.
    seed
        Decides everything random.
    members
        Parts of the ensemble, each with its own trials held out; None: follows the data.
    generators, critics
        Networks of each kind per member: its generators share its critics.
    critic
        How the critics look at signals and images.
    max_seconds
        Training ends with the best so far after this long; None: no limit.
    looks_after
        What follows the fit takes as long as so many looks at held-out trials: time that is
        kept from `max_seconds`, up to half of it.
    stop_at
        Training ends once the held-out score, relative to the marginal's, is this low.
    private
        Nothing may be learned that is a training setting: no Gaussian processes, no bins.
    devices
        Names of devices to spread the members over; none: the GPUs, where there are several.
    """

    preset: str = "auto"
    seed: int = 0
    members: int | None = None
    generators: int = 1
    critics: int = 1
    critic: Encoder = "auto"
    max_seconds: float | None = None
    looks_after: float = 0.0
    stop_at: float | None = None
    private: bool = False
    devices: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long training may take."""
        return math.inf if self.max_seconds is None else self.max_seconds
