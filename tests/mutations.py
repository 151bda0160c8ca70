"""Break the code in many places, one at a time, and see whether the tests next to it notice.

    python tests/mutations.py                     # all
    python tests/mutations.py threshold pictures  # those whose names hold one of these words

Each mutation replaces a text of one file in a copy of the tree, and runs the tests that stand
beside it. It is caught if a test fails, and survives if all pass. The tests must pass in the
unchanged copy first. The command fails if an old text is not in its file exactly once, or if more
than a tenth of the mutations survive.
"""

import argparse
import importlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[1]
# what tests import and needs seconds for it; neither pyubias nor MPI, which do not survive a fork
HEAVY = ("torch", "scipy.linalg", "matplotlib.figure", "ase.db", "rich.live")
COPIED = ("pyubias", "tests", "inputs", "lammps_plugin", "pyproject.toml")
TIMEOUT = 900.0  # s; a mutation whose tests take longer hangs, and counts as caught
ALLOWED = 0.1  # fraction of mutations that may survive
ABROAD = 99  # exit code of a child that imports another pyubias than the copy


@dataclass(frozen=True)
class Mutation:
    """One breakage.

    Attributes:
        name: what the broken code does.
        file: below ``pyubias/``.
        old: text that occurs once in the file.
        new: text in its place.
        tests: files below ``tests/``, with arguments of pytest, separated by blanks.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


WALKERS = "lammps/test_settings_of_walkers.py"
WALKER = "lammps/test_walker.py"
SETTINGS = "campaign/test_settings_of_campaigns.py"
LOOP = "campaign/test_loop.py"
JOBS = "jobs/test_pool.py"
TRAINERS = "trainers/test_trainers.py"
RESUME = "campaign/test_resume.py"
RANKS = "campaign/test_ranks.py"
MOLECULES = "campaign/test_over_molecules.py"
COST = "campaign/test_cost.py"
DRY_RUN = "campaign/test_dry_run.py"
SELECTION = "campaign/test_selection.py"
TRAINING = "training/test_settings_of_training.py"
TRAIN = "training/test_train.py"
LOSS = "training/test_loss.py"
HALF_SINE = "analysis/test_half_sine.py"
FIGURES = "report/test_figures.py"
REPORT = "report/test_report.py"
COMPARE = "report/test_compare.py"
CELLS = "report/test_cell_figures.py"
ERRORS = "report/test_errors.py"
OVERVIEW = "report/test_overview.py"
PICTURES = "report/test_pictures.py"
STRUCTURES = "report/test_structures_to_show.py"
PAGE = "report/test_page_in_browser.py"

MUTATIONS = [
    # walkers and what they leave
    Mutation(
        "walkers are never biased",
        "lammps/walker.py",
        '"tau": config.tau,',
        '"tau": 0.0,',
        f"{WALKERS} {LOOP} -k 'bias_drives or bias_acts'",
    ),
    Mutation(
        "cells are never biased",
        "lammps/walker.py",
        '"tau_stress": config.tau_stress,',
        '"tau_stress": 0.0,',
        f"{WALKERS} -k bias_stress",
    ),
    Mutation(
        "all walkers have the variables of the first",
        "lammps/walker.py",
        "value[walker % len(value)]",
        "value[0]",
        f"{WALKERS} -k each_variable",
    ),
    Mutation(
        "the threshold is out of reach",
        "lammps/walker.py",
        '"threshold": config.threshold,',
        '"threshold": 1e9,',
        f"{WALKER} -k threshold",
    ),
    Mutation(
        "the frame that crossed is thrown away",
        "lammps/walker.py",
        'read_dump(folder / "trajectory.dump", structure) + last',
        'read_dump(folder / "trajectory.dump", structure)',
        f"{WALKER} -k threshold",
    ),
    Mutation(
        "unphysical frames stay",
        "lammps/walker.py",
        "frames.first(n), steps",
        "frames, steps",
        f"{WALKER} {WALKERS} -k guard",
    ),
    # selection
    Mutation(
        "every selection is random",
        "campaign/select_stage.py",
        "config.method,\n                features,",
        '"random",\n                features,',
        SETTINGS,
    ),
    Mutation(
        "max_det is random",
        "campaign/selection.py",
        '"max_det": _max_det,',
        '"max_det": _random,',
        SELECTION,
    ),
    Mutation(
        "a pick of max_det does not change the variances",
        "campaign/selection.py",
        "variance = variance - column**2",
        "variance = variance * 1.0",
        SELECTION,
    ),
    Mutation(
        "max_dist does not look at labels",
        "campaign/selection.py",
        "    nearest, _ = _nearest(pool, labelled)\n    picked",
        "    nearest = np.full(len(pool), np.inf)\n    picked",
        SELECTION,
    ),
    Mutation(
        "lcmd takes the smallest cluster",
        "campaign/selection.py",
        "np.argmax(np.where(occupied, sizes, -np.inf))",
        "np.argmin(np.where(occupied, sizes, np.inf))",
        SELECTION,
    ),
    Mutation(
        "labelled frames may be picked again",
        "campaign/selection.py",
        "new = nearest > DUPLICATE_DISTANCE**2 * pool.shape[1]",
        "new = nearest >= 0.0",
        SELECTION,
    ),
    Mutation(
        "max_pool is ignored",
        "campaign/select_stage.py",
        "stride = max(1, -(-n_frames // config.selection.max_pool))",
        "stride = 1",
        SETTINGS,
    ),
    Mutation(
        "a thinned pool loses the frame that crossed",
        "campaign/select_stage.py",
        "or (walk.crossed and i == last)",
        "",
        SETTINGS,
    ),
    Mutation(
        "a selection regularises as it likes",
        "campaign/select_stage.py",
        "batch_size,\n                regularisation=regularisation,",
        "batch_size,\n                regularisation=1.0,",
        SETTINGS,
    ),
    Mutation(
        "a campaign takes a default that changed under way",
        "campaign/former_defaults.py",
        'config = config.model_copy(update={section: kept, "control": control})',
        "pass",
        "campaign/test_earlier_version.py -k default_that",
    ),
    Mutation(
        "molecules and geometries weigh the same",
        "campaign/select_stage.py",
        "balance=config.balance,",
        "balance=0.5,",
        f"{MOLECULES} -k weighs",
    ),
    Mutation(
        "a molecule has no cap",
        "campaign/select_stage.py",
        "per_group=config.per_molecule,",
        "per_group=None,",
        f"{MOLECULES} -k cap",
    ),
    Mutation(
        "the last batch exceeds the budget of labels",
        "campaign/select_stage.py",
        "min(config.batch_size, n_open)",
        "config.batch_size",
        SETTINGS,
    ),
    # seeds
    Mutation(
        "all walkers have one seed",
        "campaign/steps.py",
        "seed_of(self.config.seed, iteration, k),",
        "seed_of(0, 0, 0),",
        SETTINGS,
    ),
    Mutation(
        "walkers of all iterations have the same seeds",
        "campaign/steps.py",
        "seed_of(self.config.seed, iteration, k),",
        "seed_of(self.config.seed, 0, k),",
        SETTINGS,
    ),
    Mutation(
        "other packages train on calibration frames",
        "trainers/labels.py",
        "if split in used:",
        'split = "train" if split == "calibration" else split\n        if split in used:',
        f"{TRAINERS} -k dialects",
    ),
    Mutation(
        "members of other packages have one seed",
        "trainers/external.py",
        "job.training.seed + number",
        "job.training.seed",
        f"{TRAINERS} -k ensemble",
    ),
    Mutation(
        "labels stay on their own scale before fine-tuning",
        "trainers/foundation.py",
        "atoms.info[ENERGY] -= sum(",
        "atoms.info[ENERGY] -= 0.0 * sum(",
        f"{TRAINERS} -k scale",
    ),
    Mutation(
        "other packages train their last training as briefly as the others",
        "trainers/external.py",
        "round(job.factor * trainer.epochs)",
        "trainer.epochs",
        f"{TRAINERS} -k gets_its_input",
    ),
    Mutation(
        "settings that a trainer ignores are accepted",
        "config/potential.py",
        "if key not in used and getattr(section, key) != default:",
        "if False:",
        f"{TRAINERS} -k another_trainer",
    ),
    Mutation(
        "a trainer outlives the campaign that is killed",
        "trainers/program.py",
        "prctl(1, 9)",
        "prctl(1, 0)",
        f"{TRAINERS} -k killed",
    ),
    Mutation(
        "a failed trainer goes unnoticed",
        "trainers/program.py",
        "    if code:\n",
        "    if False:\n",
        f"{TRAINERS} -k fails",
    ),
    Mutation(
        "trainings of all campaigns have one seed",
        "campaign/train_stage.py",
        '{"seed": self.config.seed + training.seed}',
        '{"seed": training.seed}',
        SETTINGS,
    ),
    Mutation(
        "start structures of all campaigns are perturbed alike",
        "campaign/structures.py",
        "np.random.default_rng([config.seed, 0])",
        "np.random.default_rng([0, 0])",
        SETTINGS,
    ),
    Mutation(
        "members of an ensemble are the same",
        "training/train.py",
        "new_potential(elements, model, training.seed + k)",
        "new_potential(elements, model, training.seed)",
        TRAIN,
    ),
    Mutation(
        "batches come in the order of the frames",
        "training/optimise.py",
        "self.regular[self.generator.permutation(len(self.regular))]",
        "self.regular",
        TRAINING,
    ),
    # start and splits
    Mutation(
        "start structures are not strained",
        "campaign/structures.py",
        "if start.strain > 0.0 and atoms.pbc.all():",
        "if False:",
        SETTINGS,
    ),
    Mutation(
        "start structures are not perturbed",
        "campaign/structures.py",
        "atoms.positions += generator.uniform(-1, 1, atoms.positions.shape) * start.perturb",
        "pass",
        SETTINGS,
    ),
    Mutation(
        "only the first start structure is used",
        "campaign/structures.py",
        "structures[k % len(structures)].copy()",
        "structures[0].copy()",
        SETTINGS,
    ),
    Mutation(
        "the order of elements is ignored",
        "campaign/structures.py",
        "    return config.elements\n",
        "    return found\n",
        SETTINGS,
    ),
    Mutation(
        "new batches are split as if they were the first",
        "campaign/select_stage.py",
        "n_before=self.n_labels + self.n_late,",
        "n_before=0,",
        SETTINGS,
    ),
    Mutation(
        "walkers start from the first labels",
        "campaign/select_stage.py",
        "newest = max(f.iteration for f in own)",
        "newest = min(f.iteration for f in own)",
        f"{LOOP} -k walkers_restart",
    ),
    Mutation(
        "given labels use up the budget",
        "campaign/inputs.py",
        "stop.labels + len(inputs.given.frames)",
        "stop.labels + 0",
        "campaign/test_given_labels.py -k alone",
    ),
    Mutation(
        "splits of a run are drawn again",
        "campaign/given_labels.py",
        "drawn if splits is None else",
        "drawn if True else",
        "campaign/test_given_labels.py -k keep_their_splits",
    ),
    Mutation(
        "frames have the uncertainty of others",
        "campaign/select_stage.py",
        "zip(chosen, splits, predictions, strict=True)",
        "zip(chosen, splits, predictions[::-1], strict=True)",
        "campaign/test_labels_file.py",
    ),
    Mutation(
        "a walker has all the time of the world",
        "campaign/walk_task.py",
        "time_limit(limit if group.is_root else None, end_late)",
        "time_limit(None, end_late)",
        f"{LOOP} -k hangs",
    ),
    # jobs
    Mutation(
        "an old refusal explains the loss of a worker",
        "jobs/pool.py",
        'if self._refusals.last and "Failed to start block" in str(error):',
        "if self._refusals.last:",
        f"{JOBS} -k 'batch_system or long_ago'",
    ),
    Mutation(
        "what a batch system says of a job is not heard",
        "jobs/pool.py",
        "PROVIDERS.addHandler(self._refusals)",
        "pass",
        f"{JOBS} -k batch_system",
    ),
    Mutation(
        "what a job of a killed driver does is begun once more",
        "jobs/pool.py",
        "task.output.is_file() or is_claimed(claim_of(task, self.folder))",
        "task.output.is_file()",
        f"{JOBS} -k another_driver",
    ),
    Mutation(
        "a task that is done is done again",
        "jobs/task.py",
        """    if task.output.is_file():
        return ""
    with claimed(claim):
        if task.output.is_file():
            return ""
