"""The optimiser of a potential takes the steps of torch's Adam, without torch's compiler."""

import subprocess
import sys

import pytest
import torch

from pyubias.training.adam import Adam


def test_steps_are_those_of_torch_with_a_linear_schedule():
    torch.manual_seed(0)
    ours = [torch.randn(3, 2, dtype=torch.float64), torch.randn(4)]
    theirs = [p.clone().requires_grad_() for p in ours]
    rates, n_steps = [0.1, 0.003], 20
    adam = Adam([([p], rate) for p, rate in zip(ours, rates, strict=True)], n_steps)
    groups = [{"params": [p], "lr": rate} for p, rate in zip(theirs, rates, strict=True)]
    optimiser = torch.optim.Adam(groups, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - step / n_steps)
    for _ in range(n_steps):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        adam.step()
        optimiser.step()
        schedule.step()
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b.detach())


@pytest.mark.slow
def test_a_training_does_not_import_the_compiler_of_torch():
    code = (
        "import sys, torch; from pyubias.training.adam import Adam; p = torch.zeros(2);"
        "p.grad = torch.ones(2); Adam([([p], 0.1)], 5).step();"
        "sys.exit('torch._dynamo' in sys.modules or float(p[0]) == 0.0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
