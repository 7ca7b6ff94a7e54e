"""Whatever stands in the record is text on every page: names of files, people, rules and kinds, remarks, the site."""

import json

import pytest
from sqlalchemy import func, insert, update

from edge.store.schema import (
    audit,
    commands,
    deployments,
    encounters,
    frames,
    notices,
    observations,
    quarantine,
    reviews,
)
from edge.store.web_schema import api_tokens, invitations, sequences, sessions, tallies, users
from tests.page_walk import Walk
from tests.parts.test_query_plans import SAMPLES, fill
from tests.review_rig import ReviewRig
from tests.web_rig import NOW, SITE

EVIL = """'"><img src=x onerror=alert(1)>&{{7*7}}\u202egpj.exe"""
QUOTED = json.dumps(EVIL.partition("\u202e")[0])  # in YAML, too; a rule's name is printable, and short
TEXTS = {
    audit: ("who", "action", "subject"),
    commands: ("name", "text"),
    deployments: ("camera_id", "camera_model", "bait", "feature", "habitat", "setup_by", "comments", "origin"),
    frames: ("name", "source", "reason", "damage", "camera", "triggered_by", "captured_original", "burst"),
    notices: ("addressee", "who", "channel", "rule", "reason", "error", "receipt"),
    observations: ("label", "taxon", "remark"),
    encounters: ("category", "acked_by"),
    quarantine: ("source", "name", "reason"),
    reviews: ("taxon", "sex", "life_stage", "behaviour", "comments", "by"),
    sequences: ("taxon", "shown_taxon"),
    tallies: ("taxon",),
    users: ("name", "email"),
    api_tokens: ("name",),
    sessions: ("address", "agent"),
    invitations: ("email", "created_by"),
}
HOSTILE_SITE = (
    SITE.replace("name: Reserva El Silencio", f"name: {QUOTED}")
    .replace("{name: cam-03}", "{name: cam-03, latitude: 4.8, longitude: -74.0}")
    .replace("name: cats, category: animal", f"name: {QUOTED}, category: animal")
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ReviewRig(tmp_path_factory.mktemp("site"), HOSTILE_SITE) as rig:
        fill(rig)
        with rig.store.transaction() as connection:
            who = {"name": "a", "key": "a", "email": "", "role": "viewer", "language": "", "active": True}
            who |= {"password": "", "created_at": NOW}
            connection.execute(insert(users).values(who))
            connection.execute(insert(audit).values(at=NOW, who="a", action="b", subject="c", details={EVIL: EVIL}))
            lost = {"source": "a", "name": "b", "reason": "c", "at": NOW, "path": "/x"}
            connection.execute(insert(quarantine).values(lost))
            for table, columns in TEXTS.items():
                hostile = {name: EVIL + func.coalesce(table.c[name], "") for name in columns}
                connection.execute(update(table).values(hostile))
        yield rig


class Pages(Walk):
    """Keeps every answer."""

    def __post_init__(self):
        super().__post_init__()
        self.answers = []

    def _note(self, method, address, answer):
        super()._note(method, address, answer)
        self.answers.append((address, answer))


def test_no_page_takes_a_text_of_the_record_for_markup(rig):
    walk = Pages(rig.client("admin"), SAMPLES)

    walk.all_routes()

    pages = [(address, each) for address, each in walk.answers if "html" in each.headers.get("content-type", "")]
    shown = {address.partition("?")[0] for address, each in pages if "&lt;img src=x" in each.text}
    assert walk.failed == []
    assert [address for address, each in pages if "<img src=x" in each.text] == []
    assert shown >= {"/", "/review", "/alerts", "/alerts/rules", "/system/audit", "/system/quarantine", "/users"}
    assert [address for address, each in walk.answers if each.headers["x-content-type-options"] != "nosniff"] == []
