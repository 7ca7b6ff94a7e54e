"""Settings of a site → the model that takes them; each fault is placed, and said in a person's words."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .foreign import foreign
from .i18n import _
from .site_file import did_you_mean
from .yaml_marks import Document, Path, dotted


def as_model(model: type[BaseModel], data: Any, where: Path, document: Document) -> Any:
    """`data` as `model`, or None with its faults noted, placed below `where`.

    What the YAML reader faulted already is not named twice.
    """
    faulted = {fault.path for fault in document.faults}
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        errors = exc.errors()
        for error in errors:
            path: Path = (*where, *(part for part in error["loc"] if not str(part).startswith("function-")))
            if error["type"] == "too_short" and _fails_inside(error, errors):
                continue
            if dotted(path) not in faulted:
                document.fault(path, _explain(error, model, path))
        return None


def _fails_inside(error: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is short because its entries were refused, each with a line of its own."""
    depth = len(error["loc"])
    return any(len(each["loc"]) > depth and each["loc"][:depth] == error["loc"] for each in errors)


def _explain(error: Mapping[str, Any], model: type[BaseModel], path: Path) -> str:
    """One pydantic error in a person's words."""
    kind, got, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "missing":
        return _("is missing: add `{key}: …`").format(key=path[-1])
    if kind == "extra_forbidden":
        around = _models_at(model, error["loc"][:-1])
        names = list(dict.fromkeys(name for each in around for name in _names_of(each)))
        close = difflib.get_close_matches(str(path[-1]), names, 1)
        hint = did_you_mean(close) or "; " + _("known here: {names}").format(names=", ".join(names))
        return _("nothing is called {key!r} here{hint}").format(key=path[-1], hint=hint)
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    if kind == "literal_error":
        return _("{got!r} is not one of {expected}").format(
            got=got, expected=context["expected"].replace(" or ", _(" or "))
        )
    otherwise = _("{problem}, got {got!r}").format(problem=foreign(error["msg"]), got=got)
    return _explain_shape(kind, got) or otherwise


def _explain_shape(kind: str, got: Any) -> str:
    """A value that is no text, list or mapping where one stands; "" for other faults."""
    if got is None:
        return _("is empty: write its value, or remove the line")
    if kind == "too_short" and not got:
        return _("is empty: name one at least")
    if kind == "string_type":
        return _("{got!r} is not text: put it in quotes").format(got=got)
    if kind in {"model_type", "dict_type"}:
        return _("{got!r} is no mapping: write `key: value` lines below it").format(got=got)
    if kind in {"tuple_type", "list_type"}:
        return _("{got!r} is no list: write each entry on a line that begins with `- `").format(got=got)
    return ""


def _models_at(model: type[BaseModel], place: Sequence[str | int]) -> list[type[BaseModel]]:
    """The models that may stand at a place inside one; entries of lists and names of mappings are stepped over."""
    found = [model]
    for step in place:
        fields = [info for each in found for name, info in each.model_fields.items() if step in (name, info.alias)]
        found = [inner for each in fields for inner in _models_in(each.annotation)] if fields else found
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, however deep: `tuple[Rule, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _names_of(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]
