"""What a user may write in a campaign file, with types, defaults and units.

The sections `model`, `training` and `uncertainty` are also the keyword arguments of
`pyubias.train`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

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
]

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Scalar = int | float | str


class ModelConfig(Section):
    """Sizes of the Gaussian-moment neural network."""

    cutoff: PositiveFloat = Field(5.0, description="r_c, Å")
    n_radial: PositiveInt = Field(5, description="N_r, radial functions per pair of elements")
    n_basis: PositiveInt = Field(12, description="N_b, Gaussians that they are made of")
    hidden: list[PositiveInt] = Field([64, 64], min_length=1, description="hidden layer widths")


class TrainingConfig(Section):
    """Loss, optimiser and schedule. The learning rates fall linearly to zero."""

    epochs: PositiveInt = 400
    max_steps: PositiveInt = Field(
        8000, description="optimiser steps; large sets take fewer epochs"
    )
    final_factor: Annotated[float, Field(ge=1.0)] = Field(
        4.0, description="of max_steps in the last training of a campaign, at its label budget"
    )
    batch_size: PositiveInt = 4
    energy_weight: NonNegativeFloat = Field(1.0, description="of Σ ΔE², eV⁻²")
    energy_ramp: PositiveFloat = Field(
        30.0, description="factor by which the energy weight grows, geometrically, over the epochs"
    )
    forces_weight: NonNegativeFloat = Field(4.0, description="of Σ |ΔF|², Å²/eV²")
    stress_weight: NonNegativeFloat = Field(0.01, description="of Σ |V Δσ|², eV⁻²")
    weights_rate: PositiveFloat = Field(0.03, description="learning rate of weights and biases")
    embedding_rate: PositiveFloat = Field(0.02, description="learning rate of β")
    scale_rate: PositiveFloat = Field(0.05, description="learning rate of σ_Z")
    shift_rate: PositiveFloat = Field(0.001, description="learning rate of μ_Z")
    validation: Fraction = Field(0.1, description="fraction of frames that picks the checkpoint")
    calibration: Fraction = Field(0.1, description="fraction of frames that calibrates, only that")
    checkpoint: Literal["arithmetic", "geometric"] = Field(
        "arithmetic",
        description="mean of validation errors whose lowest value picks the checkpoint; in the "
        "geometric one, structures with small errors count as much as those with large ones",
    )
    validate_every: PositiveInt = Field(5, description="epochs between looks at the validation set")
    patience: PositiveInt | None = Field(
        None,
        description="stop after this many epochs without a better checkpoint; null never stops",
    )
    seed: int = 0
    threads: PositiveInt = 1
    ranks: PositiveInt = Field(
        1, description="MPI ranks that share each batch; results depend on it in rounding"
    )
    device: str = "cpu"

    @model_validator(mode="after")
    def _leave_frames_to_train_on(self) -> "TrainingConfig":
        if self.validation + self.calibration >= 1.0:
            raise ValueError("validation and calibration together must be less than 1")
        return self


class UncertaintyConfig(Section):
    """Kind of uncertainty, its features, and its calibration."""

    kind: Literal["posterior", "distance", "ensemble"] = "posterior"
    features: Literal["sketched", "last_layer"] = "sketched"
    projections: PositiveInt = Field(
        128, multiple_of=8, description="p of the sketched features, a multiple of 8"
    )
    members: Annotated[int, Field(ge=2)] = Field(3, description="potentials in an ensemble")
    regularisation: PositiveFloat = Field(0.01, description="λ of the posterior")
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.05, description="calibrated u covers 1 - alpha of the residuals"
    )

    @property
    def n_members(self) -> int:
        """Potentials that are trained: the members of an ensemble, else one."""
        return self.members if self.kind == "ensemble" else 1


class StartConfig(Section):
    """Structures that the campaign begins with."""

    structures: Path = Field(description="file with one or more structures")
    count: PositiveInt = Field(16, description="perturbed copies that are labelled first")
    perturb: NonNegativeFloat = Field(0.02, description="largest displacement of a coordinate, Å")
    strain: NonNegativeFloat = Field(
        0.0, lt=1.0, description="largest component of a random strain of periodic structures"
    )
    candidates: Path | None = Field(
        None,
        description="file with structures of further molecules, perturbed like the others and "
        "labelled when selected",
    )


MAX_FORCE = Field(100.0, description="labels with larger |F_i| fail, eV/Å")
Supercell = tuple[PositiveInt, PositiveInt, PositiveInt]
SUPERCELL = Field(
    (1, 1, 1), description="copies of each frame that the method sees, for cells it finds too small"
)


class LammpsReference(Section):
    """A LAMMPS input script with a classical force field that ends in `run 0`.

    The script gets its own folder as the variable `here`, and everything under `variables`.
    """

    kind: Literal["lammps"]
    input: Path
    variables: dict[str, Scalar] = Field({})
    max_force: PositiveFloat = MAX_FORCE
    supercell: Supercell = SUPERCELL


class AseReference(Section):
    """Any ASE calculator, by import path and arguments, or from a file of one's own."""

    kind: Literal["ase"]
    calculator: str = Field(description="import path, such as tblite.ase.TBLite")
    file: Path | None = Field(None, description="Python file that defines the calculator")
    arguments: dict[str, Any] = Field({})
    max_force: PositiveFloat = MAX_FORCE
    supercell: Supercell = SUPERCELL


