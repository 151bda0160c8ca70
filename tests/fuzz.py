"""Mutated campaign files and mutated data files: each is accepted, or refused in one line.

    python tests/fuzz.py --campaigns 1000 --data 500 --seed 0

Each file is read in a process of its own, so that a crash and a hang are found as well. What was
accepted is listed, to be looked at for nonsense. Accepted campaigns go through `--dry-run` if
`--dry-runs` is given, up to this number.
"""

import argparse
import copy
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import yaml
from ase import Atoms
from campaigns import ALA2, tiny

ACCEPTED, REFUSED = "accepted", "refused"
SECONDS = 60.0  # after which a file counts as a hang

# values that a person, an editor or YAML may leave behind, in YAML's own words
VALUES = [
    *("0", "-1", "1", "2", "7", "1e3", "1e9", "1e300", "1e999", "-0.5", "0.5", "1e-300"),
    *("123456789012345678901234567890", ".inf", "-.inf", ".nan", "010", "0x10", "1_000", "1:30"),
    *("yes", "no", "true", "false", "null", "~", "2001-01-01", "''", "' '", '"1"', '"\\0"'),
    *("text", "nan", "None", "'${x}'", "'$x_{$'", "'a b'", "'*'", "'../x'", "'/'", "'.'", "'..'"),
    *("[]", "[1]", "[1, 2]", "[[1]]", "[a, b]", "[1, 1]", "[true]", "[null]", "[1, a]", "{}"),
    *(
        "{a: 1}",
        "{1: 2}",
        "{kind: ase}",
        "!!binary aGk=",
        "!!set {a, b}",
        "!!python/none x",
        "&a 1",
    ),
    *(
        "é",
        "'\\n'",
        '"a\\nb"',
        "'" + "x" * 300 + "'",
        "[" * 50 + "]" * 50,
        "C",
        "H",
        "Xx",
        "[H, H]",
    ),
]
TOKENS = [
    *("nan", "inf", "-inf", "1e8", "1e300", "-1", "0", "abc", "", "1e-300", "None", "999999", "T"),
    *("Xx", "C", "X", "0x1", "1,5", "1e", "é", '"', "=", "[", "]", "{", "}", "\t", "\0"),
]


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    kind: str  # accepted, refused, traceback, crash, hang, or not one line
    text: str


# campaign files


def base_settings(folder: Path) -> dict[str, Any]:
    """A valid campaign in which every key has a value."""
    from pyubias.config.loading import load_campaign

    path = tiny(folder, {"control": {"exploration": {"tau": 0.0}}})
    written = yaml.safe_load(path.read_text())
    full: dict[str, Any] = json.loads(load_campaign(path).model_dump_json())
    return full | {"control": written["control"]}


def mutated_campaign(settings: dict[str, Any], random_: random.Random) -> tuple[str, str]:
    """The text of a campaign file with one or two changes, and what they are."""
    fields = copy.deepcopy(settings)
    if random_.random() < 0.15:
        return _damaged(yaml.safe_dump(fields), random_)
    changes = []
    for _ in range(random_.choice([1, 1, 1, 2])):
        changes.append(_change_settings(fields, random_))
    text = yaml.safe_dump(fields, sort_keys=False)
    for mark, value in ((c[1], c[2]) for c in changes):
        text = text.replace(mark, value)
    return text, "; ".join(c[0] for c in changes)


def _change_settings(fields: dict[str, Any], random_: random.Random) -> tuple[str, str, str]:
    """Change one place; gives a description, a mark in the file, and what takes its place."""
    places = list(_places(fields))
    parent, key, name = random_.choice(places)
    mark = f"MARK{random_.getrandbits(40):x}"
    what = random_.random()
    if what < 0.1:
        del parent[key]
        return f"without {name}", mark, ""
    value = random_.choice(VALUES)
    if what < 0.2 and isinstance(parent, dict):
        new = random_.choice(["steps", "kind", "file", "tau", "x", "name", "1", "model", "<<"])
        parent[new] = mark
        return f"{name.rpartition('.')[0]}.{new}: {value}", mark, value
    if what < 0.3:
        other = random_.choice(places)
        parent[key] = copy.deepcopy(other[0][other[1]])
        return f"{name}: as {other[2]}", mark, ""
    parent[key] = mark
    return f"{name}: {value}", mark, value


