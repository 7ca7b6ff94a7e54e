"""The key `database:` of a site: where the record is, and that its password stands nowhere."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from edge.config import plan_from
from edge.errors import ConfigError
from edge.registry import load_registry

REGISTRY = load_registry([])


def plan(text, path=Path("/sites/a/site.yaml")):
    return plan_from(text, path, REGISTRY)


def test_the_record_lies_in_the_state_folder_when_nothing_is_said():
    assert plan("state_dir: here").database_url == "sqlite:////sites/a/here/tigrillo.sqlite"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana@db.example.org/traps",
        "postgresql://ana@[::1]:5433/traps?sslmode=require",
        "postgresql:///traps?host=/run/postgresql",
    ],
)
def test_an_address_alone_is_enough(url):
    made = plan(f"database: {url!r}").database_url

    assert made == url.replace("postgresql:", "postgresql+psycopg:")
    assert make_url(made).database == "traps"


def test_the_password_is_read_from_its_place_beside_the_site(tmp_path):
    (tmp_path / "secret").write_text("p@ss:w/rd #1\n", "utf-8")
    text = "database: {url: 'postgresql://ana@localhost/traps', password: {file: secret}}"
    site = plan(text, tmp_path / "site.yaml")

    address = make_url(site.database_url)

    assert (address.username, address.password, address.host) == ("ana", "p@ss:w/rd #1", "localhost")
    assert "p@ss" not in repr(site)


def test_a_password_that_is_not_there_is_said_when_it_is_wanted(monkeypatch):
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    site = plan("database: {url: 'postgresql://ana@localhost/traps', password: {env: NO_SUCH_SECRET}}")

    with pytest.raises(ConfigError, match="NO_SUCH_SECRET"):
        _url = site.database_url


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("database: 'postgresql://ana:hunter2hunter2@localhost/traps'", "does not stand in this file"),
        ("database: 'postgresql://localhost/traps?password=hunter2hunter2'", "does not stand in this file"),
        ("database: {url: 'postgresql://a@h/t', password: hunter2hunter2}", "does not stand in this file"),
        ("database: {url: 'postgresql://h/t', password: {env: X}}", "with its user"),
        ("database: 'mysql://ana@localhost/traps'", "write postgresql://"),
        ("database: 'postgresql://ana@localhost/'", "write postgresql://"),
        ("database: 'postgresql://ana@localhost:many/traps'", "write postgresql://"),
        ("database: {adress: x}", "adress"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(text, fault):
    with pytest.raises(ConfigError) as raised:
        plan(text)

    assert fault in str(raised.value)
    assert "hunter2" not in str(raised.value)
