"""What the first run asks about the site, and how it gets into site.yaml: checked, written by the daemon or by us."""

import re
import unicodedata
from dataclasses import dataclass, replace

from edge.chores import apply_proposal
from edge.configuring.editing import add_item, set_value
from edge.configuring.proposal import propose, read_site
from edge.errors import EdgeError
from edge.fieldwork.places import known_zones
from edge.i18n import LANGUAGES, mark
from edge.paths import is_safe_name

from ..web import Web

POSITION = re.compile(r"([+-]?\d{1,2}(?:[.,]\d+)?)[\s°]*[;,\s][\s°]*([+-]?\d{1,3}(?:[.,]\d+)?)[\s°]*", re.ASCII)
LONGEST = 100  # of a site's name, and of a position


@dataclass(frozen=True, slots=True)
class FirstSite:
    """As it was typed. station: "" for none yet. position: "4.60971, -74.08175", "" where it is not known."""

    name: str
    language: str
    timezone: str
    station: str = ""
    position: str = ""


def fault_of(site: FirstSite) -> tuple[str, str]:
    """(field, what is wrong with it, marked); two times "" when all is well."""
    if not site.name.strip() or len(site.name) > LONGEST or not site.name.isprintable():
        return "site", mark("A site has a name of 1 to 100 letters.")
    if site.language not in LANGUAGES:
        return "language", mark("Choose one of the languages.")
    if site.timezone not in known_zones():
        return "timezone", mark("This is no time zone: choose one of the list, such as America/Bogota.")
    if site.station and not is_safe_name(site.station):
        return "station", mark("A station's name has letters, digits, “_”, “-” and “.” only, 64 at most.")
    if site.position.strip() and _point(site.position) is None:
        return "position", mark("Write latitude and longitude in degrees, such as 4.60971, -74.08175.")
    return "", ""


def put_in(web: Web, site: FirstSite, *, who: str) -> tuple[str, bool]:
    """Change site.yaml to this. Returns (what went wrong, or ""; whether daemon and page start anew with it now)."""
    try:
        text, base = read_site(web.plan.path)
        for key, value in (("name", site.name.strip()), ("language", site.language), ("timezone", site.timezone)):
            if getattr(web.plan.file.site, key) != value:
                text = set_value(text, ("site", key), value)
        if site.station and site.station not in web.plan.stations:
            text = add_item(text, ("stations",), _entry(site))
        proposal = propose(web.plan.path, text, web.registry, base=base)
        if proposal.faults:
            return "\n".join(proposal.faults), False
        if not proposal.diff:
            return "", False
        change = apply_proposal(web.plan, proposal, who=who, why="first run", clock=web.clock)
    except EdgeError as exc:
        return str(exc), False
    return "", not change.is_over


def as_it_is(web: Web) -> FirstSite:
    """What the site says now."""
    site = web.plan.file.site
    return FirstSite(site.name, site.language, site.timezone)


def folder_of(web: Web) -> str:
    """The folder whose subfolders are stations; "" where no source watches one."""
    for spec, config in web.plan.sources:
        if spec.name == "watch" and not getattr(config, "station", None):
            return str(getattr(config, "folder", ""))
    return ""


def cleaned(site: FirstSite) -> FirstSite:
    """Without what people type around it; a station "Río 1" is called Rio-1."""
    plain = "".join(each for each in unicodedata.normalize("NFD", site.station) if not unicodedata.combining(each))
    return replace(
        site, name=site.name.strip(), timezone=site.timezone.strip(), station=plain.strip().replace(" ", "-")
    )


def _entry(site: FirstSite) -> dict[str, object]:
    point = _point(site.position)
    place = {"latitude": point[0], "longitude": point[1]} if point else {}
    return {"name": site.station, **place}


def _point(text: str) -> tuple[float, float] | None:
    found = POSITION.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found is None:
        return None
    latitude, longitude = (float(each.replace(",", ".")) for each in found.groups())
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None
