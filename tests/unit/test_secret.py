"""Secrets: the site's YAML says where they are, never what they are; and none of them gets out by accident."""

import copy
import io
import json
import pickle
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import keyring
import pytest
import structlog
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked
from pydantic import BaseModel, ConfigDict, ValidationError

from edge.errors import ConfigError, NotifyError
from edge.logs import make_log
from edge.model import Event
from edge.pipeline.runner import Failed, attempt
from edge.pipeline.tally import Observers, Tally, write_status
from edge.redaction import SHOWN, SecretText, redacted, redacted_value
from edge.registry import load_registry
from edge.secret import Secret

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: Secret


class Entries(KeyringBackend):
    """A keyring of the package's own kind, in memory."""

    priority = 1

    def __init__(self, entries, problem=None):
        super().__init__()
        self.entries, self.problem = entries, problem

    def get_password(self, service, username):
        if self.problem:
            raise self.problem
        return self.entries.get((service, username))

    def set_password(self, service, username, password):
        self.entries[service, username] = password


@pytest.fixture(autouse=True)
def forgotten_again(monkeypatch):
    monkeypatch.setattr("edge.redaction._known", set())
    monkeypatch.setattr("edge.redaction._pattern", None)


@pytest.fixture
def use_keyring():
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


def secret_of(**place) -> Secret:
    return Login.model_validate({"password": place}).password


def test_a_secret_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2 ")

    assert secret_of(env="MAIL_PASSWORD").reveal() == "hunter2 "


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path):
    (tmp_path / "password").write_text("contraseña\n", "utf-8")

    assert secret_of(file=str(tmp_path / "password")).reveal() == "contraseña"


