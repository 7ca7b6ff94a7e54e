"""`tigrillo apply` and `tigrillo quarantine` on a site that no daemon runs."""

import json

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import ConfigError

SITE = "# ours\nsources: [{use: watch, folder: inbox}]\nstages: [{use: motion}]\n"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "inbox").mkdir()
    return tmp_path / "site.yaml"


def run(site, text, *options):
    new = site.with_name("new.yaml")
    new.write_text(text)
    return CliRunner().invoke(app, ["apply", str(new), "--site", str(site), "--by", "ana", *options])


def test_a_check_shows_what_would_change_and_writes_nothing(site):
    done = run(site, SITE.replace("ours", "theirs"), "--check")

    assert done.exit_code == 0
    assert "-# ours\n+# theirs\n" in done.stdout
    assert site.read_text() == SITE
    assert not (site.parent / "state").exists()


def test_faults_end_with_78(site):
    done = run(site, SITE + "rulez: []\n")

    assert isinstance(done.exception, ConfigError)
    assert done.exception.exit_code == 78
    assert "site.yaml:4:1 rulez" in str(done.exception)
    assert site.read_text() == SITE


def test_without_a_daemon_it_is_written_and_said(site):
    done = run(site, SITE.replace("ours", "theirs"), "--json")
    again = run(site, SITE.replace("ours", "theirs"), "--json")

    assert done.exit_code == again.exit_code == 0
    assert json.loads(done.stdout)["state"] == "written"
    assert json.loads(again.stdout)["state"] == "unchanged"
    assert site.read_text() == SITE.replace("ours", "theirs")


def test_a_site_that_is_broken_can_be_mended(site):
    site.write_text("sources: [\n")

    assert run(site, SITE).exit_code == 0
    assert site.read_text() == SITE


def test_an_empty_quarantine_is_said(site):
    run(site, SITE + "# x\n")  # makes the database

    listed = CliRunner().invoke(app, ["quarantine", "list", "--site", str(site)])
    retried = CliRunner().invoke(app, ["quarantine", "retry", "1", "--site", str(site)])

    assert listed.stdout == "nothing is in quarantine\n"
    assert "nothing is in quarantine under number 1" in str(retried.exception)
