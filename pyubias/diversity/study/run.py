"""`pyubias diversity study`: a pool of labels, and arms that each use a subset of it.

A stage is done if its file exists, so that the same command resumes:

    runs/NAME/config.json  molecules.json  labels.db  arms/16x4/seed0.json (and .pt)
              findings.json  report.html
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ase import Atoms

from pyubias.campaign.kept_settings import changes_since
from pyubias.campaign.label_store import LabelStore
from pyubias.diversity.measure.variance import (
    VarianceSplit,
    variance_components,
    without_composition,
)
from pyubias.diversity.study.arms import ArmError, ArmResult, run_arm
from pyubias.diversity.study.candidates import Candidate, find_molecules, hash_of
from pyubias.diversity.study.comparisons import compare
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.findings import draw_findings
from pyubias.diversity.study.plan import Arm, Frame, arms_of, needed
from pyubias.diversity.study.pool import Reasons, fill_pool, key_of, labelled_frames
from pyubias.diversity.study.report import sentences_of, write_study_report
from pyubias.diversity.study.roles import Roles, assign_roles
from pyubias.errors import UserError
from pyubias.files import write_json
from pyubias.parallel import Ranks

__all__ = ["run_study"]

# sections that may change when a study is resumed: costs decide the allocations, not the arms
CHANGEABLE = {"costs": "from now on"}


def run_study(config: StudyConfig, runs: str | Path = "runs", ranks: Ranks | None = None) -> Path:
    """Run or resume a study; every rank calls it.

    Args:
        config: settings of the study.
        runs: folder of run folders.
        ranks: default: all MPI ranks, which share molecules, labels and arms.

    Returns:
        the run folder, with ``report.html`` and ``findings.json``.
    """
    ranks = ranks or Ranks()
    folder = Path(runs).resolve() / config.name

    def prepare() -> None:
        # molecules are read once; without the hash, an edited file would be ignored silently
        contents = {f"sha256 of {config.pool.molecules.name}": hash_of(config.pool.molecules)}
        folder.mkdir(parents=True, exist_ok=True)
        settings = config.model_dump(mode="json") | contents
        changes_since(folder / "config.json", settings, CHANGEABLE)
        write_json(folder / "config.json", settings)
        LabelStore(folder / "labels.db").keys()

    ranks.on_root(prepare)
    store = LabelStore(folder / "labels.db")
    _print(ranks, "molecules: embedding each once")
    candidates, rejected = find_molecules(config.pool, folder, ranks)
    molecules = [c.molecule for c in candidates]
    roles = ranks.on_root(lambda: assign_roles(molecules, config.arms, config.tests, config.seed))
    wanted = needed(roles, config)
    n = sum(sum(kinds.values()) for kinds in wanted.values())
    _print(
        ranks,
        f"molecules: {len(candidates)} can be used, {len(rejected)} cannot; "
        f"pool: {n} geometries of {len(wanted)} molecules",
    )
    reasons = fill_pool(candidates, wanted, config, store, ranks)
    frames, failed = ranks.on_root(lambda: labelled_frames(store))
    _print(ranks, f"pool: {len(frames)} labelled, {len(failed)} failed")
    results, left_out = _run_arms(roles, frames, config, folder, ranks)

    def finish() -> None:
        findings = draw_findings(results, _variance(frames, config), config)
        comparisons = compare(results, findings["allocations"], config)
        findings["sentences"] = sentences_of(findings, comparisons, config)
        findings["unequal"] = [*left_out, *_short_of_labels(results, candidates)]
        findings["failures"] = [
            *(f"line {r.line} '{r.text}': {r.reason}" for r in rejected),
            *(f"{candidates[f.molecule].smiles} {key_of(f)}: {why}" for f, why in failed),
            *_not_made(candidates, wanted, {*frames, *(f for f, _ in failed)}, reasons),
        ]
        write_json(folder / "findings.json", findings)
        write_study_report(config, findings, folder / "report.html")
        for sentence in findings["sentences"]:
            print(sentence)
        print(f"report: {folder / 'report.html'}")

    ranks.on_root(finish)
    return folder


def _run_arms(
    roles: Roles, frames: Mapping[Frame, Atoms], config: StudyConfig, folder: Path, ranks: Ranks
) -> tuple[list[ArmResult], list[str]]:
    """Run all arms of all repetitions, each on one rank, the largest first.

    Returns:
        the results, and a line for each arm that cannot be trained.

    Raises:
        UserError: no arm can be trained.
    """
    items = [(arm, r) for r in range(config.seeds) for arm in arms_of(config.arms)]
    items.sort(key=lambda item: -item[0].molecules * item[0].conformers)
    ranks.on_root(lambda: (folder / "arms").mkdir(exist_ok=True))

    def run(item: tuple[Arm, int]) -> ArmResult | Exception:
        arm, repetition = item
        try:
            result = run_arm(arm, repetition, roles, frames, config, folder / "arms")
        except Exception as error:
            return error
        scores = {test: s["forces"] for test, s in result.scores.items() if s["forces"]}
        words = ", ".join(f"{test} {value:.0f}" for test, value in scores.items())
        print(f"arm {arm.name}, repetition {repetition}: forces meV/Å: {words}", flush=True)
        return result

    results: list[ArmResult] = []
    left_out: list[str] = []
    for (arm, repetition), outcome in zip(items, ranks.map(run, items, folder), strict=True):
        if isinstance(outcome, ArmError):
            left_out.append(f"arm {arm}, repetition {repetition} is left out: {outcome}")
        elif isinstance(outcome, Exception):
            ranks.fail(outcome)
        else:
            results.append(outcome)
    if not results:
        ranks.fail(UserError(f"no arm can be trained: {left_out[0]}"))
    return results, left_out


def _short_of_labels(results: Sequence[ArmResult], candidates: Sequence[Candidate]) -> list[str]:
    """A line for each arm with fewer labels than planned, and the molecules that lack them."""
    lines = []
    for r in results:
        planned = r.molecules * r.conformers
        if r.labels < planned:
            lacking = ", ".join(
                f"{candidates[m].smiles} has {n} of {r.conformers}"
                for m, n in r.taken
                if n < r.conformers
            )
            arm = f"arm {r.arm}, repetition {r.repetition}"
            lines.append(f"{arm} has {r.labels} of {planned} labels: {lacking}")
    return lines


def _variance(frames: Mapping[Frame, Atoms], config: StudyConfig) -> VarianceSplit:
    """Components of the energies per atom of all training geometries, without composition."""
    chosen = sorted(f for f in frames if f.kind == "train")
    energies = without_composition([frames[f] for f in chosen], config.pool.elements)
    return variance_components(energies, [f.molecule for f in chosen])


def _not_made(
    candidates: Sequence[Candidate],
    wanted: Mapping[int, Mapping[str, int]],
    made: set[Frame],
    reasons: Reasons,
) -> list[str]:
    """A line for each molecule and kind whose geometries were not made, or by another source."""
    lines = []
    for molecule, kinds in wanted.items():
        for kind, n in kinds.items():
            missing = n - sum(Frame(molecule, kind, k) in made for k in range(n))
            reason = reasons.get((molecule, kind))
            smiles = candidates[molecule].smiles
            if missing:
                if reason is None and kind == "scan":
                    reason = "no rotatable bond"
                because = f" ({reason})" if reason else ""
                lines.append(
                    f"{smiles}: {missing} of {n} geometries for '{kind}' could not be made{because}"
                )
            elif reason:
                lines.append(f"{smiles}: normal modes in place of biased dynamics ({reason})")
    return lines


def _print(ranks: Ranks, line: str) -> None:
    if ranks.is_root:
        print(line, flush=True)
