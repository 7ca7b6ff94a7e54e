"""`alerts simulate`: what rules would have done is what they do, and nothing is written or sent."""

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.clock import SteppedClock
from edge.config import plan_from
from edge.model import AgentFacts
from edge.registry import load_registry
from edge.simulate import simulate
from tests.alert_rig import FELIDAE, JAGUAR, Rig, animal, person

REGISTRY = load_registry()
NIGHT = datetime(2026, 11, 22, 7, 10, tzinfo=UTC)  # 02:10 in Bogotá
AGENT = AgentFacts("b", 1, 1, 5.0, "ok")
SITE = """
site: {timezone: America/Bogota}
sources: [{use: watch, folder: inbox}]
stages: [{use: detect}, {use: classify}, {use: rollup}]
channels:
  - {name: screen, use: console}
  - {name: mail, use: email, host: localhost, security: none, sender: traps@example.org}
recipients:
  - {name: ana, reach: {mail: ana@example.org}, quiet: {hours: ["21:00-06:00"]}, per_day: 3}
rules:
  - {name: cats, taxon: Felidae, channels: [screen], to: [ana], cooldown_min: 30}
  - name: people
    category: person
    channels: [screen]
    severity: critical
    escalate: [{after_min: 15, to: [ana]}]
"""
SEEN = {
    "cat": animal(FELIDAE, side=0.2),
    "jaguar": animal(JAGUAR),
    "close jaguar": animal(JAGUAR, side=0.8),
    "person": person(),
}
happenings = st.one_of(
    st.tuples(
        st.just("see"), st.sampled_from(sorted(SEEN)), st.sampled_from(["ridge", "river"]),
        st.sampled_from([0.0, 0.0, 0.0, 2400.0]),
    ),
    st.tuples(st.just("pass"), st.sampled_from([10.0, 70.0, 130.0, 700.0, 3600.0, 5 * 3600.0])),
)  # fmt: skip


def plan_of(folder, text=None):
    return plan_from(text or SITE, folder / "site.yaml", REGISTRY)


def rig_of(plan, folder):
    return Rig(
        folder, plan.rules, plan.file.recipients, tuple(each.name for each in plan.file.channels),
        clock=SteppedClock(NIGHT), timezone=plan.file.site.timezone
    )  # fmt: skip


def told(rig):
    """(addressee, kind, frame) of what really left."""
    return [
        (f"{notice.person}/{name}" if notice.person else f"@{name}", notice.kind, notice.alert.frame_id)
        for name, inbox in rig.inboxes.items()
        for notice in inbox.got
        if notice.alert
    ]


def simulated(plan, rig, *, now=None):
    history = rig.store.recorded(since=NIGHT)
    return simulate(plan, history, since=NIGHT, now=now or rig.clock.now(), tell=lambda _count: None)


def would(found):
    return [(each.addressee, each.kind, each.frame_id) for each in found.messages if each.frame_id]


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(happenings, min_size=1, max_size=15))
def test_the_same_rules_over_the_same_history_send_the_same_messages(happened):
    folder = Path(tempfile.mkdtemp(prefix="tigrillo-simulate-"))
    plan = plan_of(folder)
    rig = rig_of(plan, folder)
    try:
        for what, *how in happened:
            if what == "see":
                kind, station, late_s = how
                rig.see(SEEN[kind], station=station, late=timedelta(seconds=late_s), agent=AGENT)
                rig.send()
            else:
                rig.live(how[0], every_s=10 if how[0] < 600 else 60)
        found = simulated(plan, rig)

        assert sorted(would(found)) == sorted(told(rig))
        assert [each.kind for each in found.messages].count("digest") == sum(
            notice.kind == "digest" for inbox in rig.inboxes.values() for notice in inbox.got
        )
        assert found.encounters == rig.store.count_encounters()
        assert found.frames == sum(what == "see" for what, *_how in happened)
    finally:
        rig.store.close()
        shutil.rmtree(folder)


def test_an_update_leaves_when_it_would_have_left(tmp_path):
    plan = plan_of(tmp_path)
    rig = rig_of(plan, tmp_path)
    for kind, wait in (("cat", 20), ("jaguar", 100), ("close jaguar", 200)):
        rig.see(SEEN[kind])
        rig.send()
        rig.live(wait, every_s=10)
    found = simulated(plan, rig)
    rig.store.close()

    at_once = [each for each in found.messages if each.addressee == "@screen"]
    assert [(each.kind, (each.at - NIGHT).total_seconds()) for each in at_once] == [
        ("alert", 0.0), ("update", 60.0), ("update", 120.0),
    ]  # fmt: skip


def test_other_rules_send_other_messages_and_the_site_is_as_it_was(tmp_path):
    plan = plan_of(tmp_path)
    rig = rig_of(plan, tmp_path)
    rig.see(SEEN["person"], animal(JAGUAR))
    rig.send()
    other = plan_of(tmp_path, SITE.replace("category: person", "category: vehicle"))

    before = rig.states()
    found = simulated(other, rig)
    after = rig.states()
    rig.store.close()

    assert [(each.rule, each.addressee) for each in found.messages] == [("cats", "@screen")]
    assert found.held_back == {"quiet": 1}
    assert before == after


def test_what_came_late_is_held_back_and_told_in_the_digest(tmp_path):
    plan = plan_of(tmp_path)
    rig = rig_of(plan, tmp_path)
    rig.see(animal(JAGUAR), late=timedelta(hours=3))
    found = simulated(plan, rig, now=NIGHT + timedelta(days=2))
    rig.store.close()

    assert dict(found.held_back) == {"late": 2}
    digest = next(each for each in found.messages if each.addressee == "@screen")
    assert (digest.kind, f"{digest.at:%H:%M}", len(found.messages)) == ("digest", "12:00", 2)
    assert digest.lines == ("2026-11-21 23:10 ridge: Jaguar, 90% – it came too long after it was taken",)


def test_a_history_without_frames_is_a_simulation_without_messages(tmp_path):
    plan = plan_of(tmp_path)
    found = simulate(plan, iter(()), since=NIGHT, now=NIGHT + timedelta(days=30), tell=lambda _count: None)

    assert (found.frames, found.encounters, found.messages) == (0, 0, [])
