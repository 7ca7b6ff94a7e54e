"""A file of deployments → the store, all of it or nothing: one bad entry spoils the import unless it is to be skipped.

What was imported before is known and not added again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ..deployed import Deployment
from ..errors import FatalError
from ..i18n import _
from .changes import Change
from .deployments import Deployments
from .entries import Entry, Reading, noon
from .package import is_package, read_package
from .sheets import read_sheet
from .waypoints import read_waypoints

MOST_WARNED = 200  # positions compared with others; more tell nothing new


@dataclass(slots=True)
class Taken:
    """What came of an import. known: were there already. faults: one line each; warnings: odd, but taken."""

    added: list[Deployment] = field(default_factory=list)
    known: int = 0
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_file(path: Path, how: Reading) -> list[Entry]:
    """The entries of a CSV or GPX file or of a Camtrap DP. Raises FatalError, naming the file."""
    if not path.exists():
        raise FatalError(_("{path}: no such file or folder").format(path=path))
    if path.suffix.lower() == ".gpx":
        return read_waypoints(path, how)
    if is_package(path):
        return read_package(path, how)
    return read_sheet(path, how)


def take_in(site: Deployments, entries: Sequence[Entry], *, skip_bad: bool = False) -> Taken:
    """Add what the entries say, all at once. With a fault nothing is added, unless bad ones are skipped.

    Entries are compared with those above them and with all that is in the store.
    """
    done, by_station, ids = Taken(), dict[str, list[Deployment]](), dict[str, Deployment]()
    for each in site.all():
        by_station.setdefault(each.station, []).append(each)
        ids[each.id] = each
    for entry in _without_shared_days(site, entries):
        if entry.deployment is None:
            done.faults.append(f"{entry.place}: {entry.fault}")
            continue
        new, here = entry.deployment, by_station.setdefault(entry.deployment.station, [])
        if any(_is_known(site, new, old) for old in here):
            done.known += 1
            continue
        new = site.completed(new, here)
        elsewhere = [ids[new.id]] if new.id in ids and ids[new.id] not in here else []
        if faults := site.faults(new, [*here, *elsewhere]):
            done.faults += [f"{entry.place}: {fault}" for fault in faults]
            continue
        here.append(new)
        ids[new.id] = new
        done.added.append(new)
    if done.faults and not skip_bad:
        done.added = []
    if done.added:
        site.write([Change(None, each) for each in done.added])
    everywhere = list({(each.latitude, each.longitude): each for each in ids.values()}.values())[:MOST_WARNED]
    for each in done.added:
        done.warnings += site.warnings(each, everywhere)
    return done


def _is_known(site: Deployments, new: Deployment, old: Deployment) -> bool:
    """Whether a file says what is there: all of it, or the time of one that it knows by the same id."""
    if new.id:
        return (new.id, new.started_at, new.ended_at) == (old.id, old.started_at, old.ended_at)
    return site.completed(replace(new, id=old.id)) == old


def _without_shared_days(site: Deployments, entries: Sequence[Entry]) -> list[Entry]:
    """The same; where one ends on the day on which the next begins, both without a time of day, they meet at noon."""
    starts: dict[tuple[str, date], int] = {}
    for number, entry in enumerate(entries):
        if entry.deployment is not None and entry.starts_on is not None:
            starts[entry.deployment.station, entry.starts_on] = number
    found = list(entries)
    for number, entry in enumerate(entries):
        if entry.deployment is None or entry.ends_on is None or entry.starts_on == entry.ends_on:
            continue
        following = starts.get((entry.deployment.station, entry.ends_on))
        if following is None or following == number:
            continue
        at = noon(entry.ends_on, site.zone_of(entry.deployment))
        before, after = found[number].deployment, found[following].deployment
        assert before is not None
        assert after is not None
        found[number] = replace(found[number], deployment=replace(before, ended_at=at))
        found[following] = replace(found[following], deployment=replace(after, started_at=at))
    return found
