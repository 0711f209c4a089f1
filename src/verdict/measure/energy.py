"""Joules, where the device tells them: RAPL counters of the processor, NVML's counter of the graphics card."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from verdict.device import synchronize

#: where Linux shows the RAPL counters of Intel's and AMD's processors
POWERCAP = Path("/sys/class/powercap")


class Meter(NamedTuple):
    """A counter of energy."""

    name: str
    #: joules since the first reading
    read: Callable[[], float]
    #: seconds that a measurement must last, many times as long as the counter goes unrefreshed
    window: float


def meter(device: torch.device, powercap: Path = POWERCAP) -> Meter | None:
    """The counter of a device, or None where it tells nothing (or only to the superuser)."""
    return _graphics_card(device) if device.type == "cuda" else _processor(powercap)


def joules(call: Callable[[], object], counter: Meter, device: torch.device) -> float:
    """Joules of one call, which is repeated for the counter's window; what else the device does is counted too."""
    synchronize(device)
    before, begun, calls = counter.read(), time.perf_counter(), 0
    while not calls or time.perf_counter() - begun < counter.window:
        call()
        synchronize(device)
        calls += 1
    return (counter.read() - before) / calls


class _Register:
    """One RAPL counter, in microjoules, which begins anew at its range."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "energy_uj"
        self.range = int((folder / "max_energy_range_uj").read_text())
        self.last, self.total = int(self.file.read_text()), 0

    def read(self) -> float:
        now = int(self.file.read_text())
        self.total += (now - self.last) % (self.range + 1)
        self.last = now
        return self.total / 1e6


def _processor(powercap: Path) -> Meter | None:
    try:
        # whole packages: their cores are counted in them, and other interfaces count the same packages again
        packages = [
            _Register(folder)
            for folder in sorted(powercap.glob("intel-rapl:*"))
            if (folder / "name").read_text().startswith("package")
        ]
    except (OSError, ValueError):
        return None
    return Meter("RAPL", lambda: sum(package.read() for package in packages), window=0.05) if packages else None


def _graphics_card(device: torch.device) -> Meter | None:
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    card, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    identifier = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(identifier, ctypes.byref(card)):
        return None

    def read() -> float:
        if nvml.nvmlDeviceGetTotalEnergyConsumption(card, ctypes.byref(millijoules)):
            raise OSError("the graphics card no longer tells its energy")
        return millijoules.value / 1e3

    try:
        read()
    except OSError:
        return None
    return Meter("NVML", read, window=1.0)
