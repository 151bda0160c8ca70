"""The schema of the YAML file of a diversity study."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from pyubias.config.potential import ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.config.schema import AseReference, Reference
from pyubias.config.values import RunName, Seed
from pyubias.config.yaml_files import read_yaml
from pyubias.config.yaml_settings import Section, absolute_paths, validate

__all__ = ["ArmsConfig", "GeneralisationConfig", "PoolConfig", "StudyConfig", "load_study"]

Source = Literal["basins", "normal_modes", "torsions", "dynamics", "biased"]


class BiasedConfig(Section):
    """Uncertainty-biased walkers; their potential is trained on the other sources."""

    input: Path = Field(description="LAMMPS script of a walker, as in a campaign")
    steps: PositiveInt = 1000
    tau: NonNegativeFloat = 0.25
    threshold: PositiveFloat = Field(
        1.5, description="atomic uncertainty that stops a walker, eV/Å"
    )
    labels: PositiveInt = Field(
        200, description="largest number of frames to train the potential on"
    )


class PoolConfig(Section):
    """Molecules, and the sources of their geometries."""

    molecules: Path = Field(description="file with one SMILES a line")
    elements: list[str] = Field(
        ["C", "H", "N", "O"], description="molecules with other elements are not used"
    )
    sources: dict[Source, NonNegativeFloat] = Field(
        {"basins": 1.0, "normal_modes": 3.0, "torsions": 3.0, "dynamics": 3.0},
        description="share of each source in the geometries of a molecule",
    )
    temperature: PositiveFloat = Field(300.0, description="of normal modes and dynamics, K")
    biased: BiasedConfig | None = Field(None, description="needed by the source 'biased'")

    @model_validator(mode="after")
    def _have_a_source(self) -> "PoolConfig":
        if not sum(x for s, x in self.sources.items() if s != "biased") > 0.0:
            raise ValueError("one source other than 'biased' must have a positive share")
        if self.sources.get("biased", 0.0) > 0.0 and self.biased is None:
            raise ValueError("source 'biased' needs a section 'biased' with its LAMMPS script")
        return self


class FixedBudget(Section):
    """The same number of labels, shared by few or by many molecules."""

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
    """Training sets, all of which are subsets of the same labels."""

    fixed_budget: FixedBudget = FixedBudget()
    fixed_molecules: FixedMolecules = FixedMolecules()

    @property
    def grid(self) -> list[tuple[int, int]]:
        """Sorted (molecules, conformers of each) of all arms, each once."""
        budget, fixed = self.fixed_budget, self.fixed_molecules
        arms = [(n, budget.labels // n) for n in budget.molecules]
        arms += [(fixed.molecules, k) for k in fixed.conformers]
        return sorted(set(arms))


class GeneralisationConfig(Section):
    """Molecules and geometries that no arm is trained on."""

    unseen: PositiveInt = Field(12, description="molecules whose scaffolds may be in arms")
    scaffolds: PositiveInt = Field(
        12, description="smallest number of molecules whose scaffolds are in no arm"
    )
    larger: PositiveInt = Field(8, description="molecules with more heavy atoms than those in arms")
    heavy_atoms: PositiveInt = Field(9, description="largest number of heavy atoms in arms")
    conformers: PositiveInt = Field(4, description="geometries of each tested molecule")
    own: PositiveInt = Field(32, description="largest number of an arm's molecules to test")
    hot: PositiveFloat = Field(1000.0, description="temperature of the hotter geometries, K")
    scan: PositiveInt = Field(8, description="points of a torsion scan")
    held_out: PositiveInt = Field(
        8, description="molecules for validation, and as many for calibration, besides the core"
    )


class CostsConfig(Section):
    """Costs of a new molecule and of each geometry, and the budget, all in one unit of choice."""

    molecule: NonNegativeFloat = 0.0
    conformer: PositiveFloat = 1.0
    budget: PositiveFloat | None = Field(
        None, description="default: the cost of the fixed budget's labels"
    )


class StudyConfig(Section):
    """All settings of `pyubias diversity study FILE.yaml`."""

    name: RunName
    seed: Seed = 0
    seeds: Annotated[int, Field(ge=2, le=1000)] = Field(3, description="repetitions of every arm")
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
        ConfigError: the file is not valid; the message is one line about what to change.
    """
    path = Path(path)
    config: StudyConfig = validate(StudyConfig, read_yaml(path), str(path))
    absolute: StudyConfig = absolute_paths(config, path.parent.resolve())
    return absolute
