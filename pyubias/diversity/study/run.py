"""`pyubias diversity study`: a pool of labels, and arms that spend them differently.

Every stage is done if its file is there, so that the same command resumes:

    runs/NAME/config.json  molecules.json  labels.db  arms/16x4/seed0.json (and .pt)
              findings.json  report.html
"""

from pathlib import Path
from typing import Any

from ase import Atoms

from pyubias.campaign.kept_settings import keep_settings
from pyubias.campaign.label_store import LabelStore
from pyubias.diversity.measure.variance import (
    VarianceSplit,
    variance_components,
    without_composition,
)
from pyubias.diversity.study.arms import ArmError, run_arm
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.findings import draw_findings
from pyubias.diversity.study.plan import Arm, Frame, Roles, arms_of, assign_roles, needed
from pyubias.diversity.study.pool import (
    Candidate,
    fill_pool,
    find_molecules,
    hash_of,
    key_of,
    labelled_frames,
)
from pyubias.diversity.study.report import write_study_report
from pyubias.errors import UserError
from pyubias.files import write_json
from pyubias.parallel import Ranks

__all__ = ["run_study"]

# what may change between invocations: it decides what is said of the arms, not what they are
FREE = {"costs"}


def run_study(config: StudyConfig, runs: str | Path = "runs", ranks: Ranks | None = None) -> Path:
    """Run or resume a study; every rank calls it.

    Args:
        config: from `load_study`.
        runs: folder that the run folder is made in.
        ranks: default: all MPI ranks, which share molecules, labels and arms.

    Returns:
        the run folder, with ``report.html`` and ``findings.json``.
    """
    ranks = ranks or Ranks()
    folder = Path(runs).resolve() / config.name

    def prepare() -> None:
        # molecules are read once: a file that was edited since would be ignored without a word
        contents = {f"sha256 of {config.pool.molecules.name}": hash_of(config.pool.molecules)}
        folder.mkdir(parents=True, exist_ok=True)
        settings = config.model_dump(mode="json") | contents
        keep_settings(folder / "config.json", settings, FREE)
        LabelStore(folder / "labels.db").keys()

    ranks.on_root(prepare)
    store = LabelStore(folder / "labels.db")
    _say(ranks, "molecules: embedding each once")
    candidates, rejected = find_molecules(config.pool, folder, ranks)
    molecules = [c.molecule for c in candidates]
    roles = ranks.on_root(lambda: assign_roles(molecules, config.arms, config.tests, config.seed))
    wanted = needed(roles, config)
    n = sum(sum(kinds.values()) for kinds in wanted.values())
    _say(
        ranks,
        f"molecules: {len(candidates)} can be used, {len(rejected)} cannot; "
        f"pool: {n} geometries of {len(wanted)} molecules",
    )
    reasons = fill_pool(candidates, wanted, config, store, ranks)
    frames, failed = ranks.on_root(lambda: labelled_frames(store))
    _say(ranks, f"pool: {len(frames)} labelled, {len(failed)} failed")
    results, left_out = _run_arms(roles, frames, config, folder, ranks)

    def finish() -> None:
        findings = draw_findings(results, _variance(frames, config), config)
        findings["unequal"] = [*left_out, *_short_of_labels(results, candidates)]
        findings["failures"] = _failures(candidates, rejected, failed, wanted, frames, reasons)
        write_json(folder / "findings.json", findings)
        write_study_report(config, findings, folder / "report.html")
        for sentence in findings["sentences"]:
            print(sentence)
        print(f"report: {folder / 'report.html'}")

    ranks.on_root(finish)
    return folder


