"""What a user may write in the file of a diversity study."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from pyubias.config.schema import (
    AseReference,
    ModelConfig,
    Reference,
    TrainingConfig,
    UncertaintyConfig,
)
from pyubias.config.yaml_settings import Section, absolute_paths, read_yaml, validate

__all__ = ["ArmsConfig", "GeneralisationConfig", "PoolConfig", "StudyConfig", "load_study"]

Source = Literal["basins", "normal_modes", "torsions", "dynamics", "biased"]


class BiasedConfig(Section):
    """Uncertainty-biased walkers, of a potential that is trained on the other sources."""

    input: Path = Field(description="LAMMPS script of a walker, as in a campaign")
    steps: PositiveInt = 1000
    tau: NonNegativeFloat = 0.25
    threshold: PositiveFloat = Field(1.5, description="atomic uncertainty that stops, eV/Å")
    labels: PositiveInt = Field(200, description="frames that the potential is trained on, at most")


class PoolConfig(Section):
    """Molecules, and where their geometries come from."""

    molecules: Path = Field(description="file with one SMILES a line")
    elements: list[str] = Field(["C", "H", "N", "O"], description="molecules with others are left")
    sources: dict[Source, NonNegativeFloat] = Field(
        {"basins": 1.0, "normal_modes": 3.0, "torsions": 3.0, "dynamics": 3.0},
        description="shares of the geometries of a molecule",
    )
    temperature: PositiveFloat = Field(300.0, description="of normal modes and dynamics, K")
    biased: BiasedConfig | None = Field(None, description="wanted for the source 'biased'")

    @model_validator(mode="after")
    def _have_a_source(self) -> "PoolConfig":
        if not sum(x for s, x in self.sources.items() if s != "biased") > 0.0:
            raise ValueError("wanted a positive share of a source other than 'biased'")
        if self.sources.get("biased", 0.0) > 0.0 and self.biased is None:
            raise ValueError("source 'biased' wants a section 'biased' with its LAMMPS script")
        return self


class FixedBudget(Section):
    """The same number of labels, shared out over few or many molecules."""

    labels: PositiveInt = 64
    molecules: list[PositiveInt] = Field([4, 8, 16, 32, 64], min_length=2)

    @model_validator(mode="after")
    def _divide(self) -> "FixedBudget":
        for n in self.molecules:
            if self.labels % n:
                raise ValueError(f"{self.labels} labels cannot be shared evenly by {n} molecules")
        return self


class FixedMolecules(Section):
    """The same molecules with few or many geometries each."""

    molecules: PositiveInt = 16
    conformers: list[PositiveInt] = Field([1, 2, 4, 8], min_length=2)


class ArmsConfig(Section):
    """Training sets: every one is a subset of the same labels."""

    fixed_budget: FixedBudget = FixedBudget()
    fixed_molecules: FixedMolecules = FixedMolecules()

    @property
    def grid(self) -> list[tuple[int, int]]:
        """(molecules, conformers of each) of all arms, without repetition."""
        budget, fixed = self.fixed_budget, self.fixed_molecules
        arms = [(n, budget.labels // n) for n in budget.molecules]
        arms += [(fixed.molecules, k) for k in fixed.conformers]
        return sorted(set(arms))


class GeneralisationConfig(Section):
    """Molecules and geometries that no arm is trained on."""

    unseen: PositiveInt = Field(12, description="molecules of scaffolds that may be trained on")
    scaffolds: PositiveInt = Field(12, description="molecules, at least, of scaffolds left out")
    larger: PositiveInt = Field(8, description="molecules with more heavy atoms than any in arms")
    heavy_atoms: PositiveInt = Field(9, description="most heavy atoms of a molecule in arms")
    conformers: PositiveInt = Field(4, description="geometries of each tested molecule")
    own: PositiveInt = Field(32, description="molecules of an arm that are tested, at most")
    hot: PositiveFloat = Field(1000.0, description="temperature of the hotter geometries, K")
    scan: PositiveInt = Field(8, description="points of a torsion scan")
    held_out: PositiveInt = Field(
        8, description="molecules for validation, and as many for calibration, besides the core"
    )


class CostsConfig(Section):
    """What a budget buys: costs of a new molecule, and of each geometry, in any one unit."""

    molecule: NonNegativeFloat = 0.0
    conformer: PositiveFloat = 1.0
    budget: PositiveFloat | None = Field(None, description="default: that of the fixed budget")


class StudyConfig(Section):
    """One study: everything that `pyubias diversity study FILE.yaml` needs to know."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    seed: int = 0
    seeds: Annotated[int, Field(ge=2)] = Field(3, description="repetitions of every arm")
    pool: PoolConfig
    reference: Reference = AseReference(
        kind="ase",
        calculator="tblite.ase.TBLite",
        arguments={"method": "GFN2-xTB", "verbosity": 0},
    )
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    arms: ArmsConfig = ArmsConfig()
    tests: GeneralisationConfig = GeneralisationConfig()
    costs: CostsConfig = CostsConfig()


def load_study(path: str | Path) -> StudyConfig:
    """Read and check the file of a study; its paths become absolute.

    Raises:
        ConfigError: with one line that says what to change.
    """
    path = Path(path)
    config: StudyConfig = validate(StudyConfig, read_yaml(path), str(path))
    absolute: StudyConfig = absolute_paths(config, path.parent.resolve())
    return absolute
