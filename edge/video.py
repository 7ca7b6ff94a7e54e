"""What a clip shows, animal by animal: a summary with times, and on request clips, an annotated copy, a contact sheet.

Looked-at clip → its tracks → who, from when to when, where it went, its best picture. Made of the same pictures that
were looked at, so times are as fine as the sampling. People and vehicles are blurred in all that is written, unless
asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from .errors import FrameError
from .i18n import translate
from .media.annotate import annotate, jpeg
from .media.blurred import hide_people
from .media.contact import Tile, contact_sheet, cutting
from .media.cut import LONGEST_LEAD_S, CannotCopy, copy_part, encode_part
from .model import U8, Detection, Outcome
from .services import Media
from .tracking.between import Between
from .tracking.summary import best_points, boxes_seen, directions, most_at_once, tracks_of
from .tracking.tracker import Track, TrackPoint

CROPS_A_TRACK = 5
SHEET_SIDE_PX = 20_000  # of a JPEG at most 65,535
SHEET_TRACKS = 100


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be written of each clip, below `out`. pre_s, post_s: kept before and after a track."""

    out: Path
    clips: bool = False
    annotated: bool = False
    sheet: bool = False
    pre_s: float = 2.0
    post_s: float = 2.0
    show_people: bool = False
    language: str = "en"


def summary_of(outcome: Outcome, *, language: str) -> dict[str, Any]:
    """What a clip shows, as JSON knows it. Times in seconds into the clip."""
    tracks = tracks_of(outcome.pictures)
    return {
        "file": outcome.spooled.name,
        "captured": outcome.spooled.captured.utc.isoformat() if outcome.spooled.captured.utc else None,
        "pictures_looked_at": len(outcome.pictures),
        "damage": outcome.damage,
        "most_at_once": most_at_once(tracks),
        "tracks": [_told(each, outcome, language) for each in tracks],
    }


def _told(track: Track, outcome: Outcome, language: str) -> dict[str, Any]:
    first, last, best = track.points[0], track.points[-1], best_points(track, 1)[0]
    answer, captured = best.detection.answer, outcome.spooled.captured.utc
    begun = captured + timedelta(seconds=first.time_s) if captured else None
    return {
        "track": track.id,
        "category": track.category,
        "name": name_of(best.detection, language),
        "taxon": answer.taxon.scientific_name if answer else None,
        "rank": answer.taxon.rank if answer else None,
        "score": round(answer.score if answer else best.detection.score, 3),
        "start_s": round(first.time_s, 3),
        "end_s": round(last.time_s, 3),
        "began_at": begun.isoformat() if begun else None,
        "pictures": len(track.points),
        "directions": sorted(directions(boxes_seen(track))),
        "best": {
            "number": best.number,
            "time_s": round(best.time_s, 3),
            "score": round(best.detection.score, 3),
            "box": [round(each, 4) for each in best.detection.xywh_norm],
        },
    }


def name_of(detection: Detection, language: str) -> str:
    """What people call it; its category while nothing finer is known."""
    return detection.answer.taxon.name(language) if detection.answer else translate(detection.category, language)


def write_parts(outcome: Outcome, wishes: Wishes, media: Media) -> dict[str, Any]:
    """Write what was wished for; what was written, as JSON knows it. What can't be written is said there, too."""
    made: dict[str, Any] = {}
    if wishes.clips:
        made["clips"] = [_clip_of(track, outcome, wishes) for track in tracks_of(outcome.pictures)]
    if wishes.annotated:
        made["annotated"] = _annotated(outcome, wishes)
    if wishes.sheet:
        made["sheet"] = _sheet(outcome, wishes, media)
    return made


