"""A site whose record is in PostgreSQL: the real daemon over real stills, a server that goes away, and an export."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.store.sql import Store
from tests.e2e.waiting import wait_until

SITE = """
site: {{language: en, timezone: America/Bogota}}
database: {url}
sources:
  - {{use: watch, folder: inbox, settle_s: 0.3, rescan_s: 1}}
stages:
  - {{use: detect}}
channels:
  - {{name: screen, use: console}}
rules:
  - {{name: animals, category: animal, channels: [screen]}}
"""


def tigrillo(*words: object) -> list[str]:
    return [sys.executable, "-m", "edge.cli", *map(str, words)]


@pytest.mark.timeout(100)
def test_stills_are_recorded_through_an_outage_of_the_database_and_exported(
    models_dir: Path, postgres, shared_media: Path, tmp_path: Path
):
    url, inbox = postgres.new(), tmp_path / "inbox" / "cam-07"
    inbox.mkdir(parents=True)
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(url=url.replace("+psycopg", "")), "utf-8")
    stills = sorted((shared_media / "stills").glob("*.jpg"))[:4]
    log = (tmp_path / "daemon.log").open("wb")

    with log, subprocess.Popen(tigrillo("run", site, "--log-json"), stdout=log, stderr=log) as daemon:
        try:
            wait_until(lambda: b"site.started" in (tmp_path / "daemon.log").read_bytes(), 40)
            shutil.copy(stills[0], inbox)
            with Store(url, read_only=True) as store:
                wait_until(lambda: store.counts().get("recorded") == 1, 30)
            postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tigrillo'")
            for still in stills[1:]:
                shutil.copy(still, inbox)
            with Store(url, read_only=True) as store:
                wait_until(lambda: store.counts().get("recorded") == 4, 30)
        finally:
            daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
    assert not (tmp_path / "state" / "tigrillo.sqlite").exists()

    out = tmp_path / "results.json"
    subprocess.run(tigrillo("export", "megadetector", "--site", site, "--out", out), check=True, timeout=60)
    written = json.loads(out.read_text("utf-8"))
    assert sorted(Path(each["file"]).name for each in written["images"]) == sorted(each.name for each in stills)
    assert any(each["detections"] for each in written["images"])
