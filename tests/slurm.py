"""A Slurm for tests: is there one, and its commands."""

import os
import shutil
import subprocess


def n_nodes() -> int:
    """Nodes of the partition `debug` of a Slurm of this machine; 0 without one."""
    if shutil.which("sinfo") is None:
        return 0
    seen = subprocess.run(
        ["sinfo", "-h", "-N", "-p", "debug"], capture_output=True, text=True, check=False
    )
    return len(seen.stdout.splitlines()) if seen.returncode == 0 else 0


def has_gpus() -> bool:
    """Whether there are the partitions of inputs/cluster, `cpu` and `gpu`, with GPUs."""
    return has_slurm() and "gpu" in slurm("sinfo", "-h", "-p", "cpu,gpu", "-o", "%G")


def has_slurm() -> bool:
    return n_nodes() > 0


def slurm(*command: object) -> str:
    """What a command of Slurm prints."""
    texts = [str(part) for part in command]
    done = subprocess.run(texts, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cancel_all() -> None:
    slurm("scancel", "--user", os.getuid(), "--full")
