"""The machine is measured in the precisions that the run computes in, and in no other."""

from pathlib import Path

import pytest
import torch

from verdict.files import read_json
from verdict.measure import machine


@pytest.mark.parametrize(
    ("native", "precision", "expected"),
    [
        ({}, "auto", ["fp32"]),  # emulated bf16 takes minutes
        ({"avx512_bf16": True}, "auto", ["bf16", "fp32"]),
        ({"avx512_bf16": True}, "fp32", ["fp32"]),
    ],
)
def test_peaks_are_those_of_fp32_and_of_the_precision_of_the_run(
    native: dict[str, bool], precision: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: native)
    monkeypatch.setattr(machine, "SIZE", 32)
    machine.run(torch.device("cpu"), precision, "quick", tmp_path / "machine.json", tmp_path / "device.json")
    rows = read_json(tmp_path / "device.json")["rows"]
    assert [row["variant"] for row in rows] == expected
    assert all(row["metric"] == "matmul_flops_per_second" and row["value"] > 0 for row in rows)
    assert read_json(tmp_path / "machine.json")["edition"] == "quick"


def test_a_package_that_is_not_installed_is_no_hindrance(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package"))
    assert machine.describe("quick")["versions"] == {"torch": torch.__version__}


def test_on_a_gpu_larger_products_compete_for_the_peak_too(monkeypatch: pytest.MonkeyPatch):
    told: dict[int, float] = {machine.SIZE: 3.0, 2 * machine.SIZE: 2.0, 4 * machine.SIZE: 40.0}
    monkeypatch.setattr(machine, "products", lambda device, precision, size: {"mm": size})
    monkeypatch.setattr(machine, "rounds", lambda calls, count, device: [(0, "mm", told[calls["mm"]])])
    found = {name: machine.peak(torch.device(name), "bf16") for name in ("cpu", "cuda")}
    assert found == {"cpu": 2 * machine.SIZE**3 / 3.0, "cuda": 2 * (2 * machine.SIZE) ** 3 / 2.0}