def test_a_secret_comes_from_systemd(tmp_path, monkeypatch):
    (tmp_path / "mail.password").write_text("hunter2\n", "utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert secret_of(credential="mail.password").reveal() == "hunter2"


def test_a_secret_comes_from_the_keyring(use_keyring):
    use_keyring(Entries({("tigrillo", "twilio"): "hunter2"}))

    assert secret_of(keyring={"service": "tigrillo", "name": "twilio"}).reveal() == "hunter2"


def test_a_plain_text_is_refused_with_the_right_forms_and_is_not_repeated():
    with pytest.raises(ValidationError) as refusal:
        Login.model_validate({"password": "hunter2"})

    message = refusal.value.errors()[0]["msg"]
    assert "write `{env: NAME}` or `{file: PATH}`" in message
    assert "`{credential: NAME}`" in message
    assert "`{keyring: {service: SERVICE, name: NAME}}`" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("places", [{}, {"env": "A", "file": "b"}, {"credential": "a", "env": "A"}, {"env": ""}])
def test_a_secret_has_exactly_one_place(places):
    with pytest.raises(ValidationError):
        secret_of(**places)


@pytest.mark.parametrize(
    "place",
    [
        {"env": "hunter2!"},
        {"credential": "hunter2/../x"},
        {"credential": ".hunter2"},
        {"value": "hunter2"},
        {"keyring": "hunter2"},
        {"keyring": {"service": "tigrillo", "password": "hunter2"}},
    ],
)
def test_what_is_written_in_the_place_of_a_name_is_refused_and_not_repeated(place):
    with pytest.raises(ValidationError) as refusal:
        secret_of(**place)

    assert not any("hunter2" in each["msg"] for each in refusal.value.errors())


@pytest.mark.parametrize(
    "place", [{"env": "TIGRILLO_NOT_SET"}, {"file": "/nowhere/password"}, {"credential": "not-there"}]
)
def test_a_secret_that_is_not_there_is_named_by_its_place(place, tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    with pytest.raises(ConfigError, match=r"TIGRILLO_NOT_SET|/nowhere/password|not-there"):
        secret_of(**place).reveal()


def test_a_credential_outside_systemd_says_what_to_write(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    with pytest.raises(ConfigError, match="LoadCredential=mail:PATH"):
        secret_of(credential="mail").read()


def test_a_file_that_is_no_text_is_not_repeated(tmp_path):
    (tmp_path / "password").write_bytes(b"hunter2\xff")

    with pytest.raises(ConfigError, match="not UTF-8") as refusal:
        secret_of(file=str(tmp_path / "password")).read()

    assert "hunter2" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        (NoKeyring(), "there is no keyring here"),
        (Entries({}, KeyringLocked("the collection is locked")), "the collection is locked"),
        (Entries({}), "is not set or empty"),
    ],
)
def test_a_keyring_that_has_it_not_is_a_clear_error(use_keyring, backend, says):
    use_keyring(backend)

    with pytest.raises(ConfigError, match="keyring entry twilio of tigrillo") as refusal:
        secret_of(keyring={"service": "tigrillo", "name": "twilio"}).reveal()

    assert says in str(refusal.value)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(ConfigError, match=r"pip install 'tigrillo\[keyring\]'"):
        secret_of(keyring={"service": "tigrillo", "name": "twilio"}).read()


def test_the_secret_is_in_no_representation_of_its_place(monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    login = Login(password={"env": "MAIL_PASSWORD"})

    login.password.reveal()

    assert "hunter2" not in repr(login) + str(login) + login.model_dump_json()


@dataclass(frozen=True, slots=True)
class Channel:
    password: SecretText


def test_a_secret_that_was_read_is_shown_by_nothing_but_expose():
    secret = SecretText("pin")  # shorter than what the net takes out: only its type keeps it
    channel = Channel(secret)

    shown = [
        str(secret), repr(secret), f"{secret} {secret!s:>9} {secret!r}", f"{secret:x}", str([secret]),
        repr(channel), str(asdict(channel)), repr(copy.copy(channel)),
        structlog.processors.JSONRenderer(ensure_ascii=False)(None, "info", {"password": secret, "channel": channel}),
    ]  # fmt: skip

    assert all("pin" not in each and SHOWN in each for each in shown)
    assert secret.expose() == "pin"
    for leak in (lambda: json.dumps({"password": secret}), lambda: pickle.dumps(secret), lambda: "x" + secret):
        with pytest.raises(TypeError):
            leak()


def test_secrets_can_be_compared_and_be_keys():
    one, same, other = SecretText("hunter2"), SecretText("hunter2"), SecretText("hunter3")

    assert one == same != other
    assert len({one, same, other}) == 2
    assert one != "hunter2"
    assert not SecretText("")


@pytest.mark.parametrize("text", ["hunter2", 'pa"ss\\word', "qué-va-señor", "two words&more=", "line\nline two"])
def test_the_net_takes_out_a_secret_in_any_of_its_forms(text):
    from urllib.parse import quote, quote_plus, urlencode  # noqa: PLC0415  # because only this test writes them

    SecretText(text)
    forms = [text, json.dumps(text), json.dumps(text, ensure_ascii=False), quote(text), quote_plus(text)]

    for form in [*forms, urlencode({"token": text}), repr(text), repr([text.encode()])]:
        assert SHOWN in redacted(f"refused: {form}, sorry"), form
        assert form.strip("\"'") not in redacted(f"refused: {form}, sorry")


def test_of_two_secrets_the_longer_is_taken_out_whole():
    SecretText("hunter")
    SecretText("hunter-and-more")

    assert redacted("hunter-and-more, hunter") == f"{SHOWN}, {SHOWN}"


def test_short_texts_and_what_is_no_text_stay():
    SecretText("1234")
    SecretText("hunter2")

    assert redacted("pin 1234") == "pin 1234"
    assert redacted_value({"a": (1, None, ["hunter2"], {"hunter2": 2.5})}) == {"a": (1, None, [SHOWN], {SHOWN: 2.5})}


def leaky() -> None:
    raise NotifyError("mail server: refused station:hunter2-and-more")


def test_a_secret_in_a_channels_error_reaches_neither_log_nor_status_file_nor_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2-and-more")
    Login(password={"env": "MAIL_PASSWORD"}).password.reveal()
    tally = Tally()
    observe = Observers(tally, make_log(json_lines=True), load_registry([]).manager)

    failed = attempt(leaky)
    raw = {"reason": "hunter2-and-more", "deferred": "hunter2-and-more"}  # as a source would hand it over
    for fields in (raw, {"reason": "hunter2-and-more"}):
        observe(Event("notify", NOW, ok=False, fields=fields))
    write_status(tmp_path / "status.json", tally, said={"error": ["hunter2-and-more"]})

    assert isinstance(failed, Failed)
    assert failed.reason == f"mail server: refused station:{SHOWN}"
    logged = capsys.readouterr().err
    assert SHOWN in logged
    status = (tmp_path / "status.json").read_text("utf-8")
    assert json.loads(status)["deferred"]["reason"] == SHOWN
    assert "hunter2" not in logged + status


@pytest.mark.parametrize("json_lines", [True, False])
def test_the_log_shows_no_secret_in_any_field_or_traceback(monkeypatch, json_lines):
    lines = io.StringIO()
    monkeypatch.setattr("sys.stderr", lines)
    SecretText('hunter"2')
    log = make_log(json_lines=json_lines)

    log.error('hunter"2', reason='hunter"2', exc_info=ValueError('hunter"2'), deep=[{"x": 'hunter"2'}])

    assert lines.getvalue().count(SHOWN) == 4
    assert "hunter" not in lines.getvalue()


SAYS_IT_ALL = """
import json, logging, os, sys, typer
from edge import cli
from edge.errors import FatalError
from edge.secret import Secret

@cli.app.command()
def leak(how: str) -> None:
    password = Secret(env="MAIL_PASSWORD").reveal()
    typer.echo(json.dumps({"error": f"refused {password}"}))
    print("print", password)
    logging.getLogger("twilio").warning("token %s", password)
    raise {"fatal": FatalError, "bug": RuntimeError}[how](f"login with {password}")

cli.main()
"""


@pytest.mark.parametrize("how", ["fatal", "bug"])
def test_no_output_of_a_command_has_a_secret(how):
    done = subprocess.run(
        [sys.executable, "-c", SAYS_IT_ALL, "leak", how],
        env={"MAIL_PASSWORD": "hünter2\\x", "PATH": "/usr/bin", "TIGRILLO_LANG": "en"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[0]) == {"error": f"refused {SHOWN}"}
    assert done.stdout.splitlines()[1] == f"print {SHOWN}"
    assert f"token {SHOWN}" in done.stderr
    assert f"login with {SHOWN}" in done.stderr
    assert "nter2" not in done.stdout + done.stderr
