"""Read the tensors of a torch checkpoint without torch, and without running anything that is in it.

In: a `.pth`/`.pt` file, either a zip (torch ≥ 1.6) or the older stream of pickles (efficientnet-lite0 is one).
Out: name → numpy array. All sizes are checked against the file before anything is read.
Source of the two layouts: torch/serialization.py, `_save` and `_legacy_save`.
"""

import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from ..i18n import _
from .tensor_pickle import StorageRef, TensorRef, read_pickle

Arrays = dict[str, npt.NDArray[Any]]
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
LEGACY_PROTOCOL = 1001  # torch.serialization.PROTOCOL_VERSION
MAX_PICKLE_BYTES = (
    32 << 20
)  # the larger default checkpoint has 107 KB; this is what a state dict of 200,000 tensors takes
# what zipfile raises on damage: RuntimeError for an encrypted entry, NotImplementedError for an exotic one
BROKEN = (OSError, EOFError, zipfile.BadZipFile, struct.error, RuntimeError, ValueError)
MAX_SHARING = 4  # tensors may share storage, but all of them together stay below this multiple of the file


def read_checkpoint(path: Path, *, key: str = "") -> Arrays:
    """The tensors of a state dict, name → array; arrays own their memory.

    key: where in the checkpoint the state dict lies ("model"), "" for the checkpoint itself.
    Raises ModelError, in one line that names the file, when it is broken, asks to run something, or lies about sizes.
    """
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                return _read_zip(file, path, key)
            file.seek(0)
            return _read_legacy(file, path, key)
    except BROKEN as exc:
        raise ModelError(
            _("{file}: broken checkpoint, can't be read ({reason})").format(file=path.name, reason=exc)
        ) from exc


def _read_zip(file: IO[bytes], path: Path, key: str) -> Arrays:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > path.stat().st_size:
                raise ModelError(
                    _("{file}: refused, {entry!r} claims {size} bytes").format(
                        file=path.name, entry=entry.filename[:80], size=entry.file_size
                    )
                )
        pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1 or entries[pickles[0]].file_size > MAX_PICKLE_BYTES:
            raise ModelError(
                _("{file}: not a torch checkpoint (no data.pkl of a sensible size in the zip)").format(file=path.name)
            )
        folder = pickles[0].removesuffix("data.pkl")
        if entries.get(f"{folder}byteorder") and archive.read(f"{folder}byteorder") != b"little":
            raise ModelError(_("{file}: big-endian checkpoints are not supported").format(file=path.name))
        with archive.open(pickles[0]) as stream:
            root = read_pickle(stream, where=path.name)

        def storage_bytes(storage: StorageRef) -> bytes:
            name = f"{folder}data/{storage.key}"
            if name not in entries:
                raise ModelError(
                    _("{file}: broken checkpoint, storage {key!r} is missing").format(
                        file=path.name, key=storage.key[:80]
                    )
                )
            return archive.read(name)

        return _materialise(_state_dict(root, key, path), storage_bytes, path)


def _read_legacy(file: IO[bytes], path: Path, key: str) -> Arrays:
    header = [read_pickle(file, where=path.name) for _ in range(3)]
    if header[:2] != [LEGACY_MAGIC, LEGACY_PROTOCOL]:
        raise ModelError(_("{file}: not a torch checkpoint").format(file=path.name))
    if not isinstance(header[2], dict) or header[2].get("little_endian") is not True:
        raise ModelError(_("{file}: big-endian checkpoints are not supported").format(file=path.name))
    wanted = _state_dict(read_pickle(file, where=path.name), key, path)
    keys = read_pickle(file, where=path.name)
    if not isinstance(keys, list) or not all(isinstance(each, str) for each in keys):
        raise ModelError(_("{file}: broken checkpoint, the list of storages can't be read").format(file=path.name))
    positions = _legacy_positions(file, keys, {ref.storage.key: ref.storage for ref in wanted.values()}, path)

    def storage_bytes(storage: StorageRef) -> bytes:
        start, count = positions.get(storage.key, (0, 0))
        file.seek(start)
        return file.read(count * storage.dtype.itemsize)

    return _materialise(wanted, storage_bytes, path)


