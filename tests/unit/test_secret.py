"""Secrets: the site's YAML says where they are, never what they are."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from edge.errors import ConfigError
from edge.secret import Secret


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: Secret


def test_a_secret_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2 ")

    assert Login(password={"env": "MAIL_PASSWORD"}).password.reveal() == "hunter2 "


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path):
    (tmp_path / "password").write_text("contraseña\n", "utf-8")

    assert Login(password={"file": str(tmp_path / "password")}).password.reveal() == "contraseña"


def test_a_plain_text_is_refused_with_the_right_form_and_is_not_repeated():
    with pytest.raises(ValidationError) as refusal:
        Login.model_validate({"password": "hunter2"})

    message = refusal.value.errors()[0]["msg"]
    assert "write `{env: NAME}` or `{file: PATH}`" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("places", [{}, {"env": "A", "file": "b"}, {"env": ""}, {"value": "hunter2"}])
def test_a_secret_has_exactly_one_place(places):
    with pytest.raises(ValidationError):
        Login(password=places)


def test_the_secret_is_in_no_representation(monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    login = Login(password={"env": "MAIL_PASSWORD"})

    login.password.reveal()

    assert "hunter2" not in repr(login) + str(login) + login.model_dump_json()


@pytest.mark.parametrize("place", [{"env": "TIGRILLO_NOT_SET"}, {"file": "/nowhere/password"}])
def test_a_secret_that_is_not_there_is_named_by_its_place(place):
    with pytest.raises(ConfigError, match=r"TIGRILLO_NOT_SET|/nowhere/password"):
        Login(password=place).password.reveal()
