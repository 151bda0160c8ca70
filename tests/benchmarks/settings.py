"""What settings do on the labels of finished campaigns: trains on them, compares on their test set.

python tests/benchmarks/settings.py RUN... [--set model.cutoff=5,model.n_radial=7 ...] [--labels 64]
    [--json FILE]

Each --set is a row, with the settings of the campaign but these; without one, those as they are.
Numbers are means over the runs.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import arguments, save, show

from pyubias import Model, export, read_frames, train
from pyubias.analysis.residuals import evaluate
from pyubias.campaign.gather import gather
from pyubias.config.loading import TrainingFile
from pyubias.config.schema import CampaignConfig
from pyubias.config.yaml_settings import validate
from pyubias.files import read_json

ERRORS = {"energy_rmse": "E, meV/atom", "forces_rmse": "F, meV/Å", "stress_rmse": "σ, meV/Å³"}


def changed(settings: dict[str, Any], changes: str) -> dict[str, Any]:
    """Settings of a campaign with a list of ``section.name=value`` in their place."""
    sections = {k: dict(v) if isinstance(v, dict) else v for k, v in settings.items()}
    for change in filter(None, changes.split(",")):
        name, _, value = change.partition("=")
        section, _, key = name.partition(".")
        sections[section][key] = json.loads(value)
    return sections


def measure(run: Path, changes: str, n_labels: int | None) -> dict[str, float]:
    """Errors on the campaign's test set of a model that is trained on its first labels."""
    settings = changed(read_json(run / "config.json"), changes)
    config = validate(CampaignConfig, settings, f"{run} with {changes}")
    kind = TrainingFile(trainer=config.trainer, uncertainty=config.uncertainty)
    frames, splits, _, scores = gather([run], settings=kind)
    start = time.process_time()
    trained = train(
        frames[:n_labels],
        config.model,
        config.training.model_copy(update={"seed": config.seed}),
        config.uncertainty,
        elements=config.elements,
        splits=splits[:n_labels],
        scores=scores,
    )
    seconds = time.process_time() - start
    test, _ = read_frames(config.evaluation.test)
    with TemporaryDirectory() as folder:
        export(trained, Path(folder) / "model.pt", config.exploration.dtype)
        found = evaluate(Model(Path(folder) / "model.pt"), test)
    return {"seconds": seconds} | {name: 1e3 * float(found[name]) for name in ERRORS}


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--set", nargs="+", default=[""], metavar="SECTION.NAME=VALUE,...")
    parser.add_argument("--labels", type=int, help="the first so many of each run")
    options = parser.parse_args()
    records = []
    for changes in options.set:
        for run in options.runs:
            found = measure(run, changes, options.labels)
            records.append({"set": changes, "run": run.name, **found})
            print(records[-1], flush=True)

    def row(changes: str) -> Sequence[str]:
        chosen = [r for r in records if r["set"] == changes]
        return [f"{np.mean([r[name] for r in chosen]):.2f}" for name in (*ERRORS, "seconds")]

    title = f"{', '.join(run.name for run in options.runs)}: means over {len(options.runs)} runs"
    columns = ["settings", *ERRORS.values(), "training, s"]
    show(title, columns, [[changes or "as they are", *row(changes)] for changes in options.set])
    save(options.json, records)


if __name__ == "__main__":
    main()
