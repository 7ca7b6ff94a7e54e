import collections
import io
import os
import pickle
import random
import struct
import sys
import types
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from edge.models.torch_zip import LEGACY_MAGIC, LEGACY_PROTOCOL, read_checkpoint

WEIGHT = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
COUNT = np.array(7, dtype=np.int64)


@dataclass(frozen=True)
class Tensor:
    """Stands for a torch tensor while a checkpoint is pickled as torch would."""

    storage: "Storage"
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    def __reduce__(self) -> Any:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, self.offset, self.shape, self.strides, False, collections.OrderedDict())


@dataclass(frozen=True, eq=False)
class Storage:
    key: str
    kind: str
    body: bytes
    count: int


def tensor(array: np.ndarray, key: str) -> Tensor:
    kind = {"float32": "FloatStorage", "int64": "LongStorage"}[array.dtype.name]
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return Tensor(Storage(key, kind, array.tobytes(), array.size), array.shape, strides)


@pytest.fixture(autouse=True)
def _fake_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules with torch's names, so that the standard pickler writes the bytes that torch writes."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch._utils = utils
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def pickled(value: object, *, legacy: bool = False, protocol: int = 2) -> tuple[bytes, dict[str, Storage]]:
    storages: dict[str, Storage] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            if not isinstance(obj, Storage):
                return None
            storages[obj.key] = obj
            identity = ("storage", getattr(sys.modules["torch"], obj.kind), obj.key, "cpu", obj.count)
            return (*identity, None) if legacy else identity

    out = io.BytesIO()
    Pickler(out, protocol).dump(value)
    return out.getvalue(), storages


