"""`tigrillo alerts` as a person types it: real site, real database, real process."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.clock import SteppedClock
from edge.commands.alerts import _since as since_when
from edge.config import load_plan
from edge.errors import EXIT_CONFIG, FatalError, NotifyError
from edge.model import Outcome, PictureResult
from edge.registry import load_registry
from edge.testing import spooled_frame
from tests.alert_rig import JAGUAR, Rig, animal, person

SITE = """
site: {timezone: America/Bogota, name: La Palmita}
sources: [{use: watch, folder: inbox}]
stages: [{use: detect}, {use: classify}, {use: rollup}]
channels:
  - {name: screen, use: console}
  - {name: program, use: exec, command: [PROGRAM]}
rules:
  - {name: cats, taxon: Felidae, channels: [screen]}
  - {name: people, category: person, channels: [program], severity: critical}
"""


def tigrillo(*arguments, **environment):
    command = [sys.executable, "-m", "edge.cli", "alerts", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | environment
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site with a night behind it: two stations, one id twice, a rejected frame, one that waits, a channel down."""
    folder = tmp_path_factory.mktemp("site")
    path = folder / "site.yaml"
    path.write_text(SITE.replace("PROGRAM", sys.executable + ", -c, 'import sys; sys.exit(75)'"), "utf-8")
    plan = load_plan(path, load_registry())
    rig = Rig(
        folder, plan.rules, channels=("screen", "program"), timezone="America/Bogota",
        clock=SteppedClock(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)),
    )  # fmt: skip
    rig.inboxes["program"].failures = [NotifyError("out of paper")] * 9
    rig.see(animal(JAGUAR), frame_id="cat")
    rig.see(animal(JAGUAR), frame_id="twice", station="hill")
    rig.see(person(), frame_id="twice", station="river")
    rig.see(animal(JAGUAR), frame_id="old", station="lake", late=timedelta(hours=5))
    rig.send()
    for name in ("blank", "waits"):
        frame = replace(spooled_frame(folder / name, id=name, station="ridge"), received_at=rig.clock.now())
        rig.store.add_frames([(frame, 0)])
        if name == "blank":
            claimed = rig.store.claim_next(rig.clock.now())
            rig.record(Outcome(claimed, (PictureResult(0, 0.0, (animal(JAGUAR),), rejected="nothing moved"),), 64, 48))
    rig.store.close()
    (folder / "state").mkdir()
    (folder / "site.sqlite").rename(folder / "state" / "tigrillo.sqlite")
    return path


def test_explain_says_rule_by_rule_why(site):
    done = tigrillo("explain", "cat", "--site", site)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ridge/cat  20")
    assert lines[2].startswith("jaguar, 90% · encounter ")
    assert "  ✓ cats: first of its encounter" in lines
    assert "      ✓ taxon: Panthera onca, within Felidae" in lines
    assert any(line.startswith("      → @screen: sent 20") for line in lines)
    assert "  ✗ people" in lines
    assert "      ✗ category: animal, wanted person" in lines


def test_explain_in_spanish_and_as_json(site):
    done = tigrillo("explain", "old", "--site", site, "--json", TIGRILLO_LANG="es")

    found = json.loads(done.stdout)
    (group,) = found["groups"]
    assert (found["station"], found["recorded"], group["taxon"]) == ("lake", True, "Panthera onca")
    (message,) = group["rules"][0]["messages"]
    assert (message["state"], message["reason"]) == ("digest", "late")
    assert group["rules"][0]["because"][0]["text"] == "taxon: Panthera onca, dentro de Felidae"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "nothing"),
        (("twice",), "hill, river"),
    ],
)
def test_a_frame_that_is_not_there_or_there_twice_is_one_line(site, arguments, said):
    done = tigrillo("explain", *arguments, "--site", site)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_a_frame_that_waits_and_one_without_anything_say_so(site):
    waits = tigrillo("explain", "waits", "--site", site)
    blank = tigrillo("explain", "blank", "--site", site)

    assert "not recorded" in waits.stdout
    assert "no animal, person or vehicle in it: nothing moved" in blank.stdout
    assert (waits.returncode, blank.returncode) == (0, 0)


def test_status_shows_what_waits_and_why(site):
    text = tigrillo("status", "--site", site)
    found = json.loads(tigrillo("status", "--site", site, "--json").stdout)

    assert "out of paper" in text.stdout
    assert found["channels"]["program"]["messages"]["pending"]["count"] == 1
    assert found["channels"]["screen"]["messages"]["sent"]["count"] == 2
    assert {(each["addressee"], each["state"], each["error"]) for each in found["newest"]} >= {
        ("@program", "pending", "out of paper"), ("@screen", "digest", ""),
    }  # fmt: skip


def test_simulate_says_what_other_rules_would_have_sent(site, tmp_path):
    rules = tmp_path / "RULES.yaml"
    rules.write_text("rules: [{name: all people, category: person, channels: [screen]}]\n", "utf-8")

    done = tigrillo("simulate", rules, "--since", "1d", "--site", site, "--json")
    own = tigrillo("simulate", "--since", "1d", "--site", site, TIGRILLO_LANG="es")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(each["rule"], each["frame"], each["addressee"]) for each in found["messages"]] == [
        ("all people", "twice", "@screen")
    ]
    assert found["frames"] == 5
    assert "[people]" in own.stdout
    assert own.stdout.splitlines()[-2].startswith("5 ")


def test_a_since_that_is_none_is_one_line(site):
    done = tigrillo("simulate", "--since=-5d", "--site", site)

    assert done.returncode == 1
    assert done.stderr.splitlines() == ["--since '-5d': write 30d, 12h or a day such as 2026-11-01"]


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hours"), [("30d", 720), ("12h", 12), ("1.5h", 1.5), ("2026-11-22", 7), ("2026-11-22 06:00", 1), ("0d", 0)]
)
def test_since_is_a_length_or_a_moment_in_the_sites_zone(text, hours):
    assert since_when(text, NOW, "America/Bogota") == NOW - timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "d", "1x", "nand", "infd", "-5d", "2099-01-01", "yesterday", "9e99d", "\0"])
def test_what_is_no_since_is_refused(text):
    with pytest.raises(FatalError, match="write 30d, 12h or a day"):
        since_when(text, NOW, "America/Bogota")


def test_faults_of_the_rules_file_are_told_at_its_place(site, tmp_path):
    rules = tmp_path / "RULES.yaml"
    rules.write_text("rules:\n  - {name: r, taxon: Felidea, channels: [scren]}\n", "utf-8")

    done = tigrillo("simulate", rules, "--site", site)

    assert done.returncode == EXIT_CONFIG
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == [f"{rules}:2:15", f"{rules}:2:42"]


def test_a_site_that_never_ran_says_so_in_one_line(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("PROGRAM", "/bin/true"), "utf-8")

    for command in (("status",), ("explain", "f1")):
        done = tigrillo(*command, "--site", path)
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"{tmp_path}/state/tigrillo.sqlite: there is no database yet: `tigrillo run` makes it"
        ]
    assert not (tmp_path / "state").exists()


def test_a_test_message_says_who_took_it_and_who_did_not(site):
    done = tigrillo("test", "@screen", "@program", "--text", "hello\nthere", "--site", site)

    assert done.returncode == 1
    assert "hello there" in done.stdout
    assert "@screen: sent" in done.stdout
    assert done.stderr.startswith("@program: ")
    assert len(done.stderr.splitlines()) == 1
