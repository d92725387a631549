"""Small real optimizers of PyTorch, and a loop that steps them."""

import torch


def optimizer(*rates, kind="SGD", tensor=False, **options):
    """A real optimizer with one parameter per group."""
    groups = []
    for lr in rates or (0.5,):
        parameter = torch.nn.Parameter(torch.zeros(2))
        parameter.grad = torch.ones(2)
        groups.append(
            {"params": [parameter], "lr": torch.tensor(lr, dtype=torch.float64) if tensor else lr}
        )
    return getattr(torch.optim, kind)(groups, lr=0.5, **options)


def rates(opt):
    return [float(group["lr"]) for group in opt.param_groups]


def run(opt, scheduler, steps):
    """The rates of the first group at every update."""
    seen = []
    for _ in range(steps):
        seen.append(rates(opt)[0])
        opt.step()
        scheduler.step()
    return seen


def add_group(opt, lr=0.25):
    """Another parameter, in a group of its own, as fine-tuning thaws a layer."""
    opt.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr})
