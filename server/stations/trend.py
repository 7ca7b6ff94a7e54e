"""Batteries that fall: today's charge beside that of the same hour on the three days before.

A solar panel makes a battery rise by day and fall by night, so only the same hour of other days compares. One that was
lower on each day than the day before, by more than the noise of its chip, is falling; the mean of the three says when
it reaches the limit below which it counts as empty. Nothing is said where a day has no reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, select

from edge.alerts.heartbeat import HEALTH_GOOD_FOR, HeartbeatConfig
from edge.store.schema import station_health, station_state

DAY = timedelta(days=1)
DAYS = 3
WITHIN = timedelta(hours=2)  # of the hour that is compared
LEAST_FALL = {"volts": 0.02, "percent": 1.0}  # a day: less than this is the chip's and the temperature's doing
LONGEST = 60.0  # days that are told; farther ahead the weather decides


@dataclass(frozen=True, slots=True)
class Falling:
    """A battery. unit: volts or percent. per_day: what it loses. days_left: until `least`, None where none is set."""

    unit: str
    value: float
    per_day: float
    least: float | None = None

    @property
    def days_left(self) -> float | None:
        """Days until it reaches the limit, 0 when it is below; None when that is unknown or far."""
        if self.least is None:
            return None
        left = max(0.0, (self.value - self.least) / self.per_day)
        return left if left <= LONGEST else None


def falling_batteries(connection: Connection, config: HeartbeatConfig, now: datetime) -> dict[str, Falling]:
    """Station → its battery, of those that fall. One statement, three steps of an index a station."""
    columns: list[Any] = [station_state.c.station, station_state.c.health]
    for day in range(1, DAYS + 1):
        since = now - day * DAY
        columns.append(
            select(station_health.c.health)
            .where(
                station_health.c.station == station_state.c.station,
                station_health.c.received_at >= since,
                station_health.c.received_at < since + WITHIN,
            )
            .order_by(station_health.c.received_at)
            .limit(1)
            .scalar_subquery()
            .label(f"day{day}")
        )
    query = select(*columns).where(station_state.c.health_at >= now - HEALTH_GOOD_FOR)
    found = {}
    for station, *health in connection.execute(query):
        if fall := fall_of(health, config, station):
            found[station] = fall
    return found


def fall_of(health: list[Mapping[str, Any] | None], config: HeartbeatConfig, station: str) -> Falling | None:
    """What falls in these readings, the newest first; None when nothing does."""
    for unit in ("volts", "percent"):
        values = [charge_of(each, unit) for each in health]
        known = [each for each in values if each is not None]
        if len(known) != len(values):
            continue
        if all(older > newer for newer, older in pairwise(known)):
            per_day = (known[-1] - known[0]) / DAYS
            if per_day >= LEAST_FALL[unit]:
                return Falling(unit, known[0], per_day, _least(config, station, unit))
    return None


def charge_of(health: Mapping[str, Any] | None, unit: str) -> float | None:
    """The battery's volts or percent, as an agent said; None when it did not. The chip named battery, else any."""
    if not health:
        return None
    chips = [health["battery"]] if isinstance(health.get("battery"), Mapping) else list(health.values())
    for chip in chips:
        value = chip.get(unit) if isinstance(chip, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def _least(config: HeartbeatConfig, station: str, unit: str) -> float | None:
    if unit == "percent":
        return config.battery_percent
    return config.of(station).battery_v or config.battery_v
