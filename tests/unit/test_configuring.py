"""Proposals, kept changes and trials: whatever is cut short, the site's file holds one of two whole texts."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from edge import paths
from edge.chores import apply_proposal
from edge.clock import SteppedClock
from edge.config import load_plan
from edge.configuring.changes import KEPT_CHANGES, Changes
from edge.configuring.proposal import propose, read_site, sha256_of, without_secrets
from edge.configuring.trial import put_back, take_up
from edge.errors import FatalError
from edge.pipeline.pulse import Pulse
from edge.pipeline.steady import Steady
from edge.pipeline.watchman import Failures
from edge.registry import load_registry
from edge.store.schema import audit
from edge.store.sql import Store

NOW = datetime(2026, 3, 10, tzinfo=UTC)
SITE = "# ours\nsources: [{use: watch, folder: inbox}]\nstages: [{use: motion}]\n"
OTHER = SITE.replace("# ours", "# theirs")


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    path.chmod(0o640)
    return path


@pytest.fixture
def changes(site):
    return Changes(site.parent / "state")


def begun(changes, site, text=OTHER, now=NOW):
    changes.state_dir.mkdir(exist_ok=True)
    return changes.begin(site, text, base=read_site(site)[1], who="ana", why="so", now=now)


def test_a_proposal_tells_all_faults_with_their_places_and_what_would_change(site, registry):
    proposal = propose(site, OTHER + "limits: {inbox_frames: 0}\nrulez: []\n", registry)

    assert [fault.split()[0] for fault in proposal.faults] == ["site.yaml:4:10", "site.yaml:5:1"]
    assert "-# ours\n+# theirs\n" in proposal.diff
    assert not proposal.is_good


def test_line_ends_of_a_form_are_no_change(site, registry):
    proposal = propose(site, SITE.replace("\n", "\r\n"), registry)

    assert proposal.diff == ""
    assert proposal.text == SITE
    assert not proposal.is_good


@pytest.mark.parametrize(
    ("addition", "complaint"),
    [
        ("state_dir: elsewhere\n", "state_dir can't be changed"),
        ("database: postgresql://ana@127.0.0.1/x\n", "database can't be changed"),
        ("x: " + "y" * 1_000_001, "more than 1000000 bytes"),
    ],
)
def test_what_would_leave_the_record_behind_is_refused(site, registry, addition, complaint):
    [fault] = propose(site, SITE + addition, registry).faults

    assert complaint in fault


def test_a_site_without_sources_is_a_fault(site, registry):
    [fault] = propose(site, "stages: [{use: motion}]\n", registry).faults

    assert fault.startswith("site.yaml:1:1 sources:")


def test_a_file_that_was_edited_meanwhile_is_a_fault(site, registry):
    base = read_site(site)[1]
    site.write_text(SITE + "# by hand\n")

    [fault] = propose(site, OTHER, registry, base=base).faults

    assert "was changed meanwhile" in fault


def test_what_this_machine_has_not_is_said_before_it_is_tried(site, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("TIGRILLO_MODELS", str(tmp_path / "models"))
    (tmp_path / "inbox").mkdir()
    site.write_text(SITE + "web: {}\n")
    unseen = SITE.replace("[{use: motion}]", "[{use: detect, model: somebodys}]") + "web: {tiles: nowhere.pmtiles}\n"

    without_page = propose(site, SITE, registry)
    without_files = propose(site, unseen, registry)

    assert without_page.is_good
    assert ["no `web:` any more" in each for each in without_page.warnings] == [True]
    assert without_files.is_good
    model, tiles = without_files.warnings
    assert "'somebodys' is not installed" in model
    assert f"{tmp_path}/nowhere.pmtiles is not there" in tiles


def test_a_misspelt_key_is_answered_with_the_keys_of_its_own_section(site, registry):
    [page] = propose(site, SITE + "web: {colour: red}\n", registry).faults
    [entry] = propose(site, SITE + "stations: [{name: cam-01, hight: 3}]\n", registry).faults
    [near] = propose(site, SITE + "alerts: {heartbeat: {to: [ana], channels: [], silent_hours: 3}}\n", registry).faults[
        :1
    ]

    assert "known here: listen, port, address, tls," in page
    assert "spool_bytes" not in page
    assert entry.endswith("known here: name, timezone, latitude, longitude, species_list")
    assert "did you mean 'silent_h'?" in near


def test_a_folder_that_is_not_there_is_a_warning(site, registry):
    assert propose(site, OTHER, registry).warnings == (f"watch: the folder {site.parent}/inbox is not there yet",)
    (site.parent / "inbox").mkdir()
    assert propose(site, OTHER, registry).warnings == ()


@pytest.mark.parametrize(
    "line", ["    password: hunter2-open", "token: 'hunter2-open'", "api_key: hunter2-open  # mine"]
)
def test_a_secret_that_somebody_writes_into_the_site_is_not_shown(site, registry, line):
    proposal = propose(site, OTHER + line + "\n", registry)

    assert "hunter2" not in proposal.diff + "".join(proposal.faults)
    assert "•••" in proposal.diff


@pytest.mark.parametrize("line", ["password: {env: MAIL}", "auth_token: {credential: sms}", "x: y  # token: a word"])
def test_the_place_of_a_secret_is_shown(site, registry, line):
    assert f"+{line}" in propose(site, OTHER + f"{line}\n", registry).diff


@pytest.mark.parametrize("line", ["a-" * 200_000, "token" * 100_000, "token: " * 100_000, "password" + " " * 300_000])
def test_a_long_line_is_no_work(line):
    assert len(without_secrets(line)) <= len(line)


def test_a_change_keeps_both_texts_and_the_mode_of_the_file(changes, site):
    change = begun(changes, site)

    assert site.read_text() == OTHER
    assert site.stat().st_mode & 0o777 == 0o640
    assert (changes.text(change.id, "before"), changes.text(change.id, "after")) == (SITE, OTHER)
    assert (changes.folder / change.id).stat().st_mode & 0o077 == 0
    assert changes.trial() == change


def test_the_same_request_twice_is_one_change(changes, site):
    changes.state_dir.mkdir()
    base = read_site(site)[1]
    first = changes.begin(site, OTHER, base=base, who="ana", why="", now=NOW, change_id="once")

    assert changes.begin(site, OTHER, base=base, who="ana", why="", now=NOW, change_id="once") == first
    assert len(changes.newest_first()) == 1


def test_one_change_is_tried_at_a_time(changes, site):
    begun(changes, site)

    with pytest.raises(FatalError, match="another change is being tried"):
        begun(changes, site, SITE)


def test_a_folder_that_can_not_be_written_leaves_all_as_it_was(changes, site, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(FatalError, match=r"site\.yaml: can't be written \(No space left"):
        begun(changes, site)
    assert site.read_text() == SITE
    assert changes.newest_first() == []


def test_the_last_twenty_changes_are_kept(changes, site):
    for number in range(KEPT_CHANGES + 3):
        change = begun(changes, site, f"{SITE}# {number}\n", NOW + timedelta(seconds=number))
        changes.close(change, "kept", "", NOW)

    found = changes.newest_first()
    assert len(found) == KEPT_CHANGES
    assert changes.text(found[0].id, "after").endswith(f"# {KEPT_CHANGES + 2}\n")


@pytest.mark.parametrize("name", ["../../etc", "", "no-such", ".new-x"])
def test_a_change_that_is_not_there_is_said(changes, site, name):
    begun(changes, site)

    assert changes.get(name) is None
    with pytest.raises(FatalError, match="not kept any more"):
        changes.text(name, "before")


def test_a_first_start_tries_a_change_and_the_second_puts_the_text_before_back(changes, site):
    begun(changes, site)

    first = take_up(changes, site, site.read_text(), NOW)
    second = take_up(changes, site, site.read_text(), NOW)

    assert first.trial is not None
    assert (first.text, first.trial.attempts) == (OTHER, 1)
    assert second.trial is None
    assert (second.text, site.read_text()) == (SITE, SITE)
    assert second.outcome is not None
    assert (second.outcome.state, second.outcome.reason) == ("rolled_back", "the process ended while it was tried")


def test_a_change_that_was_stopped_in_good_order_is_tried_again(changes, site):
    begun(changes, site)
    taken = take_up(changes, site, OTHER, NOW)
    changes.postpone(taken.trial)

    assert take_up(changes, site, OTHER, NOW).trial is not None


def test_a_kill_before_the_file_was_written_leaves_the_text_before(changes, site):
    begun(changes, site)
    site.write_text(SITE)  # as it is when the kill came between the folder and the file

    taken = take_up(changes, site, SITE, NOW)

    assert (taken.text, taken.trial) == (SITE, None)
    assert taken.outcome is not None
    assert taken.outcome.reason == "the process ended before it was written"


def test_an_edit_by_hand_during_a_trial_is_never_overwritten(changes, site):
    change = begun(changes, site)
    site.write_text("# by hand\n")

    text, closed = put_back(changes, change, site, "port taken", NOW)

    assert site.read_text() == "# by hand\n"
    assert text == SITE  # which is what runs on
    assert closed.state == "overtaken"


def test_a_link_to_the_site_stays_one(changes, site, tmp_path):
    link = tmp_path / "link.yaml"
    link.symlink_to(site)

    begun(changes, link)

    assert link.is_symlink()
    assert site.read_text() == OTHER


def test_without_a_daemon_a_change_is_written_and_audited(site, registry):
    plan = load_plan(site, registry)

    change = apply_proposal(plan, propose(site, OTHER, registry), who="ana", why="so", clock=SteppedClock())

    assert change.state == "written"
    assert change.after == sha256_of(OTHER.encode())
    with Store(plan.database_url, read_only=True) as store, store.reading() as connection:
        [row] = connection.execute(audit.select()).all()
    assert (row.who, row.action, row.subject, row.details) == ("ana", "configuration", change.id, {"why": "so"})


class Page:
    """A web page that listens or does not."""

    port = 8080

    def __init__(self, up):
        self.up = up

    def listens(self):
        return self.up


def steady(**fields):
    pulse = Pulse(["worker-1"])
    pulse.ping(), pulse.beat("worker-1"), pulse.ping()
    return Steady(0.0, pulse, Failures(), Failures(), steady_s=10, most_s=90, **fields)


def test_what_stays_up_for_ten_seconds_is_well():
    site = steady(web=Page(up=True))

    assert [site.look(at, store=True)[0] for at in (1, 5, 10, 11)] == ["wait", "wait", "wait", "well"]


def test_a_page_that_does_not_listen_is_waited_for_and_then_bad():
    site = steady(web=Page(up=False))

    assert site.look(80, store=True) == ("wait", "")
    assert site.look(91, store=True) == ("bad", "not up after 90 s: the web page at port 8080")


def test_a_silent_database_begins_the_time_anew():
    site = steady()

    found = [
        site.look(at, store=answers)[0] for at, answers in ((1, True), (9, False), (12, True), (21, True), (22, True))
    ]

    assert found == ["wait", "wait", "wait", "wait", "well"]


def test_a_source_that_fails_is_bad_unless_it_failed_before_the_change_too():
    for excused, verdict in ((frozenset(), ("bad", "mqtt: no")), (frozenset({"mqtt"}), ("wait", ""))):
        site = steady(excused=excused)
        site.sources.note("mqtt", "no", 1.0)

        assert site.look(2, store=True) == verdict


class Killed(BaseException):
    """kill -9, as far as Python can play it: no handler of errors sees it."""


def test_a_kill_at_any_step_leaves_one_of_the_two_texts_and_the_second_start_decides(tmp_path, monkeypatch):
    steps = 0
    for kill_at in range(1, 100):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        site, changes, steps = folder / "site.yaml", Changes(folder / "state"), 0
        site.write_text(SITE)

        def step(*_args, at=kill_at):
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed

        monkeypatch.setattr(paths, "reached", step)
        try:
            taken = take_up(changes, site, (begun(changes, site), site.read_text())[1], NOW)
            put_back(changes, taken.trial, site, "port taken", NOW)
        except Killed:
            pass
        else:
            break
        monkeypatch.setattr(paths, "reached", lambda *_args: None)

        first = take_up(changes, site, site.read_text(), NOW)
        second = take_up(changes, site, site.read_text(), NOW)

        assert first.text in (SITE, OTHER)
        assert (first.text == OTHER) == (first.trial is not None)
        assert (second.text, second.trial, site.read_text()) == (SITE, None, SITE)
        assert changes.trial() is None
        assert begun(changes, site).state == "trying"  # nothing that is left stands in the way of the next
    assert steps > 15
