"""smalldiffusion's image networks in bf16, as a user sets them by hand: torch.autocast around the
forward pass, the U-Net in channels_last. The same work as `peers/bench.py dit` and `unet`, which
have single precision only.  Usage: PYTHON autocast.py [THREADS]
"""
import os
import sys
from statistics import median
from time import perf_counter

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
import bench  # noqa: E402

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)


def seconds(f, warm, n):
    times = []
    for _ in range(warm + n):
        start = perf_counter()
        f()
        times.append(perf_counter() - start)
    return median(times[warm:])


def readings(name, make, batch, lr, layout):
    model, schedule = make()
    model = model.to(memory_format=layout)
    x, sigma = (torch.randn(batch, 1, 28, 28) * 5).to(memory_format=layout), torch.tensor(5.0)
    autocast = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731

    def forward():
        with torch.no_grad(), autocast():
            model(x, sigma)

    data, optimizer = bench.fashion_mnist(4096), torch.optim.AdamW(model.parameters(), lr=lr)

    def step():
        x0 = data[torch.randperm(len(data))[:batch]]
        level, eps = schedule.sample_batch(x0).to(x0), torch.randn_like(x0)
        level = level.reshape(-1, 1, 1, 1)
        with autocast():
            out = model(x0 + level * eps, level if name == "unet" else level.flatten())
        loss = ((out.float() - eps) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    print(f"{name} forward batch {batch}: {seconds(forward, 2, 5):.4f} s")
    print(f"{name} train batch {batch}: {1 / seconds(step, 3, 5):.4f} it/s")


readings("dit", bench.make_dit, 64, 1e-3, torch.preserve_format)
readings("unet", bench.make_unet, 32, 7e-4, torch.channels_last)
