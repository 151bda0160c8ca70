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

    cutoff: PositiveFloat = Field(5.0, description="r_c: atoms closer than this are neighbors, Å")
    n_radial: PositiveInt = Field(5, description="N_r: radial functions of each pair of elements")
    n_basis: PositiveInt = Field(12, description="N_b: Gaussians that a radial function is made of")
    hidden: list[PositiveInt] = Field(
        [64, 64], min_length=1, description="widths of the hidden layers"
    )


class TrainingConfig(Section):
    """Loss, optimiser and schedule. The learning rates fall linearly to zero."""

    epochs: PositiveInt = Field(
        400, description="passes over the training set, of which `max_steps` may allow fewer"
    )
    max_steps: PositiveInt = Field(
        8000, description="limit of the optimiser steps of a training, in whole epochs"
    )
    final_factor: Annotated[float, Field(ge=1.0)] = Field(
        4.0,
        description="factor on `max_steps` in the last training of a campaign, at its label budget",
    )
    batch_size: PositiveInt = Field(4, description="structures of one optimiser step")
    energy_weight: NonNegativeFloat = Field(
        1.0, description="weight of Σ ΔE² in the loss at the start of the training, eV⁻²"
    )
    energy_ramp: PositiveFloat = Field(
        30.0,
        description="factor by which the energy weight grows, geometrically, over the training",
    )
    forces_weight: NonNegativeFloat = Field(
        4.0, description="weight of Σ |ΔF|² in the loss, Å²/eV²"
    )
    stress_weight: NonNegativeFloat = Field(
        0.01, description="weight of Σ |V Δσ|² in the loss, eV⁻²; for periodic structures"
    )
    weights_rate: PositiveFloat = Field(
        0.03, description="first learning rate of weights and biases"
    )
    embedding_rate: PositiveFloat = Field(
        0.02, description="first learning rate of the coefficients β of the radial functions"
    )
    scale_rate: PositiveFloat = Field(
        0.05, description="first learning rate of the scale σ_Z of each element"
    )
    shift_rate: PositiveFloat = Field(
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
    validate_every: PositiveInt = Field(5, description="epochs between two validations")
    patience: PositiveInt | None = Field(
        None,
        description="stop after this many epochs without a better checkpoint; null never stops",
    )
    seed: int = Field(0, description="random seed, to which a campaign adds its own")
    threads: PositiveInt = Field(1, description="threads of PyTorch during the training")
    ranks: PositiveInt = Field(
        1, description="MPI ranks that share each batch; results depend on it in rounding"
    )
    device: str = Field("cpu", description="PyTorch device of the training, such as cuda")

    @model_validator(mode="after")
    def _leave_frames_to_train_on(self) -> "TrainingConfig":
        if self.validation + self.calibration >= 1.0:
            raise ValueError("validation and calibration together must be less than 1")
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
    projections: PositiveInt = Field(
        128, multiple_of=8, description="p: number of the sketched features"
    )
    members: Annotated[int, Field(ge=2)] = Field(3, description="potentials of an ensemble")
    regularisation: PositiveFloat = Field(0.01, description="λ of the posterior")
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
    count: PositiveInt = Field(16, description="perturbed copies that are labelled first")
    perturb: NonNegativeFloat = Field(
        0.02, description="largest displacement of a coordinate of a copy, Å"
    )
    strain: NonNegativeFloat = Field(
        0.0, lt=1.0, description="largest component of the random strain of a periodic copy"
    )
    candidates: Path | None = Field(
        None,
        description="file with structures of further molecules, which are perturbed like the "
        "others and labelled when selected",
    )


MAX_FORCE = Field(100.0, description="a label with a larger force |F_i| fails, eV/Å")
TIMEOUT = Field(3600.0, description="a label that takes longer fails, s; null is no limit")
Supercell = tuple[PositiveInt, PositiveInt, PositiveInt]
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
    variables: dict[str, Scalar] = Field({}, description="values of variables of the script")
    max_force: PositiveFloat = MAX_FORCE
    timeout: PositiveFloat | None = TIMEOUT
    supercell: Supercell = SUPERCELL


class AseReference(Section):
    """Any ASE calculator, by its import path, or from a file of your own."""

    kind: Literal["ase"] = Field(description="a calculator of ASE")
    calculator: str = Field(
        description="import path of a class or a function, such as tblite.ase.TBLite; its name "
        "where `file` is given"
    )
    file: Path | None = Field(None, description="Python file that defines the calculator")
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the calculator")
    max_force: PositiveFloat = MAX_FORCE
    timeout: PositiveFloat | None = TIMEOUT
    supercell: Supercell = SUPERCELL


Reference = Annotated[LammpsReference | AseReference, Field(discriminator="kind")]


class GuardConfig(Section):
    """Limits of physical frames: a walk is truncated at its first frame outside of them."""

    distance: float = Field(
        0.5,
        ge=0.01,
        description="smallest distance of two atoms, divided by the sum of their covalent radii",
    )
    volume_ratio: Annotated[float, Field(gt=1.0)] = Field(
        3.0, description="largest ratio of the volumes of frame and start, or of start and frame"
    )


class MetadynamicsConfig(Section):
    """Metadynamics on the cell volume: the conventional bias, to compare with.

    `tau` and `tau_stress` must be 0.
    """

    height: PositiveFloat = Field(description="height of a Gaussian, eV")
    width: PositiveFloat = Field(description="standard deviation of a Gaussian, Å³")
    stride: PositiveInt = Field(description="MD steps between two Gaussians")


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

    input: Path = Field(description="LAMMPS input script of one walker")
    walkers: PositiveInt = Field(8, description="runs of the script in each iteration")
    ranks_per_walker: PositiveInt = Field(
        1, description="MPI ranks that share one walker, for large systems"
    )
    steps: PositiveInt = Field(
        20000, description="MD steps after which a walker ends, unless the threshold stops it"
    )
    every: PositiveInt = Field(10, description="MD steps between two frames that are written")
    tau: NonNegativeFloat = Field(
        0.25,
        description="τ, strength of the bias forces: the ratio of their root mean square to that "
        "of the physical forces; 0 is no bias",
    )
    tau_stress: NonNegativeFloat = Field(
        0.0,
        description="τ_σ, strength of the bias stress, a ratio as well, of walkers whose cell may "
        "change; 0 is no bias",
    )
    threshold: PositiveFloat = Field(
        1.5, description="a walker stops when the uncertainty of an atom is larger, eV/Å"
    )
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="arithmetic inside the exported models; float64 is half as fast"
    )
    variables: dict[str, Scalar | list[Scalar]] = Field(
        {},
        description="values of further variables of the script; walker k gets element k of a "
        "list, which begins again at its end",
    )
    guard: GuardConfig = GuardConfig()
    metadynamics: MetadynamicsConfig | None = Field(
        None, description="metadynamics on the volume in place of a bias by uncertainty"
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
    """Which frames of the walkers are labelled."""

    method: Literal["random", "max_diag", "max_det", "max_dist", "lcmd"] = Field(
        "max_det",
        description="`max_diag` takes the largest posterior variances, `max_det` the largest given "
        "the picks before it, `max_dist` the frames farthest from all labels and picks, `lcmd` the "
        "farthest of the largest cluster",
    )
    batch_size: PositiveInt = Field(8, description="frames that an iteration labels")
    max_pool: PositiveInt = Field(
        4000, description="frames that are compared, evenly spread over the walkers"
    )
    balance: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None,
        description="weight of new molecules against new geometries of known ones, from 0 "
        "(geometries only) to 1 (molecules only); null treats both alike",
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

    labels: PositiveInt = Field(512, description="budget of labels, start included")
    forces_rmse: NonNegativeFloat = Field(
        0.0, description="force error on the test set that is good enough, eV/Å; 0 is none"
    )
    hours: PositiveFloat | None = Field(
        None, description="time after which the command ends, to be run again, h; null is no limit"
    )


class CollectiveVariable(Section):
    """One coordinate of the space whose coverage is reported.

    It has one of `dihedral`, `distance` and `volume`. Atoms are counted from 1.
    """

    name: str = Field(description="its name in tables and pictures")
    dihedral: list[PositiveInt] | None = Field(
        None, min_length=4, max_length=4, description="the dihedral angle of four atoms"
    )
    distance: list[PositiveInt] | None = Field(
        None, min_length=2, max_length=2, description="the distance of two atoms"
    )
    volume: bool = Field(False, description="the volume of the cell")
    range: tuple[float, float] | None = Field(
        None, description="lowest and highest value, in degrees, Å or Å³; [-180, 180] of a dihedral"
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
    """What an iteration reports, beside its labels and times."""

    test: Path | None = Field(
        None, description="file with labelled structures, which are never trained on"
    )
    collective_variables: list[CollectiveVariable] = Field(
        [], description="coordinates of the space whose coverage is reported"
    )


class CampaignConfig(Section):
    """One campaign: everything that `pyubias run FILE.yaml` needs.

    `pyubias train --config FILE.yaml` reads the sections model, training and uncertainty.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = Field(
        description="name of the run folder: letters, digits, dots, hyphens and underscores"
    )
    seed: int = Field(0, description="random seed of the campaign")
    elements: list[str] | None = Field(
        None, description="chemical symbols in the order of atom types; null is alphabetical"
    )
    start: StartConfig
    reference: Reference = Field(description="The method that labels structures.")
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

    @property
    def by_molecule(self) -> bool:
        """Whether anything asks which molecule a structure is; that takes RDKit."""
        asked = (self.start.candidates, self.selection.balance, self.selection.per_molecule)
        return any(value is not None for value in asked)