def _run_arms(
    roles: Roles, frames: dict[Frame, Atoms], config: StudyConfig, folder: Path, ranks: Ranks
) -> tuple[list[dict[str, Any]], list[str]]:
    """All arms of all repetitions, each on one rank, the largest first; and a line for each that
    cannot be trained.

    Raises:
        UserError: none can.
    """
    items = [(arm, r) for r in range(config.seeds) for arm in arms_of(config.arms)]
    items.sort(key=lambda item: -item[0].molecules * item[0].conformers)
    ranks.on_root(lambda: (folder / "arms").mkdir(exist_ok=True))

    def run(item: tuple[Arm, int]) -> dict[str, Any] | Exception:
        arm, repetition = item
        try:
            result = run_arm(arm, repetition, roles, frames, config, folder / "arms")
        except Exception as error:
            return error
        scores = {test: s["forces"] for test, s in result["scores"].items() if s["forces"]}
        words = ", ".join(f"{test} {value:.0f}" for test, value in scores.items())
        print(f"arm {arm.name}, repetition {repetition}: forces meV/Å: {words}", flush=True)
        return result

    results: list[dict[str, Any]] = []
    left_out: list[str] = []
    for (arm, repetition), outcome in zip(items, ranks.map(run, items, folder), strict=True):
        if isinstance(outcome, ArmError):
            left_out.append(f"{_name(arm, repetition)} is left out: {outcome}")
        elif isinstance(outcome, Exception):
            ranks.fail(outcome)
        else:
            results.append(outcome)
    if not results:
        ranks.fail(UserError(f"no arm can be trained: {left_out[0]}"))
    return results, left_out


def _name(arm: Arm, repetition: int) -> str:
    return f"arm {arm.molecules}×{arm.conformers}, repetition {repetition}"


def _short_of_labels(results: list[dict[str, Any]], candidates: list[Candidate]) -> list[str]:
    """A line for each arm with fewer labels than planned, and the molecules that lack them."""
    lines = []
    for r in results:
        arm = Arm(r["molecules"], r["conformers"])
        planned = arm.molecules * arm.conformers
        if r["labels"] < planned:
            lacking = [
                f"{candidates[m].smiles} has {n} of {arm.conformers}"
                for m, n in r["taken"]
                if n < arm.conformers
            ]
            name = _name(arm, r["repetition"])
            lines.append(f"{name} has {r['labels']} of {planned} labels: {', '.join(lacking)}")
    return lines


def _variance(frames: dict[Frame, Atoms], config: StudyConfig) -> VarianceSplit:
    """Of energies per atom of what arms are trained on, without composition."""
    chosen = sorted(f for f in frames if f[1] == "train")
    energies = without_composition([frames[f] for f in chosen], config.pool.elements)
    return variance_components(energies, [f[0] for f in chosen])


def _failures(
    candidates: list[Candidate],
    rejected: list[Any],
    failed: list[tuple[Frame, str]],
    wanted: dict[int, dict[str, int]],
    frames: dict[Frame, Atoms],
    reasons: dict[tuple[int, str], str],
) -> list[str]:
    """One line each: molecules that cannot be used, labels that failed, geometries not made, or not
    in the way that was asked for."""
    lines = [f"line {r.line} '{r.text}': {r.reason}" for r in rejected]
    lines += [f"{candidates[f[0]].smiles} {key_of(f)}: {reason}" for f, reason in failed]
    labelled_or_failed = {*frames, *(f for f, _ in failed)}
    for molecule, kinds in wanted.items():
        for kind, n in kinds.items():
            made = sum((molecule, kind, k) in labelled_or_failed for k in range(n))
            reason = reasons.get((molecule, kind))
            smiles = candidates[molecule].smiles
            if made < n:
                missing = f"{n - made} of {n} geometries for '{kind}' could not be made"
                if reason is None and kind == "scan":
                    reason = "no rotatable bond"
                because = f" ({reason})" if reason else ""
                lines.append(f"{smiles}: {missing}{because}")
            elif reason:
                lines.append(f"{smiles}: normal modes in place of biased dynamics ({reason})")
    return lines


def _say(ranks: Ranks, sentence: str) -> None:
    if ranks.is_root:
        print(sentence, flush=True)
