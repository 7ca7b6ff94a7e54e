"""What the OpenAPI says beside what FastAPI finds out: how to log in, and every error as a problem (RFC 9457)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from ..auth.cookies import SESSION
from ..auth.forgery import HEADER
from .words import Problem

ABOUT = f"""\
Everything that the page shows and does, for programs. Times are ISO 8601 with an offset, in UTC; boxes are shares of \
the picture, 0 to 1, left, top, width, height; scores are 0 to 1; sizes bytes; lengths of time seconds.

Log in with a token: `Authorization: Bearer …`, made on your account's page. A token has the scopes it was made with \
and never more rights than you have; it sees your stations only: what lies outside is answered with 404. The cookie of \
a log-in counts, too; changes then need the header `{HEADER}` that the page sends.

Lists answer `{{"items": […], "next": cursor}}`. Send `next` back as `cursor` for the items \
that follow; it is null at the end.

GET answers have an `ETag`: with `If-None-Match` nothing that has not changed is sent again (304).

Errors are `application/problem+json`: `title` says what happened, `detail` more."""

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
ETAG = {"ETag": {"description": "What `If-None-Match` names.", "schema": {"type": "string"}}}
SESSION_IS = f"The page's log-in; over https it is named `__Host-{SESSION}`."
# Parameters that mean the same wherever they are and that no route describes itself.
MEANINGS = {
    "station": "Of this station only; empty for all.",
    "state": "In this state only; empty for all.",
    "kind": "Of this kind only; empty for all.",
    "channel": "Through this channel only; empty for all.",
    "severity": "Of this severity only; empty for all.",
    "who": "Of this person only; empty for all.",
    "action": "Of this kind of action only; empty for all.",
    "limit": "Most items in one answer.",
    "cursor": "`next` of the answer before; left out for the first.",
    "last-event-id": "The id of the event that came last: what followed is told first.",
    "upload-offset": "How many bytes of the file are there already.",
    "upload-sha256": "SHA-256 of the whole file in hexadecimal, with its last bytes; empty where it is not known.",
}
METHODS = ("get", "head", "put", "post", "delete", "patch")
WORDS = {
    400: "The request can't be read, or a cursor is none that this list gave.",
    401: "Nobody is logged in, or the token is none or has ended.",
    403: "The right for this is missing.",
    404: "There is nothing here, or it is not one of your stations.",
    405: "Not this method.",
    408: "The body came too slowly.",
    409: "It can't be done as things are now; `detail` says why.",
    412: "It has changed since you read it (If-Match).",
    413: "The request is too long.",
    422: "A parameter or the body is not as described.",
    429: "Too many requests: wait for `Retry-After` seconds.",
    503: "The database is busy: try again after `Retry-After` seconds.",
}


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The description of the app, made once."""
    known: dict[str, Any] | None = getattr(app.state, "openapi", None)
    if known is None:
        known = app.state.openapi = _described(app)
    return known


def _described(app: FastAPI) -> dict[str, Any]:
    found = {**app.openapi()}
    found["info"] = {**found["info"], "title": "Tigrillo", "description": ABOUT}
    parts = found.setdefault("components", {})
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token of your account."},
        "session": {"type": "apiKey", "in": "cookie", "name": SESSION, "description": SESSION_IS},
    }
    schemas = parts.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, ways in found["paths"].items():
        for method in METHODS:
            if method in ways:
                _complete(ways[method], path, method)
    found["paths"] = _lifted(found["paths"], schemas)
    return found


def _lifted(said: Any, schemas: dict[str, Any]) -> Any:
    """The same without `$defs` of its own, which only a schema that stands alone may have: they go to the others."""
    if isinstance(said, list):
        return [_lifted(each, schemas) for each in said]
    if not isinstance(said, dict):
        return said.replace("#/$defs/", "#/components/schemas/") if isinstance(said, str) else said
    for name, each in said.get("$defs", {}).items():
        schemas[name] = _lifted(each, schemas)
    return {name: _lifted(each, schemas) for name, each in said.items() if name != "$defs"}


