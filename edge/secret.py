"""Passwords and tokens: the site's YAML says where they are, never what they are."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .errors import ConfigError
from .foreign import foreign
from .i18n import _
from .redaction import SecretText

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # POSIX 1003.1, 8.1
# systemd.exec(5): a credential's name is a file name; ours begin with no dot, so that none leads out of the folder
CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_@:+-][A-Za-z0-9_.@:+-]{0,254}")


# The text is repeated nowhere here: an error message ends in logs and in bug reports, and people write the secret
# itself where its name belongs.
def _env_name(name: str) -> str:
    if not ENV_NAME.fullmatch(name):
        raise ValueError(_("what stands here is no name of an environment variable: letters, digits and '_' only"))
    return name


def _credential_name(name: str) -> str:
    if not CREDENTIAL_NAME.fullmatch(name):
        raise ValueError(_("what stands here is no name of a credential: the NAME of LoadCredential=NAME:PATH"))
    return name


class KeyringEntry(BaseModel):
    """An entry of the user's keyring, as `keyring set SERVICE NAME` makes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    service: str = Field(min_length=1)
    name: str = Field(min_length=1)


class Secret(BaseModel):
    """A place to read a secret from; the secret itself is never kept or shown.

    env: an environment variable. file: a file's first to last character, without the line end. credential: a file that
    systemd hands to the service (LoadCredential=, LoadCredentialEncrypted=). keyring: an entry of the keyring of the
    desktop's user; needs the extra `keyring`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    env: Annotated[str, AfterValidator(_env_name)] | None = None
    file: Path | None = None
    credential: Annotated[str, AfterValidator(_credential_name)] | None = None
    keyring: KeyringEntry | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_plain_text(cls, value: Any) -> Any:
        if not isinstance(value, dict | Secret):
            raise ValueError(  # noqa: TRY004  # because pydantic reports a ValueError with its place, a TypeError not
                _(
                    "a secret does not stand in this file: write `{env: NAME}` or `{file: PATH}`, also "
                    "`{credential: NAME}` (systemd) or `{keyring: {service: SERVICE, name: NAME}}`"
                )
            )
        return value

    @model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if sum(map(bool, (self.env, self.file, self.credential, self.keyring))) != 1:
            raise ValueError(
                _(
                    "a secret has one place: `{env: NAME}`, `{file: PATH}`, `{credential: NAME}` or "
                    "`{keyring: {service: SERVICE, name: NAME}}`"
                )
            )
        return self

    def read(self) -> SecretText:
        """The secret, for keeping: nothing shows it by accident. Raises ConfigError when it is not there or empty."""
        value, place = self._read()
        if not value:
            raise ConfigError(_("secret: {place} is not set or empty").format(place=place))
        return SecretText(value)

    def reveal(self) -> str:
        """The secret as a plain text, for a call that takes it at once. Raises as `read`."""
        return self.read().expose()

    def _read(self) -> tuple[str, str]:
        """(the secret or "", its place in words)."""
        if self.env:
            return os.environ.get(self.env, ""), _("environment variable {name}").format(name=self.env)
        if self.credential:
            return _read_credential(self.credential), _("credential {name}").format(name=self.credential)
        if self.keyring:
            place = _("keyring entry {name} of {service}")
            return _read_keyring(self.keyring), place.format(name=self.keyring.name, service=self.keyring.service)
        assert self.file is not None
        return _read_file(self.file.expanduser()), _("file {path}").format(path=self.file)


def _read_file(path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        # a UnicodeDecodeError repeats what it could not decode
        reason = foreign(exc) if isinstance(exc, OSError) else _("it is not UTF-8")
        raise ConfigError(_("secret: file {path} can't be read: {reason}").format(path=path, reason=reason)) from None


def _read_credential(name: str) -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ConfigError(
            _(
                "secret: credential {name}: systemd gave this process none: write LoadCredential={name}:PATH into the "
                "unit; on a terminal use `env` or `file`"
            ).format(name=name)
        )
    return _read_file(Path(folder) / name)


def _read_keyring(entry: KeyringEntry) -> str:
    where = {"name": entry.name, "service": entry.service}
    try:
        import keyring  # noqa: PLC0415  # because it is an extra that few sites need
        from keyring.errors import KeyringError, NoKeyringError  # noqa: PLC0415  # because see above
    except ImportError as exc:
        problem = _("secret: keyring entry {name} of {service}: `pip install 'tigrillo[keyring]'` is missing")
        raise ConfigError(problem.format(**where)) from exc
    try:
        return keyring.get_password(entry.service, entry.name) or ""
    except NoKeyringError as exc:
        problem = _(
            "secret: keyring entry {name} of {service}: there is no keyring here (a service has none): use "
            "`credential` or `file`"
        )
        raise ConfigError(problem.format(**where)) from exc
    except KeyringError as exc:
        problem = _("secret: keyring entry {name} of {service}: the keyring can't be read: {reason}")
        raise ConfigError(problem.format(**where, reason=exc or type(exc).__name__)) from exc
