"""Where the stages of a campaign run: on its own MPI ranks, or in jobs of a cluster."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pyubias.config.values import Seconds
from pyubias.config.yaml_settings import Section

__all__ = ["JobResources", "MpiResources", "ParslResources", "Resources", "ResourcesConfig"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@/-]+$", max_length=100)]
Lines = Annotated[str, Field(max_length=10000)]


def _is_a_command(text: str) -> str:
    try:
        words = shlex.split(text.format(ranks=2))
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(
            f"wanted a command with {{ranks}} for the number of ranks, got {text!r}"
        ) from error
    if not words:
        raise ValueError("wanted a command, got blanks")
    return text


Command = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_is_a_command)]
LAUNCH = Field(
    "mpirun -n {ranks}", description="what starts a walker or a training that has several ranks"
)


class MpiResources(Section):
    """The MPI ranks that the campaign was started with."""

    kind: Literal["mpi"] = Field(description="the ranks of the campaign")


# keys that would be ignored
NOT_OF_KIND = {
    "local": ("partition", "account", "nodes", "nodes_per_item", "walltime", "options"),
    "sge": ("account", "nodes", "nodes_per_item"),
    "lsf": ("nodes", "nodes_per_item"),
}


class JobResources(Section):
    """Jobs of a batch system, or processes on this computer, which Parsl starts and ends."""

    kind: Literal["local", "slurm", "pbs", "sge", "lsf"] = Field(
        description="batch system; local starts processes beside the campaign"
    )
    partition: Name | None = Field(None, description="partition or queue; null is the default one")
    account: Name | None = Field(None, description="account or project that pays")
    nodes: Annotated[int, Field(gt=0, le=10000)] = Field(1, description="nodes of one job")
    cores: Annotated[int, Field(gt=0, le=10000)] = Field(
        1, description="cores that a job has on each node"
    )
    cores_per_item: Annotated[int, Field(gt=0, le=10000)] = Field(
        1,
        description="cores of one label, walker or training; a node works on "
        "cores / cores_per_item of them at a time",
    )
    nodes_per_item: Annotated[int, Field(gt=0, le=10000)] = Field(
        1,
        description="nodes of one label, walker or training that is a program of several nodes; "
        "more than 1: a job works on nodes / nodes_per_item of them at a time, all from its first "
        "node, and the command of each starts the program on the others",
    )
    gpus: Annotated[int, Field(ge=0, le=100)] = Field(
        0,
        description="GPUs that a job has on each node, of which each item sees one; with sge and "
        "lsf, ask for them in `options`",
    )
    walltime: Annotated[str, Field(pattern=r"^\d{1,4}:[0-5]\d:[0-5]\d$")] = Field(
        "01:00:00", description="time limit of a job, as HH:MM:SS"
    )
    max_blocks: Annotated[int, Field(gt=0, le=10000)] = Field(
        1, description="jobs at a time; there are none while there is nothing to do"
    )
    options: Lines = Field(
        "",
        description="further lines for the batch system, such as `#SBATCH --gres=gpu:1`; with sge "
        "and more than one core, the parallel environment, such as `#$ -pe smp 16`",
    )
    modules: list[Name] = Field([], max_length=100, description="environment modules to load")
    worker_init: Lines = Field(
        "", description="shell commands that run first in a job, after the modules are loaded"
    )
    launch: Command = LAUNCH
    grace: Seconds = Field(
        300.0, description="time for which a job goes on after the campaign was killed, s"
    )

    @model_validator(mode="after")
    def _have_what_is_set(self) -> "JobResources":
        for key in NOT_OF_KIND.get(self.kind, ()):
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"kind: {self.kind} has no {key}: leave it out")
        return self

    @model_validator(mode="after")
    def _have_their_cores(self) -> "JobResources":
        # a job of Grid Engine has one core unless it names a parallel environment of that cluster
        if self.kind == "sge" and self.cores > 1 and "-pe " not in self.options:
            raise ValueError(
                f"kind: sge reserves {self.cores} cores by a parallel environment of your cluster: "
                f"name it in options, such as '#$ -pe smp {self.cores}' (qconf -spl lists them)"
            )
        return self

    @model_validator(mode="after")
    def _fit_an_item(self) -> "JobResources":
        if self.cores_per_item > self.cores:
            raise ValueError(
                f"an item of {self.cores_per_item} cores does not fit into a job of {self.cores} "
                "on a node: raise cores"
            )
        if self.nodes_per_item > self.nodes:
            raise ValueError(
                f"an item of {self.nodes_per_item} nodes does not fit into a job of {self.nodes}: "
                "raise nodes"
            )
        return self


class ParslResources(Section):
    """An executor of a configuration of Parsl's own.

    The file is code, which runs with your rights.
    """

    kind: Literal["parsl"] = Field(description="a configuration of Parsl in Python")
    file: Path = Field(description="Python file that defines `config`, a `parsl.Config`")
    executor: Name = Field(description="label of the executor in it")
    launch: Command = LAUNCH


Resources = Annotated[MpiResources | JobResources | ParslResources, Field(discriminator="kind")]
MPI = MpiResources(kind="mpi")


class ResourcesConfig(Section):
    """Where each stage runs. Jobs take Parsl: `pip install 'pyubias[cluster]'`."""

    label: Resources = Field(MPI, description="Where frames are labelled.")
    explore: Resources = Field(MPI, description="Where walkers run.")
    train: Resources = Field(MPI, description="Where potentials are trained.")
