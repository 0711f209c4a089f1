"""The machine: which device, which precision pays on it, and settings of the process that speed both up."""

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Iterator

import torch

from verdict.errors import UserError


def choose_device(wanted: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU. Raises ``UserError`` for a device that is not there."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise UserError(f"`device` is '{wanted}'; write auto, cpu or cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("`device` is cuda, but torch finds no CUDA device; write auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(wanted: str, device: torch.device) -> str:
    """``auto`` is bf16 where the device multiplies it natively (twice as fast or more for both architectures; see
    benchmarks/), else fp32. Raises ``UserError`` for bf16 on a processor without kernels for it."""
    if wanted not in ("auto", "fp32", "bf16"):
        raise UserError(f"`precision` is '{wanted}'; write auto, fp32 or bf16")
    if wanted == "bf16" and device.type == "cpu" and not multiplies_bf16():
        raise UserError("`precision` is bf16, for which this processor has no kernels; write auto or fp32")
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = torch.cpu.get_capabilities()
    return "bf16" if native.get("avx512_bf16") or native.get("amx_bf16") or native.get("arm_bf16") else "fp32"


def multiplies_bf16() -> bool:
    """Whether oneDNN has kernels in bf16 for this CPU; without them torch has no LSTM in bf16, and its products take a
    thousand times as long."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Matrix products in bf16 with fp32 weights, or nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextlib.contextmanager
def fp32_products(level: str) -> Iterator[None]:
    """Within it torch multiplies in fp32 at this level: "highest" by its default library, which is the faster one for
    few rows; "medium" on a CPU by oneDNN."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(level)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def medium_is_exact(device: torch.device) -> bool:
    """Whether torch's precision "medium" still multiplies in fp32: on some CPUs it only takes another library."""
    a, b = (torch.randn(256, 256, device=device, generator=torch.Generator(device).manual_seed(n)) for n in range(2))
    exact = a.double() @ b.double()
    with fp32_products("medium"):
        error = ((a @ b).double() - exact).norm() / exact.norm()
    return error.item() < 1e-5


def prepare(threads: int, device: str = "auto") -> None:
    """Set the process up for work on a device, as params.yaml names it: its threads, repeatable kernels, the library
    for products in fp32, and an allocator that keeps large blocks."""
    torch.set_num_threads(1)  # a probe by several would start them, and a process that has threads cannot be forked
    if choose_device(device).type == "cuda":
        _prepare_cuda()
    elif multiplies_bf16() and medium_is_exact(torch.device("cpu")):
        # oneDNN instead of MKL, which on some processors is half as fast; it may round its factors where they have
        # instructions for that, and then is not taken
        torch.set_float32_matmul_precision("medium")
    torch.set_num_threads(threads)
    _keep_large_blocks()


def _prepare_cuda() -> None:
    """Kernels that repeat to the bit, and fp32 that is fp32 in all of them."""
    # on a CPU the kernels used here repeat to the bit as they are, and asking imports a compiler (1.2 s a job)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # with warnings alone the gradients of fused attention would still be added up in any order
    torch.use_deterministic_algorithms(True)
    # nothing here reads memory that it has not written, and filling it costs 3 to 6 % of a small step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # cuDNN's attention makes a plan for every new shape, and batches of like lengths have one at almost every step
    torch.backends.cuda.enable_cudnn_sdp(False)
    # cuDNN's recurrent kernels would round their factors to TF32, while cuBLAS does not: the LSTM alone would gain
    torch.backends.cudnn.allow_tf32 = False


def _keep_large_blocks() -> None:
    """Let glibc keep blocks over 32 MiB (logits) instead of mapping and faulting them anew at every step."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, (1 << 31) - 1)


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Bytes: the largest resident size of this process so far, or the most memory allocated on the GPU since
    ``forget_peak_memory``."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak_memory(device: torch.device) -> None:
    """Begin anew to look for the most memory allocated on the GPU; of a process there is no such beginning."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def resident_memory() -> int:
    """Bytes of this process that are in memory now (0 where the system does not tell)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as told:
            return int(told.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def device_name(device: torch.device) -> str:
    """What the evidence table says of a device: ``cpu``, or ``cuda: `` and the card's name."""
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "cpu"
