"""What a user should know about a data set before a potential is trained on it."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from ase import Atoms

from pyubias.config.potential import ModelConfig, TrainingConfig
from pyubias.training.isolated import is_isolated
from pyubias.training.labels import FORCES, STRESS
from pyubias.training.splits import SPLITS

__all__ = ["remarks_on"]

# an element in fewer structures is hardly learned
FEW = 3


def remarks_on(
    frames: Sequence[Atoms], splits: Sequence[str], model: ModelConfig, training: TrainingConfig
) -> list[str]:
    """A line each about labels, elements and splits that may not be what was meant.

    Args:
        frames: labelled structures.
        splits: ``train``, ``validation`` or ``calibration`` for each.
        model, training: settings of the training.
    """
    isolated = [is_isolated(atoms, model.cutoff) for atoms in frames]
    remarks = [_of_isolated(frames, isolated), _of_weights(frames, training)]
    remarks += [_of_duplicates(frames, splits), _of_elements(frames, splits)]
    return [remark for remark in remarks if remark]


def _of_isolated(frames: Sequence[Atoms], isolated: Sequence[bool]) -> str:
    found = Counter(a.symbols[0] for a, alone in zip(frames, isolated, strict=True) if alone)
    if not found:
        return ""
    return (
        f"{found.total()} isolated atoms set the energy of {', '.join(sorted(found))} without "
        "neighbors; they take no part in validation and calibration"
    )


def _of_weights(frames: Sequence[Atoms], training: TrainingConfig) -> str:
    weights = {"forces": training.forces_weight, "stress": training.stress_weight}
    has = {
        "forces": any(FORCES in a.arrays for a in frames),
        "stress": any(STRESS in a.info for a in frames),
    }
    unused = [name for name, weight in weights.items() if has[name] and weight == 0.0]
    if not unused:
        return ""
    keys = " and ".join(f"training.{name}_weight" for name in unused)
    return f"not trained on: {' and '.join(unused)}, because {keys} is 0"


def _of_duplicates(frames: Sequence[Atoms], splits: Sequence[str]) -> str:
    places = defaultdict(list)
    for k, atoms in enumerate(frames):
        content = (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        places[tuple(x.tobytes() for x in content)].append(k)
    across = [p for p in places.values() if len({splits[k] for k in p}) > 1]
    if not across:
        return ""
    of_split = {splits[k]: k for k in reversed(across[0])}
    first = " and ".join(f"{k} ({split})" for split, k in sorted(of_split.items()))
    return (
        f"warning: {len(across)} structures are in more than one split, first {first}; validation "
        "and calibration are too good with copies of what is trained on"
    )


def _of_elements(frames: Sequence[Atoms], splits: Sequence[str]) -> str:
    """A census of the elements that a split has too few structures of."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for atoms, split in zip(frames, splits, strict=True):
        counts[split].update(set(atoms.symbols))
    every = sorted({symbol for of_split in counts.values() for symbol in of_split})
    used = [split for split in SPLITS if counts[split]]
    few = [
        f"{symbol} {'/'.join(str(counts[split][symbol]) for split in used)}"
        for symbol in every
        if counts["train"][symbol] < min(FEW, len(frames))
        or any(counts[split][symbol] == 0 for split in used)
    ]
    if not few:
        return ""
    return (
        f"warning: few structures with an element ({'/'.join(used)}): {', '.join(few)}; it can "
        f"hardly be learned from fewer than {FEW}, and its errors and uncertainties are not "
        "checked without any for validation and calibration"
    )
