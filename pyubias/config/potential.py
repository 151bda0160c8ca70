"""Settings of the potential: its sizes, its training and its uncertainty.

These sections of a campaign file are also the keyword arguments of `pyubias.train`.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pyubias.config.trainer import BuiltinTrainer, Trainer
from pyubias.config.values import Count, NonNegative, Positive, Rate, Seed, Steps
from pyubias.config.yaml_settings import Section

__all__ = ["FinishConfig", "ModelConfig", "TrainingConfig", "UncertaintyConfig", "check_trainer"]

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
    batch_size: Count = Field(4, description="structures of one optimiser step")
    energy_weight: NonNegative = Field(
        1.0,
        description="weight of Σ ΔE² in the loss at the start of the training, eV⁻²; of structures "
        "of N > 20 atoms (20/N)² times this",
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
        description="fraction of the labels that calibrates the uncertainty and does nothing else; "
        "in a campaign of its first labels, because later batches calibrate before they train",
    )
    folds: Annotated[int, Field(ge=0, le=100)] = Field(
        0,
        description="parts of the labels, each of which calibrates by the errors of a potential "
        "that is trained once more without it, in place of a calibration split; 0 is none",
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
        if self.folds == 1:
            raise ValueError("folds is 1, and nothing is left to train on without it: 0, 2 or more")
        return self

    @model_validator(mode="after")
    def _weigh_something(self) -> "TrainingConfig":
        if not max(self.energy_weight, self.forces_weight) > 0.0:
            raise ValueError("one of energy_weight and forces_weight must be positive, got 0 and 0")
        return self


class FinishConfig(Section):
    """The last training, which takes the time that it needs.

    It begins with a cycle like other trainings, and goes on with cycles of twice as many steps.
    """

    cycles: Annotated[int, Field(ge=1, le=12)] = Field(
        4, description="most cycles; 4 cycles have 15 times the steps of one"
    )
    gain: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.03,
        description="a cycle that lowers the validation error by less than this fraction is the "
        "last",
    )
    members: Annotated[int, Field(ge=1, le=100)] = Field(
        2,
        description="potentials of other seeds whose mean is the finished model, in which "
        "dynamics takes as many times longer; of sketched features: an ensemble has its own",
    )
    minutes: Positive | None = Field(
        None,
        description="a cycle that would end later is not begun, min; potentials that one rank "
        "trains share them; null is no limit",
    )
    factor: Annotated[float, Field(ge=1.0, le=1000.0)] = Field(
        4.0, description="factor on the epochs of a trainer that is not gmnn"
    )


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
    regularisation: float = Field(
        0.1,
        ge=1e-9,
        le=1e9,
        description="λ of the posterior: the larger, the less u falls where structures become as "
        "many as features",
    )
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.05, description="the calibrated uncertainties cover 1 - alpha of the residuals"
    )

    @property
    def n_members(self) -> int:
        """Potentials of a training: the members of an ensemble, else one."""
        return self.members if self.kind == "ensemble" else 1

    def n_finished(self, finish: FinishConfig | None) -> int:
        """Potentials of the last training, if `finish` is given: those of the mean."""
        averages = self.kind != "ensemble" and self.features == "sketched"
        return finish.members if finish is not None and averages else self.n_members


# settings that trainers other than gmnn use as well
TRAINING_ELSEWHERE = {"validation", "calibration", "seed", "threads", "device"}
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
