"""What was found out about a device, read back from the cache: whole and of the right types, or not at all."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
Tell = Callable[[str, Mapping[str, str]], None]  # a log event and its fields


def tell_nobody(_event: str, _fields: Mapping[str, str]) -> None:
    """Where nobody reads what is told."""


def read_kept(path: Path, kind: TypeAdapter[T], *, tell: Tell = tell_nobody, next_step: str) -> T | None:
    """The content of a JSON file; None when it is not there, or is not of this kind, which is told.

    Hands edit these files, and disks damage them. next_step: what brings the file back, in English, for the log.
    """
    try:
        return kind.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return None
    except OSError as exc:
        reason = exc.strerror or str(exc)
    except ValidationError as exc:
        reason = _first_fault(exc)
    tell("compute.file_ignored", {"file": str(path), "reason": reason, "next_step": next_step})
    return None


def _first_fault(exc: ValidationError) -> str:
    first: Any = exc.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