Reference = Annotated[LammpsReference | AseReference, Field(discriminator="kind")]


class GuardConfig(Section):
    """Limits of physical frames: a walk is truncated at its first frame outside of them."""

    distance: float = Field(
        0.5,
        ge=0.01,
        description="smallest distance of two atoms over the sum of their covalent radii",
    )
    volume_ratio: Annotated[float, Field(gt=1.0)] = Field(
        3.0, description="largest factor between the volumes of start and frame"
    )


class MetadynamicsConfig(Section):
    """Gaussians of the cell volume that drive a walker: the conventional bias, to compare with."""

    height: PositiveFloat = Field(description="of one Gaussian, eV")
    width: PositiveFloat = Field(description="its standard deviation, Å³")
    stride: PositiveInt = Field(description="MD steps between two of them")


def _largest(value: object) -> float:
    """The largest number of a script's variable, which may be a list; 0 without a number."""
    values = value if isinstance(value, list) else [value]
    return max((float(x) for x in values if isinstance(x, int | float)), default=0.0)


class ExplorationConfig(Section):
    """Walkers: a LAMMPS script that is run `walkers` times in every iteration.

    The script gets as variables: model, structure, elements, seed, steps, every, tau, tau_stress,
    threshold, metadynamics (yes or no), trajectory, crossing, here (its own folder), and everything
    under `variables`; a list there is cycled over the walkers.
    """

    input: Path
    walkers: PositiveInt = 8
    ranks_per_walker: PositiveInt = 1
    steps: PositiveInt = Field(20000, description="at most, per walker and iteration")
    every: PositiveInt = Field(10, description="steps between two frames that are written")
    tau: NonNegativeFloat = Field(0.25, description="strength of the bias forces; 0 is no bias")
    tau_stress: NonNegativeFloat = Field(
        0.0, description="strength of the bias stress, of walkers in a cell that may change"
    )
    threshold: PositiveFloat = Field(1.5, description="atomic uncertainty that stops, eV/Å")
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="arithmetic inside the models; float64 is half as fast"
    )
    variables: dict[str, Scalar | list[Scalar]] = Field({})
    guard: GuardConfig = GuardConfig()
    metadynamics: MetadynamicsConfig | None = Field(
        None, description="Gaussians of the volume in place of a bias by uncertainty"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_tau_stress_from_variables(cls, fields: Any) -> Any:
        # tau_stress was a free variable of scripts before it was a key. As such it had the last
        # word; a list, one value for each walker, stays there
        variables = fields.get("variables") if isinstance(fields, dict) else None
        if not isinstance(variables, dict):
            return fields
        value = variables.get("tau_stress")
        if not isinstance(value, int | float) or isinstance(value, bool):
            return fields
        others = {name: x for name, x in variables.items() if name != "tau_stress"}
        return {**fields, "tau_stress": value, "variables": others}

    @model_validator(mode="after")
    def _one_bias(self) -> "ExplorationConfig":
        if self.metadynamics is not None and self.strength > 0.0:
            raise ValueError(
                "metadynamics takes the place of the other bias: set tau and tau_stress to 0"
            )
        return self

    @property
    def strength(self) -> float:
        """The largest tau of the walkers; the largest tau_stress if only their cells are biased."""
        largest = [
            _largest(self.variables.get(name, getattr(self, name)))
            for name in ("tau", "tau_stress")
        ]
        return largest[0] or largest[1]

    @property
    def bias(self) -> Literal["biased", "unbiased", "metadynamics"]:
        """What drives the walkers."""
        if self.metadynamics is not None:
            return "metadynamics"
        return "biased" if self.strength > 0.0 else "unbiased"


class SelectionConfig(Section):
    method: Literal["random", "max_diag", "max_det", "max_dist", "lcmd"] = "max_det"
    batch_size: PositiveInt = Field(8, description="labels per iteration")
    max_pool: PositiveInt = Field(4000, description="frames compared, evenly spread over walkers")
    balance: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None,
        description="weight of new molecules against new geometries of known ones, from 0 "
        "(geometries only) to 1 (molecules only); null does not tell them apart",
    )
    per_molecule: PositiveInt | None = Field(
        None, description="largest number of labels of one molecule per iteration"
    )

    @model_validator(mode="after")
    def _random_has_no_kernel(self) -> "SelectionConfig":
        if self.method == "random" and self.balance is not None:
            raise ValueError("balance weights a kernel, which the method 'random' does not have")
        return self


