"""Who trains the potential of a campaign: pyubias, another package, or a command."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from pyubias.config.values import Count, Seconds
from pyubias.config.yaml_settings import Section

__all__ = ["BuiltinTrainer", "CommandTrainer", "ExternalTrainer", "PackageTrainer", "Trainer"]

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Package = Literal["mace", "sevennet", "nequip"]


class BuiltinTrainer(Section):
    """The potential of pyubias, with the settings under `model` and `training`."""

    kind: Literal["gmnn"] = Field("gmnn", description="the potential of pyubias")

    def located(self, folder: Path) -> Self:
        """The same: it names no file."""
        return self


class ExternalTrainer(Section):
    """A program that trains on files of labels, whose model is then wrapped."""

    kind: str = Field(description="who trains")  # first, also of the sections below
    python: Text | None = Field(
        None,
        description="environment that has the package, or its Python; null is that of pyubias",
    )
    head: Text | None = Field(None, description="of a model of several heads")
    trust: bool = Field(
        False, description="whether a model may be unpickled, which runs the code in it"
    )
    timeout: Seconds | None = Field(
        None, description="a training that takes longer fails, s; null is no limit"
    )

    def located(self, folder: Path) -> Self:
        """The same with what may be a name or a path as an absolute path, if it exists."""
        changes = {
            key: str((folder / Path(value).expanduser()).absolute())
            for key in ("python", "foundation")
            if (value := getattr(self, key, None)) and (folder / Path(value).expanduser()).exists()
        }
        return self.model_copy(update=changes)


class PackageTrainer(ExternalTrainer):
    """MACE, SevenNet, or NequIP and Allegro, from scratch or from a foundation model."""

    kind: Package = Field(description="package that trains")
    foundation: Text | None = Field(
        None,
        description="model to start every training from: a file, or a name that the package knows, "
        "such as 7net-0; null trains from scratch",
    )
    config: Path | None = Field(
        None,
        description="template of the package's own input; null is that of pyubias, in which a "
        "foundation model gets a tenth of the learning rate of a model from scratch, or less",
    )
    epochs: Count = Field(100, description="passes over the training set")


class CommandTrainer(ExternalTrainer):
    """A command of your own, which writes a model of a package that `pyubias wrap` knows."""

    kind: Literal["command"] = Field(description="a command of your own")
    command: Text = Field(
        description="run by a shell in a folder with train.extxyz and validation.extxyz; {seed} "
        "stands for the random seed",
    )
    output: Text = Field(description="model file that it writes into that folder")
    package: Package = Field(description="package that the model file is of")


Trainer = Annotated[BuiltinTrainer | PackageTrainer | CommandTrainer, Field(discriminator="kind")]
