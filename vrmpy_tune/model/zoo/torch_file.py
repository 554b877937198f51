"""Reading tensors from PyTorch's older file format, without PyTorch.

Such a file is a sequence of pickles (a magic number, a version, facts about the machine, the
object, the keys of its storages), then each storage's length and bytes in the order of the keys
(``torch.serialization._legacy_save``).
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

MAGIC: Final = 0x1950A86A20F9469CFC6C
"""What the first pickle holds."""

STORAGES: Final = {"FloatStorage": np.float32, "LongStorage": np.int64}
"""Element types of the storages that weights are kept in."""


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file that holds a state dictionary.

    Raises
    ------
    ModelError
        If it is of another format, or contains anything but tensors.
    """
    with path.open("rb") as stream:
        try:
            if pickle.load(stream) != MAGIC:
                raise pickle.UnpicklingError("no magic number")
            for _ in ("version", "machine"):
                pickle.load(stream)
            reader = _Reader(stream)
            found = reader.load()
            for key in pickle.load(stream):
                reader.storages[key].fill(stream)
        except (pickle.UnpicklingError, EOFError, KeyError) as error:
            raise ModelError(
                f"{path} is not a file of PyTorch weights in its older format: {error}. "
                "Install the package that it belongs to again."
            ) from error
    return {name: tensor() for name, tensor in found.items()}


class _Storage:
    """Elements of a tensor, whose bytes come behind the pickles."""

    def __init__(self, dtype: type[np.generic], size: int) -> None:
        self.elements = np.zeros(size, dtype)

    def fill(self, stream: BinaryIO) -> None:
        size = int.from_bytes(stream.read(8), "little")
        content = stream.read(size * self.elements.itemsize)
        if size != self.elements.size or len(content) != self.elements.nbytes:
            raise EOFError("a storage is cut short")
        self.elements[:] = np.frombuffer(content, self.elements.dtype)


class _Reader(pickle.Unpickler):
    """Makes nothing but dictionaries and tensors, whatever the file asks for."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _device, size, _view = pid
        return self.storages.setdefault(key, _Storage(dtype, size))


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> Callable[[], np.ndarray]:
    """Return what makes the tensor once its storage is filled."""

    def made() -> np.ndarray:
        steps = [one * storage.elements.itemsize for one in strides]
        view = np.lib.stride_tricks.as_strided(storage.elements[offset:], shape, steps)
        return view.copy()

    return made