def _places(value: Any, name: str = "") -> Any:
    """(parent, key, dotted name) of everything in nested mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        yield value, key, f"{name}.{key}".lstrip(".")
        if isinstance(item, dict | list):
            yield from _places(item, f"{name}.{key}")


def _damaged(text: str, random_: random.Random) -> tuple[str, str]:
    lines = text.splitlines()
    k = random_.randrange(len(lines))
    what = random_.choice(["twice", "cut", "indented", "without", "character", "tab"])
    if what == "twice":
        lines.insert(random_.randrange(len(lines)), lines[k])
    elif what == "cut":
        lines = [*lines[:k], lines[k][: len(lines[k]) // 2]]
    elif what == "indented":
        lines[k] = "  " + lines[k]
    elif what == "without":
        del lines[k]
    elif what == "tab":
        lines[k] = "\t" + lines[k]
    else:
        place = random_.randrange(len(lines[k]) + 1)
        lines[k] = lines[k][:place] + random_.choice("[]{}:#&*!|>%@`'\"-?,\0") + lines[k][place:]
    return "\n".join(lines) + "\n", f"line {k + 1} {what}: {lines[min(k, len(lines) - 1)]!r}"


def check_campaign(path: Path) -> None:
    """What `pyubias run` does before it makes a folder."""
    from pyubias.campaign.arms import arms_of
    from pyubias.campaign.inputs import read_inputs
    from pyubias.config.loading import load_campaign

    for arm in arms_of(load_campaign(path), Path()):
        read_inputs(arm.config)


# data files


def base_data(folder: Path) -> list[Path]:
    """The same labelled structures in several formats."""
    frames = ase.io.read(ALA2 / "testset.extxyz", index=":12")
    paths = [folder / f"base.{suffix}" for suffix in ("extxyz", "json", "db", "traj", "xyz")]
    cell = [_periodic(atoms) for atoms in frames]
    paths.append(folder / "periodic.extxyz")
    for path, chosen in zip(paths, [frames] * 5 + [cell], strict=True):
        if path.suffix in (".json", ".db"):
            with ase.db.connect(path) as database:
                for atoms in chosen:
                    database.write(atoms, data={"REF_forces": atoms.arrays["REF_forces"]})
        else:
            ase.io.write(path, chosen)
    return paths


def _periodic(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.set_cell([14.0, 15.0, 16.0])
    atoms.pbc = True
    atoms.info["REF_stress"] = np.zeros(6)
    return atoms


def mutated_data(paths: Sequence[Path], random_: random.Random) -> tuple[str, bytes, str]:
    """The suffix and the bytes of a data file with one change, and what it is."""
    path = random_.choice(paths)
    data = path.read_bytes()
    what = random_.random()
    if path.suffix in (".db", ".traj") or what < 0.15:
        place = random_.randrange(len(data))
        if what < 0.5:
            return path.suffix, data[:place], f"{path.name} cut to {place} bytes"
        many = random_.choice([1, 1, 8, 200])
        changed = bytes(random_.randrange(256) for _ in range(many))
        new = data[:place] + changed + data[place + many :]
        return path.suffix, new, f"{path.name} with {many} other bytes at {place}"
    lines = data.decode().split("\n")
    k = random_.randrange(min(len(lines), 60))
    if what < 0.3:
        line = lines[k]
        how = random_.choice(["twice", "without", "swapped"])
        if how == "twice":
            lines.insert(k, line)
        elif how == "without":
            del lines[k]
        else:
            lines[k - 1], lines[k] = lines[k], lines[k - 1]
        return path.suffix, "\n".join(lines).encode(), f"{path.name} line {k + 1} {how}"
    words = lines[k].split(" ")
    place = random_.randrange(len(words))
    token = random_.choice(TOKENS)
    name, equals, _ = words[place].partition("=")
    old, words[place] = words[place], f"{name}={token}" if equals else token
    lines[k] = " ".join(words)
    change = f"{path.name} line {k + 1}: {old[:40]!r} is {words[place][:40]!r}"
    return path.suffix, "\n".join(lines).encode(), change


TRAINING = """
model: {cutoff: 4.0, n_radial: 2, n_basis: 4, hidden: [8]}
training: {epochs: 1, calibration: 0.2}
uncertainty: {projections: 8}
"""


def check_data(path: Path, model: Path | None = None) -> None:
    """What `pyubias evaluate` and `pyubias train` do with a file.

    Args:
        path: of the data.
        model: a model file; without one, the file is read and nothing else.
    """
    from pyubias.analysis.residuals import evaluate
    from pyubias.config.loading import load_training
    from pyubias.model.prediction import Model
    from pyubias.training.reading import read_frames
    from pyubias.training.train import train

    frames, _ = read_frames(path)
    if model is None:
        return
    results = [evaluate(Model(model), frames)]
    settings = path.with_name("training.yaml")
    settings.write_text(TRAINING)
    file = load_training(settings)
    trained = train(frames, file.model, file.training, file.uncertainty)
    results += trained.history
    values = [x for fields in results for x in fields.values() if isinstance(x, float)]
    if not np.isfinite(values).all():
        raise RuntimeError(f"accepted, and the results are not finite: {results}")


# one file in a process of its own


def outcome_of(check: Callable[[], object]) -> Outcome:
    """What a check does in this process."""
    from pyubias.errors import UserError

    try:
        check()
    except UserError as error:
        text = str(error)
        one_line = text.strip() and "\n" not in text and len(text) < 2000
        return Outcome(REFUSED if one_line else "not one line", text)
    except Exception as error:
        import traceback

        return Outcome("traceback", "".join(traceback.format_exception(error)))
    return Outcome(ACCEPTED, "")


def forked_outcome_of(check: Callable[[], object]) -> Outcome:
    """What a check does in a process of its own, which may crash or hang."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        child = os.fork()
        if child == 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            answer.write_text(json.dumps(vars(outcome_of(check))))
            os._exit(0)
        deadline = time.monotonic() + SECONDS
        while not os.waitpid(child, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return Outcome("hang", f"more than {SECONDS:g} s")
            time.sleep(0.002)
        if not answer.is_file():
            return Outcome("crash", "")
        return Outcome(**json.loads(answer.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=1000)
    parser.add_argument("--data", type=int, default=500)
    parser.add_argument("--dry-runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    import pyubias.campaign.dry_run  # noqa: F401  (imported once, then forked)
    from pyubias.config.loading import load_campaign

    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "campaign.yaml"
        settings = base_settings(folder)
        random_ = random.Random(arguments.seed)
        accepted = []
        results = []
        for _ in range(arguments.campaigns):
            text, change = mutated_campaign(settings, random_)
            path.write_text(text)
            results.append((change, forked_outcome_of(lambda: check_campaign(path))))
            if results[-1][1].kind == ACCEPTED:
                accepted.append((change, text))
        failed += report("campaign files", results)

        tried = []
        for change, text in accepted[: arguments.dry_runs]:
            path.write_text(text)
            tried.append((change, forked_outcome_of(lambda: _dry_run(load_campaign(path)))))
        for change, outcome in tried:
            print(f"{outcome.kind} by the dry run: {change}: {outcome.text}")
        failed += report("dry runs of accepted campaigns", tried) if tried else 0

        random_ = random.Random(arguments.seed)
        results = []
        if arguments.data:
            bases, model = base_data(folder), _small_model(folder)
        for _ in range(arguments.data):
            suffix, data, change = mutated_data(bases, random_)
            file = folder / f"data{suffix}"
            file.write_bytes(data)
            results.append((change, forked_outcome_of(partial(check_data, file, model))))
        failed += report("data files", results)
    sys.exit(failed > 0)


def _dry_run(config: Any) -> None:
    from pyubias.campaign.dry_run import try_stages

    try_stages(config, 1)


def _small_model(folder: Path) -> Path:
    from pyubias.config.loading import load_training
    from pyubias.training.export import export
    from pyubias.training.reading import read_frames
    from pyubias.training.train import train

    settings = folder / "training.yaml"
    settings.write_text(TRAINING)
    frames, _ = read_frames(folder / "base.extxyz")
    file = load_training(settings)
    trained = train(frames, file.model, file.training, file.uncertainty)
    export(trained, folder / "model.pt")
    return folder / "model.pt"


def report(title: str, results: Sequence[tuple[str, Outcome]]) -> int:
    """Print what became of the files; gives the number of faults."""
    counts = Counter(outcome.kind for _, outcome in results)
    for change, outcome in results:
        if outcome.kind == ACCEPTED:
            print(f"accepted: {change}")
    faults = [(c, o) for c, o in results if o.kind not in (ACCEPTED, REFUSED)]
    for change, outcome in faults:
        print(f"\n{outcome.kind}: {change}\n{outcome.text}")
    print(f"\n{title}: {len(results)}; " + ", ".join(f"{n} {k}" for k, n in counts.items()))
    return len(faults)


if __name__ == "__main__":
    main()
