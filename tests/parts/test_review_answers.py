"""What people say: beside the machine's answers, once, undone exactly, with the lists right at once."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from edge.privacy.hidden import hidden_on
from edge.store.schema import frames, observations, reviews
from edge.store.web_schema import sequence_frames
from tests.alert_rig import JAGUAR, PUMA, animal, person
from tests.review_rig import review_rig
from tests.web_rig import NOW


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with review_rig(tmp_path_factory.mktemp("answers")) as rig:
        yield rig


def say(client, **fields):
    return client.post("/review/answer", data=fields, follow_redirects=False)


def rows_of(rig, pk):
    """What was said of a sequence's frames, oldest first."""
    mine = select(sequence_frames.c.frame_pk).where(sequence_frames.c.sequence_pk == pk)
    with rig.readers.read() as connection:
        query = select(reviews).where(reviews.c.frame_pk.in_(mine)).order_by(reviews.c.pk)
        return connection.execute(query).all()


def test_an_answer_counts_at_once_and_the_machines_stays(rig):
    pk = rig.fresh((animal(PUMA),), (animal(PUMA),), ())

    answer = say(rig.client("reviewer", name="ana"), sequence=pk, what="animal", species="ocelot", count="2")

    assert answer.status_code == 303
    row = rig.row(pk)
    assert (row["shown_taxon"], row["count"], row["unreviewed"], row["disagrees"]) == ("Leopardus pardalis", 2, 0, True)
    assert (row["taxon"], row["kind"]) == ("Puma concolor", "animal")
    said = rows_of(rig, pk)
    assert [(each.kind, each.taxon, each.by) for each in said] == [("animal", "Leopardus pardalis", "ana")] * 3
    with rig.readers.read() as connection:
        machine = select(observations.c.taxon).where(observations.c.frame_pk == pk)
        assert set(connection.scalars(machine)) == {"Puma concolor"}


