"""How long a long trap video takes: makes one, runs the real `tigrillo process` over it, prints seconds and the ratio.

python benchmarks/video.py --minutes 20
Goal: 20 minutes of 1080p H.264 in ≤ 0.5 × real time on two cores, with the default models.

The video is a minute, repeated: 15 s of chimp.mp4 and 45 s of the still blank.jpg, both scaled to 1920×1080 at 30
pictures a second, with new noise in every picture as a sensor gives it; H.264, a key picture every 30, no B pictures,
as trap cameras write. Chimpanzees are in a quarter of it, up to seven boxes a picture.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
MEDIA = REPO.parent / "shared" / "media"
SIZE, RATE, CYCLE_S = "1920:1080", 30, 60
GOAL = 0.5


def main() -> None:
    """Make the video, look at it, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=2)
    parser.add_argument("--media", type=Path, default=MEDIA, help="folder with video/chimp.mp4 and stills/blank.jpg")
    parser.add_argument("--group", type=int, default=30, help="pictures from one key picture to the next")
    parser.add_argument("--keep", type=Path, help="keep the video here, and use it when it is there already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tigrillo-video-") as folder:
        video = options.keep or Path(folder) / "trap.mp4"
        if not video.exists():
            make(video, media=options.media, minutes=options.minutes, group=options.group, work=Path(folder))
        print(json.dumps(measure(video, Path(folder)), indent=1))


def make(video: Path, *, media: Path, minutes: int, group: int, work: Path) -> None:
    """Write the video; see above. Needs the program ffmpeg."""
    cycle = work / "cycle.mp4"
    look = f"scale={SIZE}:flags=bicubic,fps={RATE},setsar=1,noise=alls=5:allf=t,format=yuv420p"
    still_s = CYCLE_S - 15
    ffmpeg(
        *("-t", "15", "-i", str(media / "video" / "chimp.mp4")),
        *("-loop", "1", "-framerate", str(RATE), "-t", str(still_s), "-i", str(media / "stills" / "blank.jpg")),
        *("-filter_complex", f"[0:v]{look}[a];[1:v]{look}[b];[a][b]concat=n=2:v=1[v]", "-map", "[v]"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "27", "-g", str(group), "-bf", "0", str(cycle)),
    )
    ffmpeg("-stream_loop", str(minutes * 60 // CYCLE_S - 1), "-i", str(cycle), "-c", "copy", str(video))


def ffmpeg(*arguments: str) -> None:
    """Run it, quietly. Raises CalledProcessError."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True)


def measure(video: Path, work: Path) -> dict[str, object]:
    """Seconds of `tigrillo process` over the video, models loaded and results written, and what it found."""
    out = work / "results.json"
    command = [str(Path(sys.executable).with_name("tigrillo")), "process", str(video), "--out", str(out), "--json"]
    models = REPO / ".cache" / "models"
    environment = {"TIGRILLO_MODELS": str(models), **os.environ} if models.exists() else dict(os.environ)
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    seconds = time.perf_counter() - started
    summary = json.loads(done.stdout)
    (image,) = json.loads(out.read_text("utf-8"))["images"]
    if "failure" in image:
        raise SystemExit(image["failure"])
    length_s = float(
        subprocess.run(
            ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(video)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    return {
        "video_s": round(length_s, 1),
        "megabytes": round(video.stat().st_size / 1e6, 1),
        "seconds": round(seconds, 1),
        "of_real_time": round(seconds / length_s, 3),
        "goal": GOAL,
        "boxes": len(image["detections"]),
        "pictures_with_boxes": len({each["frame_number"] for each in image["detections"]}),
        "failed": summary["failed"],
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main()
