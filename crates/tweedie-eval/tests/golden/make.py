"""Golden values of tweedie-eval, by numpy, scipy and PyTorch.

Run in an environment with numpy, scipy, torch 2.13 and safetensors:

    python make.py

Writes metrics.json, inception.json (names and shapes) and inception.safetensors (features) beside
this file. Inputs are formulas that the tests compute too.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.linalg import sqrtm

HERE = Path(__file__).parent


def uniform(salt, shape):
    """Numbers in [-1, 1) that depend on the salt and an element's place alone."""
    h = np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(2654435761)
    h = h + np.uint32(salt * 2246822519 % 2**32)
    h ^= h >> np.uint32(15)
    h *= np.uint32(2246822519)
    h ^= h >> np.uint32(13)
    h *= np.uint32(3266489917)
    h ^= h >> np.uint32(16)
    return (h.astype(np.float64) / 2**31 - 1.0).reshape(shape)


def features(salt, n, d, scale, shift):
    """In single precision, as features are, then exact in double."""
    mix = uniform(salt + 1000, (d, d)) + np.eye(d)
    return (uniform(salt, (n, d)) @ mix * scale + shift).astype(np.float32)


def frechet(x, y):
    """As the reference code, with the trace of scipy's root."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(s @ t)
    away = x.mean(0) - y.mean(0)
    return float(away @ away + np.trace(s) + np.trace(t) - 2 * np.trace(root).real)


def cubic(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def unbiased(kernel, x, y):
    n, m = len(x), len(y)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return within - 2 * xy.mean()


def kernel_distance(x, y, subsets, size, seed):
    x, y = x.astype(np.float64), y.astype(np.float64)
    draws = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        a = x[torch.randperm(len(x), generator=draws)[:size].numpy()]
        b = y[torch.randperm(len(y), generator=draws)[:size].numpy()]
        values.append(unbiased(cubic, a, b))
    return float(np.mean(values)), float(np.std(values))


def squares(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(-1)


def mmd(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    apart = np.sort(np.sqrt(squares(y, y)[np.triu_indices(len(y), 1)]))
    median = apart[(len(apart) - 1) // 2]

    def kernel(a, b):
        widths = [0.25, 0.5, 1.0, 2.0, 4.0]
        return np.mean([np.exp(-squares(a, b) / (2 * (w * median) ** 2)) for w in widths], 0)

    return float(unbiased(kernel, x, y))


def precision_recall(x, y, k):
    x, y = x.astype(np.float64), y.astype(np.float64)

    def share(queries, members):
        radii = np.sort(squares(members, members), 1)[:, k]
        return float((squares(queries, members) <= radii[None]).any(1).mean())

    return share(x, y), share(y, x)


def metrics():
    cases = []
    for n, m, d, scale, shift in [(60, 80, 8, 1.0, 0.0), (200, 150, 24, 1.3, 0.2), (40, 400, 32, 0.6, 0.0)]:
        x, y = features(d, n, d, scale, shift), features(d + 1, m, d, 1.0, 0.0)
        subset = kernel_distance(x, y, 5, 30, 7)
        manifold = precision_recall(x, y, 3)
        cases.append(
            dict(n=n, m=m, d=d, scale=scale, shift=shift, frechet=frechet(x, y), kernel=subset[0],
                 kernel_std=subset[1], mmd=mmd(x, y), precision=manifold[0], recall=manifold[1])
        )
    (HERE / "metrics.json").write_text(json.dumps(cases, indent=1) + "\n")


class Conv(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def mean_pool(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def max_pool(x):
    return F.max_pool2d(x, 3, 1, 1)


class A(nn.Module):
    def __init__(self, n, pool):
        super().__init__()
        self.branch1x1 = Conv(n, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Conv(n, 48, 1), Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(n, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3, self.branch_pool = Conv(96, 96, 3, padding=1), Conv(n, pool, 1)

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(mean_pool(x))], 1)


class B(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.branch3x3 = Conv(n, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(n, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, 2)

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class C(nn.Module):
    def __init__(self, n, c):
        super().__init__()
        row, column = dict(kernel=(1, 7), padding=(0, 3)), dict(kernel=(7, 1), padding=(3, 0))
        self.branch1x1, self.branch_pool = Conv(n, 192, 1), Conv(n, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = Conv(n, c, 1), Conv(c, c, **row)
        self.branch7x7_3 = Conv(c, 192, **column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Conv(n, c, 1), Conv(c, c, **column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = Conv(c, c, **row), Conv(c, c, **column)
        self.branch7x7dbl_5 = Conv(c, 192, **row)

    def forward(self, x):
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(mean_pool(x))], 1)


class D(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Conv(n, 192, 1), Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Conv(n, 192, 1), Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3, self.branch7x7x3_4 = Conv(192, 192, (7, 1), padding=(3, 0)), Conv(192, 192, 3, 2)

    def forward(self, x):
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class E(nn.Module):
    def __init__(self, n, pool):
        super().__init__()
        self.pool = pool
        flat, tall = dict(kernel=(1, 3), padding=(0, 1)), dict(kernel=(3, 1), padding=(1, 0))
        self.branch1x1, self.branch_pool = Conv(n, 320, 1), Conv(n, 192, 1)
        self.branch3x3_1 = Conv(n, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = Conv(384, 384, **flat), Conv(384, 384, **tall)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(n, 448, 1), Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Conv(384, 384, **flat), Conv(384, 384, **tall)

    def forward(self, x):
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        three = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        double = [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *three, *double, self.branch_pool(self.pool(x))], 1)


class Inception(nn.Module):
    """The network of FID: torchvision's names, its own pools in 5b to 5d, 6b to 6e, 7b and 7c."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Conv(3, 32, 3, 2), Conv(32, 32, 3)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = Conv(32, 64, 3, padding=1), Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
        self.Mixed_6a = B(288)
        self.Mixed_6b, self.Mixed_6c = C(768, 128), C(768, 160)
        self.Mixed_6d, self.Mixed_6e = C(768, 160), C(768, 192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = D(768), E(1280, mean_pool), E(2048, max_pool)

    def forward(self, x):
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


def like_tensorflow(x, size):
    """tf.image.resize_bilinear of TF 1, align_corners=False: a pixel is read at k * from / to."""
    for dim in (2, 3):
        length = x.shape[dim]
        place = torch.arange(size, dtype=torch.float64) * (length / size)
        low = place.floor().long().clamp(max=length - 1)
        high = (low + 1).clamp(max=length - 1)
        shape = [1] * 4
        shape[dim] = size
        part = (place - low).float().reshape(shape)
        x = x.index_select(dim, low) * (1 - part) + x.index_select(dim, high) * part
    return x


def weight(salt, name, shape):
    u = uniform(salt, tuple(shape))
    if name.endswith("conv.weight"):
        return u * np.sqrt(6 / np.prod(shape[1:]))
    if name.endswith("bn.weight"):
        return 1 + 0.2 * u
    return 1 + 0.5 * u if name.endswith("running_var") else 0.1 * u


@torch.no_grad()
def inception():
    net = Inception().eval()
    dict_ = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    names = sorted(dict_)
    for salt, name in enumerate(names):
        value = weight(salt, name, dict_[name].shape)
        dict_[name].copy_(torch.from_numpy(value.astype(np.float32)))
    shapes = {name: list(dict_[name].shape) for name in names}
    (HERE / "inception.json").write_text(json.dumps(shapes, separators=(",", ":")) + "\n")
    # Two pictures of 20 by 24 pixels.
    pixels = np.floor((uniform(9999, (2, 3, 20, 24)) + 1) * 128)
    x = like_tensorflow(torch.from_numpy(pixels.astype(np.float32)), 299)
    out = net((x - 128) / 128)
    save_file({"features": out.contiguous()}, HERE / "inception.safetensors")
    print("features", out.shape, out.mean().item(), out.max().item())


metrics()
inception()
