"""The stage `rollup`: which boxes get an answer, and which."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.api import Classification, ConfigError, Detection, ModelError, Services, StageError, Station
from edge.config import plan_from
from edge.registry import load_registry
from edge.testing import MemoryLog, check_stage_contract, fake_services, frame, spooled_frame
from plugins.stages.rollup import RollupConfig, tigrillo_stages

(SPEC,) = tigrillo_stages()
BOX = (0.1, 0.1, 0.3, 0.3)
JAGUAR = Detection("animal", 0.9, BOX, "animal", (Classification("jaguar", 0.87), Classification("leopard", 0.05)))
UNSURE = Detection("animal", 0.5, BOX, "animal", (Classification("stone wall", 0.6), Classification("hare", 0.3)))
UNSEEN = Detection("animal", 0.1, BOX, "animal")
PERSON = Detection("person", 0.9, BOX, "person")


def rolled(*detections: Detection, config: RollupConfig | None = None) -> tuple[Detection, ...]:
    (answer,) = check_stage_contract(SPEC, config or RollupConfig(), [frame(detections=detections)])
    return answer.detections


def test_each_classified_box_gets_its_own_answer() -> None:
    bear = Detection("animal", 0.8, BOX, "animal", (Classification("brown bear", 0.9),))

    first, second = rolled(JAGUAR, bear)

    assert first.answer is not None
    assert first.answer.taxon.scientific_name == "Felidae"
    assert second.answer is not None
    assert second.answer.taxon.scientific_name == "Ursus arctos"


def test_all_else_of_a_box_stays_as_it_was() -> None:
    (found,) = rolled(JAGUAR)

    assert (found.category, found.score, found.xywh_norm) == ("animal", 0.9, BOX)
    assert found.classifications == JAGUAR.classifications


def test_people_and_unclassified_boxes_are_left_alone() -> None:
    assert rolled(PERSON, UNSEEN) == (PERSON, UNSEEN)
    assert rolled() == ()


def test_a_box_that_is_not_surely_an_animal_has_no_answer_and_stays_an_animal_box() -> None:
    (found,) = rolled(UNSURE)

    assert found.answer is None
    assert found.category == "animal"


def test_the_sites_threshold_decides() -> None:
    (lax,) = rolled(UNSURE, config=RollupConfig(min_score=0.25))
    (strict,) = rolled(JAGUAR, config=RollupConfig(min_score=0.95))

    assert lax.answer is not None
    assert lax.answer.taxon.scientific_name == "Leporidae"
    assert strict.answer is None


def test_a_class_of_another_model_fails_the_frame_and_names_what_to_look_at() -> None:
    foreign = Detection("animal", 0.9, BOX, "animal", (Classification("leopardus pardalis", 0.9),))

    with (
        SPEC.build(RollupConfig(), None) as stage,  # type: ignore[arg-type]  # because it asks nothing of the services
        pytest.raises(StageError, match=r"rollup: taxonomy 'imagenet' has no class 'leopardus pardalis'.*models show"),
    ):
        stage(frame(detections=(foreign,)))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"taxonomy": "birds"}, "no taxonomy is called 'birds': there is imagenet"),
        ({"min_score": 0}, "greater than 0"),
        ({"min_score": 1.5}, "less than or equal to 1"),
        ({"min_score": float("nan")}, "less than or equal to 1"),
    ],
)
def test_a_wrong_option_is_refused_when_the_site_is_read(option: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RollupConfig.model_validate(option)


def site_list(folder: Path, *names: str, name: str = "list") -> Path:
    path = folder / f"{name}.csv"
    path.write_text("\n".join(("species", *names)), "utf-8")
    return path


LION = Detection("animal", 0.9, BOX, "animal", (Classification("lion", 0.93), Classification("cougar", 0.02)))


def answer_of(config: RollupConfig, detection: Detection = LION, services: Services | None = None) -> tuple[str, str]:
    with SPEC.build(config, services or fake_services()) as stage:
        (found,) = stage(frame(detections=(detection,))).detections
    assert found.answer is not None
    return found.answer.taxon.scientific_name, found.answer.remark


def test_what_is_not_on_the_list_is_rolled_up_and_marked_unless_the_geofence_is_off(tmp_path: Path) -> None:
    path = site_list(tmp_path, "Puma concolor", "Tremarctos ornatus")

    assert answer_of(RollupConfig()) == ("Panthera leo", "")
    assert answer_of(RollupConfig(species_list=path)) == ("Felidae", "not-listed:Panthera leo")
    assert answer_of(RollupConfig(species_list=path, geofence=False, unlisted_weight=1)) == ("Panthera leo", "")


def test_a_station_goes_by_its_own_list_and_by_the_sites_when_that_can_not_be_read(tmp_path: Path) -> None:
    path = site_list(tmp_path, "Puma concolor")
    site_list(tmp_path, "Panthera leo", name="africa")
    station, log = spooled_frame().station, MemoryLog()

    def at(name: str) -> Services:
        return fake_services(stations={station: Station(station, species_list=name)}, log=log)

    assert answer_of(RollupConfig(species_list=path), services=at("")) == ("Felidae", "not-listed:Panthera leo")
    assert answer_of(RollupConfig(species_list=path), services=at("africa")) == ("Panthera leo", "")
    assert answer_of(RollupConfig(species_list=path), services=at("asia")) == ("Felidae", "not-listed:Panthera leo")
    assert [event for _level, event, _fields in log.entries] == ["rollup.list_unread"]


def test_speciesnets_rules_are_a_choice() -> None:
    shy = Detection("animal", 0.3, BOX, "animal", (Classification("stone wall", 0.9),))
    plain = Detection("animal", 0.6, BOX, "animal")

    found = rolled(LION, shy, plain, PERSON, config=RollupConfig(rules="speciesnet"))

    assert [each.answer.taxon.scientific_name if each.answer else "" for each in found] == [
        "Panthera leo", "", "Animalia", "",
    ]  # fmt: skip
    assert [each.category for each in found] == ["animal", "animal", "animal", "person"]


def test_a_calibration_heats_before_anything_is_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    text = "taxonomy = 'imagenet'\ntemperature = 3.0\nclass_count = 1000\nboxes = 100\nmodel = 'net'\n"
    path.write_text(text, "utf-8")

    with SPEC.build(RollupConfig(calibration=path), fake_services()) as stage:
        (found,) = stage(frame(detections=(LION,))).detections
    assert found.answer is None
    assert found.classifications == LION.classifications
    with (
        pytest.raises(ModelError, match="another model, net; this site classifies with other"),
        SPEC.build(RollupConfig(calibration=path), fake_services(used_models={"classify": "other"})),
    ):
        pass


SITE = """
sources: [{use: replay, path: .}]
stages:
  - use: detect
  - use: classify
  - use: rollup
    species_list: fauna/list.csv
    calibration: calibration.toml
