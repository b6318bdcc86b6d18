"""What every table of a configuration file shares: strictness, and how faults are told."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from virtlab.trials import SETTING, TRIAL, WEIGHT

RESERVED = (TRIAL, SETTING, WEIGHT, "member", "domain", "domain_distance")
"""Names that a virtual trial's dataset keeps for itself."""

Fault = tuple[tuple[str | int, ...], str]
"""Where in the table, and what is wrong, in a lab user's words."""


def _unreserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"the name {name!r} is reserved; virtlab uses {', '.join(RESERVED)}")
    return name


def _unit(text: str) -> str:
    # pint evaluates powers of numbers: "10**10**10" would keep it busy for ever.
    if re.search(r"(\*\*|\^)[^*/^]*(\*\*|\^)|\)\s*(\*\*|\^)|\d{7,}|(\*\*|\^)\s*[+-]?\d{3,}", text):
        raise ValueError('expected a unit such as "mV" or "m/s**2" with one small power per factor')
    if re.search(r"[^\w\s°µμΩÅ%/*^.()+⁻⁰¹²³⁴⁵⁶⁷⁸⁹·-]", text):
        raise ValueError('expected a unit such as "mV", "degC" or "m/s**2"')
    return text


def _interval(value: object) -> object:
    """[low, high], each a number or an infinity."""
    numbers = isinstance(value, list | tuple) and all(
        isinstance(end, int | float) and not isinstance(end, bool) for end in value
    )
    if not numbers or len(value) != 2:  # type: ignore[arg-type]  # numbers implies a sequence
        raise ValueError("expected two numbers [low, high]; inf and -inf are allowed")
    try:
        low, high = (float(end) for end in value)  # type: ignore[attr-defined]
    except OverflowError as error:
        raise ValueError("expected numbers below 1e308; inf is allowed") from error
    if math.isnan(low) or math.isnan(high) or not low < high:
        raise ValueError("expected [low, high] with low below high")
    if low == math.inf or high == -math.inf:
        raise ValueError("expected at least one finite number between low and high")
    return low, high


Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"), AfterValidator(_unreserved)
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Unit = Annotated[str, StringConstraints(max_length=64), AfterValidator(_unit)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Interval = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=True)], Annotated[float, Field(allow_inf_nan=True)]],
    BeforeValidator(_interval),
]

Self = TypeVar("Self", bound="Table")
SelfDocument = TypeVar("SelfDocument", bound="Document")


def refuse(title: str, faults: list[InitErrorDetails]) -> None:
    """Raise all of a table's faults together."""
    if faults:
        raise ValidationError.from_exception_data(title, faults)


def details(fault: Fault) -> InitErrorDetails:
    """One of our own faults, as pydantic keeps it: it adds the path of the table itself."""
    where, text = fault
    return InitErrorDetails(
        type=PydanticCustomError("fault", "{text}", {"text": text}), loc=where, input=None
    )


class Table(BaseModel):
    """A table of a configuration file: unknown keys and values of another type are faults."""

    model_config = ConfigDict(
        defer_build=True,  # `simulate` never looks at an experiment
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    def faults(self) -> Iterator[Fault]:
        """Find what contradicts within a table whose keys are sound one by one."""
        return iter(())

    @model_validator(mode="after")
    def _refuse_contradictions(self: Self) -> Self:
        refuse(type(self).__name__, [details(fault) for fault in self.faults()])
        return self


class Document(Table):
    """A whole configuration file."""

    _path: Path = PrivateAttr(default=Path())
    _text: str = PrivateAttr(default="")

    @property
    def path(self) -> Path:
        """The file this came from, absolute; paths inside it are relative to its folder."""
        return self._path

    @property
    def text(self) -> str:
        """The file's text."""
        return self._text

    @classmethod
    def faults_between(cls, document: Mapping[str, Any]) -> Iterator[Fault]:  # noqa: ARG003
        """Find what contradicts between tables, in a raw document that may have other faults."""
        return iter(())

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_all_at_once(
        cls: type[SelfDocument], data: Any, handler: ModelWrapValidatorHandler[SelfDocument]
    ) -> SelfDocument:
        faults: list[InitErrorDetails] = []
        made: SelfDocument | None = None
        try:
            made = handler(data)
        except ValidationError as error:
            faults += [_again(found) for found in error.errors(include_url=False)]
        if isinstance(data, Mapping):
            faults += [details(fault) for fault in cls.faults_between(data)]
        refuse(cls.__name__, faults)
        assert made is not None
        return made


def _again(error: Any) -> InitErrorDetails:
    """Turn a fault that pydantic reported into the form in which it takes one."""
    if error["type"] == "fault":
        return details((error["loc"], error["msg"]))
    return InitErrorDetails(
        type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {})
    )


def tables_in(document: Mapping[str, Any], key: str) -> dict[str, Mapping[str, Any]]:
    """Return the tables [key.NAME] of a raw document, those that are tables."""
    found = document.get(key)
    if not isinstance(found, Mapping):
        return {}
    return {name: table for name, table in found.items() if isinstance(table, Mapping)}
