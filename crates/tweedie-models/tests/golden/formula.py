"""Numbers that both sides know, so that none need be stored."""

import torch


def wave(shape, step, start):
    """sin(start + i·step), i counting the elements row by row, in double precision"""
    n = torch.Size(shape).numel()
    i = torch.arange(n, dtype=torch.float64)
    return torch.sin(start + i * step).reshape(shape)


def fill(parameters):
    """Gives parameters, pairs of name and tensor, their values: place in the list counts."""
    with torch.no_grad():
        for k, (name, p) in enumerate(parameters):
            w = wave(p.shape, 0.7, float(k))
            if p.ndim == 1:
                w = 0.1 * w + (1.0 if name.endswith("weight") else 0.0)
            else:
                w = w * 1.4 / (p.numel() / p.shape[0]) ** 0.5
            p.copy_(w.float())


def three(t):
    """Sum, norm, and product with the formula's values"""
    t = t.detach().double()
    return torch.stack([t.sum(), t.norm(), (t * wave(t.shape, 1.3, 0.5)).sum()])


def order(names):
    """Files sort their tensors: which of the sorted names is the first parameter, and so on."""
    return torch.tensor([sorted(names).index(n) for n in names])
