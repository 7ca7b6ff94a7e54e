"""What the API takes and tells of uploads, as values; and how a body is read that the guard does not bound."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from edge.i18n import mark

MOST_JSON = 1_000_000
MOST_NAMED = 1000  # files in one request
M = TypeVar("M", bound=BaseModel)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewUpload(_In):
    """station: whose the files are; "" where each one's first folder names it."""

    station: str = Field(default="", max_length=200)


class NamedFile(_In):
    """name: relative, with its folders. size: bytes. mtime: when it was last changed, milliseconds since 1970."""

    name: str = Field(min_length=1, max_length=2000)
    size: int = Field(strict=True, ge=0, le=2**53)
    mtime: int = Field(default=0, strict=True, ge=-(2**53), le=2**53)
    station: str = Field(default="", max_length=200)


class NamedFiles(_In):
    """Files that are to come. One that was named before keeps its number, so this is also how one goes on."""

    files: list[NamedFile] = Field(min_length=1, max_length=MOST_NAMED)


class Hashes(_In):
    """SHA-256 in hexadecimal, by the file's number."""

    hashes: dict[int, str] = Field(max_length=MOST_NAMED)


class FileTold(BaseModel):
    """A file of an upload. state: waiting, whole, taking, taken, known, refused, dropped; skipped for one not wanted.

    number: none for one not wanted. offset: bytes that are here. code, reason: why it is not wanted or was refused.
    """

    number: int | None
    name: str
    station: str
    size: int
    offset: int
    state: str
    code: str = ""
    reason: str = ""


class FilesTold(BaseModel):
    """Files in the order in which they were named; next: the number after which a list goes on."""

    items: list[FileTold]
    next: int | None = None


class UploadTold(BaseModel):
    """An upload. state: open, finished or cancelled. files: how many are in each state. bytes_here: of bytes_total."""

    id: str
    by: str
    station: str
    state: str
    began_at: datetime
    files: dict[str, int]
    skipped: int
    bytes_total: int
    bytes_here: int
    is_over: bool


class UploadsTold(BaseModel):
    """The newest uploads first."""

    items: list[UploadTold]
    next: str | None = None


class KnownTold(BaseModel):
    """Numbers of files whose content is here already: they need not come."""

    known: list[int]


def json_of(model: type[BaseModel]) -> dict[str, Any]:
    """How OpenAPI tells a JSON body that is read here."""
    needed = any(each.is_required() for each in model.model_fields.values())
    return {"requestBody": {"required": needed, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def read(model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A dependency: the body as `model`, never more than MOST_JSON of it."""

    async def reads(request: Request) -> M:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_JSON:
                raise HTTPException(413, mark("name fewer files at once"))
        try:
            return model.model_validate_json(bytes(body) or b"{}")
        except ValidationError as exc:
            faults = [{**each, "loc": ("body", *each["loc"])} for each in exc.errors(include_url=False)]
            raise RequestValidationError(faults) from exc

    return reads