stations: [{name: cam-1, species_list: paramo}]
"""


def test_check_tells_every_fault_of_lists_and_calibration_with_file_and_line(tmp_path: Path) -> None:
    fauna = tmp_path / "fauna"
    fauna.mkdir()
    site_list(fauna, "Puma concolor", "Leopardus pardallis", "zorro")
    site_list(fauna, "ocelotee", name="paramo")

    with pytest.raises(ConfigError) as caught:
        plan_from(SITE, tmp_path / "site.yaml", load_registry())

    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"{tmp_path}/site.yaml:") for line in lines)
    assert f"stages[2].species_list: {fauna}/list.csv:3: no taxon 'Leopardus pardallis'" in lines[0]
    assert f"{fauna}/list.csv:4: 'zorro' may be" in lines[1]
    assert f"{fauna}/paramo.csv:2: no taxon 'ocelotee'" in lines[2]
    assert f"stages[2].calibration: {tmp_path}/calibration.toml: can't be read" in lines[3]


def test_a_station_with_a_list_needs_a_site_with_one(tmp_path: Path) -> None:
    site = SITE.replace("    species_list: fauna/list.csv\n", "").replace("    calibration: calibration.toml\n", "")

    with pytest.raises(ConfigError, match="station 'cam-1' names the species list 'paramo'"):
        plan_from(site, tmp_path / "site.yaml", load_registry())
