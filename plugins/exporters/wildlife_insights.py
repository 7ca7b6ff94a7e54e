"""Exporter `wildlife-insights`: projects.csv, cameras.csv, deployments.csv and images.csv of its batch upload.

images.csv has a row for each taxon on a picture, and one for a picture on which nothing was found. What the record does
not know, and the template wants from the people, is left empty or stands as what is usual: see docs/exports.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.api import (
    Detection,
    Exporter,
    ExporterSpec,
    Outcome,
    Services,
    describe_lineage,
    hookimpl,
    mark,
)

from .bundle import open_bundle
from .found import Table, blank_or_why, later, local, media_id, models_used, when
from .stays import Stay, Stays

PROJECTS = (
    *("project_id", "project_name", "project_short_name", "project_objectives", "project_species"),
    *("project_species_individual", "project_sensor_layout", "project_sensor_layout_targeted_type"),
    *("project_bait_use", "project_bait_type", "project_stratification", "project_stratification_type"),
    *("project_sensor_method", "project_individual_animals", "project_blank_images", "project_sensor_cluster"),
    *("project_admin", "project_admin_email", "project_admin_organization", "country_code", "embargo"),
    *("initiative_id", "metadata_license", "image_license", "project_type"),
)
CAMERAS = ("project_id", "camera_id", "make", "model", "serial_number", "year_purchased")
DEPLOYMENTS = (
    *("project_id", "deployment_id", "subproject_name", "subproject_design", "placename", "longitude", "latitude"),
    *("start_date", "end_date", "event_name", "event_description", "event_type", "bait_type", "bait_description"),
    *("feature_type", "feature_type_methodology", "camera_id", "quiet_period", "camera_functioning"),
    *("sensor_height", "height_other", "sensor_orientation", "orientation_other", "recorded_by", "plot_treatment"),
    *("plot_treatment_description", "detection_distance"),
)
IMAGES = (
    *("project_id", "deployment_id", "image_id", "location", "identified_by", "wi_taxon_id", "class", "order"),
    *("family", "genus", "species", "common_name", "uncertainty", "timestamp", "number_of_objects", "highlighted"),
    *("age", "sex", "animal_recognizable", "individual_id", "individual_animal_notes", "behavior", "markings"),
)
TABLES: Mapping[str, tuple[str, ...]] = {
    "projects": PROJECTS,
    "cameras": CAMERAS,
    "deployments": DEPLOYMENTS,
    "images": IMAGES,
}
# Wildlife Insights' own ids of what is no taxon; its taxonomy gives those of taxa by name.
BLANK = ("f1856211-cfb7-4a5b-9158-c0f72fd09ee6", "", "", "", "", "", "Blank")
HUMAN = ("990ae9dd-7a59-4344-afcb-1b7b21368000", "Mammalia", "Primates", "Hominidae", "Homo", "sapiens", "Human")
VEHICLE = ("e2895ed5-780b-48f6-8a11-9e27cb594511", "", "", "", "", "", "Vehicle")
ANIMAL = ("1f689929-883d-4dae-958c-3d57ab5b6c16", "", "", "", "", "", "Animal")
FUNCTIONING = "Camera Functioning"
FEATURES: Mapping[str, str] = {  # Camtrap DP's words for what a camera looks at → the template's
    "roadpaved": "Road paved",
    "roaddirt": "Road dirt",
    "trailhiking": "Trail hiking",
    "trailgame": "Trail game",
    "roadunderpass": "Road underpass",
    "roadoverpass": "Road overpass",
    "roadbridge": "Road bridge",
    "culvert": "Culvert",
    "burrow": "Burrow",
    "nestsite": "Nest site",
    "carcass": "Carcass",
    "watersource": "Water source",
    "fruitingtree": "Fruiting tree",
}
LAYOUTS: Mapping[str, str] = {"simpleRandom": "Randomized", "systematicRandom": "Systematic", "targeted": "Targeted"}
LICENCES: Mapping[str, str] = {"CC0-1.0": "CC0", "CC-BY-4.0": "CC-BY", "CC-BY-NC-4.0": "CC-BY-NC"}
DOWNWARD_DEG = -20  # a camera that looks ahead is rarely level
HEIGHTS = ((0.75, "Knee height"), (1.5, "Chest height"))  # metres, up to; the template has no lower one


class TemplateWriter:
    """Writes the four tables."""

    def __init__(self, tables: Mapping[str, Table], services: Services) -> None:
        self._tables = tables
        self._services = services
        self._stays = Stays(services)
        self._project = services.site_name.strip().replace(" ", "-") or "tigrillo"
        self._by = models_used(services)

    def add(self, outcome: Outcome) -> None:
        """Take one recorded frame; of a clip each picture that was looked at and shows something, else the first."""
        stay = self._stays.of(outcome)
        pictures = [picture for picture in outcome.pictures if picture.detections]
        if not pictures:
            if blank_or_why(outcome)[0] == "blank":
                self._row(outcome, stay, media_id(outcome), 0.0, BLANK, 1, "")
            return
        clip = outcome.spooled.kind == "clip"
        for picture in pictures:
            number = media_id(outcome) + (f"#{picture.number}" if clip else "")
            counts: Counter[tuple[str, ...]] = Counter()
            surest: dict[tuple[str, ...], float] = {}
            for each in picture.detections:
                taxon = _taxon_columns(each)
                counts[taxon] += 1
                surest[taxon] = max(surest.get(taxon, 0.0), each.answer.score if each.answer else each.score)
            for taxon, count in counts.items():
                self._row(outcome, stay, number, picture.time_s, taxon, count, f"{1 - surest[taxon]:.4f}")

    def fail(self, name: str, reason: str) -> None:
        """Take nothing: the template has no failures."""

    def finish(self) -> None:
        """Write the tables that are only known at the end."""
        cameras: dict[str, str] = {}
        for stay in self._stays:
            noted = stay.noted
            camera = noted.camera_id if noted and noted.camera_id else stay.station
            cameras.setdefault(camera, noted.camera_model if noted else "")
            self._tables["deployments"].add(self._deployment(stay, camera))
        for camera, model in sorted(cameras.items()):
            make, _blank, kind = model.partition(" ")
            self._tables["cameras"].add((self._project, _plain(camera), make, kind, "", ""))
        self._tables["projects"].add(self._project_row())

    def _row(
        self,
        outcome: Outcome,
        stay: Stay,
        image: str,
        seconds: float,
        taxon: tuple[str, ...],
        count: int,
        uncertainty: str,
    ) -> None:
        captured = outcome.spooled.captured
        time = _stamp(later(when(outcome), seconds), captured.timezone)
        notes = "" if captured.utc is not None else "the time is that of arrival"
        values = (
            *(self._project, _plain(stay.id), _plain(image), outcome.spooled.name, self._by, *taxon),
            *(uncertainty, time, 0 if taxon is BLANK else count, 0, "", "", "", "", notes, "", ""),
        )
        self._tables["images"].add(values)

    def _deployment(self, stay: Stay, camera: str) -> tuple[Any, ...]:
        noted = stay.noted
        feature = FEATURES.get(noted.feature.lower(), "Other") if noted and noted.feature else "None"
        height, other = "Other", "not recorded"
        if noted and noted.height_m is not None:
            height = next((name for most, name in HEIGHTS if noted.height_m <= most), "Other")
            other = f"{noted.height_m:g} m" if height == "Other" else ""
        tilt = noted.tilt_deg if noted else None
        looks = "Other" if tilt is None else "Pointed Downward" if tilt <= DOWNWARD_DEG else "Parallel"
        row: dict[str, Any] = dict.fromkeys(DEPLOYMENTS, "") | {
            "project_id": self._project,
            "deployment_id": _plain(stay.id),
            "placename": stay.station,
            "longitude": stay.longitude,
            "latitude": stay.latitude,
            "start_date": _stamp(stay.start, stay.timezone),
            "end_date": _stamp(self._stays.end_of(stay), stay.timezone),
            "bait_type": ("Other" if noted.bait else "None") if noted else "None",
            "bait_description": noted.bait if noted else "",
            "feature_type": feature,
            "feature_type_methodology": noted.feature if noted and feature == "Other" else "",
            "camera_id": _plain(camera),
            "camera_functioning": FUNCTIONING,
            "sensor_height": height,
            "height_other": other,
            "sensor_orientation": looks,
            "orientation_other": "not recorded" if tilt is None else "",
            "recorded_by": noted.setup_by if noted else "",
        }
        return tuple(row[name] for name in DEPLOYMENTS)

    def _project_row(self) -> tuple[Any, ...]:
        baits = {bool(stay.noted and stay.noted.bait) for stay in self._stays}
        row: dict[str, Any] = dict.fromkeys(PROJECTS, "") | {
            "project_id": self._project,
            "project_name": self._services.site_name,
            "project_species": "Multiple",
            "project_sensor_layout": "Convenience",
            "project_bait_use": "Some" if len(baits) > 1 else "Yes" if baits == {True} else "No",
            "project_stratification": "No",
            "project_sensor_method": "Sensor Detection",
            "project_individual_animals": "No",
            "project_blank_images": "No",
            "project_sensor_cluster": "No",
            "embargo": 0,
            "project_type": "Image",
        }
        if dataset := self._services.exporting.dataset:
            contact = next(iter(dataset.contributors), None)
            row |= {
                "project_name": dataset.title or self._services.site_name,
                "project_short_name": dataset.acronym,
                "project_objectives": dataset.description,
                "project_sensor_layout": LAYOUTS.get(dataset.sampling_design, "Convenience"),
                "project_individual_animals": "Yes" if dataset.individual_animals else "No",
                "project_admin": contact.name if contact else "",
                "project_admin_email": contact.email if contact else "",
                "project_admin_organization": contact.organisation if contact else "",
                "metadata_license": LICENCES.get(dataset.licence_data, ""),
                "image_license": LICENCES.get(dataset.licence_media, ""),
            }
        return tuple(row[name] for name in PROJECTS)


def _taxon_columns(detection: Detection) -> tuple[str, ...]:
    """wi_taxon_id, class, order, family, genus, species, common_name."""
    if detection.category == "person":
        return HUMAN
    if detection.category == "vehicle":
        return VEHICLE
    if detection.answer is None:
        return ANIMAL
    number, *above, epithet, common = describe_lineage(detection.answer.taxon).split(";")
    del number  # of our own making: the upload matches taxa by their names
    return ("", *(each.capitalize() for each in above), epithet, common)


def _stamp(at: datetime, timezone: str) -> str:
    return local(at, timezone)[:19].replace("T", " ")


def _plain(text: str) -> str:
    """An id without slashes: ":" and "+" are in no station's name and in no frame's id, so different ones stay so."""
    return text.replace("/", ":").replace("#", "+")


@contextmanager
def open_export(path: Path, services: Services) -> Iterator[Exporter]:
    """A zip or folder that takes the place of `path` when the context is left without an error. Raises OSError."""
    with open_bundle(path, "wildlife-insights") as folder, ExitStack() as files:
        tables = {
            name: Table(files.enter_context((folder / f"{name}.csv").open("wb")), columns)
            for name, columns in TABLES.items()
        }
        writer = TemplateWriter(tables, services)
        yield writer
        writer.finish()
        for each in tables.values():
            each.flush()
        files.close()


@hookimpl
def tigrillo_exporters() -> Iterable[ExporterSpec]:
    """The format `wildlife-insights`."""
    about = mark("the four tables of Wildlife Insights' batch upload: a zip or a folder")
    return [ExporterSpec("wildlife-insights", ".zip", open_export, about, folder=True, raw_classes=False, counted=True)]
