"""References as the rest of the package uses them."""

import contextlib
from collections.abc import Iterator

from pyubias.config.schema import FilesReference
from pyubias.config.schema import Reference as AnyReference
from pyubias.parallel import Ranks
from pyubias.reference.label import Reference, ReferenceMethodError
from pyubias.reference.worker import Worker

__all__ = ["open_reference"]


@contextlib.contextmanager
def open_reference(config: AnyReference) -> Iterator[Reference]:
    """Set a reference up in a process of its own, and end it with the block.

    Raises:
        ReferenceMethodError: the method cannot be set up.
    """
    if isinstance(config, FilesReference):
        raise ReferenceMethodError(
            "reference.kind: files has no method that pyubias could call; the labels come through "
            "`pyubias import`"
        )
    ranks = Ranks()
    with contextlib.closing(Worker(config, (ranks.rank, ranks.size))) as worker:
        yield worker