def _legacy_positions(
    file: IO[bytes], keys: list[str], storages: Mapping[str, StorageRef], path: Path
) -> dict[str, tuple[int, int]]:
    """Storage key → (byte position, element count): each storage is an int64 count and then its elements."""
    found: dict[str, tuple[int, int]] = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        position = file.tell()
        if key not in storages:
            raise ModelError(
                _("{file}: storage {key!r} belongs to no tensor, its size is unknown").format(
                    file=path.name, key=key[:80]
                )
            )
        size = count * storages[key].dtype.itemsize
        if count < 0 or position + size > path.stat().st_size:
            raise ModelError(
                _("{file}: broken checkpoint, storage {key!r} is cut off").format(file=path.name, key=key[:80])
            )
        found[key] = (position, count)
        file.seek(position + size)
    return found


def _state_dict(root: Any, key: str, path: Path) -> dict[str, TensorRef]:
    chosen = root.get(key) if key and isinstance(root, dict) else root
    if not isinstance(chosen, dict):
        text = _("{file}: no state dict under key {key!r}") if key else _("{file}: no state dict in it")
        raise ModelError(text.format(file=path.name, key=key))
    tensors = {name: ref for name, ref in chosen.items() if isinstance(name, str) and isinstance(ref, TensorRef)}
    if not tensors:
        text = _("{file}: no tensors under key {key!r}") if key else _("{file}: no tensors in it")
        raise ModelError(text.format(file=path.name, key=key))
    return tensors


def _materialise(tensors: Mapping[str, TensorRef], storage_bytes: Callable[[StorageRef], bytes], path: Path) -> Arrays:
    total = sum(math.prod(ref.shape) * ref.storage.dtype.itemsize for ref in tensors.values())
    if total > MAX_SHARING * path.stat().st_size:
        raise ModelError(
            _("{file}: refused, its tensors claim {total} bytes, far more than the file has").format(
                file=path.name, total=total
            )
        )
    arrays: Arrays = {}
    storages: dict[str, npt.NDArray[Any]] = {}
    for name, ref in tensors.items():
        if ref.storage.key not in storages:
            raw = storage_bytes(ref.storage)
            if len(raw) != ref.storage.count * ref.storage.dtype.itemsize:
                raise ModelError(
                    _("{file}: storage {key!r} has {count} bytes, its tensors claim {claimed}").format(
                        file=path.name,
                        key=ref.storage.key[:80],
                        count=len(raw),
                        claimed=ref.storage.count * ref.storage.dtype.itemsize,
                    )
                )
            storages[ref.storage.key] = np.frombuffer(raw, ref.storage.dtype)
        arrays[name] = _view(name, ref, storages[ref.storage.key], path)
    return arrays


def _view(name: str, ref: TensorRef, storage: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """A copy of the part of the storage that the tensor names, after checking that it lies inside."""
    if len(ref.shape) != len(ref.strides):
        raise ModelError(
            _("{file}: tensor {name!r} has {axes} axes and {strides} strides").format(
                file=path.name, name=name[:80], axes=len(ref.shape), strides=len(ref.strides)
            )
        )
    if storage.dtype != ref.storage.dtype:
        raise ModelError(
            _("{file}: tensor {name!r} reads a storage of another type").format(file=path.name, name=name[:80])
        )
    if 0 in ref.shape:
        return np.zeros(ref.shape, storage.dtype)
    last = ref.offset + sum((size - 1) * stride for size, stride in zip(ref.shape, ref.strides, strict=True))
    if last >= len(storage):
        raise ModelError(
            _("{file}: tensor {name!r} reaches element {last} of a storage of {count}: refused").format(
                file=path.name, name=name[:80], last=last, count=len(storage)
            )
        )
    strides = [stride * storage.itemsize for stride in ref.strides]
    return np.lib.stride_tricks.as_strided(storage[ref.offset :], ref.shape, strides, writeable=False).copy()
