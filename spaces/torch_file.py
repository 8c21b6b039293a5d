"""Arrays from a legacy PyTorch file (five pickles, then raw storages), without torch and without running its pickles.

The unpickler knows four names, all ours here, and refuses any other, so a swapped file can run nothing.
Source: torch/serialization.py, `_legacy_save`: magic number, protocol, system, the pickled object, the storages' keys,
then each storage as an int64 count and its raw little-endian numbers.
"""

import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from plumbing.errors import SpaceError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class _StorageType:
    dtype: str


@dataclass(frozen=True)
class _Tensor:
    storage: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(storage: str, offset: int, size: Any, stride: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(size), tuple(stride))


class _Reader(pickle.Unpickler):
    def __init__(self, file: BufferedReader, dtypes: dict[str, str]) -> None:
        super().__init__(file)
        self.dtypes = dtypes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGES:
            return _StorageType(STORAGES[name])
        raise pickle.UnpicklingError(f"{module}.{name} is refused")

    def persistent_load(self, reference: Any) -> str:
        _, kind, key, _, _, *_ = reference
        self.dtypes[key] = kind.dtype
        return str(key)


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """The file's arrays by name.

    Raises: SpaceError where the file is not of that format, is cut short, or holds anything but arrays.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, struct.error, ValueError, KeyError, EOFError, AttributeError) as error:
        raise SpaceError(
            f"{path.name}: not a legacy PyTorch file of plain arrays: {error}; install the package anew"
        ) from None


def _read(file: BufferedReader) -> dict[str, np.ndarray]:
    dtypes: dict[str, str] = {}
    for expected in (MAGIC_NUMBER, PROTOCOL):
        if (found := _Reader(file, dtypes).load()) != expected:
            raise ValueError(f"head {found!r} where {expected!r} belongs")
    _Reader(file, dtypes).load()  # the writing machine's byte order and word sizes
    tensors = _Reader(file, dtypes).load()
    keys = _Reader(file, dtypes).load()
    storages = {key: _read_storage(file, np.dtype(dtypes[key])) for key in keys}
    if file.read(1):
        raise ValueError("bytes after the last storage")
    return {name: _strided(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _read_storage(file: BufferedReader, dtype: np.dtype) -> np.ndarray:
    (count,) = struct.unpack("<q", file.read(8))
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


def _strided(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.size, tensor.stride, strict=True))
    if not 0 <= tensor.offset <= last < storage.size:
        raise ValueError(f"a tensor reaches to {last} in a storage of {storage.size}")
    bytes_apart = [stride * storage.itemsize for stride in tensor.stride]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.size, bytes_apart).copy()
