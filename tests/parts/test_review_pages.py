"""The grid, its filters and paging, the single view, and data that wants to be markup."""

import re
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import select, update

from edge.store.schema import frames
from edge.store.web_schema import sequences
from tests.alert_rig import FELIDAE, JAGUAR, PUMA, animal, person
from tests.review_rig import review_rig
from tests.web_rig import NOW

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def rig(tmp_path):
    with review_rig(tmp_path) as rig:
        yield rig


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A rig that only reads, and its six sequences: name → pk."""
    with review_rig(tmp_path_factory.mktemp("pages")) as rig:
        yield rig, six_sequences(rig)


def six_sequences(rig):
    found = {
        "puma": rig.sequence("cam-01", "a", (animal(PUMA, 0.8),), at=NOW - timedelta(hours=1)),
        "cat": rig.sequence("cam-01", "b", (animal(FELIDAE, 0.4),), at=NOW - timedelta(hours=2)),
        "jaguar": rig.sequence("cam-02", "c", (animal(JAGUAR, 0.95),), (), at=NOW - timedelta(hours=14)),
        "person": rig.sequence("cam-02", "d", (person(0.7),), at=NOW - timedelta(days=1)),
        "blank": rig.sequence("cam-03", "e", (), at=NOW - timedelta(days=2)),
        "unnamed": rig.sequence("cam-03", "f", (animal(None, 0.6),), at=NOW - timedelta(days=3)),
    }
    with rig.store.transaction() as connection:
        connection.execute(update(frames).where(frames.c.pk == found["person"]).values(people=True))
    rig.sum_up()
    client = rig.client("reviewer", name="ana")
    client.post("/review/answer", data={"sequence": found["blank"], "what": "vehicle"})
    client.post("/review/favourite", data={"sequence": found["cat"]})
    rig.sum_up()
    return found


ALL = ["puma", "cat", "jaguar", "person", "blank", "unnamed"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ALL),
        ("order=oldest", ALL[::-1]),
        ("station=cam-01", ["puma", "cat"]),
        ("station=cam-01&station=cam-02", ["puma", "cat", "jaguar", "person"]),
        ("station=nowhere", []),
        ("species=puma", ["puma"]),
        ("species=jaguar+(Panthera+onca)", ["jaguar"]),
        ("species=Felidae", ["puma", "cat", "jaguar"]),
        ("species=felino", ["puma", "cat", "jaguar"]),
        ("species=Felidae&station=cam-02", ["jaguar"]),
        ("species=Felidae&order=oldest", ["jaguar", "cat", "puma"]),
        ("species=-", ["unnamed"]),
        ("kind=human", ["person"]),
        ("kind=animal", ["puma", "cat", "jaguar", "unnamed"]),
        ("kind=vehicle", ["blank"]),
        ("score_from=0.5&score_to=0.85", ["puma", "person", "unnamed"]),
        ("score_from=0,9", ["jaguar"]),
        ("unreviewed=1", ["puma", "cat", "jaguar", "person", "unnamed"]),
        ("unreviewed=1&station=cam-03", ["unnamed"]),
        ("unreviewed=1&kind=human", ["person"]),
        ("unreviewed=1&kind=animal&order=oldest", ["unnamed", "jaguar", "cat", "puma"]),
        ("disagrees=1", ["blank"]),
        ("favourite=1", ["cat"]),
        ("people=1", ["person", "blank"]),
        ("light=night", ["jaguar"]),
        ("from=2026-03-09&to=2026-03-09", ["jaguar", "person"]),
        ("to=2026-03-08", ["blank", "unnamed"]),
    ],
)
def test_filters_mean_the_same_on_the_page_and_in_the_api(full, query, names):
    rig, some = full
    client = rig.client("viewer")
    wanted = [some[name] for name in names]

    listed = client.get(f"/api/v1/sequences?{query}").json()
    page = client.get(f"/review?{query}").text

    assert [each["pk"] for each in listed["items"]] == wanted
    assert listed["next"] is None
    places = [page.index(f'id="s-{pk}"') for pk in wanted]
    assert places == sorted(places)
    assert page.count('<li class="card seq') == len(wanted)


@pytest.mark.parametrize(
    "query",
    [
        "kind=dragon",
        "score_from=2",
        "score_from=nan",
        "from=yesterday",
        "to=0001-01-01",
        "light=dusk",
        "order=random",
        "station=a%00b",
        "after=forged",
        f"after={'A' * 60}",
    ],
)
def test_filters_that_make_no_sense_are_refused(full, query):
    assert full[0].client("viewer").get(f"/review?{query}").status_code in {400, 422}


@pytest.mark.parametrize("query", ["", "&order=oldest", "&species=Felidae", "&station=cam-01&station=cam-02"])
def test_pages_follow_each_other_without_gap_or_double(rig, query):
    for number in range(13):
        taxon = (PUMA, JAGUAR)[number % 2]
        rig.sequence(f"cam-0{number % 2 + 1}", f"n{number}", (animal(taxon),), at=NOW - timedelta(hours=number))
    rig.sum_up()
    client = rig.client("viewer")
    whole = [each["pk"] for each in client.get(f"/api/v1/sequences?limit=200{query}").json()["items"]]
    found, cursor = [], ""

    for _page in range(10):
        answer = client.get(f"/api/v1/sequences?limit=3{query}{cursor and f'&cursor={cursor}'}").json()
        found += [each["pk"] for each in answer["items"]]
        cursor = answer["next"]
        if not cursor:
            break

    assert found == whole
    assert len(found) == 13


def test_a_search_that_finds_little_stops_and_goes_on_from_there(rig, monkeypatch):
    monkeypatch.setattr("server.review.queries.LOOK", 8)
    monkeypatch.setattr("server.review.queries.LEAST", 8)
    monkeypatch.setattr("server.review.queries.FEWEST", 2)
    monkeypatch.setattr("server.review.queries.CHUNKS", (2, 4))
    for number in range(20):
        rig.sequence(
            "cam-01", f"n{number}", (animal(PUMA, 0.9 if number == 19 else 0.3),), at=NOW - timedelta(hours=number)
        )
    rig.sum_up()
    client = rig.client("viewer")
    path, found, stops = "/review?score_from=0.8", [], 0

    while path:
        page = client.get(path).text
        found += page.split('<li class="card seq')[1:]
        stops += "Looked as far as" in page
        more = page.partition('<a class="button second" href="/review?')[2].partition('"')[0]
        path = "/review?" + unescape(more) if more else ""

    assert len(found) == 1
    assert stops == 2


def test_more_cards_come_as_a_part_for_htmx(rig):
    for number in range(43):
        rig.record("cam-01", f"n{number}", [animal(PUMA)], at=NOW - timedelta(minutes=5 * number))
    rig.sum_up()
    client = rig.client("reviewer")
    page = client.get("/review").text
    path = unescape(page.partition('hx-get="')[2].partition('"')[0])

    part = client.get(path, headers={"hx-request": "true"}).text

    assert page.count('<li class="card seq') == 40
    assert part.count('<li class="card seq') == 3
    assert "<html" not in part


def test_the_single_view_has_frames_answers_and_their_history(rig):
    pk = rig.sequence("cam-01", "a", (animal(PUMA),), (animal(PUMA),), (animal(PUMA),))
    later = rig.sequence("cam-01", "b", (animal(JAGUAR),), at=NOW + timedelta(hours=1))
    rig.sum_up()
    client = rig.client("reviewer", name="ana", language="es")
    said = {"target": f"frame:{pk + 1}", "what": "animal", "species": "Panthera onca", "sex": "female"}
    traits = {"life_stage": "adult", "behaviour": "bebe", "comments": f"dos líneas\n{EVIL}", "count": "2"}
    client.post("/review/answer", data=said | traits)

    page = client.get(f"/review/{pk}?kind=animal").text

    assert page.count("data-frame=") == 4  # three of the strip, one large
    assert "Jaguar × 2" in page
    assert "Hembra" in page
    assert "Adulto" in page
    assert unescape(page).count(EVIL) == 1
    assert EVIL not in page
    assert f'href="/review/{later}?kind=animal"' in page
    assert "Puma concolor" in page


def test_a_sequence_with_two_kinds_names_both(rig):
    pk = rig.fresh((animal(PUMA, 0.9),), (animal(JAGUAR, 0.5), person(0.4)))
    client = rig.client("viewer")

    grid, single = client.get("/review").text, client.get(f"/review/{pk}").text

    for page in (grid, single):
        assert re.findall(r'<span class="chip(?: small)?">\+ ([^<]+)</span>', page) == ["Jaguar", "Person"]


def test_undone_answers_stay_in_the_history(rig):
    pk = rig.sequence("cam-01", "a", (animal(PUMA),))
    rig.sum_up()
    client = rig.client("reviewer", name="ana")
    client.post("/api/v1/reviews", json={"action": "by-mistake", "sequences": [pk], "kind": "vehicle"})
    client.delete("/api/v1/reviews/by-mistake")

    page = client.get(f"/review/{pk}").text
    told = client.get(f"/api/v1/sequences/{pk}").json()["reviews"]

    assert "<s>Vehicle</s>" in page
    assert "taken back by ana" in page
    assert [(each["kind"], each["undone_by"], each["frames"]) for each in told] == [("vehicle", "ana", 1)]


def test_people_are_shown_only_to_who_may_see_them(rig):
    pk = rig.sequence("cam-01", "a", (person(),))
    with rig.store.transaction() as connection:
        connection.execute(update(frames).values(people=True))
    rig.sum_up()

    link = f"/media/{pk}/open-view-0.webp"
    assert link in rig.client("reviewer").get(f"/review/{pk}").text
    assert link not in rig.client("viewer").get(f"/review/{pk}").text


def test_names_that_want_to_be_markup_are_text(tmp_path):
    with review_rig(tmp_path) as rig:
        rig.sequence(EVIL, "a", (animal(PUMA),))
        with rig.store.transaction() as connection:
            connection.execute(update(frames).values(name='"><script>\u202egpj.exe\n', camera=EVIL))
        rig.sum_up()
        with rig.readers.read() as connection:
            assert connection.scalar(select(sequences.c.station)) == EVIL
        client = rig.client("reviewer")
        for path in ("/review", "/review/1", "/review/progress", f"/review?station={EVIL}&species={EVIL}"):
            page = client.get(path)
            assert page.status_code == 200
            assert EVIL not in page.text
            assert "<script>" not in page.text.replace("<script src", "")
        assert "<bdi>&#34;&gt;" in client.get("/review/1").text


def test_an_empty_site_says_what_to_do(rig):
    page = rig.client("viewer").get("/review").text

    assert "No pictures yet" in page
    assert rig.client("viewer").get("/review/progress").status_code == 200
    assert "No sequence is like this" in rig.client("viewer").get("/review?kind=human").text


def test_what_is_left_is_told_by_station(full):
    rig, _some = full
    page = rig.client("reviewer").get("/review/progress").text

    assert "6 of 7 pictures" in page
    assert "station=cam-02" in page
    assert "cam-02" not in rig.client("reviewer", stations=["cam-01"]).get("/review/progress").text


def test_the_list_of_names_is_there_once(rig):
    client = rig.client("viewer")

    first = client.get("/review/names.json")
    again = client.get("/review/names.json", headers={"if-none-match": first.headers["etag"]})

    assert ["Leopardus pardalis", "ocelot", "ocelote"] in first.json()
    assert again.status_code == 304


def test_frames_are_listed_with_the_same_filters(full):
    rig, some = full
    client = rig.client("viewer")

    listed = client.get("/api/v1/frames?species=jaguar").json()

    assert [(each["sequence"], each["reviewed"], len(each["boxes"])) for each in listed["items"]] == [
        (some["jaguar"], False, 1),
        (some["jaguar"], False, 0),
    ]
    assert client.get("/api/v1/frames").json()["next"]
