"""`tigrillo users` as people type it: without a running site, and beside one."""

import json

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.daemon import only_one
from edge.errors import FatalError
from edge.passwords import Hasher
from edge.store.sql import Store
from edge.store.users import all_users
from tests.auth_rig import PASSWORD

SITE = """
site: {name: Selva, timezone: America/Bogota}
sources: [{use: watch, folder: inbox, station: cam-01}]
stages: [{use: motion}]
stations: [{name: cam-01}]
web: {address: 'https://traps.example.org'}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    (tmp_path / "site.yaml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIGRILLO_LANG", "en")
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path


def tigrillo(*arguments, said=""):
    return CliRunner().invoke(app, ["users", *arguments], input=said)


def people(site):
    with Store(f"sqlite:///{site}/state/tigrillo.sqlite") as store, store.reading() as connection:
        return {user.name: user for user in all_users(connection)}


def test_from_the_first_admin_to_the_list(site):
    added = tigrillo("add", "Ana", "--role", "admin", "--password-stdin", said=PASSWORD + "\n")
    tigrillo("add", "Bo", "--station", "cam-01", "--email", "bo@example.org", said=f"{PASSWORD}\n{PASSWORD}\n")
    listed = tigrillo("list")
    as_json = json.loads(tigrillo("list", "--json").output)

    assert "may log in as admin" in added.output
    assert [line.split()[:2] for line in listed.output.splitlines()[1:]] == [["Ana", "admin"], ["Bo", "viewer"]]
    assert [(each["name"], each["stations"]) for each in as_json] == [("Ana", None), ("Bo", ["cam-01"])]
    assert Hasher().verify(people(site)["Ana"].password, PASSWORD)
    assert PASSWORD not in added.output + listed.output


def test_a_bad_password_name_role_or_station_changes_nothing(site):
    for arguments, said in (
        (["add", "Ana", "--password-stdin"], "short\n"),
        (["add", "Ana", "--password-stdin"], "contraseña123\n"),
        (["add", "a<b", "--password-stdin"], PASSWORD),
        (["add", "Ana", "--role", "king", "--password-stdin"], PASSWORD),
        (["add", "Ana", "--station", "cam-99", "--password-stdin"], PASSWORD),
        (["add", "Ana", "--email", "no mail", "--password-stdin"], PASSWORD),
        (["token", "Ana"], ""),
        (["reset", "Ana"], ""),
    ):
        assert isinstance(tigrillo(*arguments, said=said).exception, FatalError), arguments
    assert tigrillo("list", "--json").output.strip() == "[]"


def test_it_works_beside_the_daemon(site):
    tigrillo("add", "Ana", "--role", "admin", "--password-stdin", said=PASSWORD)

    with only_one(site / "state"):
        token = json.loads(tigrillo("token", "Ana", "--name", "r script", "--scope", "see", "--json").output)
        tigrillo("add", "Bo", "--password-stdin", said=PASSWORD)

    assert token["token"].startswith("tgl_")
    assert set(people(site)) == {"Ana", "Bo"}


def test_links_have_the_pages_address_and_the_last_admin_stays(site):
    tigrillo("add", "Ana", "--role", "admin", "--password-stdin", said=PASSWORD)

    assert tigrillo("invite", "--role", "reviewer").output.startswith("https://traps.example.org/invitation/")
    assert json.loads(tigrillo("reset", "ana", "--json").output)["name"] == "Ana"
    for arguments in (["disable", "Ana"], ["role", "Ana", "viewer"]):
        assert "last admin" in str(tigrillo(*arguments).exception)
    tigrillo("add", "Eva", "--role", "admin", "--password-stdin", said=PASSWORD)
    assert tigrillo("disable", "Ana").exit_code == 0
    assert not people(site)["Ana"].active
    assert tigrillo("enable", "Ana").exit_code == 0
    assert tigrillo("role", "Ana", "viewer", "--station", "cam-01").exit_code == 0
    assert people(site)["Ana"].stations == {"cam-01"}
    tigrillo("role", "Ana", "reviewer")
    assert people(site)["Ana"].stations == {"cam-01"}
