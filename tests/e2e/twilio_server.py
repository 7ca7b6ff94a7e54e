"""Twilio's Messages API on this machine: every request is checked against Twilio's own OpenAPI document.

The document is tests/data/twilio_messages.json: what this server needs of `twilio_api_v2010.json` (twilio/twilio-oai,
Apache-2.0), as it lies in the npm package @twilio-alpha/mcp 0.7.0, without descriptions and examples. It was cut by
`python tests/e2e/twilio_server.py package/twilio-oai/spec/json/twilio_api_v2010.json`.

Checked: path and method, the login, path, query and form parameters (unknown ones too), their types and patterns, what
is required. Answers are checked against the document as well, so that the package reads what Twilio would say.
"""

import base64
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft4Validator

DOCUMENT = Path(__file__).resolve().parents[1] / "data" / "twilio_messages.json"
ACCOUNT, TOKEN = "AC" + "0a" * 16, "the-token-of-this-test"  # no real ones
KEY, SECRET = "SK" + "0b" * 16, "the-secret-of-this-test"
SENDER, RANGER = "+573000000001", "+573001234567"
PATHS = (
    "/2010-04-01/Accounts/{Sid}.json",
    "/2010-04-01/Accounts/{AccountSid}/Messages.json",
    "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json",
)
ERRORS = {  # status, code → text, as Twilio says it
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    21211: (400, "Invalid 'To' Phone Number"),
    21408: (400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number"),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21614: (400, "'To' number is not a valid mobile number"),
}
E164 = re.compile(r"(whatsapp:)?\+[1-9]\d{6,14}")


@dataclass
class Twilio:
    """What the account holds, and how it behaves. faults: of the next requests that create a message, in this order.

    A fault is an error code of ERRORS, "500", "hang" (takes the message, never answers), "html" (an answer that is no
    JSON), "retry 7" (429 with Retry-After: 7) or "" for none. wrong: requests that the document does not allow.
    """

    port: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    status: str = "active"
    trial: bool = False
    hanging: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base(self) -> str:
        """What `api_base` is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[str]:
        """The texts that were taken, oldest first."""
        return [each["body"] for each in self.messages if each["direction"] != "inbound"]

    def add(self, *, body: str, to: str, from_: str, direction: str, age_s: float = 0.0, **fields: Any) -> str:
        """Put a message into the account, and give its name."""
        at = format_datetime(datetime.now(UTC) - timedelta(seconds=age_s))
        with self.lock:
            sid = f"SM{len(self.messages):032x}"
            self.messages.append(
                {
                    "sid": sid, "account_sid": ACCOUNT, "body": body, "to": to, "from": from_, "direction": direction,
                    "status": "received" if direction == "inbound" else "queued", "date_created": at,
                    "date_updated": at, "date_sent": at if direction == "inbound" else None, "num_segments": "1",
                    "num_media": "0", "error_code": None, "error_message": None, "price": None, "price_unit": None,
                    "messaging_service_sid": None, "api_version": "2010-04-01", "subresource_uris": {},
                    "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json", **fields,
                }
            )  # fmt: skip
        return sid

    def hear(self, body: str, *, from_: str = RANGER, to: str = SENDER, age_s: float = 0.0) -> str:
        """Somebody writes to us."""
        return self.add(body=body, to=to, from_=from_, direction="inbound", age_s=age_s)

    def change(self, sid: str, **fields: Any) -> None:
        """Twilio knows more of a message."""
        next(each for each in self.messages if each["sid"] == sid).update(fields)


class Checker:
    """Requests and answers against the document."""

    def __init__(self) -> None:
        self.document = json.loads(DOCUMENT.read_text("utf-8"))
        self.routes = [
            (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.replace(".", r"\."))), operations)
            for path, operations in self.document["paths"].items()
        ]

    def operation(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        """The operation of a request and the values in its path."""
        for pattern, operations in self.routes:
            if (found := pattern.fullmatch(path)) and method.lower() in operations:
                return operations[method.lower()], found.groupdict()
        return None

    def faults(self, operation: dict[str, Any], where: str, given: Mapping[str, list[str]]) -> Iterator[str]:
        """What is wrong with the values of a path, a query or a form."""
        if where == "form":
            schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
            schemas, required = schema["properties"], set(schema.get("required", ()))
        else:
            listed = [each for each in operation.get("parameters", ()) if each["in"] == where]
            schemas = {each["name"]: each["schema"] for each in listed}
            required = {each["name"] for each in listed if each.get("required")}
        for name in required - set(given):
            yield f"{name} is missing"
        for name, values in given.items():
            if name not in schemas:
                yield f"{name} is unknown"
                continue
            schema = schemas[name]
            value: Any = values if schema.get("type") == "array" else _typed(values[0], schema)
            if schema.get("type") != "array" and len(values) > 1:
                yield f"{name} stands there twice"
            yield from (f"{name}: {each.message}" for each in self.validator(schema).iter_errors(value))
            if schema.get("format") == "date-time" and not re.match(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$", values[0]):
                yield f"{name}: {values[0]!r} is no date"
            if schema.get("format") == "uri" and not urlsplit(values[0]).hostname:
                yield f"{name}: {values[0]!r} is no address"

    def check_answer(self, operation: dict[str, Any], status: int, body: Any) -> None:
        """Raise ValidationError when an answer of ours is not what the document says."""
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        self.validator(schema).validate(body)

    def validator(self, schema: dict[str, Any]) -> Draft4Validator:
        """A validator that finds the document's components."""
        return Draft4Validator({**_nullable(schema), "components": _nullable(self.document["components"])})


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "boolean":
        return {"true": True, "false": False, "True": True, "False": False}.get(text, text)
    if kind in {"integer", "number"}:
        return float(text) if kind == "number" else int(text) if text.lstrip("-").isdigit() else text
    return text


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable`, JSON Schema a list of types."""
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    turned = {key: _nullable(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True and isinstance(schema.get("type"), str):
        turned["type"] = [schema["type"], "null"]
    return turned


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._take("GET", {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._take("POST", parse_qs(body, keep_blank_values=True, strict_parsing=True) if body else {})

    def _take(self, method: str, form: dict[str, list[str]]) -> None:
        twilio, checker, url = self.server.twilio, self.server.checker, urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        twilio.requests.append((method, url.path, {name: values[0] for name, values in (query | form).items()}))
        found = checker.operation(method, url.path)
        if found is None:
            twilio.wrong.append(f"{method} {url.path}")
            self._fail(20404)
            return
        operation, path = found
        if not self._is_known():
            self._fail(20003)
            return
        faults = [*checker.faults(operation, "path", {name: [value] for name, value in path.items()})]
        faults += checker.faults(operation, "query", query)
        faults += checker.faults(operation, "form", form) if method == "POST" else ()
        if faults:
            twilio.wrong += faults
            self._say(400, {"code": 20001, "message": "; ".join(faults), "more_info": "", "status": 400})
            return
        answer = getattr(self, f"_{operation['operationId']}")(path, {k: v[0] for k, v in query.items()}, form)
        if answer is not None:
            status, body = answer
            checker.check_answer(operation, status, body)
            self._say(status, body)

    def _is_known(self) -> bool:
        kind, _, code = self.headers.get("Authorization", "").partition(" ")
        given = base64.b64decode(code).decode() if kind == "Basic" else ""
        return given in {f"{ACCOUNT}:{TOKEN}", f"{KEY}:{SECRET}"}

    def _FetchAccount(self, path: dict[str, str], _query: Any, _form: Any) -> Any:  # noqa: N802  # because the document calls it so
        if path["Sid"] != ACCOUNT:
            return self._fail(20404)
        at = format_datetime(datetime.now(UTC))
        return 200, {
            "sid": ACCOUNT, "auth_token": TOKEN, "friendly_name": "Trampas", "status": self.server.twilio.status,
            "date_created": at, "date_updated": at, "owner_account_sid": ACCOUNT, "subresource_uris": {},
            "type": "Full", "uri": f"/2010-04-01/Accounts/{ACCOUNT}.json",
        }  # fmt: skip

    def _CreateMessage(self, _path: Any, _query: Any, form: dict[str, list[str]]) -> Any:  # noqa: N802
        twilio, to = self.server.twilio, form["To"][0]
        fault = twilio.faults.pop(0) if twilio.faults else ""
        if fault.startswith("retry"):
            return self._fail(20429, **{"Retry-After": fault.partition(" ")[2]})
        if fault.isdigit() and int(fault) in ERRORS:
            return self._fail(int(fault))
        if not E164.fullmatch(to):
            return self._fail(21211)
        body = form.get("Body", [""])[0] or self._rendered(form)
        extra = {"num_media": str(len(form.get("MediaUrl", ())))}
        sid = twilio.add(
            body=f"Sent from your Twilio trial account - {body}" if twilio.trial else body,
            to=to,
            from_=form.get("From", [""])[0],
            direction="outbound-api",
            **extra,
        )
        if fault == "500":
            self._say(500, {"code": 20500, "message": "An internal server error has occurred", "status": 500})
        elif fault == "html":
            self._say(201, "<html>")
        elif fault == "hang":
            twilio.hanging.wait(10)
            self.close_connection = True
        else:
            return 201, next(each for each in twilio.messages if each["sid"] == sid)
        return None

    def _rendered(self, form: dict[str, list[str]]) -> str:
        variables = json.loads(form.get("ContentVariables", ["{}"])[0])
        return "Tigrillo: " + " / ".join(variables[name] for name in sorted(variables))

    def _FetchMessage(self, path: dict[str, str], _query: Any, _form: Any) -> Any:  # noqa: N802
        for message in self.server.twilio.messages:
            if message["sid"] == path["Sid"]:
                return 200, message
        return self._fail(20404)

    def _ListMessage(self, _path: Any, query: dict[str, str], _form: Any) -> Any:  # noqa: N802
        size = int(query.get("PageSize", 50))
        fitting = [
            each
            for each in reversed(self.server.twilio.messages)
            if query.get("To") in {None, each["to"]}
            and query.get("From") in {None, each["from"]}
            and ("DateSent>" not in query or _is_after(each["date_sent"], query["DateSent>"]))
        ]
        return 200, {
            "messages": fitting[:size], "page": 0, "page_size": size, "start": 0, "end": len(fitting[:size]),
            "uri": self.path, "first_page_uri": self.path, "next_page_uri": None, "previous_page_uri": None,
        }  # fmt: skip

    def _fail(self, code: int, **headers: str) -> None:
        status, message = ERRORS[code]
        info = f"https://www.twilio.com/docs/errors/{code}"
        self._say(status, {"code": code, "message": message, "more_info": info, "status": status}, **headers)

    def _say(self, status: int, body: Any, **headers: str) -> None:
        told = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(told)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, twilio: Twilio) -> None:
        self.twilio, self.checker = twilio, Checker()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is part of the tests; anything else is a fault of this server."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.twilio.wrong.append(repr(error))


def _is_after(sent: str | None, bound: str) -> bool:
    if sent is None:
        return False
    return datetime.strptime(sent, "%a, %d %b %Y %H:%M:%S %z") >= datetime.fromisoformat(bound)


@contextmanager
def twilio_server() -> Iterator[Twilio]:
    """An account at a Twilio of this machine; leaving it fails when a request was not what the document allows."""
    twilio = Twilio()
    server = Server(twilio)
    twilio.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="twilio-of-the-test")
    thread.start()
    try:
        yield twilio
    finally:
        twilio.hanging.set()
        server.shutdown()
        thread.join()
        server.server_close()
    assert not twilio.wrong, twilio.wrong


def cut_document(source: dict[str, Any]) -> dict[str, Any]:
    """What this server needs of Twilio's document: three paths, the schemas they name, no prose."""
    paths = {name: {verb: source["paths"][name][verb] for verb in ("get", "post") if verb in source["paths"][name]}
             for name in PATHS}  # fmt: skip
    paths = _plain(paths)
    schemas: dict[str, Any] = {}
    waiting = _named(paths)
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _plain(source["components"]["schemas"][name])
            waiting |= _named(schemas[name])
    info = {key: source["info"][key] for key in ("title", "version", "license")}
    return {"openapi": source["openapi"], "info": info, "paths": paths, "components": {"schemas": schemas}}


def _plain(value: Any) -> Any:
    prose = {"description", "summary", "examples", "example", "x-twilio", "servers", "security", "headers"}
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in prose}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _named(value: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(value)))


if __name__ == "__main__":
    document = cut_document(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    DOCUMENT.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
