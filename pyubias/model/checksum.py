"""A checksum of a whole model file, so that no damaged file is read.

A TorchScript archive is a zip file, and the zip format ends with a comment. The comment of a model
file is ``pyubias sha256: `` and the 64 hexadecimal digits of SHA-256 of all bytes before it; torch
does not read it. The checksum guards against accidents, not against forgery.
"""

import hashlib
import io
import struct
import zipfile
import zlib
from pathlib import Path

__all__ = ["DamagedFileError", "add_checksum", "verify_checksum"]

COMMENT = b"pyubias sha256: "
SIZE = len(COMMENT) + 64


class DamagedFileError(Exception):
    """A file is not as it was written."""


def add_checksum(path: Path) -> None:
    """Append the comment to a zip file that has none."""
    content = bytearray(path.read_bytes())
    # the last two bytes of a zip file without comment are the length of its comment
    content[-2:] = struct.pack("<H", SIZE)
    path.write_bytes(content + COMMENT + hashlib.sha256(content).hexdigest().encode())


def verify_checksum(path: Path) -> bool:
    """Compare a file with its checksum.

    Returns:
        False if the file has no checksum, as the files of earlier versions. Its parts are compared
        with the checksums of the zip format then.

    Raises:
        DamagedFileError: a checksum differs, or the file is no zip file.
    """
    content = path.read_bytes()
    body, comment = content[:-SIZE], content[-SIZE:]
    if comment.startswith(COMMENT):
        if comment[len(COMMENT) :] != hashlib.sha256(body).hexdigest().encode():
            raise DamagedFileError("its checksum differs")
        return True
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
            if damaged or archive.comment:
                raise DamagedFileError(f"its part '{damaged or 'comment'}' is damaged")
    # what zipfile raises for damaged headers is not one kind of error
    except (
        zipfile.BadZipFile,
        zlib.error,
        ArithmeticError,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise DamagedFileError(f"{error}") from error
    return False