def write_zip(path: Path, body: bytes, storages: dict[str, Storage], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", body)
        for storage in storages.values():
            archive.writestr(f"archive/data/{storage.key}", storage.body)
    return path


def zipped(path: Path, value: object, **options: Any) -> Path:
    return write_zip(path, *pickled(value), **options)


def legacy(path: Path, value: object) -> Path:
    body, storages = pickled(value, legacy=True)
    header = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    with path.open("wb") as file:
        for each in (LEGACY_MAGIC, LEGACY_PROTOCOL, header):
            file.write(pickle.dumps(each, 2))
        file.write(body)
        file.write(pickle.dumps(list(storages), 2))
        for storage in storages.values():
            file.write(struct.pack("<q", storage.count) + storage.body)
    return path


def state() -> Any:
    weights = collections.OrderedDict(weight=tensor(WEIGHT, "0"), count=tensor(COUNT, "1"))
    weights._metadata = collections.OrderedDict({"": {"version": 1}})  # torch's own: makes the pickler write BUILD
    return weights


@pytest.mark.parametrize("write", [zipped, legacy])
def test_tensors_of_both_layouts_are_read(tmp_path: Path, write: Callable[[Path, object], Path]) -> None:
    arrays = read_checkpoint(write(tmp_path / "a.pth", state()))

    assert set(arrays) == {"weight", "count"}
    assert np.array_equal(arrays["weight"], WEIGHT)
    assert arrays["weight"].dtype == np.float32
    assert arrays["weight"].flags.owndata
    assert arrays["count"] == 7


def test_the_state_dict_under_a_key_is_read_and_the_rest_left_alone(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.pth", {"start_epoch": 3, "model": state(), "optimizer": {"lr": 0.1, 0: [1, None]}})

    assert set(read_checkpoint(path, key="model")) == {"weight", "count"}
    with pytest.raises(ModelError, match="no state dict under key 'ema'"):
        read_checkpoint(path, key="ema")


def test_views_with_offset_and_strides_are_copied_out(tmp_path: Path) -> None:
    storage = Storage("0", "FloatStorage", WEIGHT.tobytes(), 24)
    path = zipped(tmp_path / "a.pth", {"turned": Tensor(storage, (3, 2), (1, 4), offset=2)})

    turned = read_checkpoint(path)["turned"]

    assert np.array_equal(turned, np.arange(24)[2:][[[0, 4], [1, 5], [2, 6]]])


class Evil:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def evil_calls(marker: Path) -> dict[str, tuple[Any, ...]]:
    run = f"open({str(marker)!r}, 'w')"
    return {
        "os.system": (os.system, (f"touch {marker}",)),
        "eval": (eval, (run,)),
        "exec": (exec, (run,)),
        "getattr": (getattr, (Evil(__import__, ("os",)), "system")),
        "import": (__import__, ("os",)),
        "open": (open, (str(marker), "w")),
        "path": (Path, (str(marker),)),
        "operator": (__import__("operator").methodcaller, ("mkdir",)),
        "ordered dict with arguments": (collections.OrderedDict, ([("a", 1)],)),
        "numpy": (np.fromfile, (str(marker),)),
    }


@pytest.mark.parametrize("name", list(evil_calls(Path("x"))))
@pytest.mark.parametrize("write", [zipped, legacy])
def test_a_checkpoint_that_runs_code_is_refused_and_runs_nothing(
    tmp_path: Path, name: str, write: Callable[[Path, object], Path]
) -> None:
    marker = tmp_path / "marker"
    path = write(tmp_path / "evil.pth", {**state(), "evil": Evil(*evil_calls(marker)[name])})

    with pytest.raises(ModelError) as refused:
        read_checkpoint(path)

    assert not marker.exists()
    assert "evil.pth" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_malicious_pickle_does_run_in_the_standard_reader(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    pickle.loads(pickle.dumps(Evil(*evil_calls(marker)["os.system"])))

    assert marker.exists(), "otherwise the test above proves nothing"


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
HAND_MADE = {
    "call a string": b"\x80\x02X\x02\x00\x00\x00os)R.",
    "attributes on a function": b"\x80\x02" + REBUILD + b"}X\x01\x00\x00\x00aK\x01sb.",
    "state with slots": b"\x80\x02" + REBUILD + b"N}X\x0c\x00\x00\x00__defaults__)s\x86b.",
    "dotted name": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
    "name of another module": b"\x80\x02ccollections\nnamedtuple\n.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "inst": b"(S'touch x'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'touch x'\no.",
    "newobj": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "extension": b"\x80\x02\x82\x01.",
    "text persistent id": b"Pos.system\n.",
    "persistent id of another kind": b"\x80\x02X\x02\x00\x00\x00osQ.",
    "storage of no type": b"\x80\x02(X\x07\x00\x00\x00storageK\x01K\x01K\x01K\x01tQ.",
    "tuple as a key": b"\x80\x02})K\x01s.",
    "never ends": b"\x80\x02}",
    "empty stack": b"\x80\x02.",
    "set items of no dict": b"\x80\x02]K\x01K\x02s.",
    "mark in a tuple": b"\x80\x02(\x85.",
    "missing memo": b"\x80\x02h\x05.",
    "tensor of no storage": b"\x80\x02" + REBUILD + b"(K\x01K\x00))tR.",
    "negative size": b"\x80\x02" + REBUILD + b"(K\x01J\xff\xff\xff\xff))tR.",
    "nothing": b"",
    "no tensor": b"\x80\x02}.",
    "a list": b"\x80\x02].",
    "huge string": b"\x80\x02X\xff\xff\xff\xffab.",
}


@pytest.mark.parametrize("name", list(HAND_MADE))
def test_hand_made_pickles_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "evil.pth", HAND_MADE[name], {})

    with pytest.raises(ModelError, match=r"evil\.pth") as refused:
        read_checkpoint(path)

    assert "\n" not in str(refused.value)


def test_a_tower_of_tuples_costs_no_time(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "evil.pth", b"\x80\x02})" + b"q\x00h\x00\x86" * 5000 + b"K\x01s.", {})

    with pytest.raises(ModelError):
        read_checkpoint(path)


def test_a_huge_memo_index_costs_no_memory(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "evil.pth", b"\x80\x02}r\xff\xff\xff\xff.", {})

    with pytest.raises(ModelError, match="no tensors"):
        read_checkpoint(path)


FLOATS = Storage("0", "FloatStorage", WEIGHT.tobytes(), 24)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Tensor(FLOATS, (5, 5), (5, 1)), "reaches element 24 of a storage of 24"),
        (Tensor(FLOATS, (1,), (1,), offset=24), "reaches element 24"),
        (Tensor(FLOATS, (2,), (1 << 40,)), "reaches element"),
        (Tensor(FLOATS, (1 << 40,), (0,)), "claim"),
        (Tensor(FLOATS, (1 << 30, 1 << 30), (0, 0)), "claim"),
        (Tensor(FLOATS, (2, 2), (1,)), "2 axes and 1 strides"),
        (Tensor(FLOATS, (2,), (-1,)), "no size or offset"),
        (Tensor(FLOATS, (2,), (1,), offset=-4), "no size or offset"),
        (Tensor(FLOATS, (True,), (1,)), "no size or offset"),
        (
            Tensor(Storage("0", "FloatStorage", WEIGHT.tobytes(), 1 << 40), (2,), (1,)),
            "has 96 bytes, its tensors claim",
        ),
        (Tensor(Storage("0", "LongStorage", WEIGHT.tobytes(), 24), (2,), (1,)), "has 96 bytes, its tensors claim 192"),
        (Tensor(Storage("../../../etc/passwd", "FloatStorage", b"", 1), (1,), (1,)), "has 0 bytes"),
    ],
)
def test_tensors_that_reach_outside_their_storage_are_refused(tmp_path: Path, wrong: Tensor, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        read_checkpoint(zipped(tmp_path / "a.pth", {"weight": wrong}))


def test_a_missing_storage_is_named(tmp_path: Path) -> None:
    body, _storages = pickled(state())

    with pytest.raises(ModelError, match="storage '0' is missing"):
        read_checkpoint(write_zip(tmp_path / "a.pth", body, {}))


def test_a_compressed_zip_is_refused_unread(tmp_path: Path) -> None:
    bomb = Tensor(Storage("0", "FloatStorage", bytes(4 << 20), 1 << 20), (1 << 20,), (1,))
    path = zipped(tmp_path / "a.pth", {"weight": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000

    with pytest.raises(ModelError, match=r"refused, .* claims"):
        read_checkpoint(path)


def test_a_zip_that_declares_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.pth", state())
    body = bytearray(path.read_bytes())
    at = body.rindex(b"PK\x01\x02")
    body[at + 20 : at + 28] = struct.pack("<II", 3 << 30, 3 << 30)
    path.write_bytes(body)

    with pytest.raises(ModelError, match="claims 3221225472 bytes"):
        read_checkpoint(path)


def test_many_tensors_on_one_storage_can_not_fill_the_memory(tmp_path: Path) -> None:
    storage = Storage("0", "FloatStorage", bytes(40_000), 10_000)
    many = {str(index): Tensor(storage, (10_000,), (1,)) for index in range(200)}

    with pytest.raises(ModelError, match="claim 8000000 bytes"):
        read_checkpoint(zipped(tmp_path / "a.pth", many))


@pytest.mark.parametrize("body", [b"", b"not a checkpoint", b"PK\x03\x04", b"\x80\x02K\x01."], ids=repr)
def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(body)

    with pytest.raises(ModelError, match=r"a\.pth"):
        read_checkpoint(path)


@pytest.mark.parametrize("write", [zipped, legacy])
def test_damaged_checkpoints_never_end_in_anything_but_a_model_error(
    tmp_path: Path, write: Callable[[Path, object], Path]
) -> None:
    good = write(tmp_path / "good.pth", state()).read_bytes()
    path = tmp_path / "bad.pth"
    dice = random.Random(5)
    refused = 0

    for _round in range(400):
        bad = bytearray(good)
        for _flip in range(dice.randint(1, 4)):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        path.write_bytes(bad[: dice.choice((len(bad), dice.randrange(len(bad))))])
        try:
            read_checkpoint(path)
        except ModelError:
            refused += 1

    assert refused > 100
