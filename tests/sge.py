"""A Grid Engine for tests: is there one, and the end of its jobs."""

import os
import shutil
import subprocess


def has_sge() -> bool:
    if shutil.which("qhost") is None or "SGE_ROOT" not in os.environ:
        return False
    return subprocess.run(["qhost"], capture_output=True, timeout=60).returncode == 0


def sge(*command: str) -> str:
    """What a command of Grid Engine prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def delete_all() -> None:
    jobs = [line.split()[0] for line in sge("qstat").splitlines()[2:]]
    if jobs:
        sge("qdel", "-f", ",".join(jobs))
