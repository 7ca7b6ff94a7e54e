"""Guessing is slowed down: by name and by address, longer with each failure, over restarts (table `throttle`).

A try is counted before the password is looked at, so that a hundred at once are a hundred (a Store writes one
transaction at a time); a log-in takes its count back. Refused tries cost nothing and count for nothing. Nobody is
locked out for good:

- by name, over all addresses: 5 tries, then 1 s, 2 s, … a minute at most. Who knows the name of somebody can make them
  wait for as long as they go on, in a browser that is new to them only: one in which they logged in before has a count
  of its own (its device cookie), and a link for a new password lets them in at once. A minute is 1440 tries a day
  against a password of 10 characters and more.
- by address (IPv6: its /64): 20 tries, because a station's people share one, then up to 15 minutes.
- setup codes, links and mails asked for: by address as above.

An hour without a try forgives. A new password by link forgives the name.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Request
from sqlalchemy import Connection, delete, select, update

from edge.store.dialects import upsert
from edge.store.users import LONGEST_NAME, key_of
from edge.store.web_schema import throttle

FORGIVEN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tries are free, and how long the longest wait is; the first wait is 1 s, and each is twice the last."""

    free: int
    longest: timedelta

    def wait(self, failures: int) -> timedelta:
        """After so many failures."""
        if failures < self.free:
            return timedelta()
        return min(timedelta(seconds=2.0 ** min(failures - self.free, 30)), self.longest)


BY_NAME = Limit(5, timedelta(minutes=1))
BY_ADDRESS = Limit(20, timedelta(minutes=15))
BY_DEVICE = Limit(5, timedelta(minutes=15))
BY_MAIL = Limit(2, timedelta(minutes=30))  # mails that one address is sent


def of_user(name: str) -> str:
    """The count of a name, whether or not somebody has it."""
    return f"user/{key_of(name)[:LONGEST_NAME]}"


def of_address(request: Request) -> str:
    """The count of where a request comes from."""
    return f"address/{network_of(request.client.host if request.client else '')}"


def network_of(host: str) -> str:
    """The address; of IPv6 the /64 that one customer has."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def count(connection: Connection, tries: dict[str, Limit], now: datetime) -> timedelta:
    """Count one try under each of these names; how long to wait instead, 0 when it may be made.

    When one of them has to wait nothing is counted.
    """
    connection.execute(delete(throttle).where(throttle.c.last_at < now - FORGIVEN))
    rows = connection.execute(select(throttle).where(throttle.c.name.in_(tries))).mappings()
    found = {row["name"]: row for row in rows}
    waits: list[timedelta] = [row["until"] - now for row in found.values() if row["until"] and row["until"] > now]
    if waits:
        return max(waits)
    for name, limit in tries.items():
        failures = (found[name]["failures"] if name in found else 0) + 1
        wait = limit.wait(failures)
        values = {"failures": failures, "last_at": now, "until": now + wait if wait else None}
        row = upsert(connection, throttle).values(name=name, **values)
        connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))
    return timedelta()


def forgive(connection: Connection, *names: str) -> None:
    """These were no failures."""
    connection.execute(delete(throttle).where(throttle.c.name.in_(names)))


def take_back(connection: Connection, name: str, limit: Limit) -> None:
    """One try less: it was none. Other failures of that address stay, so that an own account washes nothing clean."""
    row = connection.execute(select(throttle).where(throttle.c.name == name)).mappings().first()
    if row is not None:
        left = max(0, row["failures"] - 1)
        values = {"failures": left, "until": row["until"] if limit.wait(left) else None}
        connection.execute(update(throttle).where(throttle.c.name == name).values(values))
