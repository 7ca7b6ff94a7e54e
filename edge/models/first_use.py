"""Hashes seen on first use, for the few files whose publisher gives none.

`first-use.toml` in the models folder: model name → URL and SHA-256 of what came the first time. A later pull must get
the same. This is weaker than a published hash: it can't tell whether the first download was the right file.
"""

import tomllib
from pathlib import Path

import tomli_w

from ..errors import ModelError
from ..i18n import _
from ..paths import write_atomically
from .catalog import UrlOrigin

FILE_NAME = "first-use.toml"


def known_sha256(name: str, origin: UrlOrigin, folder: Path) -> str:
    """The hash recorded for this model and URL, "" when it was never seen."""
    seen = _read(folder / FILE_NAME).get(name, {})
    return seen.get("sha256", "") if seen.get("url") == origin.url else ""


def remember(name: str, origin: UrlOrigin, sha256: str, *, folder: Path) -> None:
    """Record what came."""
    path = folder / FILE_NAME
    write_atomically(path, tomli_w.dumps({**_read(path), name: {"url": origin.url, "sha256": sha256}}).encode())


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ModelError(
            _("{path}: can't be read ({reason}); correct it, or remove it to trust again on first use").format(
                path=path, reason=exc
            )
        ) from exc
