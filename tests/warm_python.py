"""A Python that has the seconds of imports of torch and ASE behind it.

`warm_environment` has a program for tests that start many short processes, such as converters. It
takes the arguments, folder, variables, and open files of ``python FILE ARGUMENTS``, and ends as
that would. What runs is forked from a process that imported once; it ends if the program is killed.
"""

import contextlib
import functools
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path


@functools.cache
def _server() -> tuple[Path, subprocess.Popen[bytes]]:
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    program, address = folder / "bin" / "python", folder / "socket"
    program.parent.mkdir()
    # -S and -I: the program itself is there in some milliseconds
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {__file__} {address} "$@"\n')
    program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return folder, server


def warm_environment() -> Path:
    """An environment with the program ``bin/python``, which works until this process ends."""
    return _server()[0]


def ask(address: str, arguments: list[str]) -> int:
    """The program: hand everything to the server, and wait for the end.

    Returns:
        exit code; of a program that a signal ended, that of a shell.
    """
    request = {"arguments": arguments, "folder": os.getcwd(), "variables": dict(os.environ)}
    text = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"%9d" % len(text)], [0, 1, 2])
        connection.sendall(text)
        code = int(connection.recv(16))
    return code if code >= 0 else 128 - code


def serve(address: str) -> None:
    """Fork for each program, until standard input is closed."""
    import ase.io
    import ase.neighborlist  # noqa: F401
    import torch

    torch.set_num_threads(1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            with contextlib.suppress(ChildProcessError):  # earlier programs that have ended
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if os.fork() == 0:
                _look_after(connection)
            connection.close()
    shutil.rmtree(Path(address).parent)


def _look_after(connection: socket.socket) -> None:
    """A forked process: run what the program asks for, end it if that ends, then end."""
    length, files, _, _ = socket.recv_fds(connection, 9, 3)
    text = b""
    while len(text) < int(length):
        text += connection.recv(1 << 16)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _run(files, **json.loads(text))
    ended = os.pidfd_open(pid)
    # the connection has no more to say, so that it can be read when it is closed
    if ended not in select.select([ended, connection], [], [])[0]:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(str(code).encode())
    os._exit(0)


def _run(files: list[int], arguments: list[str], folder: str, variables: dict[str, str]) -> None:
    """The process of ``python FILE ARGUMENTS``."""
    os.setsid()
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).absolute().parent)
    code = 0
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