""",
        "    with claimed(claim):\n",
        "jobs/test_task.py",
    ),
    Mutation(
        "claims give no signs of life",
        "jobs/claims.py",
        "os.utime(path)",
        "path.stat()",
        "jobs/test_claims.py",
    ),
    Mutation(
        "a task that fails stops the others",
        "jobs/pool.py",
        "problems.append(problem)",
        "raise UserError(problem)",
        f"{JOBS} -k fails",
    ),
    Mutation(
        "workers give up as soon as drivers do",
        "jobs/parsl_config.py",
        'command.replace("{heartbeat_threshold}", f"{resources.grace:.0f}")',
        "command",
        "jobs/test_parsl_config.py",
    ),
    Mutation(
        "an arm that waits for jobs keeps its turn",
        "jobs/turns.py",
        """        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()
""",
        """        try:
            yield
        finally:
""",
        "jobs/test_turns.py -k one_runs",
    ),
    Mutation(
        "an arm goes on after an error of the other",
        "jobs/turns.py",
        "raise _AnotherFailed",
        "pass",
        "jobs/test_turns.py -k error",
    ),
    Mutation(
        "the end of one arm cancels what jobs are at",
        "jobs/pool.py",
        "if self._unfinished:",
        "if False:",
        f"{JOBS} -k is_at",
    ),
    Mutation(
        "arms do not share jobs",
        "jobs/pool.py",
        "first = resources.index(wanted)",
        "first = k",
        f"{JOBS} -k share",
    ),
    # the loop
    Mutation(
        "failed labels are trained on",
        "campaign/loop.py",
        "[f for f in self.labels.frames(iteration) if not f.failed]",
        "self.labels.frames(iteration)",
        f"{LOOP} -k failed_labels",
    ),
    Mutation(
        "the target error ends no campaign",
        "campaign/loop.py",
        "return n_labels < stop.labels and not reached",
        "return n_labels < stop.labels",
        f"{LOOP} -k target_error",
    ),
    Mutation(
        "the wall clock ends no campaign",
        "campaign/loop.py",
        "if hours is not None and time.monotonic() - start > 3600 * hours:",
        "if False:",
        f"{RESUME} -k wall_clock",
    ),
    Mutation(
        "a reference that always fails is asked for ever",
        "campaign/loop.py",
        "if iteration - newest < MAX_FAILED_BATCHES:",
        "if iteration < 12:",
        f"{LOOP} -k always_fails",
    ),
    Mutation(
        "the last training is as short as the others",
        "campaign/train_stage.py",
        "finish=self.finish,",
        "finish=None,",
        "campaign/test_finish.py -k another_finish",
    ),
    Mutation(
        "a raised budget keeps the last training of fewer labels",
        "campaign/run_state.py",
        'return {"labels": labels} | {name',
        'return {"labels": []} | {name',
        "campaign/test_finish.py -k raised_budget",
    ),
    Mutation(
        "another finish keeps the last training",
        "campaign/run_state.py",
        "| {name: settings[name] for name in OF_TRAINING}",
        "",
        "campaign/test_finish.py -k another_finish",
    ),
    Mutation(
        "the clock ends the campaign with a last training",
        "campaign/loop.py",
        'run the same command to go on")\n                return',
        'run the same command to go on")\n                break',
        "campaign/test_finish.py -k clock",
    ),
    Mutation(
        "the last training is not evaluated on another test set",
        "campaign/steps.py",
        '.get("test", self._test_set) == self._test_set',
        '.get("test", self._test_set) is not self',
        "campaign/test_finish.py",
    ),
    Mutation(
        "advice: more steps help whether they did or not",
        "training/learning_curve.py",
        "len(cycles) == 1 or pays(cycles[-1].score, cycles[-2].score, finish)",
        "True",
        "training/test_cycles.py",
    ),
    Mutation(
        "advice: labels help whatever the training error is",
        "training/learning_curve.py",
        "if ratio >= MEMORISED:",
        "if True:",
        "training/test_cycles.py",
    ),
    Mutation(
        "a cycle is described by its own errors, not by the best so far",
        "training/learning_curve.py",
        'row.get("cycle", 1) <= number',
        'row.get("cycle", 1) == number',
        "training/test_cycles.py",
    ),
    Mutation(
        "train prints one cycle",
        "cli/train.py",
        "for cycle in cycles if finish else []:",
        "for cycle in cycles[:1] if finish else []:",
        "cli/test_train_command.py",
    ),
    Mutation(
        "train on a run forgets its scores",
        "cli/train.py",
        "                scores=scores,\n",
        "",
        "cli/test_train_command.py",
    ),
    Mutation(
        "nobody hears that all walkers stopped at once",
        "campaign/steps.py",
        "        if line:\n            self.progress.log(line)\n\n    def _strengths",
        "        if False:\n            self.progress.log(line)\n\n    def _strengths",
        "campaign/test_walk_task.py",
    ),
    Mutation(
        "config_type is taken for markup",
        "cli/evaluate.py",
        "table.add_row(*map(escape, row))",
        "table.add_row(*row)",
        "cli/test_cli.py -k config_type",
    ),
    Mutation(
        "fine-tuning takes the steps of a training from scratch",
        "trainers/templates/sevennet.yaml",
        "0.001 if foundation else 0.01",
        "0.01",
        "trainers/test_trainers.py -k smaller_steps",
    ),
    Mutation(
        "the label of a dry run is not used",
        "campaign/steps.py",
        "return self._use_tried_label(wanted) if iteration == 0 else wanted",
        "return wanted",
        "campaign/test_dry_run.py -k label",
    ),
    Mutation(
        "the label of a dry run is used for any structure",
        "campaign/kept_labels.py",
        'if kept["key"] != _tried_key(atoms, reference):',
        "if False:",
        "campaign/test_dry_run.py -k label",
    ),
    Mutation(
        "a variable that is defined counts as used",
        "config/scripts.py",
        "if name not in used:",
        "if name not in used and not styles:",
        "config/test_scripts.py",
    ),
    Mutation(
        "frames outside of a range are not counted",
        "analysis/collective_variables.py",
        "        if n_outside:",
        "        if False:",
        "analysis/test_collective_variables.py campaign/test_changed_variables.py",
    ),
    Mutation(
        "coverage in metrics stays that of old variables",
        "campaign/metrics.py",
        "if records and records != self.folder.records():",
        "if False:",
        "campaign/test_changed_variables.py",
    ),
    Mutation(
        "a cycle is as long as the one before",
        "training/optimise.py",
        "self.length *= 2",
        "self.length *= 1",
        TRAINING,
    ),
    Mutation(
        "cycles go on whether they pay or not",
        "training/optimise.py",
        "if not pays(score, before, finish):",
        "if False:",
        TRAINING,
    ),
    Mutation(
        "finish.members is ignored",
        "config/potential.py",
        "return finish.members if finish is not None and averages else self.n_members",
        "return self.n_members",
        TRAINING,
    ),
    Mutation(
        "potentials of a mean have the same projections",
        "model/uncertain_potential.py",
        "seed=k) for k in range(n_members)]",
        "seed=0) for k in range(n_members)]",
        "model/test_uncertain_potential.py",
    ),
    Mutation(
        "a model file has the first potential of a mean",
        "training/scripted.py",
        "return values[0] if len(values) == 1 else torch.stack(values).mean(0)",
        "return values[0]",
        "training/test_export.py",
    ),
    Mutation(
        "gradients of a mean take the state of the first potential",
        "training/scripted.py",
        "state[k], of_features",
        "state[0], of_features",
        "training/test_export.py",
    ),
    Mutation(
        "a last training of an earlier version is made again",
        "campaign/run_state.py",
        "completed(read_json(final.made_of)) == now",
        "read_json(final.made_of) == now",
        "campaign/test_earlier_version.py",
    ),
    Mutation(
        "a campaign of a version without a key takes its new default",
        "campaign/former_defaults.py",
        "begun = completed(read_settings(path)) if",
        "begun = read_settings(path) if",
        "campaign/test_earlier_version.py",
    ),
    Mutation(
        "a second potential of the last training costs nothing",
        "campaign/cost.py",
        "in_turn = -(-n_members // n_ranks) if",
        "in_turn = 1 if",
        COST,
    ),
    Mutation(
        "a rank without structures adds its last gradient once more",
        "training/optimise.py",
        "        gradient.zero_()\n        return",
        "        return",
        "training/test_optimise.py",
    ),
    Mutation(
        "gradients of autograd add up over steps",
        "training/optimise.py",
        "gradient.zero_()  # autograd adds to `.grad`",
        "pass",
        "training/test_optimise.py",
    ),
    Mutation(
        "a damaged config.json is to be removed",
        "campaign/kept_settings.py",
        "read_json(path, NOT_MADE_AGAIN)",
        "read_json(path)",
        "campaign/test_damaged_folder.py",
    ),
    Mutation(
        "finish.minutes is ignored",
        "training/optimise.py",
        "late = seconds + per_epoch * self.length > 60.0 * finish.minutes",
        "late = False",
        TRAINING,
    ),
    Mutation(
        "energies of large structures weigh as much as those of small ones",
        "training/loss.py",
        "(LARGE / n_atoms).clamp(max=1.0).square()",
        "torch.ones_like(n_atoms)",
        "training/test_loss.py",
    ),
    Mutation(
        "earlier batches do not calibrate",
        "training/calibrate.py",
        "join([earlier, scores_on(potential, samples)])",
        "scores_on(potential, samples)",
        "campaign/test_next_batch.py",
    ),
    Mutation(
        "scores are of calibrated uncertainties",
        "campaign/next_batch.py",
        "found.total_uncertainty / (model.metadata.total_factor or 1.0)",
        "found.total_uncertainty",
        "campaign/test_next_batch.py",
    ),
    Mutation(
        "a model is calibrated by its own next batch",
        "campaign/next_batch.py",
        "enumerate(folder.iterations()[:iteration])",
        "enumerate(folder.iterations())",
        "campaign/test_next_batch.py",
    ),
    Mutation(
        "scores of an ensemble calibrate a posterior",
        "campaign/next_batch.py",
        'if k != "alpha"}',
        "if False}",
        "campaign/test_next_batch.py -k another_kind",
    ),
    Mutation(
        "patience ends the cycles that follow at once",
        "training/optimise.py",
        "lowest, found = math.inf, self.n_epochs",
        "lowest, found = self.best.score, self.n_epochs",
        TRAINING,
    ),
    Mutation(
        "all batches calibrate atoms, also the oldest",
        "training/scores.py",
        "if sum(len(scores.total) for scores in chosen) >= 2.0 / alpha:",
        "if False:",
        "training/test_scores.py",
    ),
    Mutation(
        "the default lets u collapse where structures are as many as features",
        "config/potential.py",
        "        0.1,\n        ge=1e-9,",
        "        0.01,\n        ge=1e-9,",
        "model/test_heads.py",
    ),
    Mutation(
        "only the newest batches calibrate structures",
        "training/scores.py",
        "Scores(join(batches).total, recent.atomic,",
        "Scores(recent.total, recent.atomic,",
        "training/test_scores.py",
    ),
    Mutation(
        "later batches are held out for calibration as well",
        "campaign/select_stage.py",
        "0.0 if self.frames else training.calibration,",
        "training.calibration,",
        "campaign/test_next_batch.py",
    ),
    Mutation(
        "models are always exported in float32",
        "campaign/train_stage.py",
        "folder.model, self.config.exploration.dtype)",
        'folder.model, "float32")',
        f"{LOOP} -k precision",
    ),
    Mutation(
        "changed settings are accepted",
        "campaign/kept_settings.py",
        "if change.section in changeable:",
        "if True:",
        "campaign/test_kept_settings.py",
    ),
    Mutation(
        "the control arm is the main one",
        "campaign/arms.py",
        "control = control_arm(config)",
        "control = config",
        f"{LOOP} -k arm",
    ),
    # records
    Mutation(
        "coverage of the next batch is that of frames the model knows",
        "campaign/next_batch.py",
        "if f.iteration == iteration + 1 and not f.failed]",
        "if f.iteration <= iteration and not f.failed]",
        SETTINGS,
    ),
    Mutation(
        "coverage of atoms and of structures are exchanged",
        "campaign/metrics.py",
        'conformal_coverage=on_new.get("atomic_coverage")',
        'conformal_coverage=on_new.get("total_coverage")',
        SETTINGS,
    ),
    Mutation(
        "visits of earlier iterations are forgotten",
        "campaign/metrics.py",
        "[self._visited[k] for k in range(iteration + 1)]",
        "[self._visited[iteration]]",
        SETTINGS,
    ),
    Mutation(
        "the time of earlier iterations is forgotten",
        "campaign/metrics.py",
        "(before[-1].wall_s if before else 0.0) + sum(seconds.values())",
        "sum(seconds.values())",
        "campaign/test_metrics.py",
    ),
    Mutation(
        "failed labels count as labels",
        "campaign/metrics.py",
        "n_labels=sum(not f.failed for f in used),",
        "n_labels=len(used),",
        f"{LOOP} -k failed_labels",
    ),
    Mutation(
        "no time is left",
        "campaign/metrics.py",
        "return left * sum(newest.seconds.values()) + last",
        "return last",
        "campaign/test_metrics.py",
    ),
    # the dry run
    Mutation(
        "a campaign costs nothing",
        "campaign/cost.py",
        "return training + pools + len(sizes) * parts.test + (labels + walks) / n_ranks",
        "return 0.0",
        COST,
    ),
    Mutation(
        "ranks do not make a campaign faster",
        "campaign/cost.py",
        "(labels + walks) / n_ranks",
        "(labels + walks)",
        COST,
    ),
    Mutation(
        "only one arm costs time",
        "campaign/dry_run.py",
        "total = max(costs) if n_ranks >= len(arms) else sum(costs)",
        "total = costs[0]",
        DRY_RUN,
    ),
    # ranks
    Mutation(
        "training.ranks is ignored",
        "campaign/train_stage.py",
        "n_members if n_members > 1 else self.config.training.ranks",
        "n_members",
        f"{RANKS} -k replicas",
    ),
    Mutation(
        "ranks_per_walker is ignored",
        "campaign/steps.py",
        "min(config.ranks_per_walker, self.ranks.size)",
        "1",
        f"{RANKS} -k share_a_walker",
    ),
    Mutation(
        "replicas do not add up",
        "parallel.py",
        "_add_up(tensor.numpy(), self.communicator)",
        "pass",
        "test_parallel.py",
    ),
    Mutation(
        "one replica does all the work of a batch",
        "training/optimise.py",
        "for k in self.replicas.part(batch.tolist())]",
        "for k in (batch.tolist() if self.replicas.rank == 0 else [])]",
        f"{RANKS} -k replicas",
    ),
    # training
    Mutation(
        "the weight of energies does not grow",
        "training/optimise.py",
        "config.energy_weight * config.energy_ramp**progress",
        "config.energy_weight",
        TRAINING,
    ),
    Mutation(
        "learning rates do not fall",
        "training/adam.py",
        "lr=rate * (1.0 - self.n_done / self.n_steps)",
        "lr=rate",
        TRAINING,
    ),
    Mutation(
        "learning rates of weights and embedding are exchanged",
        "training/optimise.py",
        "([potential.descriptor.beta], config.embedding_rate)",
        "([potential.descriptor.beta], config.weights_rate)",
        TRAINING,
    ),
    Mutation(
        "max_steps is ignored",
        "training/optimise.py",
        "min(config.epochs, max(1, config.max_steps // self.n_batches))",
        "config.epochs",
        TRAINING,
    ),
    Mutation(
        "the last parameters are kept, not the best",
        "training/optimise.py",
        "potential.load_state_dict(fitting.best.state)",
        "pass",
        TRAIN,
    ),
    Mutation(
        "patience is ignored",
        "training/optimise.py",
        "is_last or now - found >= (self.config.patience or math.inf)",
        "is_last",
        TRAINING,
    ),
    Mutation(
        "every score is arithmetic",
        "training/optimise.py",
        'if config.checkpoint == "geometric":',
        "if False:",
        TRAINING,
    ),
    Mutation(
        "forces do not validate",
        "training/optimise.py",
        "return energy_mae, forces_mae, energy_mae + (forces_mae or 0.0)",
        "return energy_mae, forces_mae, energy_mae",
        TRAINING,
    ),
    Mutation(
        "calibration frames are trained on",
        "training/train.py",
        'member, part, samples["validation"], training',
        'member, part + samples["calibration"], samples["validation"], training',
        TRAINING,
    ),
    Mutation(
        "calibration frames enter the kernel of the uncertainty",
        "training/train.py",
        "for sample in part])",
        'for sample in part + samples["calibration"]])',
        TRAIN,
    ),
    Mutation(
        "torch takes as many threads as it likes",
        "training/train.py",
        "torch.set_num_threads(n)",
        "pass",
        TRAINING,
    ),
    Mutation(
        "stress does not train",
        "training/loss.py",
        "config.forces_weight, config.stress_weight],",
        "config.forces_weight, 0.0],",
        LOSS,
    ),
    Mutation(
        "the loss is not divided by the structures of the whole batch",
        "training/loss.py",
        "n_structures or len(batch.energies),",
        "len(batch.energies),",
        "training/test_loss.py training/test_train.py",
    ),
    Mutation(
        "the energy scale has no lower bound",
        "training/optimise.py",
        "max(deviation, 0.1 * rms_force, 1e-3)",
        "deviation",
        "training/test_optimise.py",
    ),
    Mutation(
        "alpha is ignored",
        "training/train.py",
        'calibrate(potential, samples["calibration"], uncertainty.alpha, earlier)',
        'calibrate(potential, samples["calibration"], 0.05, earlier)',
        f"{TRAINING} {SETTINGS}",
    ),
    Mutation(
        "atomic uncertainties are calibrated with all components at once",
        "training/calibrate.py",
        "(forces - sample.forces).square().mean(1).sqrt()",
        "(forces - sample.forces).abs().amax(1)",
        TRAIN,
    ),
    Mutation(
        "the conformal rank is one too low",
        "training/conformal.py",
        "min(_rank(n, alpha), n) - 1]",
        "max(min(_rank(n, alpha), n) - 2, 0)]",
        "training/test_conformal.py",
    ),
    Mutation(
        "validation and calibration fractions are exchanged",
        "training/splits.py",
        "return validating, both - validating",
        "return both - validating, validating",
        f"training/test_splits.py {SETTINGS}",
    ),
    # reports
    Mutation(
        "pictures: learning curves in eV where they say meV",
        "report/figures.py",
        '("energy_rmse", 1e3, "energy RMSE (meV/atom)")',
        '("energy_rmse", 1.0, "energy RMSE (meV/atom)")',
        FIGURES,
    ),
    Mutation(
        "pictures: learning curves over iterations",
        "report/figures.py",
        "[(r.n_labels, getattr(r, key)) for r in rows]",
        "[(r.iteration, getattr(r, key)) for r in rows]",
        FIGURES,
    ),
    Mutation(
        "pictures: the aim of the calibration is alpha",
        "report/figures.py",
        "axis.axhline(1 - alpha,",
        "axis.axhline(alpha,",
        FIGURES,
    ),
    Mutation(
        "pictures: the calibration is that on the test set",
        "report/figures.py",
        "(r.iteration, r.conformal_coverage) for r",
        "(r.iteration, r.test_conformal_coverage) for r",
        FIGURES,
    ),
    Mutation(
        "pictures: bars are not stacked",
        "report/figures.py",
        "below += height",
        "below += 0.0",
        FIGURES,
    ),
    Mutation(
        "pictures: the map is transposed",
        "report/figures.py",
        "np.ma.masked_equal(counts.T, 0)",
        "np.ma.masked_equal(counts, 0)",
        FIGURES,
    ),
    Mutation(
        "pictures: the model is drawn over itself",
        "report/figures.py",
        "x, y = true[name], predicted[name]",
        "x, y = predicted[name], predicted[name]",
        FIGURES,
    ),
    Mutation(
        "pictures: the share of covered errors is that of the others",
        "report/figures.py",
        "np.mean(y <= x)",
        "np.mean(y > x)",
        FIGURES,
    ),
    Mutation(
        "pictures: bands of two standard deviations",
        "report/figures.py",
        "lags, mean - deviation, mean + deviation,",
        "lags, mean - 2 * deviation, mean + 2 * deviation,",
        FIGURES,
    ),
    Mutation(
        "report: the parity is of true values",
        "report/errors.py",
        "{name: true[name] + getattr(residuals, name) for name in true}",
        "dict(true)",
        REPORT,
    ),
    Mutation(
        "report: coverage at equal steps is that of all steps",
        "report/arm_result.py",
        "self.steps if steps is None else steps,",
        "self.steps,",
        REPORT,
    ),
    Mutation(
        "report: errors of the first iteration",
        "report/campaign.py",
        "_milli(r.records[-1].forces_rmse, 1)",
        "_milli(r.records[0].forces_rmse, 1)",
        REPORT,
    ),
    Mutation(
        "half sine: the noise keeps its mean",
        "analysis/half_sine.py",
        "found = (wave - noise**2 / n)",
        "found = wave",
        HALF_SINE,
    ),
    Mutation(
        "half sine: a whole sine wave",
        "analysis/half_sine.py",
        "np.linspace(0.0, np.pi, n)",
        "np.linspace(0.0, 2.0 * np.pi, n)",
        HALF_SINE,
    ),
    Mutation(
        "half sine: every wave begins at its mean",
        "analysis/half_sine.py",
        "[np.sin(angle), np.cos(angle)]",
        "[np.sin(angle), np.sin(angle)]",
        HALF_SINE,
    ),
    Mutation(
        "half sine: the variance of the noise is its deviation",
        "analysis/half_sine.py",
        "noise = float(np.sqrt((1.0 / w - wave[0]) / (1.0 - 1.0 / n)))",
        "noise = float((1.0 / w - wave[0]) / (1.0 - 1.0 / n))",
        HALF_SINE,
    ),
    Mutation(
        "half sine: the fit takes lag 0 for the wave",
        "analysis/half_sine.py",
        "x, y = wave[1:] + b * wave[0], curve[1:] + b",
        "x, y = wave + b * wave[0], curve + b",
        HALF_SINE,
    ),
    Mutation(
        "figures: the model of an autocorrelation is what was measured",
        "report/figures.py",
        "axis.plot(lags, model.curve,",
        "axis.plot(lags, mean,",
        FIGURES,
    ),
    Mutation(
        "report: the caption has no noise of half sine waves",
        "report/campaign.py",
        'fits = f" {sentence_of_fits(models)}".rstrip()',
        'fits = ""',
        CELLS,
    ),
    Mutation(
        "compare: the noise of another quantity",
        "report/half_sines.py",
        "_cell(of_arm[q]) if q in of_arm",
        "_cell(of_arm[quantities[0]]) if q in of_arm",
        f"{COMPARE} -k half_sine",
    ),
    Mutation(
        "report: volumes of cells, not of atoms",
        "report/campaign.py",
        "volumes(w) / len(w.numbers)",
        "volumes(w)",
        CELLS,
    ),
    Mutation(
        "report: errors over volume in eV",
        "report/errors.py",
        "1e3 * (p.forces - a.arrays[FORCES])",
        "1.0 * (p.forces - a.arrays[FORCES])",
        CELLS,
    ),
    Mutation(
        "report: lags in steps where they say ps",
        "report/figures.py",
        "lags = lags * (time_step or 1.0)",
        "lags = lags * 1.0",
        FIGURES,
    ),
    Mutation(
        "report: all walks ended by themselves",
        "report/figures.py",
        'return "stopped by the threshold" if walk.crossed else "ended by itself"',
        'return "ended by itself"',
        FIGURES,
    ),
    Mutation(
        "report: validation errors are those on training labels",
        "report/errors.py",
        'f.split == "validation" and not f.failed',
        'f.split == "train" and not f.failed',
        ERRORS,
    ),
    Mutation(
        "report: settings at their defaults are shown",
        "report/overview.py",
        'mode="json", exclude_defaults=True, exclude',
        'mode="json", exclude',
        OVERVIEW,
    ),
    Mutation(
        "report: points beside their curves",
        "report/pictures.py",
        "(box.y1 - y) / box.height",
        "(y - box.y0) / box.height",
        PICTURES,
    ),
    Mutation(
        "report: structures are not moved into their cells",
        "report/structures.py",
        "return positions - (cells * atoms.pbc) @ atoms.cell.array",
        "return positions",
        STRUCTURES,
    ),
    Mutation(
        "report: text of users is not escaped",
        "report/html.py",
        "autoescape=True",
        "autoescape=False",
        PAGE,
    ),
    Mutation(
        "report: the view cannot be turned",
        "report/templates/viewer.js",
        "rotate(0.01 * event.movementX, 0.01 * event.movementY);",
        "",
        PAGE,
    ),
    Mutation(
        "report: the view turns against the mouse",
        "report/templates/viewer.js",
        "[cx * a[k] + sx * c[k], b[k], cx * c[k] - sx * a[k]]",
        "[cx * a[k] - sx * c[k], b[k], cx * c[k] + sx * a[k]]",
        PAGE,
    ),
    Mutation(
        "report: a page is wider than a window",
        "report/templates/page.css",
        "img { max-width: 100%;",
        "img { min-width: 1100px;",
        PAGE,
    ),
    Mutation(
        "report: the mouse finds no point",
        "report/templates/page.js",
        "best = 24;",
        "best = 0;",
        PAGE,
    ),
    Mutation(
        "compare: the spread is not that of a sample",
        "report/compare.py",
        "np.std(values, ddof=1)",
        "np.std(values, ddof=0)",
        COMPARE,
    ),
    Mutation(
        "compare: seeds are arms of their own",
        "report/compare.py",
        'exclude={"name", "seed", "stop", "control"}',
        'exclude={"name", "stop", "control"}',
        COMPARE,
    ),
    Mutation(
        "compare: a seed counts twice",
        "report/compare.py",
        "if (key, config.seed) in seeds:",
        "if False:",
        COMPARE,
    ),
    Mutation(
        "the last training takes no time",
        "campaign/metrics.py",
        "+ last + finish",
        "+ finish",
        "campaign/test_metrics.py",
    ),
    Mutation(
        "evaluate: errors of an element are those of all atoms",
        "analysis/residuals.py",
        "known & (symbols == symbol)",
        "known",
        "analysis/test_residuals.py",
    ),
    Mutation(
        "compare: the picture shows no spread",
        "report/compare.py",
        'e[key]["spread"] or 0.0 for e in known',
        "0.0 for e in known",
        COMPARE,
    ),
    Mutation(
        "compare: walks of later models count for a budget",
        "report/compare.py",
        "if crossing.n_labels < n_labels]",
        "if crossing.n_labels <= n_labels]",
        COMPARE,
    ),
    Mutation(
        "walkers that find nothing keep their bias",
        "campaign/bias_schedule.py",
        "        strength *= schedule.factor",
        "        pass",
        "campaign/test_bias_schedule.py",
    ),
    Mutation(
        "walkers that stop at once keep their bias",
        "campaign/bias_schedule.py",
        "        strength /= schedule.factor",
        "        pass",
        "campaign/test_bias_schedule.py",
    ),
    Mutation(
        "a schedule of the bias is forgotten after each iteration",
        "campaign/walk_task.py",
        "replace(walk, strength=self.strength).save",
        "walk.save",
        "campaign/test_bias_schedule.py",
    ),
    Mutation(
        "a schedule of the bias does not reach the script",
        "campaign/walk_task.py",
        "scaled(self.config, self.strength),",
        "self.config,",
        "campaign/test_bias_schedule.py",
    ),
    # benchmarks
    Mutation(
        "benchmark: a model costs the steps of its own walks",
        "benchmark/results.py",
        "np.array([0.0, *(r.md_steps for r in records[:-1])])",
        "np.array([float(r.md_steps) for r in records])",
        "benchmark/test_results.py",
    ),
    Mutation(
        "benchmark: the last model with an error counts",
        "benchmark/results.py",
        "k = int(np.flatnonzero(y <= error)[0])",
        "k = int(np.flatnonzero(y <= error)[-1])",
        "benchmark/test_results.py",
    ),
    Mutation(
        "benchmark: curves are linear in the number",
        "benchmark/results.py",
        "np.interp(np.log1p(value), np.log1p(self.costs[cost]), self",
        "np.interp(value, self.costs[cost], self",
        "benchmark/test_results.py",
    ),
    Mutation(
        "benchmark: all next batches count",
        "benchmark/results.py",
        "FIRST_BATCH = 3",
        "FIRST_BATCH = 0",
        "benchmark/test_results.py",
    ),
    Mutation(
        "benchmark: what lies beyond the budget counts",
        "benchmark/results.py",
        "if r.n_labels >= budget)",
        "if r.n_labels >= 2 * budget)",
        "benchmark/test_results.py",
    ),
    Mutation(
        "benchmark: a last training on other labels counts",
        "benchmark/results.py",
        'if len(read_json(final.made_of)["labels"]) != n_labels:',
        "if not n_labels:",
        "benchmark/test_results.py",
    ),
    Mutation(
        "benchmark: the last training takes no time",
        "benchmark/results.py",
        "(records[-1].wall_s + seconds) / 60.0",
        "records[-1].wall_s / 60.0",
        "benchmark/test_results.py",
    ),
    Mutation(
        "benchmark: seeds are paired with any other",
        "benchmark/comparison.py",
        "(r, others[r.campaign.seed]) for r",
        "(r, min(others.items())[1]) for r",
        "benchmark/test_comparison.py",
    ),
    Mutation(
        "benchmark: costs are those of an error that only the baseline reaches",
        "benchmark/comparison.py",
        "max(result.at(",
        "min(result.at(",
        "benchmark/test_comparison.py",
    ),
    Mutation(
        "benchmark: an interval around 1 pays",
        "benchmark/comparison.py",
        "if self.mean.high < 1.0:",
        "if self.mean.mean < 1.0:",
        "benchmark/test_comparison.py",
    ),
    Mutation(
        "benchmark: equal is fewer",
        "benchmark/comparison.py",
        "if self.mean.high < 1.0:",
        "if self.mean.high <= 1.0:",
        "benchmark/test_comparison.py",
    ),
    Mutation(
        "benchmark: arms are compared at the most labels",
        "benchmark/comparison.py",
        "self.labels = min(",
        "self.labels = max(",
        "benchmark/test_comparison.py",
    ),
    Mutation(
        "benchmark: the steps of a first model are divided by",
        "benchmark/comparison.py",
        "if any(spent == first for",
        "if all(spent != spent + first for",
        "benchmark/test_comparison.py",
    ),
    Mutation(
        "benchmark: last errors are those before the last training",
        "benchmark/tables.py",
        "arm, lambda result: result.finished_at(system.labels, measure)",
        'arm, lambda result: result.at("labels", system.labels, measure)',
        "benchmark/test_page.py",
    ),
    Mutation(
        "benchmark: coverages of other models",
        "benchmark/tables.py",
        'r.curves["atomic_coverage"][-1]',
        'r.curves["atomic_coverage"][0]',
        "benchmark/test_page.py",
    ),
    Mutation(
        "benchmark: kept results of other settings count",
        "benchmark/kept_results.py",
        "if line and line.settings == c.settings]",
        "if line]",
        "benchmark/test_kept_results.py",
    ),
    Mutation(
        "benchmark: results of other campaigns are lost",
        "benchmark/kept_results.py",
        "lines |= {(r.campaign",
        "lines = {(r.campaign",
        "benchmark/test_kept_results.py",
    ),
    Mutation(
        "benchmark: settings are told apart by resources",
        "config/benchmark.py",
        'if key != "resources"',
        "if key",
        "benchmark/test_kept_results.py",
    ),
    Mutation(
        "conformal: a factor may be zero",
        "training/conformal.py",
        "np.maximum(np.abs(np.ravel(residuals)), TINY)",
        "np.abs(np.ravel(residuals))",
        "training/test_conformal.py",
    ),
    Mutation(
        "element energies: the weakest ridge",
        "training/element_energies.py",
        "if e <= ALIKE * min(errors)",
        "if e >= 0.0",
        "training/test_element_energies.py",
    ),
    Mutation(
        "element energies: what was left out predicts itself",
        "training/element_energies.py",
        "matrix - matrices + strength * ridge, (vector - vectors)",
        "matrix + 0 * matrices + strength * ridge, (vector + 0 * vectors)",
        "training/test_element_energies.py",
    ),
    Mutation(
        "element energies: elements that nothing else has are asked for",
        "training/element_energies.py",
        "(present.sum(0) == 1)",
        "(present.sum(0) == 0)",
        "training/test_element_energies.py",
    ),
    Mutation(
        "wrap: shifts of plain least squares",
        "wrap/shifts.py",
        "element_energies(counts, np.asarray(differences))",
        "np.linalg.lstsq(counts, np.asarray(differences), rcond=None)[0]",
        "wrap/test_shifts.py",
    ),
    Mutation(
        "jobs: a job of grid engine needs no parallel environment",
        "config/resources.py",
        'self.kind == "sge" and self.cores > 1',
        'self.kind == "sge" and self.cores > 999',
        "jobs/test_parsl_config.py",
    ),
    Mutation(
        "jobs: items of several nodes are as many as nodes",
        "jobs/parsl_config.py",
        "resources.nodes // resources.nodes_per_item",
        "resources.nodes",
        "jobs/test_parsl_config.py",
    ),
    Mutation(
        "jobs: items of several nodes have workers on each node",
        "jobs/parsl_config.py",
        "if resources.nodes > 1 and resources.nodes_per_item == 1:\n                # the",
        "if resources.nodes > 1:\n                # the",
        "jobs/test_parsl_config.py",
    ),
    Mutation(
        "benchmark: prose of the page is lost",
        "benchmark/page.py",
        "*parts, text[end:]]",
        "*parts, after]",
        "benchmark/test_page.py",
    ),
    Mutation(
        "benchmark: the baseline is compared with itself",
        "benchmark/page.py",
        "force_ratios(system, arm) if arm != system.baseline else {}",
        "force_ratios(system, arm)",
        "benchmark/test_page.py",
    ),
    Mutation(
        "benchmark: early ends are not named",
        "benchmark/page.py",
        "if n != campaign.config.stop.labels",
        "if n > campaign.config.stop.labels",
        "benchmark/test_page.py",
    ),
    Mutation(
        "benchmark: intervals are in other units than means",
        "benchmark/tables.py",
        "{factor * (mean.high - mean.mean):",
        "{(mean.high - mean.mean):",
        "benchmark/test_page.py",
    ),
    Mutation(
        "benchmark: a title of the terminal is long",
        "benchmark/tables.py",
        'title.partition(",")[0].removeprefix("atomic "): [cell',
        "title: [cell",
        "benchmark/test_page.py",
    ),
    Mutation(
        "benchmark: complete campaigns run again",
        "benchmark/run.py",
        'if _state(c, folder) != "complete"]',
        "if _state(c, folder)]",
        "benchmark/test_benchmark_run.py",
    ),
    Mutation(
        "benchmark: other settings go on",
        "benchmark/run.py",
        "if change.section not in CHANGEABLE",
        'if change.section == "name"',
        "benchmark/test_benchmark_run.py",
    ),
    Mutation(
        "benchmark: files are not looked at before",
        "benchmark/run.py",
        "            read_inputs(campaign.config)\n",
        "            pass\n",
        "benchmark/test_benchmark_run.py -k missing",
    ),
    Mutation(
        "benchmark: arms share the folder of a seed",
        "config/benchmark.py",
        '{"name": f"{arm}-{seed}", "seed": seed}',
        '{"name": f"{seed}", "seed": seed}',
        "config/test_benchmark_config.py",
    ),
    Mutation(
        "benchmark: all seeds are the same",
        "config/benchmark.py",
        '{"name": f"{arm}-{seed}", "seed": seed}',
        '{"name": f"{arm}-{seed}"}',
        "config/test_benchmark_config.py",
    ),
    Mutation(
        "benchmark: the settings of a system do not act",
        "config/benchmark.py",
        "merge(merge(read_yaml(system.campaign), system.settings), system.arms[arm])",
        "merge(read_yaml(system.campaign), system.arms[arm])",
        "config/test_benchmark_config.py",
    ),
    Mutation(
        "benchmark: the control arm stays",
        "config/benchmark.py",
        '    fields.pop("control", None)\n',
        "",
        "config/test_benchmark_config.py",
    ),
    Mutation(
        "benchmark: arms have their own budgets",
        "config/benchmark.py",
        '"seed": 0, "stop": {"labels": system.labels}}',
        '"seed": 0}',
        "config/test_benchmark_config.py",
    ),
    Mutation(
        "benchmark: the same arm twice",
        "config/benchmark.py",
        "if c == made[0]), None)",
        "if c is made[0]), None)",
        "config/test_benchmark_config.py",
    ),
    Mutation(
        "benchmark: raised budgets are complete",
        "campaign/run_state.py",
        "return budget >= arm.config.stop.labels and (",
        "return (",
        "campaign/test_run_state.py",
    ),
    Mutation(
        "benchmark: a campaign without its last training is complete",
        "campaign/run_state.py",
        "(arm.config.finish is None or _is_finished(arm))",
        "True",
        "campaign/test_run_state.py",
    ),
    Mutation(
        "benchmark: an iteration that is not the last ends a campaign",
        "campaign/run_state.py",
        "if not (iterations and iterations[-1].read_record().last):",
        "if not iterations:",
        "campaign/test_run_state.py",
    ),
    # folds
    Mutation(
        "folds are trained on as well",
        "training/folds.py",
        "if j % n_folds != k",
        "if j >= 0",
        "training/test_folds.py",
    ),
    Mutation(
        "with folds, calibration labels are kept back",
        "training/train.py",
        "    if training.folds:",
        "    if False:",
        "training/test_folds.py",
    ),
    Mutation(
        "isolated atoms are in one fold",
        "training/train.py",
        'held_out = samples["train"][: len(regular)]',
        'held_out = samples["train"]',
        "training/test_folds.py",
    ),
    Mutation(
        "a record counts the calibration split in place of folds",
        "campaign/metrics.py",
        'calibrating = ("train", "calibration") if folds',
        'calibrating = ("calibration",) if folds',
        "campaign/test_next_batch.py",
    ),
    Mutation(
        "a schedule of the bias has no limits",
        "campaign/bias_schedule.py",
        "return min(max(strength, 1.0 / schedule.largest), schedule.largest)",
        "return strength",
        "campaign/test_bias_schedule.py",
    ),
    Mutation(
        "a schedule of the bias leaves lists alone",
        "campaign/bias_schedule.py",
        "name: times(value) if name in STRENGTHS else value",
        "name: value",
        "campaign/test_bias_schedule.py",
    ),
    Mutation(
        "with folds, earlier scores are forgotten",
        "training/train.py",
        "join([scores or Scores(), of_folds])",
        "of_folds",
        "training/test_folds.py",
    ),
    Mutation(
        "with folds, the last training has one cycle",
        "training/train.py",
        "fit_to(range(len(regular)), finish)",
        "fit_to(range(len(regular)))",
        "training/test_folds.py",
    ),
    Mutation(
        "more folds than structures",
        "training/folds.py",
        "min(n_folds, len(samples)) if",
        "n_folds if",
        "training/test_folds.py",
    ),
]


def copy_of_the_tree(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


def run_tests(tree: Path, tests: str) -> tuple[int, float, str]:
    """Exit code of pytest (1: a test failed), seconds, and the last lines of its output.

    A child of this process runs the tests, so that torch and others are imported once for all.
    """
    arguments = [
        str(tree / "tests" / word) if ".py" in word else word for word in shlex.split(tests)
    ]
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for descriptor in (1, 2):
                os.dup2(output.fileno(), descriptor)
            _become_pytest(tree, arguments)
        code = _wait(pid, begin + TIMEOUT)
        output.seek(0)
        return code, time.monotonic() - begin, output.read()[-3000:]


def _become_pytest(tree: Path, arguments: list[str]) -> NoReturn:
    code = ABROAD
    try:
        os.chdir(tree)
        sys.path[:0] = [str(tree)]
        path = os.pathsep.join([str(tree), *filter(None, [os.environ.get("PYTHONPATH", "")])])
        os.environ.update(PYTHONPATH=path)
        import pyubias

        if Path(pyubias.__file__).is_relative_to(tree):
            options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider"]
            code = int(pytest.main([*options, *arguments]))
        else:
            print(f"Python imports {pyubias.__file__}: mutations need an installation of pyubias")
            print("that is not editable")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _wait(pid: int, deadline: float) -> int:
    """The exit code of a child; 1 if it takes too long."""
    while time.monotonic() < deadline:
        if (ended := os.waitpid(pid, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(ended[1])
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return 1


def mutated(tree: Path, mutation: Mutation) -> tuple[Path, str]:
    """Break the copy; returns the file and its text before."""
    file = tree / "pyubias" / mutation.file
    text = file.read_text()
    if (n := text.count(mutation.old)) != 1:
        sys.exit(
            f"mutation '{mutation.name}': its old text is {n} times in pyubias/{mutation.file}, "
            "wanted once: bring the mutation up to date"
        )
    file.write_text(text.replace(mutation.old, mutation.new))
    return file, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("words", nargs="*", help="of the names of mutations; default: all")
    chosen = parser.parse_args().words
    picked = [m for m in MUTATIONS if not chosen or any(word in m.name for word in chosen)]
    if not picked:
        sys.exit(f"no mutation is called {' or '.join(chosen)}")
    # a file that is as long and as old as its mutation would be taken from the cache of bytecode
    sys.dont_write_bytecode = True
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for module in HEAVY:
        importlib.import_module(module)
    survived = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = copy_of_the_tree(Path(folder).resolve())
        for mutation in MUTATIONS:  # none is out of date
            file, text = mutated(tree, mutation)
            file.write_text(text)
        for tests in dict.fromkeys(m.tests for m in picked):
            code, seconds, output = run_tests(tree, tests)
            if code != 0:
                sys.exit(f"the tests must pass before anything is broken: {tests}\n{output}")
            print(f"unbroken  {seconds:5.0f} s  {tests}", flush=True)
        for mutation in picked:
            file, text = mutated(tree, mutation)
            code, seconds, output = run_tests(tree, mutation.tests)
            file.write_text(text)
            if code not in (0, 1):
                sys.exit(f"mutation '{mutation.name}': pytest ended with {code}\n{output}")
            if code == 0:
                survived.append(mutation)
            word = "caught  " if code else "SURVIVED"
            print(f"{word}  {seconds:5.0f} s  {mutation.name}", flush=True)
    rate = len(survived) / len(picked)
    print(f"{len(survived)} of {len(picked)} mutations survived ({rate:.0%})")
    for mutation in survived:
        print(f"  {mutation.name}: pyubias/{mutation.file}")
    sys.exit(int(rate > ALLOWED))


if __name__ == "__main__":
    main()
