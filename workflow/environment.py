"""What every job of the workflow finds in its environment."""

import errno
import os
import shutil
import sys
import tempfile
from pathlib import Path

#: bytes; the quick edition leaves 160 MB and downloads 90
LEAST_FREE = 500_000_000


def complaint(folder: Path) -> str | None:
    """Why results cannot be written to a folder, in one sentence; None if they can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return f"{folder} cannot be written to ({error.strerror}); check its permissions, or run in another folder"
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        return f"{folder} has {free // 10**6} MB free, and a run needs {LEAST_FREE // 10**6}; free some space"
    return None


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