class StopConfig(Section):
    """The campaign ends when the first of these is reached."""

    labels: PositiveInt = Field(512, description="labels in all, start included")
    forces_rmse: NonNegativeFloat = Field(0.0, description="target on the test set, eV/Å")
    hours: PositiveFloat | None = Field(None, description="wall clock of one invocation")


class CollectiveVariable(Section):
    """One coordinate of the space whose coverage is reported. Atoms are counted from 1."""

    name: str
    dihedral: list[PositiveInt] | None = Field(None, min_length=4, max_length=4)
    distance: list[PositiveInt] | None = Field(None, min_length=2, max_length=2)
    volume: bool = False
    range: tuple[float, float] | None = Field(
        None, description="degrees, Å or Å³; a dihedral has [-180, 180]"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "CollectiveVariable":
        if (self.dihedral is not None) + (self.distance is not None) + self.volume != 1:
            raise ValueError("give exactly one of dihedral, distance, volume")
        if self.range is None and self.dihedral is None:
            raise ValueError("give its range as [low, high]")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range or (-180.0, 180.0)


class EvaluationConfig(Section):
    test: Path | None = Field(None, description="labelled structures that are never trained on")
    collective_variables: list[CollectiveVariable] = Field([])


class CampaignConfig(Section):
    """One campaign: everything that `pyubias run FILE.yaml` needs to know."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    seed: int = 0
    elements: list[str] | None = Field(None, description="type order; default: alphabetical")
    start: StartConfig
    reference: Reference
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    exploration: ExplorationConfig
    selection: SelectionConfig = SelectionConfig()
    stop: StopConfig = StopConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    control: dict[str, Any] | None = Field(
        None,
        description="settings of a second arm that is run beside the first, as differences",
    )

    @property
    def by_molecule(self) -> bool:
        """Whether anything asks which molecule a structure is; that takes RDKit."""
        asked = (self.start.candidates, self.selection.balance, self.selection.per_molecule)
        return any(value is not None for value in asked)
