"""Exporter `report`: what its numbers say, and that the file needs nothing but itself."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from PIL import Image

from edge.deployed import Deployment, Effort, Gap
from edge.fakes import spooled_frame
from edge.model import Answer, CaptureTime, Detection, Outcome, PictureResult, Taxon
from edge.services import ExportContext, Station
from edge.testing import fake_services
from plugins.exporters.report import open_export

NIGHT = datetime(2026, 6, 1, 7, 14, tzinfo=UTC)  # 02:14 in Bogotá
BOGOTA = "America/Bogota"
OCELOT = Taxon("Leopardus pardalis", "species", ("Animalia", "Leopardus pardalis"), "ocelot", "ocelote")
VOID = {"meta", "img", "br"}


class Balanced(HTMLParser):
    """Every tag that opens is closed in its turn; texts and addresses are kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.addresses = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in {"src", "href", "xlink:href", "srcset", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def animal(box=(0.2, 0.2, 0.4, 0.4), score=0.9):
    return Detection("animal", 0.8, box, answer=Answer(OCELOT, score))


def outcome(*detections, at=NIGHT, number=1, path=None, station="ridge"):
    frame = spooled_frame(station=station, id=f"f{number}", captured=CaptureTime(at, "", BOGOTA, "exif"))
    if path is not None:
        frame = replace(frame, path=path)
    return Outcome(frame, (PictureResult(0, 0.0, detections),), 80, 60)


def report(tmp_path, outcomes, *, context=None, **options):
    services = fake_services(
        stations={"ridge": Station("ridge", BOGOTA, 4.6, -74.1)},
        default_timezone=BOGOTA,
        exporting=context or ExportContext(by_station=True, options={"pictures": "no", **options}),
    )
    out = tmp_path / "report.html"
    with open_export(out, services) as writer:
        for each in outcomes:
            writer.add(each)
    return out.read_text("utf-8")


def words(text):
    return " ".join(" ".join(Balanced(text).words).split())


def test_frames_of_one_visit_are_one_capture_and_its_individuals_the_most_in_one_picture(tmp_path):
    soon, later = NIGHT + timedelta(minutes=20), NIGHT + timedelta(hours=3)
    found = [outcome(animal()), outcome(animal(), animal((0.7, 0.1, 0.2, 0.2)), at=soon), outcome(animal(), at=later)]

    text = report(tmp_path, found)

    row = re.search(r"<tr><td>Ocelot.*?</tr>", text)[0]
    assert re.findall(r'<td class="n">([^<]*)</td>', row)[:3] == ["2", "3", "1"]


def test_the_rose_stands_at_the_local_hour(tmp_path):
    assert "<title>02: 1</title>" in report(tmp_path, [outcome(animal())])


@pytest.mark.parametrize(("language", "says"), [("en", "Captures by month"), ("es", "Capturas por mes")])
def test_it_speaks_both_languages_and_fetches_nothing(tmp_path, language, says):
    text = report(tmp_path, [outcome(animal()), outcome(number=2)], language=language)

    assert says in words(text)
    assert f'<html lang="{language}">' in text
    assert [each for each in Balanced(text).addresses if not each.startswith("data:")] == []
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text


def test_the_best_picture_is_cut_to_the_animal_and_none_of_people_is_in_it(tmp_path):
    Image.new("RGB", (400, 300), (10, 200, 30)).save(tmp_path / "a.jpg")
    person = Detection("person", 0.9, (0.1, 0.1, 0.2, 0.5))

    with_animal = report(tmp_path, [outcome(animal(), path=tmp_path / "a.jpg")], pictures="yes")
    with_person = report(tmp_path, [outcome(animal(), person, path=tmp_path / "a.jpg")], pictures="yes")
    gone = report(tmp_path, [outcome(animal(), path=tmp_path / "gone.jpg")], pictures="yes")

    assert with_animal.count("data:image/jpeg;base64,") == 1
    assert "data:image" not in with_person + gone


def test_effort_is_that_of_the_deployments_and_its_failures_are_seen(tmp_path):
    start, end = NIGHT - timedelta(days=10), NIGHT + timedelta(days=10)
    gap = Gap(NIGHT, end, "failed", "problem")
    context = ExportContext(
        deployments=(Deployment("ridge-1", "ridge", start, end),),
        effort={"ridge-1": Effort("ridge-1", "ridge", start, end, BOGOTA, (gap,), 1)},
        options={"pictures": "no"},
    )

    text = report(tmp_path, [outcome(animal())], context=context)

    row = re.search(r"<tr><td>ridge</td><td>ridge-1</td>.*?</tr>", text)[0]
    assert re.findall(r'<td class="n">([^<]*)</td>', row) == [
        "2026-05-22",
        "2026-06-11",
        "20",
        "10.0",
        "10.0",
        "0.00",
        "1",
    ]
    assert '<rect class="failed"' in text


def test_names_that_would_be_markup_stay_text(tmp_path):
    evil = "<img src=x onerror=alert(1)>"

    text = report(tmp_path, [outcome(animal(), station=evil)])

    assert evil in words(text)
    assert Balanced(text).addresses == []


def test_nothing_recorded_is_said(tmp_path):
    assert "Nothing matched: there is no record to show." in words(report(tmp_path, []))
