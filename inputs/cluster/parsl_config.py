"""Executors of Parsl's own, for clusters that the keys of `resources` do not describe.

resources:
  label: {kind: parsl, file: parsl_config.py, executor: many}
  train: {kind: parsl, file: parsl_config.py, executor: one}
"""

from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            label="many",
            max_workers_per_node=1,
            provider=SlurmProvider(
                partition="debug",
                nodes_per_block=1,
                cores_per_node=1,
                exclusive=False,
                init_blocks=0,
                max_blocks=2,
                walltime="01:00:00",
                # so that a label may start its program with srun or mpirun, as a step beside
                launcher=SrunLauncher(overrides="--overlap"),
            ),
        ),
        HighThroughputExecutor(
            label="one",
            max_workers_per_node=1,
            provider=SlurmProvider(
                partition="debug",
                cores_per_node=2,
                exclusive=False,
                init_blocks=0,
                max_blocks=1,
                walltime="01:00:00",
            ),
        ),
    ],
    retries=3,
    run_dir="parsl",
)
