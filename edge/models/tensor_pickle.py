"""A pickle reader that can't run anything: it knows tensors and containers, and no way to call or import.

The standard Unpickler calls what a pickle names. This one interprets the few opcodes that a saved state dict is made of
and builds a `TensorRef` where the pickle asks for a tensor; every other name or opcode ends in ModelError.
In: a stream at the start of a pickle. Out: dicts, lists, tuples, numbers, strings and TensorRefs.
"""

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np

from ..errors import ModelError
from ..i18n import _

MAX_OPCODES = 2_000_000  # the largest default checkpoint has 25,000; a pickle bomb has to stop somewhere
MAX_NAME_BYTES = 200
OPCODES: Final = {info.code: info for info in pickletools.opcodes}
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
}
ORDERED_DICT = "collections.OrderedDict"
REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
ALLOWED = frozenset((*DTYPES, ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER))
TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A run of numbers elsewhere in the checkpoint. count: how many elements the pickle says there are."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A view of a storage; offset and strides in elements, not yet compared with the storage's real size."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that the pickle imports; never looked up, only compared."""

    text: str


class _Mark:
    """Where a MARK opcode was pushed."""


# opcode → what it pushes, made from the opcode's argument
PUSHES: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
        lambda argument: argument,
    ),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "MARK": lambda _: _Mark(),
}

# the opcodes that torch writes for a state dict; nothing that the others do is needed to hold tensors
KNOWN = frozenset(
    (
        *PUSHES,
        *TUPLES,
        *("PROTO", "STOP", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "TUPLE"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "SETITEM", "SETITEMS", "APPEND", "APPENDS"),
    )
)


def read_pickle(stream: IO[bytes], *, where: str) -> Any:
    """Read one pickle and leave the stream behind its STOP.

    where: names the file in messages. Raises ModelError on anything that is not plain data or a tensor.
    """
    try:
        return _interpret(stream, where)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as exc:
        raise ModelError(
            _("{where}: broken checkpoint, its pickle can't be read ({reason})").format(where=where, reason=exc)
        ) from exc


def _interpret(stream: IO[bytes], where: str) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument in _opcodes(stream, where):
        if opcode == "STOP":
            return stack.pop()
        if opcode in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif opcode in PUSHES:
            stack.append(PUSHES[opcode](argument))
        elif opcode == "GLOBAL":
            stack.append(_allowed(argument, where))
        elif opcode != "PROTO":
            _combine(opcode, stack, where)
    raise AssertionError("_opcodes ends with STOP or raises")


def _opcodes(stream: IO[bytes], where: str) -> Iterator[tuple[str, Any]]:
    """Name and argument of each opcode; one that is not known here is refused before its argument is read."""
    for _number in range(MAX_OPCODES):
        if not (code := stream.read(1)):
            raise ModelError(_("{where}: broken checkpoint, its pickle has no end").format(where=where))
        info = OPCODES.get(code.decode("latin-1"))
        if info is None:
            raise ModelError(
                _("{where}: broken or no checkpoint, {code!r} is no pickle opcode").format(where=where, code=code)
            )
        if info.name not in KNOWN:
            raise ModelError(
                _("{where}: refused, its pickle uses opcode {name}, which no plain state dict needs").format(
                    where=where, name=info.name
                )
            )
        if info.name == "GLOBAL":
            yield info.name, f"{_line(stream)}.{_line(stream)}"
        else:
            yield info.name, info.arg.reader(stream) if info.arg else None
    raise ModelError(
        _("{where}: more than {most} pickle opcodes, this is no checkpoint").format(where=where, most=MAX_OPCODES)
    )


def _line(stream: IO[bytes]) -> str:
    """A module or a name of GLOBAL; pickletools would also undo escapes in it, which no pickle reader does."""
    return stream.readline(MAX_NAME_BYTES).removesuffix(b"\n").decode("ascii")


def _combine(opcode: str, stack: list[Any], where: str) -> None:
    """Opcodes that take values off the stack."""
    if opcode in TUPLES:
        values = tuple(_pop(stack) for _ in range(TUPLES[opcode]))
        stack.append(values[::-1])
    elif opcode == "TUPLE":
        stack.append(tuple(_pop_to_mark(stack)))
    elif opcode in ("SETITEM", "SETITEMS"):
        items = _pop_to_mark(stack) if opcode == "SETITEMS" else [_pop(stack), _pop(stack)][::-1]
        _set_items(stack[-1], items, where)
    elif opcode in ("APPEND", "APPENDS"):
        items = _pop_to_mark(stack) if opcode == "APPENDS" else [_pop(stack)]
        _expect(stack[-1], list, where).extend(items)
    elif opcode == "BINPERSID":
        stack.append(_storage(_pop(stack), where))
    elif opcode == "REDUCE":
        arguments, name = _pop(stack), _pop(stack)
        stack.append(_rebuild(name, arguments, where))
    else:  # BUILD
        _pop(stack)  # the attributes of a state dict (its version numbers) are of no use here, and never set
        _expect(stack[-1], dict, where)


def _allowed(name: str, where: str) -> _Name:
    if name not in ALLOWED:
        raise ModelError(
            _(
                "{where}: refused, it asks to run {name!r}; only tensors are read from a checkpoint. Nothing "
                "was run. Take the model from its publisher, or export it to ONNX and use: tigrillo models "
                "import"
            ).format(where=where, name=name[:80])
        )
    return _Name(name)


def _rebuild(name: Any, arguments: Any, where: str) -> Any:
    """What REDUCE would have called."""
    _expect(name, _Name, where)
    _expect(arguments, tuple, where)
    if name.text == ORDERED_DICT and not arguments:
        return {}
    if name.text == REBUILD_PARAMETER:
        return _expect(arguments[0], TensorRef, where)
    if name.text == REBUILD_TENSOR:
        storage, offset, shape, strides = arguments[:4]
        return TensorRef(
            _expect(storage, StorageRef, where), _whole(offset, where), _wholes(shape, where), _wholes(strides, where)
        )
    raise ModelError(
        _("{where}: broken checkpoint, {name} is called with {count} arguments").format(
            where=where, name=name.text, count=len(arguments)
        )
    )


def _storage(identity: Any, where: str) -> StorageRef:
    """The persistent id of a storage: ("storage", type, key, device, count[, view])."""
    _expect(identity, tuple, where)
    if identity[0] != "storage" or len(identity) not in (5, 6) or (len(identity) == 6 and identity[5] is not None):
        raise ModelError(
            _("{where}: broken checkpoint, {value} is no storage").format(where=where, value=str(identity)[:80])
        )
    dtype = DTYPES[_expect(identity[1], _Name, where).text]
    return StorageRef(_expect(identity[2], str, where), dtype, _whole(identity[4], where))


def _set_items(target: Any, items: list[Any], where: str) -> None:
    _expect(target, dict, where)
    for key, value in zip(items[::2], items[1::2], strict=True):
        # only flat keys: the hash of a tuple that contains itself a million times over takes for ever
        target[_expect(key, (str, int), where)] = value


def _pop(stack: list[Any]) -> Any:
    value = stack.pop()
    if isinstance(value, _Mark):
        raise ValueError("unexpected MARK")  # noqa: TRY004  # because read_pickle turns it into the one ModelError
    return value


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    values: list[Any] = []
    while not isinstance(value := stack.pop(), _Mark):
        values.append(value)
    return values[::-1]


def _wholes(values: Any, where: str) -> tuple[int, ...]:
    return tuple(_whole(value, where) for value in _expect(values, tuple, where))


def _whole(value: Any, where: str) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise ModelError(
            _("{where}: broken checkpoint, {value} is no size or offset").format(where=where, value=str(value)[:40])
        )
    return value


def _expect(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise ModelError(
            _("{where}: broken checkpoint, unexpected {kind} in its pickle").format(
                where=where, kind=type(value).__name__
            )
        )
    return value
