"""Setting a process up."""

import os
import subprocess
import sys

import pytest
import torch

from verdict import device
from verdict.device import choose_precision, forget_peak_memory, fp32_products, medium_is_exact, prepare
from verdict.errors import UserError

FORKED = """
import os, signal, sys, torch
from verdict.device import prepare
before = os.listdir("/proc/self/task")
prepare(2)
print(os.listdir("/proc/self/task") == before, torch.get_num_threads())
sys.stdout.flush()
signal.alarm(60)
if not os.fork():
    prepare(2)
    product = torch.randn(600, 600) @ torch.randn(600, 600)
    os._exit(0 if product.isfinite().all() else 1)
sys.exit(os.wait()[1])
"""

BESIDE_A_GPU = """
import os, sys, torch
from verdict.device import prepare
torch.cuda.is_available = lambda: True
prepare(1, sys.argv[1])
print(
    torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled(),
    "CUBLAS_WORKSPACE_CONFIG" in os.environ,
    torch.backends.cuda.cudnn_sdp_enabled(),
    torch.backends.cudnn.allow_tf32,
    torch.get_float32_matmul_precision(),
)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_a_process_that_was_set_up_has_begun_no_threads_and_can_be_forked():
    """As memory is measured."""
    done = subprocess.run([sys.executable, "-c", FORKED], text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "2"]


def test_asking_how_products_are_made_leaves_them_as_they_were():
    setting = torch.get_float32_matmul_precision()
    medium_is_exact(torch.device("cpu"))
    with fp32_products("highest"):
        assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_float32_matmul_precision() == setting


def test_products_in_fp32_stay_exact():
    threads = torch.get_num_threads()
    prepare(threads)
    assert torch.get_num_threads() == threads
    a, b = (torch.randn(300, 300, generator=torch.Generator().manual_seed(n)) for n in range(2))
    exact = a.double() @ b.double()
    assert ((a @ b).double() - exact).norm() / exact.norm() < 1e-5


def settings(wanted: str) -> list[str]:
    """What torch is set to in a new process on a machine that has a GPU, for work on a device."""
    without = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    command = [sys.executable, "-c", BESIDE_A_GPU, wanted]
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, env=without)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_kernels_on_a_gpu_repeat_to_the_bit_and_none_rounds_fp32():
    assert settings("auto") == settings("cuda") == ["True", "True", "False", "False", "highest"]


def test_work_on_the_cpu_of_a_machine_with_a_gpu_is_set_up_as_on_any_other():
    prepare(torch.get_num_threads())
    assert settings("cpu") == ["False", "False", "True", "True", torch.get_float32_matmul_precision()]


def test_the_peak_of_memory_is_looked_for_anew_where_that_can_be_done(monkeypatch: pytest.MonkeyPatch):
    begun: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", begun.append)
    for name in ("cuda", "cpu"):
        forget_peak_memory(torch.device(name))
    assert begun == [torch.device("cuda")]


def test_bf16_without_kernels_for_it_is_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(device, "multiplies_bf16", lambda: False)
    with pytest.raises(UserError, match=r"`precision` is bf16, .* write auto or fp32"):
        choose_precision("bf16", torch.device("cpu"))
    monkeypatch.setattr(device, "multiplies_bf16", lambda: True)
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"
    assert choose_precision("fp32", torch.device("cpu")) == "fp32"
