"""How much memory this process holds, by the kernel's own count. Linux; the standard library alone, for both sides."""

import ctypes
import gc
import re
from pathlib import Path


def settle() -> float:
    """MiB held now, with everything that was freed given back to the kernel. The peak counts from here on.

    A block that was freed but kept would otherwise be taken for training's memory on one side and not on the other.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # 5: forget the peak
    return _mib("VmRSS")


def peak() -> float:
    """The most MiB held at one time since `settle`."""
    return _mib("VmHWM")


def _mib(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
