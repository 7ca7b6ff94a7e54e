"""`tigrillo video` with the default models, on the real 30 fps clip and on files that are none."""

import json
import subprocess
import sys
from pathlib import Path

import simplejpeg

from edge.media.opener import FileMedia


def test_clips_are_told_animal_by_animal_and_what_is_no_clip_is_named(models_dir, shared_media, tmp_path):
    card, out = tmp_path / "card", tmp_path / "seen"
    card.mkdir()
    clip = (shared_media / "video" / "chimp.mp4").read_bytes()
    (card / "chimp.mp4").write_bytes(clip)
    (card / "cut.mp4").write_bytes(clip[:5000])

    command = [sys.executable, "-m", "edge.cli", "video", str(card), "--out", str(out), "--fps", "0.5"]
    done = subprocess.run(
        [*command, "--clips", "--sheet", "--json"], capture_output=True, text=True, timeout=110, check=False
    )

    assert done.returncode == 0, done.stderr
    chimps, cut = json.loads(done.stdout)["clips"]
    assert json.loads((out / "tracks.json").read_text("utf-8"))["clips"] == [chimps, cut]
    assert cut["failed"].startswith("cut.mp4: MP4 that was cut before its index was written")
    assert chimps["pictures_looked_at"] == 8
    assert chimps["most_at_once"] >= 4
    names = {track["name"] for track in chimps["tracks"]}
    assert names <= {"animal", "mammal", "primate", "great ape", "chimpanzee", "placental mammal"}, names
    longest = max(chimps["tracks"], key=lambda track: track["pictures"])
    assert longest["end_s"] - longest["start_s"] >= 10
    assert len(chimps["clips"]) == len(chimps["tracks"])
    assert all(part["copied"] for part in chimps["clips"])
    with FileMedia(sample_fps=None).open(Path(chimps["clips"][0]["file"]), "clip") as part:
        assert sum(1 for _picture in part) >= 60
    assert simplejpeg.decode_jpeg(Path(chimps["sheet"]["file"]).read_bytes()).shape[2] == 3
