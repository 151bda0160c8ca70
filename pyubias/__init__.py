"""pyubias: training data for machine-learned potentials from uncertainty-biased dynamics.

The names below are public. They are imported on first use, so that `import pyubias` does not load
torch: `lmp` imports the package whenever it starts, to find the plugin.
"""

import importlib
from typing import Any

_HOME = {
    "CampaignConfig": "config",
    "FinishConfig": "config",
    "ModelConfig": "config",
    "TrainingConfig": "config",
    "UncertaintyConfig": "config",
    "load_campaign": "config",
    "Metadata": "contract",
    "ContractError": "contract",
    "check_contract": "contract",
    "read_frames": "training.reading",
    "select": "campaign.selection",
    "conformal_factor": "training.conformal",
    "train": "training.train",
    "load_trained": "training.checkpoint",
    "export": "training.export",
    "Model": "model.prediction",
    "UbiasCalculator": "model.calculator",
    "run_campaign": "campaign.loop",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"pyubias.{_HOME[name]}"), name)
    raise AttributeError(f"module 'pyubias' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
