"""What a user may write in a campaign file, with types, defaults and units.

The sections `model`, `training` and `uncertainty` are also the keyword arguments of
`pyubias.train`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pyubias.config.exploration import ExplorationConfig, GuardConfig, MetadynamicsConfig
from pyubias.config.trainer import BuiltinTrainer, Trainer
from pyubias.config.values import (
    Arguments,
    Count,
    DrawnName,
    Elements,
    NonNegative,
    Positive,
    Range,
    Rate,
    RunName,
    Scalars,
    Seconds,
    Seed,
    Steps,
)
from pyubias.config.yaml_settings import Section

__all__ = [
    "AseReference",
    "CampaignConfig",
    "CollectiveVariable",
    "ExplorationConfig",
    "GuardConfig",
    "LammpsReference",
    "MetadynamicsConfig",
    "ModelConfig",
    "Reference",
    "TrainingConfig",
    "UncertaintyConfig",
    "check_trainer",
]

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class ModelConfig(Section):
    """Sizes of the Gaussian-moment neural network."""

    # radial functions begin at 0.5 Å, and a sphere of 20 Å holds thousands of atoms
    cutoff: float = Field(
        5.0, ge=1.0, le=20.0, description="r_c: atoms closer than this are neighbors, Å"
    )
    n_radial: int = Field(
        5, gt=0, le=16, description="N_r: radial functions of each pair of elements"
    )
    n_basis: int = Field(
        12, gt=0, le=200, description="N_b: Gaussians that a radial function is made of"
    )
    hidden: list[Annotated[int, Field(gt=0, le=4096)]] = Field(
        [64, 64], min_length=1, max_length=16, description="widths of the hidden layers"
    )


class TrainingConfig(Section):
    """Loss, optimiser and schedule. The learning rates fall linearly to zero."""

    epochs: Count = Field(
        400, description="passes over the training set, of which `max_steps` may allow fewer"
    )
    max_steps: Steps = Field(
        8000, description="limit of the optimiser steps of a training, in whole epochs"
    )
    final_factor: Annotated[float, Field(ge=1.0, le=1000.0)] = Field(
        4.0,
        description="factor on `max_steps` in the last training of a campaign, at its label budget",
    )
    batch_size: Count = Field(4, description="structures of one optimiser step")
    energy_weight: NonNegative = Field(
        1.0, description="weight of Σ ΔE² in the loss at the start of the training, eV⁻²"
    )
    energy_ramp: Positive = Field(
        30.0,
        description="factor by which the energy weight grows, geometrically, over the training",
    )
    forces_weight: NonNegative = Field(4.0, description="weight of Σ |ΔF|² in the loss, Å²/eV²")
    stress_weight: NonNegative = Field(
        0.01, description="weight of Σ |V Δσ|² in the loss, eV⁻²; for periodic structures"
    )
    weights_rate: Rate = Field(0.03, description="first learning rate of weights and biases")
    embedding_rate: Rate = Field(
        0.02, description="first learning rate of the coefficients β of the radial functions"
    )
    scale_rate: Rate = Field(
        0.05, description="first learning rate of the scale σ_Z of each element"
    )
    shift_rate: Rate = Field(
        0.001, description="first learning rate of the shift μ_Z of each element"
    )
    validation: Fraction = Field(
        0.1, description="fraction of the labels that picks the checkpoint"
    )
    calibration: Fraction = Field(
        0.1,
        description="fraction of the labels that calibrates the uncertainty and does nothing else",
    )
    checkpoint: Literal["arithmetic", "geometric"] = Field(
        "arithmetic",
        description="mean of validation errors whose lowest value picks the checkpoint; in the "
        "geometric one, structures with small errors count as much as those with large ones",
    )
    validate_every: Count = Field(5, description="epochs between two validations")
    patience: Count | None = Field(
        None,
        description="stop after this many epochs without a better checkpoint; null never stops",
    )
    seed: Seed = Field(0, description="random seed, to which a campaign adds its own")
    threads: int = Field(1, gt=0, le=1024, description="threads of PyTorch during the training")
    ranks: Count = Field(
        1, description="MPI ranks that share each batch; results depend on it in rounding"
    )
    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:[0-9]{1,3})?)$")] = Field(
        "cpu", description="PyTorch device of the training: cpu, cuda or cuda:N"
    )

    @model_validator(mode="after")
    def _leave_frames_to_train_on(self) -> "TrainingConfig":
        if self.validation + self.calibration >= 1.0:
            total = self.validation + self.calibration
            raise ValueError(
                f"validation and calibration together must be less than 1, got {total:g}"
            )
        return self

    @model_validator(mode="after")
    def _weigh_something(self) -> "TrainingConfig":
        if not max(self.energy_weight, self.forces_weight) > 0.0:
            raise ValueError("one of energy_weight and forces_weight must be positive, got 0 and 0")
        return self


class UncertaintyConfig(Section):
    """Kind of uncertainty, its features, and its calibration."""

    kind: Literal["posterior", "distance", "ensemble"] = Field(
        "posterior",
        description="`posterior` is the standard deviation of a Bayesian linear model of the "
        "features, `distance` that to the nearest training features, `ensemble` the standard "
        "deviation of several potentials",
    )
    features: Literal["sketched", "last_layer"] = Field(
        "sketched",
        description="gradients of the energy by all parameters in random projections, or by those "
        "of the last layer; not of an ensemble",
    )
    projections: int = Field(
        128, gt=0, le=8192, multiple_of=8, description="p: number of the sketched features"
    )
    members: Annotated[int, Field(ge=2, le=100)] = Field(3, description="potentials of an ensemble")
    regularisation: float = Field(0.01, ge=1e-9, le=1e9, description="λ of the posterior")
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.05, description="the calibrated uncertainties cover 1 - alpha of the residuals"
    )

    @property
    def n_members(self) -> int:
        """Potentials that are trained: the members of an ensemble, else one."""
        return self.members if self.kind == "ensemble" else 1


class StartConfig(Section):
    """Structures that the campaign begins with."""

    structures: Path = Field(description="file with one structure or more, in a format of ASE")
    count: Count = Field(16, description="perturbed copies that are labelled first")
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


MAX_FORCE = Field(100.0, description="a label with a larger force |F_i| fails, eV/Å")
TIMEOUT = Field(3600.0, description="a label that takes longer fails, s; null is no limit")
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
    supercell: Supercell = SUPERCELL


Reference = Annotated[LammpsReference | AseReference, Field(discriminator="kind")]


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

    labels: Count = Field(512, description="budget of labels, start included")
    forces_rmse: NonNegative = Field(
        0.0, description="force error on the test set that is good enough, eV/Å; 0 is none"
    )
    hours: Positive | None = Field(
        None, description="time after which the command ends, to be run again, h; null is no limit"
    )


class CollectiveVariable(Section):
    """One coordinate of the space whose coverage is reported.

    It has one of `dihedral`, `distance` and `volume`. Atoms are counted from 1.
    """

    name: DrawnName = Field(
        description="its name in tables and pictures, without $, which begins a formula there"
    )
    dihedral: list[Steps] | None = Field(
        None, min_length=4, max_length=4, description="the dihedral angle of four atoms"
    )
    distance: list[Steps] | None = Field(
        None, min_length=2, max_length=2, description="the distance of two atoms"
    )
    volume: bool = Field(False, description="the volume of the cell")
    range: Range | None = Field(
        None, description="lowest and highest value, in degrees, Å or Å³; [-180, 180] of a dihedral"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "CollectiveVariable":
        if (self.dihedral is not None) + (self.distance is not None) + self.volume != 1:
            raise ValueError("give exactly one of dihedral, distance, volume")
        if self.range is None and self.dihedral is None:
            raise ValueError("give its range as [low, high]")
        low, high = self.bounds
        if self.dihedral is not None and (low < -180.0 or high > 180.0):
            raise ValueError(f"angles lie within [-180, 180], got the range [{low:g}, {high:g}]")
        if self.dihedral is None and high <= 0.0:
            raise ValueError(f"no distance or volume lies in the range [{low:g}, {high:g}]")
        if len(set(self.atoms)) < len(self.atoms):
            raise ValueError(f"its atoms must differ, got {self.atoms}")
        return self

    @property
    def atoms(self) -> list[int]:
        """The atoms that it depends on, counted from 1; none of a volume."""
        return self.dihedral or self.distance or []

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range or (-180.0, 180.0)


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


# settings that trainers other than gmnn use as well
TRAINING_ELSEWHERE = {"final_factor", "validation", "calibration", "seed", "threads", "device"}
UNCERTAINTY_ELSEWHERE = {"kind", "members", "regularisation", "alpha"}


def check_trainer(
    trainer: Trainer, model: ModelConfig, training: TrainingConfig, uncertainty: UncertaintyConfig
) -> None:
    """Refuse settings that a trainer would ignore, or cannot do without.

    Raises:
        ValueError: what, and why.
    """
    if isinstance(trainer, BuiltinTrainer):
        return
    kind = trainer.kind
    for name, section, used in (
        ("model", model, set()),
        ("training", training, TRAINING_ELSEWHERE),
        ("uncertainty", uncertainty, UNCERTAINTY_ELSEWHERE),
    ):
        for key, field in type(section).model_fields.items():
            default = field.get_default(call_default_factory=True)
            if key not in used and getattr(section, key) != default:
                raise ValueError(f"{name}.{key} is of the trainer gmnn, and {kind} ignores it")
    if uncertainty.kind == "distance":
        raise ValueError(f"uncertainty.kind: {kind} has posterior and ensemble, not distance")
    if training.validation == 0.0:
        raise ValueError(f"training.validation is 0, and {kind} picks its model by validation")


class CampaignConfig(Section):
    """One campaign: everything that `pyubias run FILE.yaml` needs.

    A campaign file is code: it names calculators, LAMMPS scripts and Python files, which run with
    your rights, also under `--dry-run`. Read a file that somebody gave you before you run it.

    `pyubias train --config FILE.yaml` reads the sections model, training and uncertainty.
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
    trainer: Trainer = Field(BuiltinTrainer(), description="Who trains the potential.")
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    exploration: ExplorationConfig
    selection: SelectionConfig = SelectionConfig()
    stop: StopConfig = StopConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    control: dict[str, Any] | None = Field(
        None,
        description="settings in which a second arm differs, which runs beside the first",
    )

    @model_validator(mode="after")
    def _stop_by_what_is_measured(self) -> "CampaignConfig":
        if self.stop.forces_rmse > 0.0 and self.evaluation.test is None:
            raise ValueError("stop.forces_rmse is an error on a test set: give evaluation.test")
        return self

    @model_validator(mode="after")
    def _give_the_trainer_what_it_takes(self) -> "CampaignConfig":
        check_trainer(self.trainer, self.model, self.training, self.uncertainty)
        return self

    @property
    def by_molecule(self) -> bool:
        """Whether anything asks which molecule a structure is; that takes RDKit."""
        asked = (self.start.candidates, self.selection.balance, self.selection.per_molecule)
        return any(value is not None for value in asked)
