"""From the keys of `resources` to the objects of Parsl."""

import importlib.util
import inspect
import os
import shlex
import sys
import warnings
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, cast

from pyubias.config.resources import JobResources, ParslResources
from pyubias.errors import UserError

__all__ = ["parsl_config", "require_parsl"]

# times that Parsl tries a task again whose job ended: was cancelled, or lost its node
RETRIES = 3
# s without a sign of life after which a job counts as lost, and between two such signs
LOST, SIGN = 60, 5
# s without work after which a job is ended
IDLE = 120.0
WORKERS = "parsl.executors.high_throughput.process_worker_pool"


def require_parsl(key: str) -> None:
    """Refuse to go on without Parsl.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("parsl") is None:
        raise UserError(
            f"{key} takes Parsl, which is not installed: pip install 'pyubias[cluster]'"
        )


def parsl_config(
    stages: Mapping[str, JobResources | ParslResources], folder: Path
) -> tuple[Any, dict[str, str]]:
    """A configuration of Parsl with the executors of all stages.

    Args:
        stages: resources of each stage; those with the same resources share their jobs.
        folder: for the scripts and logs of Parsl.

    Returns:
        a `parsl.Config`, and the label of the executor of each stage.

    Raises:
        UserError: a file of Parsl's is unusable, or keys do not fit the batch system.
    """
    from parsl.config import Config

    labels: dict[str, str] = {}
    executors: list[Any] = []
    others: dict[Path, Any] = {}
    for stage, resources in stages.items():
        if isinstance(resources, ParslResources):
            if resources.file not in others:
                others[resources.file] = _read(resources.file)
            labels[stage] = _checked(resources, others[resources.file], f"resources.{stage}")
            continue
        same = [s for s in labels if stages[s] == resources]
        labels[stage] = labels[same[0]] if same else stage
        if not same:
            executors.append(_executor(resources, stage))
    if others and (executors or len(others) > 1):
        raise UserError(
            "resources of kind parsl come from one file for all stages that run in jobs: define "
            "the other executors there as well"
        )
    if others:
        return next(iter(others.values())), labels
    config = Config(
        executors=executors,
        retries=RETRIES,
        run_dir=str(folder / "parsl"),
        strategy="simple",
        strategy_period=1,
        max_idletime=IDLE,
        initialize_logging=False,  # a line for each look at the jobs, in a file that stays open
    )
    return config, labels


def _read(file: Path) -> Any:
    from parsl.config import Config

    try:
        spec = cast(ModuleSpec, importlib.util.spec_from_file_location(file.stem, file))
        module = importlib.util.module_from_spec(spec)
        assert spec.loader is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            spec.loader.exec_module(module)
        config = module.config
    except Exception as error:  # a file of one's own may hold any mistake
        raise UserError(f"'{file}' gives no configuration of Parsl: {error}") from error
    if not isinstance(config, Config):
        raise UserError(f"'{file}': config is {type(config).__name__}, wanted a parsl.Config")
    return config


def _checked(resources: ParslResources, config: Any, key: str) -> str:
    known = [executor.label for executor in config.executors]
    if resources.executor not in known:
        raise UserError(
            f"{key}.executor: '{resources.file}' has no executor '{resources.executor}'; it has "
            + ", ".join(known)
        )
    return resources.executor


def _executor(resources: JobResources, label: str) -> Any:
    from parsl.executors import HighThroughputExecutor
    from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

    command = DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", f"python -m {WORKERS}")
    # a job that lost its driver may finish what it is at; a driver learns soon of a lost job
    command = command.replace("{heartbeat_threshold}", f"{resources.grace:.0f}")
    spans = resources.nodes_per_item > 1
    n_items = (
        resources.nodes // resources.nodes_per_item
        if spans
        else resources.cores // resources.cores_per_item
    )
    with warnings.catch_warnings():
        # Parsl looks for addresses with sockets that it leaves to Python to close
        warnings.simplefilter("ignore", ResourceWarning)
        return HighThroughputExecutor(
            label=label,
            provider=_provider(resources, label),
            address="127.0.0.1" if resources.kind == "local" else None,
            launch_cmd=command,
            interchange_launch_cmd=[sys.executable, "-m", "pyubias.jobs.interchange"],
            max_workers_per_node=n_items,
            # of the first node, which only starts programs of several nodes
            cores_per_worker=1e-3 if spans else resources.cores_per_item,
            available_accelerators=0 if spans else resources.gpus,
            heartbeat_period=SIGN,
            heartbeat_threshold=LOST,
            encrypted=resources.kind != "local",
        )


def _provider(resources: JobResources, label: str) -> Any:
    from parsl import launchers, providers

    common: dict[str, Any] = {
        "nodes_per_block": resources.nodes,
        "init_blocks": 0,
        "min_blocks": 0,
        "max_blocks": resources.max_blocks,
        "worker_init": _shell_lines(resources),
        "launcher": launchers.SimpleLauncher(),
    }
    of_batch: dict[str, Any] = {
        "walltime": resources.walltime,
        "scheduler_options": resources.options,
    }
    partition, account, cores = resources.partition, resources.account, resources.cores
    match resources.kind:
        case "local":
            return providers.LocalProvider(**common)
        case "slurm":
            if resources.nodes > 1 and resources.nodes_per_item == 1:
                # the workers leave the cores to steps that they start with srun or mpirun
                common["launcher"] = launchers.SrunLauncher(overrides="--overlap")
            return providers.SlurmProvider(
                partition=partition,
                account=account,
                cores_per_node=cores,
                gpus_per_node=resources.gpus or None,
                exclusive=False,
                **common,
                **of_batch,
            )
        case "pbs":
            if resources.nodes > 1 and resources.nodes_per_item == 1:
                common["launcher"] = launchers.MpiExecLauncher()
            return providers.PBSProProvider(
                account=account,
                queue=partition,
                cpus_per_node=cores,
                select_options=f"ngpus={resources.gpus}" if resources.gpus else "",
                **common,
                **of_batch,
            )
        case "sge":
            return providers.GridEngineProvider(queue=partition, **common, **of_batch)
        case "lsf":
            return providers.LSFProvider(
                queue=partition, project=account, cores_per_node=cores, **common, **of_batch
            )


def _shell_lines(resources: JobResources) -> str:
    """What a job does first. Later lines win: `worker_init` may choose another Python."""
    programs = shlex.quote(os.path.dirname(sys.executable))
    lines = [f"export PATH={programs}:$PATH", f"export OMP_NUM_THREADS={resources.cores_per_item}"]
    lines += [f"module load {shlex.quote(name)}" for name in resources.modules]
    return "\n".join([*lines, inspect.cleandoc(resources.worker_init), ""])
