"""What a campaign was: sentences and settings at the beginning and the end of its report."""

import json
import re
import zipfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import yaml

from pyubias.campaign.given_labels import is_given
from pyubias.campaign.kept_settings import differences, flat
from pyubias.campaign.record import describe_final
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.schema import AseReference, CampaignConfig, LammpsReference
from pyubias.config.trainer import BuiltinTrainer, CommandTrainer
from pyubias.console import duration
from pyubias.files import read_json
from pyubias.report.arm_result import ArmResult

__all__ = ["changes_of", "facts", "failed_labels", "failed_walkers", "settings_rows"]

PACKAGES = {"mace": "MACE", "sevennet": "SevenNet", "nequip": "NequIP or Allegro"}
PROGRAMS = {"vasp": "VASP", "espresso": "Quantum ESPRESSO", "orca": "ORCA", "cp2k": "CP2K"}


def facts(results: Sequence[ArmResult]) -> list[tuple[str, str]]:
    """Names and sentences: the state, structures, reference, potential, walkers, seed, versions."""
    main = results[0]
    found = [
        ("State", _state(main)),
        ("Structures", _structures(main)),
        *((f"Last training, {r.arm.name}", _finished(r)) for r in results),
        *_of_arms("Reference", _reference, results),
        *_of_arms("Potential", _potential, results),
        *_of_arms("Walkers", _walkers, results),
        *_of_arms("Seed", lambda config: str(config.seed), results),
        ("Versions", _versions(main.arm.folder)),
    ]
    return [(name, text) for name, text in found if text]


def _of_arms(
    name: str, sentence: Callable[[CampaignConfig], str], results: Sequence[ArmResult]
) -> list[tuple[str, str]]:
    """One sentence for all arms, or one for each if they differ."""
    sentences = {result.arm.name: sentence(result.arm.config) for result in results}
    if len(set(sentences.values())) == 1:
        return [(name, sentences[results[0].arm.name])]
    return [(f"{name}, {arm}", text) for arm, text in sentences.items()]


def _state(result: ArmResult) -> str:
    records, stop = result.records, result.arm.config.stop
    budget = stop.labels + (0 if stop.given else sum(map(is_given, result.labels)))
    n = len(records)
    iterations = f"{n} iteration{'s' if n > 1 else ''}"
    if records[-1].last and result.arm.config.finish is not None and not result.finished:
        return f"complete, after {iterations}, but for the last training"
    if records[-1].last:
        return f"complete, after {iterations}"
    return f"not complete: {records[-1].n_labels} of {budget} labels after {iterations}"


def _finished(result: ArmResult) -> str:
    """Errors of the model of the last training, and its time; empty before it."""
    if not result.finished:
        return ""
    sentence = describe_final(result.finished["n_labels"], result.finished)
    seconds = result.finished.get("seconds")
    return sentence if seconds is None else f"{sentence}, in {duration(seconds)}"


def _structures(result: ArmResult) -> str:
    """The elements, the numbers of atoms, and how many structures were labelled."""
    if not result.labels:
        return ""
    elements = sorted({s for f in result.labels for s in f.atoms.symbols})
    sizes = sorted({len(f.atoms) for f in result.labels})
    atoms = f"{sizes[0]} atoms" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} atoms"
    return f"{' '.join(elements)}, {atoms}"


def _reference(config: CampaignConfig) -> str:
    reference = config.reference
    if isinstance(reference, LammpsReference):
        return f"LAMMPS, {reference.input}"
    if isinstance(reference, AseReference):
        return f"{_call(reference.calculator, reference.arguments)}, a calculator of ASE"
    program = f", inputs for {PROGRAMS[reference.program]}" if reference.program else ""
    return f"labels from files{program}"


