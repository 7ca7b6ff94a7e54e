"""The catalogue: what `tigrillo models pull` knows, as data (catalog.toml beside this file)."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from ..errors import ModelError
from ..i18n import _

CATALOGUE = Path(__file__).with_name("catalog.toml")
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


@dataclass(frozen=True, slots=True)
class WheelOrigin:
    """A file inside a wheel of the package index. sha256, bytes: of the file, not of the wheel."""

    requirement: str
    member: str
    sha256: Sha256
    bytes: int

    def __str__(self) -> str:
        return f"{self.requirement}: {self.member}"

    @property
    def file_name(self) -> str:
        """The file's own name, for messages that a person can search for."""
        return self.member.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class UrlOrigin:
    """A file on a web server. sha256 "" and bytes 0: nobody has published them."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    sha256: Sha256 = ""
    bytes: int = 0

    def __str__(self) -> str:
        return self.url

    @property
    def file_name(self) -> str:
        """The file's own name, for messages that a person can search for."""
        return self.url.partition("?")[0].rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be pulled; catalog.toml explains each field."""

    summary: str
    licence: str
    page: str
    convert: Literal["none", "yolox", "efficientnet-lite0"] = "none"
    default: bool = False
    not_yet: str = ""
    accept: str = ""
    class_table: str = ""
    wheel: WheelOrigin | None = None
    url: UrlOrigin | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        if (self.wheel is None) == (self.url is None):
            raise ValueError("an entry comes from a wheel or from a url, one of the two")

    @property
    def origin(self) -> WheelOrigin | UrlOrigin:
        """Where the file comes from."""
        origin = self.wheel or self.url
        assert origin is not None
        return origin


@cache
def read_catalogue(path: Path = CATALOGUE) -> Mapping[str, Entry]:
    """All entries by name, in the file's order."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    named = {name: {**entry, "name": name} for name, entry in values.items()}
    return TypeAdapter(dict[str, Entry]).validate_python(named)


def find_entry(name: str, catalogue: Mapping[str, Entry]) -> Entry:
    """The entry of this name. Raises ModelError with the nearest names when there is none."""
    if name in catalogue:
        return catalogue[name]
    near = difflib.get_close_matches(name, catalogue, n=1)
    hint = (
        _("did you mean {name!r}?").format(name=near[0])
        if near
        else _("there are: {names}").format(names=", ".join(catalogue))
    )
    raise ModelError(_("model {name!r} is not in the catalogue; {hint}").format(name=name, hint=hint))
