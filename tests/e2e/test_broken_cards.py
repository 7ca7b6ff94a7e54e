"""`tigrillo process` on what else lies on a card: pipes, dead links, files that go away."""

import json
import os
import subprocess
import sys


def test_pipes_and_dead_links_are_failures_and_nothing_waits_for_them(tmp_path):
    card = tmp_path / "card"
    card.mkdir()
    os.mkfifo(card / "pipe.jpg")
    (card / "dead.jpg").symlink_to("nowhere.jpg")
    (card / "loop.mp4").symlink_to("loop.mp4")
    site = tmp_path / "site.yaml"
    site.write_text("stages: []\n")
    out = tmp_path / "results.json"

    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "process", card, "--site", site, "--out", out],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    reasons = {each["file"]: each["failure"] for each in json.loads(out.read_text())["images"]}
    assert "pipe" in reasons["pipe.jpg"].removeprefix("pipe.jpg")
    assert "No such file" in reasons["dead.jpg"]
    assert "symbolic links" in reasons["loop.mp4"]
    assert not any("bug" in reason for reason in reasons.values())
