"""What every job of the workflow finds in its environment."""

import os
import sys
from pathlib import Path


def prepare(root: Path) -> None:
    """Let jobs find this Python and this package, installed or not, and speak UTF-8, without telemetry."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    source = str(root / "src")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    if source not in sys.path:
        sys.path.insert(0, source)
    os.environ["PYTHONUTF8"] = "1"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # hashes of strings would otherwise order sets differently in every process
    os.environ["PYTHONHASHSEED"] = "0"


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, asked without importing torch."""
    return Path("/proc/driver/nvidia/gpus").is_dir() or Path("/dev/nvidia0").exists()


def local_ledger() -> bool:
    """Whether MLflow's runs go to the file mlflow.db rather than to a server or store of the user's."""
    return not os.environ.get("MLFLOW_TRACKING_URI")
