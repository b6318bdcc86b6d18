"""Every error that virtlab raises on purpose.

A message is written for the person at the bench: it names the file, the key or
the path inside it, what was found, what was expected and what to do. The
command line prints it as it stands and leaves with `exit_code`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class VirtlabError(Exception):
    """Base of all of virtlab's errors."""

    exit_code = 1


class ConfigError(VirtlabError):
    """experiment.toml, params.toml or a command's arguments cannot be used."""

    exit_code = 2


@dataclass(frozen=True)
class SettingFault:
    """What is wrong with one parameter's values; `index` is the setting, where it is known."""

    parameter: str
    index: int | None
    text: str


class SettingError(ConfigError):
    """A setting is impossible: outside its bounds, an unknown category, a missing parameter.

    `faults` holds the first fault of each parameter, so that who knows where the settings
    came from can name the line of the file.
    """

    def __init__(self, message: str, faults: Sequence[SettingFault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class DataError(VirtlabError):
    """A lab file, or what stands in it, cannot be used."""


class PluginError(VirtlabError):
    """A plugin is missing, ambiguous, of another version, or breaks its contract."""


class ModelFileError(VirtlabError):
    """A .virtlab file is damaged, altered, or not one."""


class ClusterError(VirtlabError):
    """A cluster cannot be reached, or its workers cannot do the work."""


class OutputError(VirtlabError):
    """A result cannot be written where it was asked for."""


class DomainError(VirtlabError):
    """Settings lie outside the data, where none were to be simulated."""


class ServingError(VirtlabError):
    """A page cannot be served."""
