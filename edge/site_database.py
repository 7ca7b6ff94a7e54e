"""The key `database:` of a site, and the one place that knows where a site's database is."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from .errors import ConfigError
from .i18n import _
from .secret import Secret

SQLITE_FILE = "tigrillo.sqlite"  # in the state folder


class DatabaseConfig(BaseModel):
    """Where the record is kept. url: `postgresql://USER@HOST/NAME`; "" for an SQLite file in the state folder.

    password: where it is, when neither PGPASSWORD nor ~/.pgpass tells it. The address alone may stand for the section.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str = ""
    password: Secret | None = None

    @model_validator(mode="before")
    @classmethod
    def _address_alone(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if not url:
            return url
        try:
            parts = urlsplit(url)
            secret, _port = parts.password or parse_qs(parts.query).get("password"), parts.port
        except ValueError as exc:
            raise ValueError(_("what stands here is no address: write postgresql://USER@HOST/NAME")) from exc
        if secret:
            raise ValueError(
                _("a password does not stand in this file: write `url:` without it and `password: {file: PATH}`")
            )
        if parts.scheme != "postgresql" or not parts.path.strip("/"):
            raise ValueError(_("what stands here is no address: write postgresql://USER@HOST/NAME"))
        return url

    @model_validator(mode="after")
    def _password_of_somebody(self) -> "DatabaseConfig":
        if self.password is not None and not (self.url and urlsplit(self.url).username):
            raise ValueError(_("a password needs a `url` with its user: postgresql://USER@HOST/NAME"))
        return self


def sqlite_url(state_dir: Path) -> str:
    """SQLAlchemy address of the file in a state folder; quoted, because a folder may be called "trap #3"."""
    return f"sqlite:///{quote(str(state_dir / SQLITE_FILE))}"


def url_of(place: str) -> str:
    """SQLAlchemy address of an SQLite file's path, or of postgresql://… Raises ConfigError for another address."""
    scheme, between, rest = place.partition("://")
    if not between:
        return f"sqlite:///{quote(place)}"
    if scheme != "postgresql":
        raise ConfigError(_("what stands here is no address: write postgresql://USER@HOST/NAME"))
    return f"postgresql+psycopg://{rest}"


def database_url(config: DatabaseConfig, site: Path, state_dir: Path) -> str:
    """SQLAlchemy address of the database of the site in the file `site`, with its password: not for people's eyes.

    Raises ConfigError when the password's place has none.
    """
    if not config.url:
        return sqlite_url(state_dir)
    parts = urlsplit(config.url)
    place = parts.netloc
    if config.password is not None:
        secret = config.password
        if secret.file is not None:  # beside the site's file, as every file that a site names
            secret = secret.model_copy(update={"file": site.resolve().parent / secret.file.expanduser()})
        user, _at, host = place.rpartition("@")
        place = f"{user}:{quote(secret.reveal(), safe='')}@{host}"
    return f"postgresql+psycopg://{place}{parts.path}{'?' if parts.query else ''}{parts.query}"
