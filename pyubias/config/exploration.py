"""Settings of walkers: their script and its variables, their bias, and limits of their frames."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from pyubias.config.values import Count, Positive, Seconds, Steps, Strength, Variables
from pyubias.config.yaml_settings import Section

__all__ = ["ExplorationConfig", "GuardConfig", "MetadynamicsConfig", "TauScheduleConfig"]


class GuardConfig(Section):
    """Limits of physical frames: a walk is truncated at its first frame outside of them."""

    distance: float = Field(
        0.5,
        ge=0.01,
        le=5.0,
        description="smallest distance of two atoms, divided by the sum of their covalent radii",
    )
    volume_ratio: Annotated[float, Field(gt=1.0, le=1e12)] = Field(
        3.0, description="largest ratio of the volumes of frame and start, or of start and frame"
    )


class MetadynamicsConfig(Section):
    """Metadynamics on the cell volume: the conventional bias, to compare with.

    `tau` and `tau_stress` must be 0.
    """

    height: Positive = Field(description="height of a Gaussian, eV")
    width: Positive = Field(description="standard deviation of a Gaussian, Å³")
    stride: Steps = Field(description="MD steps between two Gaussians")


class TauScheduleConfig(Section):
    """Strengths of the bias that follow the walkers.

    τ and τ_σ of a walker grow after a walk that reached its last step, and shrink after one that
    stopped within its first tenth.
    """

    factor: Annotated[float, Field(gt=1.0, le=10.0)] = Field(
        1.5, description="by which they grow or shrink from one iteration to the next"
    )
    largest: Annotated[float, Field(gt=1.0, le=1000.0)] = Field(
        4.0, description="factor by which they may grow in all; its inverse is the smallest"
    )


def _numbers(value: Any) -> list[float]:
    """The numbers that the walkers have of a variable."""
    return value if isinstance(value, list) else [value]


# what every walker gets from the campaign, and variables of scripts that are settings as well
OF_WALKERS = (
    *("model", "structure", "elements", "seed", "trajectory", "crossing", "here", "metadynamics"),
)
SETTINGS_OF_SCRIPTS = ("steps", "every", "tau", "tau_stress", "threshold")


def _of_field(section: type[Section], name: str, value: Any) -> Any:
    """A value of a script's variable; as a number within the limits of the setting of its name.

    Raises:
        ValueError: the setting does not allow the value.
    """
    if name not in SETTINGS_OF_SCRIPTS:
        return value
    field = section.model_fields[name]
    kind: Any = Annotated[field.annotation, *field.metadata]
    adapter: TypeAdapter[Any] = TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))
    if isinstance(value, list):
        return [_of_field(section, name, item) for item in value]
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ValueError(f"{name} is {value!r}: {problem[0].lower() + problem[1:]}") from error


class ExplorationConfig(Section):
    """Walkers: a LAMMPS script that is run `walkers` times in every iteration.

    The script gets as variables: model, structure, elements, seed, steps, every, tau, tau_stress,
    threshold, metadynamics (yes or no), trajectory, crossing, here (its own folder), and everything
    under `variables`; a list there is cycled over the walkers.
    """

    input: Path = Field(description="LAMMPS input script of one walker")
    walkers: Annotated[int, Field(gt=0, le=10000)] = Field(
        8, description="runs of the script in each iteration"
    )
    ranks_per_walker: Count = Field(
        1, description="MPI ranks that share one walker, for large systems"
    )
    steps: Steps = Field(
        20000, description="MD steps after which a walker ends, unless the threshold stops it"
    )
    every: Steps = Field(10, description="MD steps between two frames that are written")
    tau: Strength = Field(
        0.25,
        description="τ, strength of the bias forces: the ratio of their root mean square to that "
        "of the physical forces; 0 is no bias",
    )
    tau_stress: Strength = Field(
        0.0,
        description="τ_σ, strength of the bias stress, a ratio as well, of walkers whose cell may "
        "change; 0 is no bias",
    )
    tau_schedule: TauScheduleConfig | None = Field(
        None, description="growing and shrinking τ and τ_σ of each walker; null keeps them"
    )
    threshold: Positive = Field(
        1.5, description="a walker stops when the uncertainty of an atom is larger, eV/Å"
    )
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="arithmetic inside the exported models; float64 is half as fast"
    )
    variables: Variables = Field(
        {},
        description="values of further variables of the script; walker k gets element k of a "
        "list, which begins again at its end",
    )
    timeout: Seconds | None = Field(
        None,
        description="a walker that takes longer fails, and the command ends, to be run again, s; "
        "null is no limit",
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

    @field_validator("variables")
    @classmethod
    def _leave_what_walkers_get_alone(cls, variables: dict[str, Any]) -> dict[str, Any]:
        for name in variables:
            if name in OF_WALKERS:
                raise ValueError(f"each walker gets a value of '{name}' of its own: leave it out")
        return {name: _of_field(cls, name, value) for name, value in variables.items()}

    @model_validator(mode="after")
    def _fit_into_the_steps(self) -> "ExplorationConfig":
        steps = int(min(_numbers(self.variables.get("steps", self.steps))))
        every = int(max(_numbers(self.variables.get("every", self.every))))
        if every > steps:
            raise ValueError(
                f"a walker of {steps} steps writes no frame but its first if every is {every}"
            )
        if self.metadynamics is not None and self.metadynamics.stride > steps:
            raise ValueError(
                f"a walker of {steps} steps gets no Gaussian if metadynamics.stride is "
                f"{self.metadynamics.stride}"
            )
        return self

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
            max(_numbers(self.variables.get(name, getattr(self, name))))
            for name in ("tau", "tau_stress")
        ]
        return largest[0] or largest[1]

    @property
    def bias(self) -> Literal["biased", "unbiased", "metadynamics"]:
        """What drives the walkers."""
        if self.metadynamics is not None:
            return "metadynamics"
        return "biased" if self.strength > 0.0 else "unbiased"
