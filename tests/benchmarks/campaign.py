"""A whole campaign with the time of each stage.

python tests/benchmarks/campaign.py [--campaign inputs/ala2/biased.yaml] [--labels 64] [--ranks 2]
    [--json FILE]
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from common import ALA2, PROGRAMS, arguments, save, show

STAGES = ("label", "train", "evaluate", "explore", "select")


def absolute(settings: dict, folder: Path) -> dict:
    """The settings with their files found from anywhere."""
    for section, key in (("start", "structures"), ("reference", "input"), ("exploration", "input")):
        if key in settings.get(section, {}):
            settings[section][key] = str(folder / settings[section][key])
    if "test" in settings.get("evaluation", {}):
        settings["evaluation"]["test"] = str(folder / settings["evaluation"]["test"])
    return settings


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--campaign", type=Path, default=ALA2 / "biased.yaml")
    parser.add_argument("--labels", type=int, default=64)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()

    settings = absolute(yaml.safe_load(options.campaign.read_text()), options.campaign.parent)
    settings["stop"]["labels"] = options.labels
    settings.pop("control", None)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "campaign.yaml").write_text(yaml.safe_dump(settings))
        start = time.perf_counter()
        command = [PROGRAMS / "mpirun", "-n", str(options.ranks), PROGRAMS / "pyubias", "run"]
        done = subprocess.run(
            [*map(str, command), "campaign.yaml"], cwd=folder, stdout=subprocess.DEVNULL
        )
        wall = time.perf_counter() - start
        if done.returncode != 0:
            sys.exit(f"the campaign ended with status {done.returncode}")
        records = json.loads(
            (Path(folder) / "runs" / settings["name"] / "metrics.json").read_text()
        )

    seconds = {s: sum(r["seconds"].get(s, 0.0) for r in records) for s in STAGES}
    seconds["all else"] = wall - sum(seconds.values())
    rows = [[stage, f"{s:.1f}", f"{100 * s / wall:.0f}"] for stage, s in seconds.items()]
    rows.append(["the whole", f"{wall:.1f}", "100"])
    last = records[-1]
    title = (
        f"{options.campaign.name} to {last['n_labels']} labels on {options.ranks} ranks: "
        f"{last['md_steps']:,} MD steps, coverage {last['coverage']:.3f}, "
        f"forces {1e3 * last['forces_rmse']:.0f} meV/Å"
    )
    show(title, ["stage", "s", "%"], rows)
    save(options.json, {"wall": wall, "seconds": seconds, "metrics": records})


if __name__ == "__main__":
    main()
