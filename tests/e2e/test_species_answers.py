"""Real pictures through the real models: what the animals are answered with."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.inference.select import open_compute
from edge.media.opener import FileMedia
from edge.model import Detection, Frame
from edge.models.installed import InstalledModels
from edge.models.taxa import all_taxa
from edge.services import Services
from edge.testing import MemoryLog, fake_services, spooled_frame
from plugins.decoders import classifier, yolox
from plugins.stages import classify, detect, rollup


@pytest.fixture(scope="module")
def services(models_dir: Path) -> Iterator[Services]:
    decoders = {spec.name: spec for module in (yolox, classifier) for spec in module.tigrillo_decoders()}
    with open_compute("cpu", threads=0, jobs=1) as compute:
        yield fake_services(
            compute=compute, models=InstalledModels(models_dir), media=FileMedia(), decoders=decoders, log=MemoryLog()
        )


def look_at(path: Path, services: Services) -> tuple[Detection, ...]:
    """The detections of a still after detect, classify and rollup with their default settings."""
    with ExitStack() as stack:
        stages = [
            stack.enter_context(spec.build(spec.config(), services))
            for module in (detect, classify, rollup)
            for spec in module.tigrillo_stages()
        ]
        ((number, time_s, picture),) = stack.enter_context(services.media.open(path, "still"))
        frame = Frame(spooled_frame(path), picture, number, time_s)
        for stage in stages:
            frame = stage(frame)
    return frame.detections


# still → (what it is as far as the table knows, the answer that at least one box must reach)
ANIMALS = {
    "ocelot.jpg": ("Leopardus pardalis", "Felidae"),
    "african_elephants.jpg": ("Loxodonta africana", "Elephantidae"),
    "african_elephants_cmyk.jpg": ("Loxodonta africana", "Elephantidae"),
    "african_elephants_with_exif_orientation.jpg": ("Loxodonta africana", "Elephantidae"),
    "ena24_4383.jpg": ("Urocyon cinereoargenteus", "Canidae"),
    "ena24_9455.jpg": ("Ursus americanus", "Ursidae"),
    # an infrared picture in which the classifier is sure of no more than this; no crop or contrast we tried changes it
    "american_black_bear.jpg": ("Ursus americanus", "Mammalia"),
    "ena24_596.jpg": ("Sciurus niger", "Mammalia"),
    "ena24_2480.jpg": ("Didelphis virginiana", "Mammalia"),
    "ena24_7951.jpg": ("Corvidae", "Aves"),
    "ena24_5899.jpg": ("Gallus gallus", "Animalia"),
}


@pytest.mark.models
@pytest.mark.parametrize("still", ANIMALS)
def test_animals_are_answered_as_finely_as_is_sure_and_never_wrongly(
    still: str, services: Services, shared_media: Path
) -> None:
    truth, expected = ANIMALS[still]

    answers = [each.answer for each in look_at(shared_media / "stills" / still, services) if each.answer]

    assert any(expected in answer.taxon.lineage for answer in answers), answers
    wrong = [answer for answer in answers if answer.taxon.scientific_name not in all_taxa()[truth].lineage]
    assert not wrong