def _call(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"


def _potential(config: CampaignConfig) -> str:
    trainer = config.trainer
    if isinstance(trainer, BuiltinTrainer):
        return f"Gaussian-moment neural network, cutoff {config.model.cutoff:g} Å"
    if isinstance(trainer, CommandTrainer):
        return f"{PACKAGES[trainer.package]}, by the command: {trainer.command}"
    if trainer.foundation is None:
        return f"{PACKAGES[trainer.kind]}, from scratch"
    return f"{PACKAGES[trainer.kind]}, from the foundation model {trainer.foundation}"


def _walkers(config: CampaignConfig) -> str:
    exploration = config.exploration
    bias = {
        "biased": f"biased by uncertainty, strength {exploration.strength:g}",
        "unbiased": "without bias",
        "metadynamics": "metadynamics on the volume",
    }[exploration.bias]
    return (
        f"{exploration.walkers} in each iteration, up to {exploration.steps:,} steps, {bias}; "
        f"stopped by an uncertainty above {exploration.threshold:g} eV/Å"
    )


def _versions(folder: RunFolder) -> str:
    """Versions that the newest model and the log of the newest walker name."""
    found: list[str] = []
    metadata: dict[str, Any] = {}
    if folder.model.is_file():
        with zipfile.ZipFile(folder.model) as archive:
            name = next((n for n in archive.namelist() if n.endswith("/pyubias.json")), None)
            metadata = json.loads(archive.read(name)) if name else {}
    for package in ("pyubias", "torch"):
        if version := metadata.get(f"{package}_version"):
            found.append(f"{package} {version}")
    logs = sorted(folder.path.glob("iterations/*/walkers/*/log.lammps"))
    if logs:
        with logs[-1].open(errors="replace") as file:
            match = re.match(r"LAMMPS \((.*)\)", file.readline())
        found += [f"LAMMPS {match[1]}"] if match else []
    return ", ".join(found)


def settings_rows(results: Sequence[ArmResult]) -> list[list[str]]:
    """A header, and one row for each setting that is not the default.

    There is one column per arm; what is the same as in the first arm is left blank in the others.
    """
    configs = [result.arm.config for result in results]
    given = [
        flat(c.model_dump(mode="json", exclude_defaults=True, exclude={"control", "name"}))
        for c in configs
    ]
    # in the other arm it may be the default
    columns = [
        flat(config.model_dump(mode="json")) | own
        for config, own in zip(configs, given, strict=True)
    ]
    keys = dict.fromkeys(key for own in given for key in own)
    arms = [result.arm.name for result in results] if len(results) > 1 else ["value"]
    rows = []
    for key in keys:
        first, *others = (_text(column.get(key)) for column in columns)
        rows.append([key, first, *("" if other == first else other for other in others)])
    return [["setting", *arms], *rows]


def _text(value: Any) -> str:
    """A value as a campaign file has it."""
    if isinstance(value, str):
        return value
    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6
    )
    return text.removesuffix("\n").removesuffix("...").strip()


def changes_of(results: Sequence[ArmResult]) -> list[str]:
    """A line for each setting in which an iteration differs from the one before it."""
    lines = []
    for result in results:
        final = result.arm.folder.final
        folders = [f for f in (*result.arm.folder.iterations(), final) if f.settings.is_file()]
        for before, folder in pairwise(folders):
            name = folder.path.name
            when = "the last training" if folder == final else f"from iteration {int(name)} on"
            for change in differences(read_json(before.settings), read_json(folder.settings)):
                lines.append(
                    f"{result.arm.name}, {when}: {change.key} = {change.now!r}, it was "
                    f"{change.before!r}"
                )
    return lines


def failed_labels(results: Sequence[ArmResult]) -> list[str]:
    """A line with the reason for each frame that could not be labelled."""
    return [f"{r.arm.name} {f.key}: {f.reason}" for r in results for f in r.labels if f.failed]


def failed_walkers(results: Sequence[ArmResult]) -> list[str]:
    """A line with the reason for each walk that did not end as it should."""
    return [
        f"{r.arm.name}, iteration {k}, walker {w}: {walk.failure}"
        for r in results
        for k, walkers in enumerate(r.walks)
        for w, walk in enumerate(walkers)
        if walk.failure
    ]
