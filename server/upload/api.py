"""/api/v1/uploads: begin, name the files, bring their bytes in pieces, finish. Whatever breaks goes on where it was.

A file's bytes come by PUT with `Upload-Offset`, at most MOST_CHUNK at once; HEAD tells how many are there. Bodies here
are read with a bound of their own (server/guard.py lets them pass): pieces as they come, JSON up to MOST_JSON.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from edge.uploads import UploadedFile
from edge.wire import SHA256

from ..needs import Uploader
from .desk import MOST_CHUNK, Behind, UploadDesk, desk_of
from .shapes import (
    FilesTold,
    FileTold,
    Hashes,
    KnownTold,
    NamedFiles,
    NewUpload,
    UploadsTold,
    UploadTold,
    json_of,
    read,
)
from .telling import checked_station, file_told, seen_by, take_down, told

router = APIRouter()
Desk = Annotated[UploadDesk, Depends(desk_of)]
Id = Annotated[str, Path(pattern="^[0-9a-f]{24}$", description="An upload's id.")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="A file's number in its upload.")]


@router.get("/uploads", summary="Uploads")
def uploads(desk: Desk, principal: Uploader, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> UploadsTold:
    """One's own, and everybody's for those who see all stations."""
    found = seen_by(desk, principal, limit=limit)
    return UploadsTold(items=[told(desk, each) for each in found])


@router.post("/uploads", status_code=201, summary="Begin an upload", openapi_extra=json_of(NewUpload))
def begin(desk: Desk, principal: Uploader, new: Annotated[NewUpload, Depends(read(NewUpload))]) -> UploadTold:
    """Its files are named next."""
    return told(desk, desk.begin(principal, checked_station(principal, new.station)))


@router.get("/uploads/{upload_id}", summary="One upload")
def upload(desk: Desk, principal: Uploader, upload_id: Id) -> UploadTold:
    """How far it is."""
    return told(desk, desk.upload(principal, upload_id))


@router.post("/uploads/{upload_id}/files", summary="Name files", openapi_extra=json_of(NamedFiles))
def name_files(
    request: Request,
    desk: Desk,
    principal: Uploader,
    upload_id: Id,
    named: Annotated[NamedFiles, Depends(read(NamedFiles))],
) -> FilesTold:
    """Say which files are to come. What is not wanted is told, too, with why."""
    into = desk.upload(principal, upload_id)
    return FilesTold(items=take_down(request, desk, principal, into, named.files))


@router.get("/uploads/{upload_id}/files", summary="Files of an upload")
def files(
    desk: Desk,
    principal: Uploader,
    upload_id: Id,
    after: Annotated[int, Query(alias="cursor", ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> FilesTold:
    """What has become of them, by number."""
    found = desk.book.files(desk.upload(principal, upload_id).id, after=after, limit=limit)
    last = found[-1].number if len(found) == limit else None
    return FilesTold(items=[file_told(desk, each) for each in found], next=last)


@router.head("/uploads/{upload_id}/files/{number}", summary="How much of a file has come")
@router.get("/uploads/{upload_id}/files/{number}", summary="One file of an upload")
def file(response: Response, desk: Desk, principal: Uploader, upload_id: Id, number: Number) -> FileTold:
    """State and offset; the offset also in the header `Upload-Offset`."""
    found = file_told(desk, desk.file(principal, upload_id, number))
    response.headers["upload-offset"] = str(found.offset)
    response.headers["cache-control"] = "no-store"
    return found


@router.put(
    "/uploads/{upload_id}/files/{number}",
    summary="Bring bytes of a file",
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
)
async def bring(
    request: Request,
    response: Response,
    desk: Desk,
    principal: Uploader,
    upload_id: Id,
    number: Number,
    upload_offset: Annotated[int, Header(ge=0, le=2**53)],
    upload_sha256: Annotated[str, Header(pattern="^([0-9a-f]{64})?$")] = "",
) -> FileTold:
    """Bytes from `Upload-Offset` on. With the last ones the file is checked, by `Upload-Sha256` where that is given.

    409: the file has another length so far, which `Upload-Offset` of the answer tells. 413: more than a piece may have.
    What has come of a piece when the link breaks is kept.
    """
    found = await run_in_threadpool(desk.file, principal, upload_id, number)
    if found.state == "waiting":
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > MOST_CHUNK:
            raise HTTPException(413, f"at most {MOST_CHUNK} bytes in one piece")
        with desk.alone(found):
            found = await _bring(request, desk, found, upload_offset, upload_sha256)
    answer = await run_in_threadpool(file_told, desk, found)
    response.headers["upload-offset"] = str(answer.offset)
    return answer


async def _bring(request: Request, desk: UploadDesk, file: UploadedFile, offset: int, sha256: str) -> UploadedFile:
    have = await run_in_threadpool(desk.offset, file)
    if offset != have:
        raise Behind(have)
    body, broken = bytearray(), False
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_CHUNK or have + len(body) > file.size:
                raise HTTPException(413, "more than a piece, or the file, has", {"upload-offset": str(have)})
    except ClientDisconnect:
        broken = True
    if body:
        have = await run_in_threadpool(desk.append, file, have, body)
    if have == file.size and not broken:
        return await run_in_threadpool(desk.complete, file, sha256)
    return file


@router.post("/uploads/{upload_id}/known", summary="Which content is here already", openapi_extra=json_of(Hashes))
def known(desk: Desk, principal: Uploader, upload_id: Id, asked: Annotated[Hashes, Depends(read(Hashes))]) -> KnownTold:
    """Files whose content this site has of their station are done with, and need not be sent."""
    into, found = desk.upload(principal, upload_id), []
    for number, sha256 in asked.hashes.items():
        each = desk.book.file(into.id, number) if 0 < number < 2**31 else None
        if each is None or not SHA256.fullmatch(sha256) or each.state not in {"waiting", "known"}:
            continue
        if desk.is_known(each.station, sha256):
            desk.book.set_file(each, "known", sha256=sha256, was=["waiting"])
            desk.book.path_of(into.id, number).unlink(missing_ok=True)
            found.append(number)
    return KnownTold(known=found)


@router.post("/uploads/{upload_id}/finish", summary="No more files come")
def finish(desk: Desk, principal: Uploader, upload_id: Id) -> UploadTold:
    """What is whole is taken in; what has not come whole stays away."""
    desk.finish(desk.upload(principal, upload_id))
    return told(desk, desk.upload(principal, upload_id))


@router.delete("/uploads/{upload_id}", summary="Cancel an upload")
def cancel(desk: Desk, principal: Uploader, upload_id: Id) -> UploadTold:
    """What has not come whole is dropped. What was taken in stays."""
    desk.cancel(desk.upload(principal, upload_id))
    return told(desk, desk.upload(principal, upload_id))
