"""datapackage.json of Camtrap DP 1.0.2: what the data set says of itself.

What the site says under `dataset:` stands first. Where it says nothing and all that is exported came with one imported
data set, that one's words stand; else the site's name and defaults.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from edge.api import Contributor, Dataset, Services, Taxon, all_taxa

from .camtrap_columns import HOME, TABLES
from .found import HUMAN, ranks_of


def describe(
    services: Services,
    *,
    only_imported: bool,
    methods: Iterable[str],
    places: list[tuple[float, float]],
    span: tuple[datetime, datetime] | None,
    taxa: Mapping[str, Taxon | None],
) -> dict[str, Any]:
    """The content of datapackage.json. only_imported: every frame of the export came with an imported data set.

    span: first start and last end of the deployments; None without any.
    """
    context, now = services.exporting, services.clock.now().astimezone(UTC)
    head = {
        "resources": [_resource(name) for name in TABLES],
        "profile": f"{HOME}/camtrap-dp-profile.json",
        "created": now.replace(microsecond=0).isoformat().replace("+00:00", "Z"),
    }
    stated = _stated(services) if only_imported else None
    body = dict(stated) if stated is not None else _by_site(context.dataset or Dataset(), services, sorted(methods))
    first, last = span or (now, now)
    if span is not None or not body.get("temporal"):
        days = [each.astimezone(UTC).date().isoformat() for each in (first, last)]
        body["temporal"] = {"start": days[0], "end": days[1]}
    body["spatial"] = _spatial(places)
    named = {each.get("scientificName"): each for package in context.packages for each in package.get("taxonomic", ())}
    body["taxonomic"] = [named.get(name) or _taxonomic(name, taxa[name]) for name in sorted(taxa)]
    return head | {name: value for name, value in body.items() if name not in head}


def _stated(services: Services) -> Mapping[str, Any] | None:
    context = services.exporting
    return context.packages[0] if context.dataset is None and len(context.packages) == 1 else None


def _by_site(said: Dataset, services: Services, methods: list[str]) -> dict[str, Any]:
    name = services.site_name or "tigrillo"
    title = said.title or name
    licences = [("data", said.licence_data), ("media", said.licence_media)]
    project = {
        "id": said.project_id,
        "title": said.project or title,
        "acronym": said.acronym,
        "samplingDesign": said.sampling_design,
        "captureMethod": methods or ["activityDetection"],
        "individualAnimals": said.individual_animals,
        "observationLevel": ["media", "event"],
    }
    body: dict[str, Any] = {
        "id": said.id,
        "title": title,
        "contributors": [_contributor(each) for each in said.contributors] or [{"title": name, "role": "contributor"}],
        "description": said.description,
        "version": said.version,
        "keywords": list(said.keywords),
        "homepage": said.homepage,
        "licenses": [{"name": licence, "scope": scope} for scope, licence in licences if licence],
        "bibliographicCitation": said.citation,
        "project": {key: value for key, value in project.items() if value not in ("", None)},
        "spatial": {},
        "temporal": {},
        "taxonomic": [],
    }
    return {key: value for key, value in body.items() if value or key in {"spatial", "temporal", "taxonomic"}}


def _contributor(each: Contributor) -> dict[str, str]:
    said = {"title": each.name, "email": each.email, "path": each.path, "role": each.role}
    said["organization"] = each.organisation
    return {key: value for key, value in said.items() if value}


def _spatial(places: list[tuple[float, float]]) -> dict[str, Any]:
    if not places:
        return {"type": "GeometryCollection", "geometries": []}
    south, north = min(lat for lat, _lon in places), max(lat for lat, _lon in places)
    west, east = min(lon for _lat, lon in places), max(lon for _lat, lon in places)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "bbox": [west, south, east, north], "coordinates": [ring]}


def _resource(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": f"{HOME}/{name}-table-schema.json",
    }


def _taxonomic(name: str, taxon: Taxon | None) -> dict[str, Any]:
    if name == HUMAN:
        names = {"eng": "human", "spa": "humano"}
        return {"scientificName": name, "taxonRank": "species", "kingdom": "Animalia", "vernacularNames": names}
    taxon = taxon or all_taxa().get(name)
    if taxon is None:
        return {"scientificName": name}
    ranks = {rank: each for rank, each in ranks_of(taxon).items() if each}
    common = {code: each for code, each in (("eng", taxon.english), ("spa", taxon.spanish)) if each}
    found = {"scientificName": name, "taxonRank": taxon.rank, **ranks}
    return {**found, "vernacularNames": common} if common else found
