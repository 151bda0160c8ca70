"""The optimiser of a potential: Adam, with learning rates that fall linearly to zero."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Adam"]


class Adam:
    """Adam over groups of parameters that have a learning rate each.

    It calls the operator behind `torch.optim.Adam(fused=True)`. An object of that class imports the
    compiler of torch when it is made, which takes longer than many trainings of a campaign.
    The checks of the class take longer than the operator itself for a small network.

    Args:
        groups: parameters and the learning rate of their first step.
        n_steps: number of steps after which the learning rates are zero.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[Tensor], float]], n_steps: int) -> None:
        self.groups = [(list(parameters), rate) for parameters, rate in groups]
        self.n_steps = n_steps
        self.n_done = 0
        # per group: first moments, second moments and the number of steps of its parameters
        self.state = [
            (
                [torch.zeros_like(p, requires_grad=False) for p in parameters],
                [torch.zeros_like(p, requires_grad=False) for p in parameters],
                torch.zeros((), dtype=torch.float32, device=parameters[0].device),
            )
            for parameters, _ in self.groups
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their `.grad`, which all of them have."""
        for (parameters, rate), (first, second, step) in zip(self.groups, self.state, strict=True):
            step += 1
            torch._fused_adam_(
                parameters,
                [p.grad for p in parameters],  # type: ignore[misc]  # all have one
                first,
                second,
                [],
                [step] * len(parameters),
                lr=rate * (1.0 - self.n_done / self.n_steps),
                beta1=0.9,
                beta2=0.999,
                weight_decay=0.0,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )
        self.n_done += 1
