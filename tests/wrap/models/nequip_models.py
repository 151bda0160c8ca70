"""Checkpoints of NequIP and Allegro after one epoch, in folders of the working directory."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ase.io
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

NEQUIP = """
    _target_: nequip.model.NequIPGNNModel
    num_layers: 2
    l_max: 1
    num_features: 8
"""
ALLEGRO = """
    _target_: allegro.model.AllegroModel
    num_layers: 1
    l_max: 1
    num_scalar_features: 8
    num_tensor_features: 4
    radial_chemical_embed:
      _target_: allegro.nn.TwoBodyBesselScalarEmbed
      num_bessels: 8
"""
CONFIG = """
run: [train]
data:
  _target_: nequip.data.datamodule.ASEDataModule
  seed: 1
  split_dataset: {{file_path: {data}, train: 8, val: 4}}
  transforms:
    - _target_: nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper
      model_type_names: [Cu, Au]
      chemical_species_to_atom_type_map: {{Cu: Cu, Au: Au}}
    - _target_: nequip.data.transforms.NeighborListTransform
      r_max: 4.5
  stats_manager:
    _target_: nequip.data.CommonDataStatisticsManager
    type_names: [Cu, Au]
  train_dataloader: {{_target_: torch.utils.data.DataLoader, batch_size: 4}}
  val_dataloader: {{_target_: torch.utils.data.DataLoader, batch_size: 4}}
trainer:
  _target_: lightning.Trainer
  accelerator: cpu
  max_epochs: 1
  logger: false
  enable_progress_bar: false
  callbacks:
    - _target_: lightning.pytorch.callbacks.ModelCheckpoint
      dirpath: ${{hydra:runtime.output_dir}}
      save_last: true
training_module:
  _target_: nequip.train.EMALightningModule
  loss:
    _target_: nequip.train.EnergyForceLoss
  val_metrics:
    _target_: nequip.train.EnergyForceMetrics
    coeffs: {{total_energy_rmse: 1.0, forces_rmse: 1.0}}
  optimizer: {{_target_: torch.optim.Adam, lr: 0.005}}
  model:
    seed: 1
    model_dtype: float32
    type_names: [Cu, Au]
    r_max: 4.5
    avg_num_neighbors: 12.0
    per_type_energy_scales: 2.0
    per_type_energy_shifts: {{Cu: 1.0, Au: 2.0}}
{model}
"""
HERE = Path.cwd()
frames = []
for seed in range(12):
    atoms = bulk("Cu", cubic=True)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.1, seed=seed)
    atoms.calc = EMT()
    atoms.get_forces()
    frames.append(atoms)
ase.io.write("data.extxyz", frames)
assert np.isfinite(frames[0].get_potential_energy())
program = Path(sys.executable).with_name("nequip-train")
models = {"nequip": NEQUIP}
if find_spec("allegro") is not None:
    models["allegro"] = ALLEGRO
for name, model in models.items():
    (HERE / f"{name}.yaml").write_text(CONFIG.format(data=HERE / "data.extxyz", model=model))
    command = [program, "-cp", str(HERE), "-cn", f"{name}.yaml", f"hydra.run.dir={HERE / name}"]
    subprocess.run(command, check=True)
