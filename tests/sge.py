"""A Grid Engine for tests: is there one, and the end of its jobs."""

import getpass
import os
import shutil
import subprocess


def has_sge() -> bool:
    if shutil.which("qhost") is None or "SGE_ROOT" not in os.environ:
        return False
    return subprocess.run(["qhost"], capture_output=True, timeout=60).returncode == 0


def delete_all() -> None:
    """The jobs of this user; there may be none."""
    subprocess.run(["qdel", "-f", "-u", getpass.getuser()], capture_output=True, timeout=60)
