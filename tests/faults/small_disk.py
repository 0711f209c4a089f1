"""Run a command twice on a disk of its own: first when it is nearly full, then with room.

    unshare --map-root-user --mount python small_disk.py FOLDER FREE_BYTES COMMAND…

Mounts a tmpfs over FOLDER that nobody else sees, copies what was there into it, and fills it up to FREE_BYTES. Prints
as JSON what either run ended with and said, and which files the first has changed; what lies in the folder in the end
is put back.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = 64 * 2**20
BLOCK = 4096


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tell(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    return done.returncode, done.stdout


def main() -> None:
    folder, free, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    with tempfile.TemporaryDirectory() as aside:
        kept = Path(aside) / "kept"
        shutil.copytree(folder, kept)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        before = contents(folder)
        filler = folder / "filler"
        with filler.open("wb") as file:
            left = os.statvfs(folder)
            file.write(bytes(max(0, left.f_bavail * left.f_bsize - free) // BLOCK * BLOCK))
        full = tell(command)
        filler.unlink()
        after = contents(folder)
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        roomy = tell(command)
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
        subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
    print(json.dumps({"full": full, "changed": changed, "roomy": roomy}))


if __name__ == "__main__":
    main()