def _clip_of(track: Track, outcome: Outcome, wishes: Wishes) -> dict[str, Any]:
    source, between = outcome.spooled.path, Between(outcome.pictures)
    start_s = max(0.0, track.points[0].time_s - wishes.pre_s)
    end_s = track.points[-1].time_s + wishes.post_s
    target = _target(outcome, wishes.out, f".track-{track.id:02d}{source.suffix.lower()}")
    told: dict[str, Any] = {"track": track.id, "end_s": round(end_s, 3)}
    # the copy begins up to a group earlier, and people there would be seen
    if not wishes.show_people and between.has_people(max(0.0, start_s - LONGEST_LEAD_S), end_s):
        why = "people are blurred"
    else:
        try:
            begins_s = copy_part(source, target, start_s=start_s, end_s=end_s)
            return {**told, "file": str(target), "start_s": round(begins_s, 3), "copied": True}
        except CannotCopy as exc:
            why = str(exc)
    target = target.with_suffix(".mp4")
    told |= {"file": str(target), "start_s": round(start_s, 3), "copied": False, "why": why}

    def draw(bgr: U8, time_s: float) -> U8:
        return bgr if wishes.show_people else hide_people(bgr, between.people(time_s))

    try:
        encode_part(source, target, start_s=start_s, end_s=end_s, draw=draw)
    except (FrameError, OSError) as exc:
        return {**told, "file": None, "failed": str(exc)}
    return told


def _annotated(outcome: Outcome, wishes: Wishes) -> dict[str, Any]:
    target, between = _target(outcome, wishes.out, ".annotated.mp4"), Between(outcome.pictures)

    def draw(bgr: U8, time_s: float) -> U8:
        shown = bgr if wishes.show_people else hide_people(bgr, between.people(time_s))
        return annotate(shown, between.at(time_s), language=wishes.language)

    try:
        pictures = encode_part(outcome.spooled.path, target, start_s=0.0, end_s=float("inf"), draw=draw)
    except (FrameError, OSError) as exc:
        return {"file": None, "failed": str(exc)}
    return {"file": str(target), "pictures": pictures}


def _sheet(outcome: Outcome, wishes: Wishes, media: Media) -> dict[str, Any]:
    tracks = tracks_of(outcome.pictures)[:SHEET_TRACKS]
    if not tracks:
        return {"file": None, "why": "nothing was found"}
    best = {track.id: sorted(best_points(track, CROPS_A_TRACK), key=lambda each: each.number) for track in tracks}
    try:
        tiles = dict(_tiles(outcome, best, wishes, media))
    except FrameError as exc:
        return {"file": None, "failed": str(exc)}
    rows = [
        [tiles[track, each.number] for each in points if (track, each.number) in tiles]
        for track, points in best.items()
    ]
    target = _target(outcome, wishes.out, ".sheet.jpg")
    target.write_bytes(jpeg(contact_sheet(rows), quality=85, max_side_px=SHEET_SIDE_PX))
    return {"file": str(target), "tiles": len(tiles)}


def _tiles(
    outcome: Outcome, best: dict[int, list[TrackPoint]], wishes: Wishes, media: Media
) -> Iterator[tuple[tuple[int, int], Tile]]:
    """Tiles by track and picture, from the same pictures that were looked at."""
    wanted: dict[int, list[tuple[int, TrackPoint]]] = {}
    for track, points in best.items():
        for each in points:
            wanted.setdefault(each.number, []).append((track, each))
    others = {picture.number: picture.detections for picture in outcome.pictures}
    with media.open(outcome.spooled.path, outcome.spooled.kind) as clip:
        for number, time_s, picture in clip:
            if number in wanted:
                bgr = picture.bgr() if wishes.show_people else hide_people(picture.bgr(), others[number])
                for track, point in wanted.pop(number):
                    name = name_of(point.detection, wishes.language)
                    lines = (f"{track} · {clock(time_s)}", f"{name} {point.detection.score:.0%}")
                    yield (track, number), Tile(cutting(bgr, point.detection.xywh_norm), lines)
            if not wanted:
                return


def clock(time_s: float) -> str:
    """Seconds into a clip as people read them, "1:02.5"."""
    minutes, seconds = divmod(round(time_s, 1), 60)
    return f"{int(minutes)}:{seconds:04.1f}"


def _target(outcome: Outcome, out: Path, suffix: str) -> Path:
    """A file below `out` under the clip's own name; its folder is made. Names that lead out of it are flattened."""
    parts = [part for part in Path(outcome.spooled.name).parts if part not in {"..", "/", "."}]
    target = out.joinpath(*parts[:-1], f"{parts[-1] if parts else outcome.spooled.id}{suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
