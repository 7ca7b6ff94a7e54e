"""Passwords and tokens: the site's YAML says where they are, never what they are."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from .errors import ConfigError
from .foreign import foreign
from .i18n import _


class Secret(BaseModel):
    """A place to read a secret from, `{env: NAME}` or `{file: PATH}`; the secret itself is never kept or shown."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_plain_text(cls, value: Any) -> Any:
        # The text is not repeated here: an error message ends in logs and in bug reports.
        if not isinstance(value, dict | Secret):
            raise ValueError(  # noqa: TRY004  # because pydantic reports a ValueError with its place, a TypeError not
                _("a secret does not stand in this file: write `{env: NAME}` or `{file: PATH}`")
            )
        return value

    @model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if bool(self.env) == bool(self.file):
            raise ValueError(_("a secret has one place: `{env: NAME}` or `{file: PATH}`"))
        return self

    def reveal(self) -> str:
        """The secret, without the line end of a file. Raises ConfigError when it is not there or empty."""
        if self.env:
            value, place = os.environ.get(self.env, ""), _("environment variable {name}").format(name=self.env)
        else:
            assert self.file is not None
            value, place = _read(self.file), _("file {path}").format(path=self.file)
        if not value:
            raise ConfigError(_("secret: {place} is not set or empty").format(place=place))
        return value


def _read(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            _("secret: file {path} can't be read: {reason}").format(path=path, reason=foreign(exc))
        ) from exc
