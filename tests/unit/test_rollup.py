"""The stage `rollup`: which boxes get an answer, and which."""

import pytest
from pydantic import ValidationError

from edge.api import Classification, Detection, StageError
from edge.testing import check_stage_contract, frame
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