def _complete(operation: dict[str, Any], path: str, method: str) -> None:
    for each in operation.get("parameters", ()):
        each["schema"] = _without_null(each["schema"])
        if each["name"].lower() in MEANINGS:
            each.setdefault("description", MEANINGS[each["name"].lower()])
    tag = (operation.get("tags") or ["api"])[0]
    operation["operationId"] = _name(tag, path, method)
    operation.setdefault("security", [{"token": []}, {"session": []}])
    answers, is_read, has_body = operation["responses"], method in ("get", "head"), "requestBody" in operation
    wanted = [401, 403, 405, 413, 422, 503]
    wanted += [400] if is_read or has_body else []
    wanted += [408] if has_body else []
    wanted += [404] if "{" in path or not is_read else []
    wanted += [] if is_read else [409, 412, 429]
    body = {} if method == "head" else {"content": PROBLEM}
    for status in wanted:
        said = answers.get(str(status), {})
        answers[str(status)] = {"description": WORDS[status], **body, **_kept(said)}
    if method == "head":
        for each in answers.values():
            each.pop("content", None)
    elif method == "get" and "application/json" in answers.get("200", {}).get("content", {}):
        answers["200"].setdefault("headers", ETAG)
        answers.setdefault("304", {"description": "Nothing has changed (If-None-Match)."})


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What is left out of an address or a header is not null: there is no such thing there."""
    ways = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if not ways:
        return schema
    rest = {name: each for name, each in schema.items() if name != "anyOf"}
    return {**rest, **ways[0]} if len(ways) == 1 else {**rest, "anyOf": ways}


def _kept(said: dict[str, Any]) -> dict[str, Any]:
    """What a route says itself of an error; FastAPI's own words for 422 are no such thing."""
    description = said.get("description", "")
    return {"description": description} if description and description != "Validation Error" else {}


def _name(tag: str, path: str, method: str) -> str:
    """GET /api/v1/stations/{name}/health → stations_get_stations_name_health; unique, for path and method are."""
    words = [each.strip("{}").replace("-", "_").replace(".", "_") for each in path.split("/")[3:]]
    return "_".join([tag, method, *filter(None, words)])


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the API does, for the page that describes it. parameters: (name, where, what it is, required)."""

    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[tuple[str, str, str, bool], ...]
    body: str
    answers: tuple[tuple[str, str], ...]


def operations(description: dict[str, Any]) -> dict[str, list[Operation]]:
    """Area → its operations, in the order of the description."""
    found: dict[str, list[Operation]] = {}
    for path, ways in description["paths"].items():
        for method in METHODS:
            if method in ways:
                tag = (ways[method].get("tags") or ["api"])[0]
                found.setdefault(tag, []).append(_operation(method, path, ways[method], description))
    return found


def _operation(method: str, path: str, said: dict[str, Any], whole: dict[str, Any]) -> Operation:
    parameters = tuple(
        (one["name"], one["in"], _shape(one.get("schema", {}), one.get("description", "")), bool(one.get("required")))
        for one in said.get("parameters", [])
    )
    content = said.get("requestBody", {}).get("content", {})
    body = ", ".join(f"{kind}: {_fields(each.get('schema', {}), whole)}" for kind, each in content.items())
    answers = tuple((status, each.get("description", "")) for status, each in sorted(said["responses"].items()))
    about = said.get("description", "")
    return Operation(method.upper(), path, said.get("summary", ""), about, parameters, body, answers)


def _fields(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    known = whole["components"]["schemas"].get(name, schema)
    return ", ".join(_shapes(known)) or str(known.get("type", ""))


def _shapes(schema: dict[str, Any]) -> Iterator[str]:
    needed = schema.get("required", [])
    for name, each in schema.get("properties", {}).items():
        yield f"{name}{'' if name in needed else '?'} ({_shape(each, '')})"


def _shape(schema: dict[str, Any], about: str) -> str:
    """A parameter in one line: its kind and bounds, then what it is."""
    kinds = [each.get("type", "") for each in schema.get("anyOf", [schema])]
    shape = " or ".join(filter(None, kinds)) or schema.get("$ref", "").rpartition("/")[2]
    if "enum" in schema:
        shape = " | ".join(map(str, schema["enum"]))
    if "minimum" in schema and "maximum" in schema and schema["maximum"] < 10**12:
        shape += f" {schema['minimum']:g}…{schema['maximum']:g}"
    return f"{shape}. {about}" if about else shape