def test_the_same_form_sent_twice_is_written_once_and_tells_the_same(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer")
    form = {"sequence": pk, "what": "blank", "action": "tapped-twice", "next": "/review"}

    first, second = say(client, **form), say(client, **form)

    assert first.headers["location"] == second.headers["location"]
    assert len(rows_of(rig, pk)) == 1


def test_another_answer_from_the_same_page_is_another_action(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer")

    say(client, sequence=pk, what="blank", action="same-page")
    say(client, sequence=pk, what="vehicle", action="same-page")

    assert rig.row(pk)["shown_kind"] == "vehicle"
    assert len({each.action for each in rows_of(rig, pk)}) == 2


def test_an_api_action_with_another_content_is_refused(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer")
    asked = {"action": "11111111-aaaa", "sequences": [pk], "kind": "blank"}

    assert client.post("/api/v1/reviews", json=asked).json()["repeated"] is False
    assert client.post("/api/v1/reviews", json=asked).json()["repeated"] is True
    assert client.post("/api/v1/reviews", json=asked | {"kind": "human"}).status_code == 409
    assert rig.client("reviewer", name="other").post("/api/v1/reviews", json=asked).status_code == 409


def test_undo_takes_exactly_that_action_back_and_keeps_its_rows(rig):
    pk = rig.fresh((animal(PUMA),), (animal(PUMA),))
    client = rig.client("reviewer", name="ana")
    for action, kind in (("first-one", "blank"), ("second-one", "vehicle")):
        client.post("/api/v1/reviews", json={"action": action, "sequences": [pk], "kind": kind})

    undone = client.delete("/api/v1/reviews/second-one")

    assert undone.json()["sequences"][0]["kind"] == "blank"
    assert rig.row(pk)["shown_kind"] == "blank"
    assert [(each.action, each.undone_by) for each in rows_of(rig, pk)] == [
        *[("first-one", "")] * 2,
        *[("second-one", "ana")] * 2,
    ]


def test_only_who_said_it_or_a_manager_takes_it_back(rig):
    pk = rig.fresh((animal(PUMA),))
    say(rig.client("reviewer", name="ana"), sequence=pk, what="blank", action="anas-answer")
    [action] = {each.action for each in rows_of(rig, pk)}

    other = rig.client("reviewer", name="juan").post("/review/undo", data={"undone": action}, follow_redirects=False)
    assert other.status_code == 403
    manager = rig.client("manager", name="rosa").post("/review/undo", data={"undone": action}, follow_redirects=False)
    assert manager.status_code == 303
    assert rows_of(rig, pk)[0].undone_by == "rosa"


def test_two_people_at_once_are_both_kept_the_newest_counts_and_is_told(rig):
    pk = rig.fresh((animal(PUMA),))
    say(rig.client("reviewer", name="ana"), sequence=pk, what="animal", species="jaguar", seen="0")

    part = rig.client("reviewer", name="juan").post(
        "/review/answer", data={"sequence": pk, "what": "blank", "seen": "0"}, headers={"hx-request": "true"}
    )

    assert "ana answered meanwhile" in part.text
    assert rig.row(pk)["shown_kind"] == "blank"
    assert [each.by for each in rows_of(rig, pk)] == ["ana", "juan"]


def test_the_machine_is_right_says_what_it_says_of_each_frame(rig):
    pk = rig.fresh((animal(PUMA), person(0.6)), (), (animal(JAGUAR, 0.5),))

    say(rig.client("reviewer"), sequence=pk, what="confirm")

    said = [(each.kind, each.taxon, each.observation_pk is not None) for each in rows_of(rig, pk)]
    assert said == [
        ("animal", "Puma concolor", False),
        ("human", "", True),
        ("blank", "", False),
        ("animal", "Panthera onca", False),
    ]
    row = rig.row(pk)
    assert (row["disagrees"], row["unreviewed"]) == (False, 0)


def test_one_frame_or_one_box_is_answered_alone(rig):
    pk = rig.fresh((animal(PUMA),), (animal(PUMA), animal(PUMA, 0.5, side=0.1)))
    client = rig.client("reviewer")
    with rig.readers.read() as connection:
        last = connection.execute(select(observations).order_by(observations.c.pk.desc())).first()

    say(client, target=f"box:{last.pk}", what="animal", species="Panthera onca")
    assert rig.row(pk)["unreviewed"] == 1
    say(client, target=f"frame:{pk}", what="blank")

    assert [(each.frame_pk, each.observation_pk) for each in rows_of(rig, pk)] == [(last.frame_pk, last.pk), (pk, None)]
    assert rig.row(pk)["unreviewed"] == 0


def test_a_person_that_somebody_sees_is_marked_until_it_is_taken_back(rig):
    pk = rig.fresh(())
    seen = rig.fresh((person(),), station="cam-02")
    with rig.store.transaction() as connection:
        connection.execute(frames.update().where(frames.c.pk == seen).values(people=True))
    client = rig.client("reviewer")

    def people():
        with rig.readers.read() as connection:
            query = select(frames.c.pk, frames.c.people).where(frames.c.pk.in_([pk, seen]))
            return dict(connection.execute(query).all())

    client.post("/api/v1/reviews", json={"action": "a-person-here", "sequences": [pk, seen], "kind": "human"})
    assert people() == {pk: True, seen: True}
    client.delete("/api/v1/reviews/a-person-here")
    assert people() == {pk: False, seen: True}


@pytest.mark.parametrize("written", ["Homo sapiens", "homo  Sapiens", "Persona", "vehículo"])
def test_people_written_in_the_place_of_a_species_are_people_and_hidden(rig, written):
    client = rig.client("reviewer")
    kind = "vehicle" if written == "vehículo" else "human"
    by_page, by_program = rig.fresh((animal(PUMA),)), rig.fresh((animal(PUMA),))

    assert say(client, sequence=by_page, what="animal", species=written, new_name="1").status_code == 303
    told = {"action": f"written-{written}".replace(" ", "-")[:20].replace("í", "i"), "frames": [by_program]}
    assert client.post("/api/v1/reviews", json=told | {"kind": "animal", "species": written}).status_code == 200

    for pk in (by_page, by_program):
        assert [(each.kind, each.taxon) for each in rows_of(rig, pk)] == [(kind, "")]
        with rig.readers.read() as connection:
            assert hidden_on(connection, pk).everything


def test_unknown_names_are_refused_with_what_is_near_and_new_ones_taken_when_meant(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer", language="es")

    slip = say(client, sequence=pk, what="animal", species="ocelotte")
    assert slip.status_code == 422
    assert "Leopardus pardalis" in slip.text
    near = say(client, sequence=pk, what="animal", species="Puma concolore")
    assert near.status_code == 422
    assert rows_of(rig, pk) == []
    assert say(client, sequence=pk, what="animal", species="Puma concolore", new_name="1").status_code == 303
    assert say(client, sequence=pk, what="animal", species="Oreophryne nicolasi").status_code == 303
    assert say(client, sequence=pk, what="animal", species="<script>").status_code == 422


@pytest.mark.parametrize(
    ("text", "taxon"),
    [
        ("ocelote", "Leopardus pardalis"),
        ("Puma (Puma concolor)", "Puma concolor"),
        ("Puma", "Puma"),
        ("puma", "Puma concolor"),
    ],
)
def test_names_are_understood_in_both_languages(rig, text, taxon):
    pk = rig.fresh(())

    say(rig.client("reviewer"), sequence=pk, what="animal", species=text)

    assert rows_of(rig, pk)[0].taxon == taxon


def test_what_is_outside_ones_stations_is_not_there(rig):
    pk = rig.fresh((animal(PUMA),), station="cam-02")
    client = rig.client("reviewer", stations=["cam-01"])
    everyone = rig.client("reviewer", name="ana")
    everyone.post("/api/v1/reviews", json={"action": "somebody-said", "sequences": [pk], "kind": "blank"})

    assert say(client, sequence=pk, what="blank").status_code == 404
    assert client.get(f"/review/{pk}").status_code == 404
    assert client.get(f"/api/v1/sequences/{pk}").status_code == 404
    assert client.get("/api/v1/sequences?station=cam-02").json()["items"] == []
    assert client.delete("/api/v1/reviews/somebody-said").status_code == 404
    assert client.put(f"/api/v1/favourites/{pk}").status_code == 404


def test_who_only_looks_may_not_answer(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("viewer")

    assert say(client, sequence=pk, what="blank").status_code == 403
    assert client.put(f"/api/v1/favourites/{pk}").status_code == 403
    assert 'id="answers"' not in client.get("/review").text
    assert 'id="answer"' not in client.get(f"/review/{pk}").text


@pytest.mark.parametrize(
    "fields",
    [
        {"sequence": [], "what": "blank"},
        {"what": ""},
        {"what": "dragon"},
        {"what": "animal", "count": "0"},
        {"what": "animal", "count": "many"},
        {"what": "animal", "sex": "unsure"},
        {"what": "animal", "count": "²"},
        {"sequence": [], "target": "frame:²", "what": "blank"},
        {"sequence": "99999999999999999999", "what": "blank"},
        {"sequence": "0", "what": "blank"},
    ],
)
def test_a_form_that_makes_no_sense_is_refused_and_writes_nothing(rig, fields):
    pk = rig.fresh((animal(PUMA),))

    assert say(rig.client("reviewer"), **{"sequence": pk, **fields}).status_code == 422
    assert rows_of(rig, pk) == []


def test_favourites_are_marked_and_listed(rig):
    pk = rig.fresh((animal(PUMA, side=0.1),), (animal(PUMA),))
    client = rig.client("reviewer")

    marked = client.post("/review/favourite", data={"sequence": pk}, headers={"hx-request": "true"})

    assert 'data-favourite="1"' in marked.text
    [listed] = client.get("/api/v1/sequences?favourite=1").json()["items"]
    assert (listed["pk"], listed["best_frame"]) == (pk, pk + 1)
    client.delete(f"/api/v1/favourites/{listed['best_frame']}")
    assert client.get("/api/v1/sequences?favourite=1").json()["items"] == []


def test_what_no_text_has_is_left_out_and_never_an_error(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer")

    said = {"action": "with-a-nul", "sequences": [pk], "kind": "blank", "comments": "a\0b"}
    assert client.post("/api/v1/reviews", json=said).status_code == 200
    assert say(client, sequence=pk, what="human", comments="c\0d\u202ee\nf", seen="²").status_code == 303
    assert client.get("/review?done=%00%00%00%00%00%00%00%00%00").status_code == 200
    assert client.post("/review/undo", data={"undone": "\0" * 9}).status_code == 422
    assert [each.comments for each in rows_of(rig, pk)] == ["ab", "cde\nf"]


def test_forms_lead_nowhere_but_to_the_review(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer")

    for path in (
        "https://evil.example",
        "//evil.example",
        "/review/../logout",
        "/review?a=\r\nset-cookie: x",
        "/account",
    ):
        answer = say(client, sequence=pk, what="blank", next=path)
        assert answer.headers["location"].startswith("/review?done=")
    kept = say(client, sequence=pk, what="vehicle", next="/review?kind=animal&done=old", then="")
    assert kept.headers["location"].startswith("/review?kind=animal&done=")
    onward = say(client, sequence=pk, what="human", next="/review", then="/review/7?kind=animal")
    assert onward.headers["location"].startswith("/review/7?kind=animal&done=")


def counts_of(rig, pk):
    return [(each.kind, each.taxon, each.count, each.sex, each.comments) for each in rows_of(rig, pk)]


def test_what_is_added_to_the_machines_answer_is_kept(rig):
    pk = rig.fresh((animal(PUMA),), ())
    added = {"count": "3", "sex": "female", "comments": "with a collar"}

    say(rig.client("reviewer", name="ana"), sequence=pk, what="confirm", **added)

    assert counts_of(rig, pk) == [
        ("animal", "Puma concolor", 3, "female", "with a collar"),
        ("blank", "", 0, "", "with a collar"),
    ]
    body = {"action": "confirmed-with-more", "sequences": [pk], "kind": "confirm", "sex": "male"}
    assert rig.client("reviewer", name="ana").post("/api/v1/reviews", json=body).status_code == 200
    assert counts_of(rig, pk)[2] == ("animal", "Puma concolor", 1, "male", "")
    assert say(rig.client("reviewer"), sequence=pk, what="confirm", count="many").status_code == 422
    assert say(rig.client("reviewer"), sequence=pk, what="confirm", sex="queen").status_code == 422


def test_another_name_makes_animals_no_fewer_unless_somebody_counts(rig):
    pair = rig.fresh((animal(PUMA, 0.8), animal(PUMA, 0.7, side=0.1)), (animal(PUMA),), ())
    client = rig.client("reviewer", name="ana")

    say(client, sequence=pair, what="animal", species="ocelot")
    assert [each.count for each in rows_of(rig, pair)] == [2, 1, 1]
    assert rig.row(pair)["count"] == 2

    say(client, sequence=pair, what="animal", species="ocelot", count="1")
    assert [each.count for each in rows_of(rig, pair)[3:]] == [1, 1, 1]
    assert rig.row(pair)["count"] == 1

    body = {"action": "of-the-api-uncounted", "frames": [pair], "kind": "animal", "species": "puma", "count": 4}
    client.post("/api/v1/reviews", json=body)
    client.post("/api/v1/reviews", json={**body, "action": "of-the-api-named", "species": "jaguar", "count": None})
    assert [each.count for each in rows_of(rig, pair)[6:]] == [4, 4]


def test_the_form_keeps_the_name_that_counts_when_only_a_trait_is_said(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer", name="ana")
    [named] = re.findall(r'<input id="species"[^>]* value="([^"]*)"', client.get(f"/review/{pk}").text)

    say(client, target=f"sequence:{pk}", what="animal", species=named, sex="male")

    assert counts_of(rig, pk) == [("animal", "Puma concolor", 1, "male", "")]


def test_an_answer_that_is_sent_again_after_its_sequence_has_grown_is_the_same(rig):
    pk = rig.fresh((animal(PUMA),))
    body = {"action": "sent-over-a-bad-link", "sequences": [pk], "kind": "animal", "species": "ocelot", "count": 1}
    client = rig.client("reviewer", name="ana")
    first = client.post("/api/v1/reviews", json=body).json()
    with rig.readers.read() as connection:
        at = connection.scalar(select(frames.c.captured_utc).where(frames.c.pk == pk))
    rig.record("cam-01", "one-more", (animal(PUMA),), at=at + timedelta(seconds=1))
    rig.sum_up()

    again = client.post("/api/v1/reviews", json=body)

    assert again.status_code == 200, again.text
    assert (again.json()["repeated"], again.json()["frames"]) == (True, first["frames"])
    assert [each["unreviewed"] for each in again.json()["sequences"]] == [1]
    assert len(rows_of(rig, pk)) == 1
    other = client.post("/api/v1/reviews", json={**body, "species": "tayra"})
    assert other.status_code == 409


def test_a_bulk_of_two_thousand_pictures_is_said_and_taken_back(rig):
    with rig.store.transaction() as connection:
        row = dict(connection.execute(select(frames).limit(1)).mappings().one())
        del row["pk"]
        at = NOW - timedelta(days=60)
        many = [
            {**row, "id": f"bulk-{number}", "station": "cam-03", "captured_utc": at + timedelta(seconds=20 * number)}
            for number in range(2000)
        ]
        connection.execute(insert(frames), many)
    rig.sum_up()
    rig.sum_up()
    with rig.readers.read() as connection:
        pks = list(connection.scalars(select(frames.c.pk).where(frames.c.id.startswith("bulk-"))))
    client = rig.client("reviewer", name="ana")

    said = client.post("/api/v1/reviews", json={"action": "two-thousand", "frames": pks, "kind": "human"}).json()
    undone = client.delete("/api/v1/reviews/two-thousand").json()

    assert len(said["frames"]) == len(undone["frames"]) == len(said["sequences"]) == 2000
    assert {each["kind"] for each in said["sequences"]} == {"human"}
    assert {(each["kind"], each["unreviewed"]) for each in undone["sequences"]} == {("blank", 1)}
    assert len(rows_of_action(rig, "two-thousand")) == 2000


def rows_of_action(rig, action):
    with rig.readers.read() as connection:
        return connection.execute(select(reviews).where(reviews.c.action == action)).all()


def test_a_number_alone_changes_no_name_and_nothing_says_nothing(rig):
    pk = rig.fresh((animal(PUMA),))
    client = rig.client("reviewer", name="ana")

    assert say(client, sequence=pk, what="say").status_code == 422
    say(client, sequence=pk, what="say", count="3")
    say(client, sequence=pk, what="say", species="ocelot", count="2")

    assert [each[:3] for each in counts_of(rig, pk)] == [
        ("animal", "Puma concolor", 3),
        ("animal", "Leopardus pardalis", 2),
    ]


def test_one_goes_on_to_the_next_sequence_when_all_pictures_of_this_one_are_answered(rig):
    pk = rig.fresh((animal(PUMA),), (animal(PUMA),))
    other = rig.fresh((animal(PUMA),))
    with rig.readers.read() as connection:
        mine = select(sequence_frames.c.frame_pk).where(sequence_frames.c.sequence_pk == pk)
        first, second = connection.scalars(mine.order_by(sequence_frames.c.position))
    form = {"what": "confirm", "next": f"/review/{pk}", "then": f"/review/{other}"}
    client = rig.client("reviewer", name="ana")

    one = say(client, target=f"frame:{first}", **form).headers["location"]
    both = say(client, target=f"frame:{second}", **form).headers["location"]

    assert one.startswith(f"/review/{pk}?")
    assert both.startswith(f"/review/{other}?")
