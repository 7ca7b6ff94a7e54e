"""Why: the reasons of a verdict, as values that can be kept and as lines that a person reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Because:
    """One reason. code: which one. holds: whether it speaks for the alert. fields: its values, text each.

    depth: how many conditions it lies in, 0 at the rule's top.
    """

    code: str
    holds: bool
    fields: Mapping[str, str]
    depth: int = 0

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads, of plain types."""
        return {"code": self.code, "holds": self.holds, "fields": dict(self.fields), "depth": self.depth}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Because":
        """The reason that was kept."""
        fields = {str(name): str(value) for name, value in dict(data["fields"]).items()}
        return cls(str(data["code"]), bool(data["holds"]), fields, int(data.get("depth", 0)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition holds for a detection, and every reason, in the order of the condition's tree."""

    holds: bool
    because: tuple[Because, ...] = ()


def tell(because: Because, language: str) -> str:
    """The reason as one line in "en" or "es", without indentation."""
    raise NotImplementedError
