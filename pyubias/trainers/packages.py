"""The input file and the program of each package that trains."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from pyubias.config.trainer import PackageTrainer
from pyubias.errors import UserError
from pyubias.wrap.convert import find_python

__all__ = ["PACKAGES", "Package", "command_of", "write_input"]

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Package:
    """How a package trains.

    Attributes:
        program: beside the Python of its environment.
        arguments: {folder} stands for the folder of the training.
        output: model file that it writes into that folder.
    """

    program: str
    arguments: tuple[str, ...]
    output: str


PACKAGES = {
    "mace": Package("mace_run_train", ("--config", "input.yaml"), "trained_compiled.model"),
    "sevennet": Package("sevenn", ("train", "input.yaml", "-s"), "checkpoint_best.pth"),
    "nequip": Package(
        "nequip-train", ("-cp", "{folder}", "-cn", "input", "hydra.run.dir={folder}"), "best.ckpt"
    ),
}


def _program_of(trainer: PackageTrainer) -> str:
    """The program that trains.

    Raises:
        UserError: the environment does not have it.
    """
    # not resolved: the Python of an environment is a link out of it
    python = Path(find_python(Path(trainer.python) if trainer.python else None, "trainer.python"))
    program = python.parent / PACKAGES[trainer.kind].program
    if not program.is_file():
        raise UserError(
            f"'{python.parent}' has no {program.name}: trainer.python must name an environment "
            f"with the package of {trainer.kind}"
        )
    return str(program)


def command_of(trainer: PackageTrainer, folder: Path) -> list[str]:
    """The command that trains in a folder."""
    arguments = PACKAGES[trainer.kind].arguments
    return [_program_of(trainer), *(a.replace("{folder}", str(folder)) for a in arguments)]


def write_input(trainer: PackageTrainer, values: dict[str, Any], path: Path) -> None:
    """Fill the template of a trainer.

    Args:
        trainer: with its own template, or with that of its package here.
        values: of the variables of the template.
        path: of the input file.

    Raises:
        UserError: the template cannot be filled, or is no YAML then.
    """
    template = trainer.config or TEMPLATES / f"{trainer.kind}.yaml"
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    try:
        text = environment.from_string(template.read_text()).render(**values)
        settings = yaml.safe_load(text)
    except (jinja2.TemplateError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"trainer.config '{template}' cannot be used: {reason}") from error
    if not isinstance(settings, dict):
        raise UserError(f"trainer.config '{template}' cannot be used: it holds no keys")
    if trainer.kind == "sevennet" and trainer.foundation is not None:
        settings = {"model": _shape_of_foundation(trainer)} | settings
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def _shape_of_foundation(trainer: PackageTrainer) -> dict[str, Any]:
    """The section ``model`` of the input that a model of SevenNet was trained with."""
    command = [_program_of(trainer), "cp", "--get_yaml", "continue", str(trainer.foundation)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"trainer.foundation '{trainer.foundation}' cannot be read: {reason}")
    shape: dict[str, Any] = yaml.safe_load(done.stdout)["model"]
    return shape
