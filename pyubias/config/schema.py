"""What a user may write in a campaign file, with types, defaults and units.

The larger sections have modules of their own, such as `exploration` and `collective_variables`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic.config import JsonDict

from pyubias.config.collective_variables import CollectiveVariable
from pyubias.config.exploration import ExplorationConfig
from pyubias.config.potential import (
    FinishConfig,
    ModelConfig,
    TrainingConfig,
    UncertaintyConfig,
    check_trainer,
)
from pyubias.config.resources import ResourcesConfig
from pyubias.config.trainer import BuiltinTrainer, Trainer
from pyubias.config.values import (
    Arguments,
    Count,
    Elements,
    NonNegative,
    Positive,
    RunName,
    Scalars,
    Seconds,
    Seed,
)
from pyubias.config.yaml_settings import Section

__all__ = [
    "AseReference",
    "CampaignConfig",
    "CollectiveVariable",
    "EvaluationConfig",
    "FilesReference",
    "LammpsReference",
    "Reference",
]


# when a change of settings between two invocations of a campaign takes effect
AT_ONCE: JsonDict = {"changes": "from now on"}
AT_TRAINING: JsonDict = {"changes": "from the next training on"}


class StartConfig(Section):
    """Structures that the campaign begins with."""

    structures: Path | None = Field(
        None,
        description="file with one structure or more, in a format of ASE; needed unless there are "
        "`labels`",
    )
    labels: list[Path] = Field(
        [],
        max_length=1000,
        description="labelled structures to start from: files in formats of ASE, and run folders",
    )
    keys: dict[Literal["energy", "forces", "stress"], str] = Field(
        {}, description="names of the labels in these files, as {energy: dft_energy}"
    )
    count: int = Field(
        16,
        ge=0,
        le=10**6,
        description="perturbed copies of `structures` that are labelled first; with 0 and without "
        "`labels`, the walkers first run with `trainer.foundation` as it is, from the structures "
        "themselves",
    )
    perturb: float = Field(
        0.02, ge=0.0, le=10.0, description="largest displacement of a coordinate of a copy, Å"
    )
    # beyond 1/3 a cell may turn inside out
    strain: float = Field(
        0.0, ge=0.0, le=0.3, description="largest component of the random strain of a periodic copy"
    )
    candidates: Path | None = Field(
        None,
        description="file with structures of further molecules, which are perturbed like the "
        "others and labelled when selected",
    )

    @property
    def copies(self) -> int:
        """Perturbed copies that are labelled first."""
        return 0 if self.structures is None else self.count

    @property
    def walks_first(self) -> bool:
        """Whether walkers run before there is any label."""
        return self.copies == 0 and not self.labels

    @model_validator(mode="after")
    def _begin_with_something(self) -> "StartConfig":
        if self.structures is None and not self.labels:
            raise ValueError("give structures, or labels to start from")
        if self.keys and not self.labels:
            raise ValueError("keys name what labels hold, and there are no labels")
        return self


MAX_FORCE = Field(100.0, description="a label with a larger force |F_i| fails, eV/Å")
TIMEOUT = Field(3600.0, description="a label that takes longer fails, s; null is no limit")
RETRIES = Field(
    0,
    description="times that a label is tried again if the method fails or takes too long; one that "
    "is beyond `max_force` is not",
)
Copies = Annotated[int, Field(gt=0, le=100)]
Supercell = tuple[Copies, Copies, Copies]
SUPERCELL = Field(
    (1, 1, 1),
    description="copies of a frame along its three cell vectors that the method gets, if it needs "
    "larger cells",
)


class LammpsReference(Section):
    """A LAMMPS input script with a classical force field that ends in `run 0`.

    The script gets its own folder as the variable `here`, and everything under `variables`.
    """

    kind: Literal["lammps"] = Field(description="a force field in LAMMPS")
    input: Path = Field(description="input script, which ends in `run 0`")
    variables: Scalars = Field({}, description="values of variables of the script")
    max_force: Positive = MAX_FORCE
    timeout: Seconds | None = TIMEOUT
    retries: Annotated[int, Field(ge=0, le=100)] = RETRIES
    supercell: Supercell = SUPERCELL


class AseReference(Section):
    """Any ASE calculator, by its import path, or from a file of your own.

    The calculator is code that runs with your rights, and so is a campaign file that names it:
    read a file that somebody gave you before you run it, with `--dry-run` as well.
    """

    kind: Literal["ase"] = Field(description="a calculator of ASE")
    calculator: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        description="import path of a class or a function, such as tblite.ase.TBLite; its name "
        "where `file` is given"
    )
    file: Path | None = Field(None, description="Python file that defines the calculator")
    arguments: Arguments = Field({}, description="keyword arguments of the calculator")
    max_force: Positive = MAX_FORCE
    timeout: Seconds | None = TIMEOUT
    retries: Annotated[int, Field(ge=0, le=100)] = RETRIES
    supercell: Supercell = SUPERCELL


class FilesReference(Section):
    """Labels that are made outside of the campaign, by hand or by a program of your own.

    The campaign writes `to_label.extxyz` into its folder and ends. `pyubias import` takes the
    labels, and the campaign goes on. With `program`, it also writes a folder with the inputs of
    that program for each frame.
    """

    kind: Literal["files"] = Field(description="labels from files")
    program: Literal["vasp", "espresso", "orca", "cp2k"] | None = Field(
        None, description="program whose inputs are written; null is none"
    )
    arguments: Arguments = Field(
        {}, description="keyword arguments of ASE's calculator of this program"
    )
    max_force: Positive = MAX_FORCE

    @model_validator(mode="after")
    def _arguments_are_of_a_program(self) -> "FilesReference":
        if self.arguments and self.program is None:
            raise ValueError("arguments are those of a program: give program")
        return self


Reference = Annotated[LammpsReference | AseReference | FilesReference, Field(discriminator="kind")]


class SelectionConfig(Section):
    """Which frames of the walkers are labelled."""

    method: Literal["random", "max_diag", "max_det", "max_dist", "lcmd"] = Field(
        "max_det",
        description="`max_diag` takes the largest posterior variances, `max_det` the largest given "
        "the picks before it, `max_dist` the frames farthest from all labels and picks, `lcmd` the "
        "farthest of the largest cluster",
    )
    batch_size: Count = Field(8, description="frames that an iteration labels")
    max_pool: Count = Field(
        4000, description="frames that are compared, evenly spread over the walkers"
    )
    balance: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None,
        description="weight of new molecules against new geometries of known ones, from 0 "
        "(geometries only) to 1 (molecules only); null treats both alike",
    )
    per_molecule: Count | None = Field(
        None, description="largest number of labels of one molecule per iteration"
    )

    @model_validator(mode="after")
    def _random_has_no_kernel(self) -> "SelectionConfig":
        if self.method == "random" and self.balance is not None:
            raise ValueError("balance weights a kernel, which the method 'random' does not have")
        return self


class StopConfig(Section):
    """The campaign ends when the first of these is reached."""

    labels: Count = Field(
        512, description="budget of labels, with those of start structures; see `given`"
    )
    given: bool = Field(
        False, description="whether the labels of `start.labels` count in this budget"
    )
    stragglers: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        0.0,
        description="largest part of a batch that an iteration does not wait for, if labels are "
        "made in jobs; late labels belong to the next iteration",
    )
    forces_rmse: NonNegative = Field(
        0.0, description="force error on the test set that is good enough, eV/Å; 0 is none"
    )
    hours: Positive | None = Field(
        None, description="time after which the command ends, to be run again, h; null is no limit"
    )


class EvaluationConfig(Section):
    """What an iteration reports, beside its labels and times."""

    test: Path | None = Field(
        None, description="file with labelled structures, which are never trained on"
    )
    collective_variables: list[CollectiveVariable] = Field(
        [], max_length=16, description="coordinates of the space whose coverage is reported"
    )

    @field_validator("collective_variables")
    @classmethod
    def _have_names_of_their_own(cls, variables: list[CollectiveVariable]) -> Any:
        names = [variable.name for variable in variables]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two of them have the name '{name}'")
        return variables


class CampaignConfig(Section):
    """One campaign: everything that `pyubias run FILE.yaml` needs.

    A campaign file is code: it names calculators, LAMMPS scripts and Python files, which run with
    your rights, also under `--dry-run`. Read a file that somebody gave you before you run it.

    `pyubias train --config FILE.yaml` reads the sections model, training, uncertainty,
    finish and trainer.
    """

    name: RunName = Field(
        description="name of the run folder: letters, digits, dots, hyphens and underscores"
    )
    seed: Seed = Field(0, description="random seed of the campaign")
    elements: Elements | None = Field(
        None, description="chemical symbols in the order of atom types; null is alphabetical"
    )
    start: StartConfig
    reference: Reference = Field(description="The method that labels structures.")
    trainer: Trainer = Field(
        BuiltinTrainer(), description="Who trains the potential.", json_schema_extra=AT_TRAINING
    )
    model: ModelConfig = Field(ModelConfig(), json_schema_extra=AT_TRAINING)
    training: TrainingConfig = Field(TrainingConfig(), json_schema_extra=AT_TRAINING)
    uncertainty: UncertaintyConfig = Field(UncertaintyConfig(), json_schema_extra=AT_TRAINING)
    finish: FinishConfig | None = Field(
        FinishConfig(),
        description="The last training, which takes the time that it needs; null leaves it out.",
        json_schema_extra=AT_TRAINING,
    )
    exploration: ExplorationConfig = Field(json_schema_extra=AT_ONCE)
    selection: SelectionConfig = Field(SelectionConfig(), json_schema_extra=AT_ONCE)
    stop: StopConfig = Field(StopConfig(), json_schema_extra=AT_ONCE)
    evaluation: EvaluationConfig = Field(EvaluationConfig(), json_schema_extra=AT_ONCE)
    resources: ResourcesConfig = Field(ResourcesConfig(), json_schema_extra=AT_ONCE)
    control: dict[str, Any] | None = Field(
        None,
        description="settings in which a second arm differs, which runs beside the first",
        json_schema_extra=AT_ONCE,
    )

    @model_validator(mode="after")
    def _stop_by_what_is_measured(self) -> "CampaignConfig":
        if self.stop.forces_rmse > 0.0 and self.evaluation.test is None:
            raise ValueError("stop.forces_rmse is an error on a test set: give evaluation.test")
        return self

    @model_validator(mode="after")
    def _have_stragglers_in_jobs(self) -> "CampaignConfig":
        if self.stop.stragglers > 0.0 and self.resources.label.kind == "mpi":
            raise ValueError(
                "stop.stragglers lets labels come late that are made in jobs: give resources.label"
            )
        return self

    @model_validator(mode="after")
    def _give_the_trainer_what_it_takes(self) -> "CampaignConfig":
        check_trainer(self.trainer, self.model, self.training, self.uncertainty)
        return self

    @model_validator(mode="after")
    def _walk_with_something(self) -> "CampaignConfig":
        start = self.start
        if not start.walks_first:
            return self
        if getattr(self.trainer, "foundation", None) is None:
            raise ValueError(
                "start.count is 0, which takes a potential that needs no labels: give "
                "trainer.foundation, or raise start.count"
            )
        displaced = {"strain"} if start.candidates else {"strain", "perturb"}
        for key in sorted(displaced):
            if getattr(start, key) != StartConfig.model_fields[key].default:
                raise ValueError(f"start.{key} is of the copies that start.count = 0 leaves out")
        return self

    def with_variables(self, variables: list[CollectiveVariable]) -> "CampaignConfig":
        """The campaign with other collective variables, in its control arm as well."""
        evaluation = self.evaluation.model_copy(update={"collective_variables": variables})
        control = self.control
        if control is not None:
            fields = [variable.model_dump() for variable in variables]
            of_control = control.get("evaluation", {}) | {"collective_variables": fields}
            control = control | {"evaluation": of_control}
        return self.model_copy(update={"evaluation": evaluation, "control": control})

    @classmethod
    def changeable(cls) -> dict[str, str]:
        """Sections that may change between two invocations, with when that takes effect."""
        extras = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
        return {
            name: str(extra["changes"]) for name, extra in extras.items() if isinstance(extra, dict)
        }

    @property
    def by_molecule(self) -> bool:
        """Whether anything asks which molecule a structure is; that takes RDKit."""
        asked = (self.start.candidates, self.selection.balance, self.selection.per_molecule)
        return any(value is not None for value in asked)
