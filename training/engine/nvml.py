"""How busy an NVIDIA GPU is, by the driver's own management library (NVML). No package is needed for it.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

import ctypes
from typing import Any, Final

LIBRARY: Final = "libnvidia-ml.so.1"
SUCCESS: Final = 0


class NvmlError(Exception):
    """NVML did not answer; the text has its error code."""


class _Utilization(ctypes.Structure):
    """nvmlUtilization_t: percent of the last sample period in which a kernel ran, and memory was read or written."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Gpu:
    """One GPU. `uuid` is as torch gives it, without the "GPU-" in front that NVML wants."""

    def __init__(self, *, uuid: str, library: Any = None) -> None:
        """Raises OSError when there is no NVML here, NvmlError when it knows no such GPU."""
        self._library = library or ctypes.CDLL(LIBRARY)
        self._handle = ctypes.c_void_p()
        _check(self._library.nvmlInit_v2(), "nvmlInit_v2")
        name = f"GPU-{uuid.removeprefix('GPU-')}".encode()
        _check(
            self._library.nvmlDeviceGetHandleByUUID(ctypes.c_char_p(name), ctypes.byref(self._handle)),
            "nvmlDeviceGetHandleByUUID",
        )

    def percent(self) -> int:
        """Share of the last moment (up to a second) in which a kernel ran, in percent. Raises NvmlError."""
        found = _Utilization()
        code = self._library.nvmlDeviceGetUtilizationRates(self._handle, ctypes.byref(found))
        _check(code, "nvmlDeviceGetUtilizationRates")
        return int(found.gpu)


def _check(code: int, asked: str) -> None:
    if code != SUCCESS:
        raise NvmlError(f"{asked} answered {code}")
