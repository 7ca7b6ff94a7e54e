"""The options of `tigrillo deployments add` and `change`, and what they mean for a deployment."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import FatalError
from ..i18n import _

if TYPE_CHECKING:
    from ..deployed import Deployment
    from ..fieldwork.deployments import Deployments

EMPTY: dict[str, Any] = {
    **dict.fromkeys(("lat", "lon", "uncertainty", "height", "tilt", "heading", "timelapse")),
    **dict.fromkeys(("camera", "model", "bait", "feature", "habitat", "setup-by", "comments", "timezone"), ""),
    "tags": (),
    "problems": None,
    "end": None,
}
FIELDS = {
    "lat": "latitude",
    "lon": "longitude",
    "uncertainty": "uncertainty_m",
    "camera": "camera_id",
    "model": "camera_model",
    "height": "height_m",
    "tilt": "tilt_deg",
    "heading": "heading_deg",
    "setup-by": "setup_by",
    "end": "ended_at",
}

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help=_("A deployment's id, or the name of a station whose last one is meant."))
]
StartOption = Annotated[str, typer.Option(help=_("When it was set up: 2026-11-01T14:30 or 2026-11-01; now."))]
EndOption = Annotated[str, typer.Option(help=_("When it was taken down; left out while it stands. A day: its end."))]
LatOption = Annotated[str, typer.Option(help=_("Latitude, degrees; south is negative. Left out: the station's."))]
LonOption = Annotated[str, typer.Option(help=_("Longitude, degrees; west is negative."))]
UncertaintyOption = Annotated[float | None, typer.Option(help=_("How far off the position may be, metres."))]
CameraOption = Annotated[str, typer.Option(help=_("The camera's number or name."))]
ModelOption = Annotated[str, typer.Option(help=_("Make and model of the camera."))]
HeightOption = Annotated[float | None, typer.Option(help=_("Height above the ground, metres."))]
TiltOption = Annotated[float | None, typer.Option(help=_("Tilt, degrees; up is positive."))]
HeadingOption = Annotated[float | None, typer.Option(help=_("Where it looks: degrees from north, clockwise."))]
BaitOption = Annotated[str, typer.Option(help=_("Bait or lure."))]
FeatureOption = Annotated[str, typer.Option(help=_("What it looks at: trailGame, roadDirt, waterSource, burrow …"))]
HabitatOption = Annotated[str, typer.Option(help=_("Habitat."))]
SetupByOption = Annotated[str, typer.Option(help=_("Who set it up."))]
TagOption = Annotated[list[str] | None, typer.Option(help=_("A tag; may be given again."))]
CommentsOption = Annotated[str, typer.Option(help=_("Comments."))]
ZoneOption = Annotated[str, typer.Option("--timezone", help=_("IANA zone of its times; left out: the station's."))]
TimelapseOption = Annotated[
    float | None, typer.Option(help=_("It takes a picture every so many minutes, whatever happens."))
]
ProblemOption = Annotated[
    list[str] | None,
    typer.Option(help=_('When it did not work: "2026-11-12/2026-11-15 card full"; may be given again.')),
]
ByOption = Annotated[str, typer.Option("--by", help=_("Who says so; the user's name when left out."))]


# The options of `add` and `change` by their names there.
GIVEN = {
    *("start", "end", "lat", "lon", "uncertainty", "camera", "model", "height", "tilt", "heading", "bait"),
    *("feature", "habitat", "setup_by", "tag", "comments", "timelapse", "problem"),
}
SAME = ("bait", "feature", "habitat", "setup_by", "comments")


def given_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's options that say something of a deployment and were given."""
    return {name: value for name, value in options.items() if name in GIVEN and value not in ("", None, [])}


def values_of(work: "Deployments", old: "Deployment", given: dict[str, Any]) -> dict[str, Any]:
    """Options → fields of a deployment. Raises FatalError, naming the option."""
    zone = work.zone_of(old)
    found: dict[str, Any] = {name: given[name] for name in SAME if name in given}
    found |= {FIELDS[name]: given[name] for name in FIELDS if name in given and name not in ("lat", "lon", "end")}
    for name in ("lat", "lon"):
        if name in given:
            found[FIELDS[name]] = _degrees(given[name], name)
    if "start" in given:
        found["started_at"] = moment_of(given["start"], zone, "--start")
    if "end" in given:
        found["ended_at"] = moment_of(given["end"], zone, "--end", end=True)
    if "tag" in given:
        found["tags"] = tuple(given["tag"])
    details = dict(old.details)
    if "timelapse" in given:
        details["timelapse_min"] = given["timelapse"]
    if "problem" in given:
        details["problems"] = [*details.get("problems", []), *(_problem(each, zone) for each in given["problem"])]
    return {**found, "details": details} if details != old.details else found


def cleared(old: "Deployment", names: Collection[str]) -> dict[str, Any]:
    """Fields of a deployment that are to be empty."""
    found = {FIELDS.get(name, name.replace("-", "_")): EMPTY[name] for name in names}
    found.pop("timelapse", None)
    found.pop("problems", None)
    gone = {"timelapse": "timelapse_min", "problems": "problems"}
    details = {key: value for key, value in old.details.items() if key not in [gone.get(name) for name in names]}
    return {**found, "details": details} if details != old.details else found


def moment_of(text: str, zone: str, option: str, *, end: bool = False) -> datetime:
    """When it was. option: as it is named in the error. Raises FatalError."""
    from ..fieldwork.entries import read_moment
    from ..site_file import known_zone

    try:
        return read_moment(text, known_zone(zone), end=end)[0]
    except ValueError as exc:
        raise FatalError(f"{option}: {exc}") from exc


def _degrees(text: str, name: str) -> float:
    from ..fieldwork.entries import read_degrees

    try:
        return read_degrees(text, longitude=name == "lon")
    except ValueError as exc:
        raise FatalError(f"--{name}: {exc}") from exc


def _problem(text: str, zone: str) -> list[str]:
    """FROM/UNTIL WHY → [from, until, why]."""
    from ..fieldwork.effort import PROBLEM

    span, _space, why = text.strip().partition(" ")
    since, slash, until = span.partition("/")
    if not slash:
        raise FatalError(_('--problem {text!r}: write "2026-11-12/2026-11-15 card full"').format(text=text))
    begin, end = moment_of(since, zone, "--problem"), moment_of(until, zone, "--problem", end=True)
    if end <= begin:
        raise FatalError(_("--problem {text!r}: ends before it starts").format(text=text))
    return [begin.isoformat(), end.isoformat(), why.strip() or PROBLEM]
