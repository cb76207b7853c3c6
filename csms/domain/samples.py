"""Meter values as chargers send them, made into samples in base units, and what a group of samples says.

1.6 sends text with a unit, 2.x numbers with a unit and a power of ten. What is no number stays as text, so nothing
is lost.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from csms.domain.messages import ChargerMessage
from csms.domain.model import Flag, Sample
from csms.domain.payloads import MAX_MAGNITUDE, mapping, mappings, number, text
from csms.domain.times import device_time

REGISTER = "Energy.Active.Import.Register"
INTERVAL = "Energy.Active.Import.Interval"
POWER = "Power.Active.Import"
SOC = "SoC"
BEGIN = "Transaction.Begin"
END = "Transaction.End"

MAX_SAMPLES = 10_000
"""Samples taken from one message: a day of minutes with seven measurands."""
MAX_RAW = 32_768
"""Characters of signed meter data (2.1's limit)."""

_PERIODIC, _OUTLET = "Sample.Periodic", "Outlet"
_SAID = frozenset({REGISTER, INTERVAL, POWER, SOC})
_LOCATIONS = (_OUTLET, "Cable", "Inlet", "EV", "Body")
"""From the car's plug outwards."""
_FAHRENHEIT_OFFSET, _KELVIN_OFFSET = 32.0, 273.15


def _times(factor: float) -> Callable[[float], float]:
    return lambda value: value * factor


_KILO = _times(1000.0)
_UNITS: dict[str, tuple[str, Callable[[float], float]]] = {
    "kwh": ("Wh", _KILO),
    "mwh": ("Wh", _times(1_000_000.0)),
    "wh": ("Wh", _times(1.0)),
    "kvarh": ("varh", _KILO),
    "kvah": ("VAh", _KILO),
    "kw": ("W", _KILO),
    "w": ("W", _times(1.0)),
    "kva": ("VA", _KILO),
    "kvar": ("var", _KILO),
    "kv": ("V", _KILO),
    "ka": ("A", _KILO),
    "k": ("Celsius", lambda value: value - _KELVIN_OFFSET),
    "fahrenheit": ("Celsius", lambda value: (value - _FAHRENHEIT_OFFSET) / 1.8),
    "celcius": ("Celsius", _times(1.0)),
    "celsius": ("Celsius", _times(1.0)),
}
"""By the unit in lower case: base unit, and how to get there. 1.6 itself spells "Celcius"; "MWh" are never milliwatt
hours."""

_DEFAULT_UNITS = (
    ("Energy.Reactive", "varh"),
    ("Energy.Apparent", "VAh"),
    ("Energy", "Wh"),
    ("Power.Factor", ""),
    ("Power.Reactive", "var"),
    ("Power", "W"),
    ("Current", "A"),
    ("Voltage", "V"),
    ("Temperature", "Celsius"),
    ("Frequency", "Hertz"),
    ("SoC", "Percent"),
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whose samples these are."""

    charger_id: int
    evse_id: int = 0
    connector_id: int = 0
    session_id: int = 0


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of a message, in its order, and what was odd about their times."""

    samples: Sequence[Sample]
    flags: frozenset[Flag]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples of one moment and context say of charging; None where they say nothing. Wh, W, percent."""

    at: datetime
    context: str = ""
    register_wh: float | None = None
    interval_wh: float | None = None
    power_w: float | None = None
    soc_percent: float | None = None

    @property
    def says_something(self) -> bool:
        return any(value is not None for value in (self.register_wh, self.interval_wh, self.power_w, self.soc_percent))


def take_samples(values: Iterable[Mapping[str, Any]], message: ChargerMessage, place: Place) -> Taken:
    """The samples in ``meterValue`` or ``transactionData``, of any version; what is not readable at all is left out."""
    samples: list[Sample] = []
    flags: set[Flag] = set()
    for value in values:
        moment = device_time(value.get("timestamp"), message.timestamp)
        flags |= moment.flags
        for sampled in mappings(value, "sampledValue"):
            if len(samples) >= MAX_SAMPLES:
                return Taken(samples=samples, flags=frozenset(flags))
            samples.append(_sample(sampled, moment.at, message.timestamp, place))
    return Taken(samples=samples, flags=frozenset(flags))


def readings(samples: Iterable[Sample]) -> list[Reading]:
    """What the samples say, for each moment and context, in the order of time."""
    moments: dict[tuple[datetime, str], dict[str, list[Sample]]] = {}
    for sample in samples:
        group = moments.setdefault((sample.sampled_at, sample.context), {})
        if sample.measurand in _SAID and sample.value is not None:
            group.setdefault(sample.measurand, []).append(sample)
    made = [
        Reading(
            at=at,
            context=context,
            register_wh=_total(group.get(REGISTER)),
            interval_wh=_total(group.get(INTERVAL)),
            power_w=_total(group.get(POWER)),
            soc_percent=_total(group.get(SOC)),
        )
        for (at, context), group in moments.items()
    ]
    return made if len(made) < 2 else sorted(made, key=lambda reading: reading.at)


def _sample(sampled: Mapping[str, Any], at: datetime, received_at: datetime, place: Place) -> Sample:
    measurand = text(sampled, "measurand", 64) or REGISTER
    value, unit, raw = _measured(sampled, measurand)
    return Sample(
        charger_id=place.charger_id,
        session_id=place.session_id,
        evse_id=place.evse_id,
        connector_id=place.connector_id,
        sampled_at=at,
        received_at=received_at,
        measurand=measurand,
        phase=text(sampled, "phase", 16),
        context=text(sampled, "context", 32) or _PERIODIC,
        location=text(sampled, "location", 16) or _OUTLET,
        value=value,
        unit=unit,
        raw_value=raw,
    )


def _measured(sampled: Mapping[str, Any], measurand: str) -> tuple[float | None, str, str]:
    """Value and unit, both base, and the raw text where it must be kept."""
    measure = mapping(sampled, "unitOfMeasure")
    unit = text(sampled, "unit", 20) or text(measure, "unit", 20) or _default_unit(measurand)
    if sampled.get("format") == "SignedData":
        return None, unit, text(sampled, "value", MAX_RAW)
    signed = text(mapping(sampled, "signedMeterValue"), "signedMeterData", MAX_RAW)
    value = _scaled(number(sampled.get("value")), number(measure.get("multiplier", 0)))
    base, convert = _UNITS.get(unit.lower(), (unit, None))
    if value is not None and convert is not None:
        value = _scaled(convert(value), 0.0)
    if value is None:
        return None, unit, signed or text(sampled, "value", MAX_RAW)
    return value, base, signed


def _scaled(value: float | None, multiplier: float | None) -> float | None:
    """``value`` times ten to the ``multiplier``; None when that leaves what a meter can show."""
    if value is None or multiplier is None or abs(multiplier) > 15:
        return None
    if multiplier:
        # Division by a power of ten is exact where multiplication by its inverse is not.
        value = value * 10**multiplier if multiplier > 0 else value / 10**-multiplier
    return value if abs(value) <= MAX_MAGNITUDE else None


@functools.lru_cache(maxsize=256)
def _default_unit(measurand: str) -> str:
    return next((unit for prefix, unit in _DEFAULT_UNITS if measurand.startswith(prefix)), "")


def _total(found: Sequence[Sample] | None) -> float | None:
    """The value without a phase, or the sum over the phases, at the place nearest to the car's plug."""
    if not found:
        return None
    if len(found) == 1 and not found[0].phase and found[0].location in _LOCATIONS:
        return found[0].value
    for location in _LOCATIONS:
        here = {sample.phase: sample.value for sample in found if sample.location == location}
        for phases in (("",), ("L1", "L2", "L3"), ("L1-N", "L2-N", "L3-N")):
            values = [value for phase in phases if (value := here.get(phase)) is not None]
            if values:
                return sum(values)
    return None
