"""References as the rest of the package uses them."""

import contextlib
from collections.abc import Iterator

from pyubias.config.schema import AseReference, LammpsReference
from pyubias.parallel import Ranks
from pyubias.reference.label import Reference
from pyubias.reference.worker import Worker

__all__ = ["open_reference"]


@contextlib.contextmanager
def open_reference(config: LammpsReference | AseReference) -> Iterator[Reference]:
    """Set a reference up in a process of its own, and end it with the block.

    Raises:
        ReferenceMethodError: the method cannot be set up.
    """
    ranks = Ranks()
    with contextlib.closing(Worker(config, (ranks.rank, ranks.size))) as worker:
        yield worker
