"""A Slurm for tests: is there one, and its commands."""

import os
import shutil
import subprocess


def has_slurm() -> bool:
    if shutil.which("sinfo") is None:
        return False
    seen = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
    return seen.returncode == 0 and bool(seen.stdout.strip())


def slurm(*command: object) -> str:
    """What a command of Slurm prints."""
    texts = [str(part) for part in command]
    done = subprocess.run(texts, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cancel_all() -> None:
    slurm("scancel", "--user", os.getuid(), "--full")
