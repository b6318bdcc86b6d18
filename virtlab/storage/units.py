"""Units of lab files: their many spellings, and conversion by pint.

Pint reads a unit as arithmetic: ``10**10**10`` would keep it busy for ever, and ``a.u.`` is
to it the atomic mass unit times a year. So what reaches it is short, and made of names,
small powers, products and quotients only.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import DataError

DIMENSIONLESS = frozenset(
    {
        "",
        "1",
        "-",
        "none",
        "dimensionless",
        "unitless",
        "fraction",
        "ratio",
        "normalized",
        "normalised",
    }
)
ARBITRARY = frozenset(
    {"a.u.", "a. u.", "arb", "arb.", "arb.u.", "arb. u.", "arb. unit", "arb. units", "arb unit"}
    | {"arb units", "arb.unit", "arb.units", "arbitrary", "arbitrary unit", "arbitrary units"}
    | {"#", "adu"}
)
_LONGEST = 64
_NAME = r"[A-Za-zµμ°ΩÅ℃%_]+"
_FACTOR = rf"(?:1|{_NAME}(?:\s*(?:\^|\*\*)\s*\(?[+-]?\d{{1,2}}\)?)?)"
_EXPRESSION = re.compile(rf"\(?{_FACTOR}\)?(?:\s*(?:\*|/|·|\s)\s*\(?{_FACTOR}\)?)*")
_SUPERSCRIPTS = re.compile(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_PLAIN = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_BARE_POWER = re.compile(r"(?<=[A-Za-zµμΩ])([+-]?\d{1,2})(?![\d.])")
_SPELLINGS = {
    "Angstroem": "angstrom",
    "angstroem": "angstrom",
    "Ang": "angstrom",
    "C": "degC",
    "F": "degF",
    "deg C": "degC",
    "deg F": "degF",
    "deg_C": "degC",
    "degree C": "degC",
    "Deg C": "degC",
    "℃": "degC",
    "pct": "percent",
}
_TEMPERATURES = frozenset({"C", "F"})


def same(first: str, second: str) -> bool:
    """Whether two units are one without any arithmetic."""
    return first.strip() == second.strip() or (_is_number(first) and _is_number(second))


def convert(values: NDArray[np.float64], found: str, wanted: str) -> NDArray[np.float64]:
    """Convert values, in place, from one unit to another.

    Parameters
    ----------
    values
        Float64, any shape; the caller's own, for it is written to.
    found, wanted
        The file's unit and the experiment's.

    Raises
    ------
    DataError
        One of them is no unit, or they measure different things; without a file's name,
        which the caller puts before it.
    """
    if same(found, wanted):
        return values
    for unit, other in ((found, wanted), (wanted, found)):
        if unit.strip().lower() in ARBITRARY:
            raise DataError(
                f"units {found!r} cannot be converted to {wanted!r}: {unit!r} "
                f"is arbitrary; declare the same, or leave units away, for {other!r}"
            )
    source, target = _parse(found, wanted), _parse(wanted, found)
    try:
        quantity = _registry().Quantity(values, source)
        quantity.ito(target)
    except _pint_error() as error:
        raise DataError(
            f"units {found!r} cannot be converted to {wanted!r}: "
            f"{_dimension(source)} is not {_dimension(target)}"
        ) from error
    return np.asarray(quantity.magnitude, dtype=np.float64)


def is_unit(unit: str) -> bool:
    """Whether a text is a unit that can be converted, or means none."""
    if _is_number(unit):
        return True
    try:
        _parse(unit, "")
    except DataError:
        return False
    return True


def _is_number(unit: str) -> bool:
    return unit.strip().lower() in DIMENSIONLESS | ARBITRARY


@functools.cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()


def _pint_error() -> type[Exception]:
    import pint

    return pint.PintError


@functools.lru_cache(maxsize=256)
def _parse(unit: str, other: str) -> Any:
    """Make a unit that pint understands; `other` tells whether C means Celsius or coulomb."""
    spelling = unit.strip()
    if spelling.lower() in DIMENSIONLESS:
        spelling = ""
    elif spelling not in _TEMPERATURES or _is_temperature(other):
        spelling = _SPELLINGS.get(spelling, spelling)
    spelling = _SUPERSCRIPTS.sub(lambda power: power[0].translate(_PLAIN), spelling)
    spelling = _BARE_POWER.sub(r"**\1", spelling)
    if len(spelling) > _LONGEST or (spelling and not _EXPRESSION.fullmatch(spelling)):
        raise DataError(
            f"units {unit[:_LONGEST]!r} are not understood: expected names such as "
            "'mV', 'degree', 'mol/L' or 'm/s^2'"
        )
    candidates = [spelling, spelling.lower()] if len(spelling) > 3 else [spelling]
    for candidate in candidates:
        try:
            return _registry().parse_units(candidate.replace("·", "*").replace("μ", "µ"))
        except Exception:
            continue
    raise DataError(f"units {unit!r} are unknown; expected a unit such as 'mV', 's' or 'percent'")


def _is_temperature(unit: str) -> bool:
    return unit.strip() in {"K", "kelvin", "Kelvin", "degC", "degF", "celsius", "Celsius", "°C"}


def _dimension(unit: Any) -> str:
    return str(unit.dimensionality).strip("[]").replace("] ", " ").replace(" [", " ")
