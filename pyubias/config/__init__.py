"""Settings: what a user may write, and how a file of it is read."""

from pyubias.config.loading import load_campaign, load_reference, load_training
from pyubias.config.potential import FinishConfig, ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.config.schema import CampaignConfig

__all__ = [
    "CampaignConfig",
    "FinishConfig",
    "ModelConfig",
    "TrainingConfig",
    "UncertaintyConfig",
    "load_campaign",
    "load_reference",
    "load_training",
]
