"""Uploads between the desk and the world: what is named goes into the book, what is in it is told."""

from fastapi import Request
from starlette.exceptions import HTTPException

from edge.uploads import NewFile, Upload, UploadedFile

from ..page import speech_of
from ..rights import Principal
from .desk import UploadDesk
from .names import REASONS, NotWanted, new_file, station_named
from .shapes import FileTold, NamedFile, UploadTold


def seen_by(desk: UploadDesk, principal: Principal, *, limit: int) -> list[Upload]:
    """The newest uploads that this person may see."""
    found = desk.book.uploads(limit=500 if principal.stations is not None else limit)
    return [each for each in found if principal.stations is None or each.who == principal.name][:limit]


def checked_station(principal: Principal, text: str) -> str:
    """A station that this person may send for, "" for none named. Raises HTTPException 403, 422."""
    if not text.strip():
        return ""
    try:
        station = station_named(text)
    except NotWanted as exc:
        raise HTTPException(422, REASONS["bad-station"]) from exc
    if not principal.sees(station):
        raise HTTPException(403, REASONS["not-yours"])
    return station


def take_down(
    request: Request, desk: UploadDesk, principal: Principal, into: Upload, named: list[NamedFile]
) -> list[FileTold]:
    """Files into the book; one answer for each, in order."""
    speech, answers, new = speech_of(request), list[FileTold | None](), list[NewFile]()
    for each in named:
        try:
            new.append(_wanted(principal, into, each))
            answers.append(None)
        except NotWanted as exc:
            answers.append(_skipped(each, exc.code, speech.text(REASONS[exc.code])))
    added = iter(desk.add(into, new))
    skipped = sum(each is not None and each.code != "junk" for each in answers)
    if skipped:
        desk.book.skip(into.id, skipped)
    return [each or file_told(desk, next(added)) for each in answers]


def _wanted(principal: Principal, into: Upload, named: NamedFile) -> NewFile:
    taken = new_file(named.name, named.size, named.mtime, station=into.station or named.station)
    if not principal.sees(taken.station):
        raise NotWanted("not-yours")
    return taken


def _skipped(named: NamedFile, code: str, reason: str) -> FileTold:
    name = named.name if named.name.isprintable() else ascii(named.name)
    where = {"name": name, "station": ""}
    return FileTold(number=None, **where, size=named.size, offset=0, state="skipped", code=code, reason=reason)


def told(desk: UploadDesk, upload: Upload) -> UploadTold:
    """An upload as the API tells it."""
    far = desk.progress(upload)
    return UploadTold(
        id=upload.id,
        by=upload.who,
        station=upload.station,
        state=upload.state,
        began_at=far.began,
        files=far.files,
        skipped=upload.skipped,
        bytes_total=far.size,
        bytes_here=far.here,
        is_over=far.is_over,
    )


def file_told(desk: UploadDesk, file: UploadedFile) -> FileTold:
    """A file as the API tells it."""
    return FileTold(
        number=file.number,
        name=file.name,
        station=file.station,
        size=file.size,
        offset=desk.offset(file),
        state=file.state,
        reason=file.reason,
    )
