"""Loss of smalldiffusion's own training loop on Fashion-MNIST, step by step, for `tweedie train
fashion-mnist-dit` and `fashion-mnist-unet` to be put beside (docs/benchmarks.md says how).

Usage: PYTHON fashion_loss.py dit|unet --batch B --steps N [--seed S] [--threads T]
One line a step: {"step": 1, "loss": 0.99, "seconds": 1.2}
"""
import argparse
import itertools
import json
import os
import sys
from time import perf_counter

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
import bench  # noqa: E402

from smalldiffusion import training_loop  # noqa: E402

RECIPES = {"dit": (bench.make_dit, 1e-3), "unet": (bench.make_unet, 7e-4)}

parser = argparse.ArgumentParser()
parser.add_argument("network", choices=RECIPES)
parser.add_argument("--batch", type=int, default=1024)
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)


class Flipped(torch.utils.data.Dataset):
    """the images in [-1, 1], half of them mirrored"""

    def __init__(self):
        self.images = bench.fashion_mnist()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = self.images[i]
        return image.flip(-1) if torch.rand(()) < 0.5 else image


make, lr = RECIPES[args.network]
model, schedule = make()
loader = torch.utils.data.DataLoader(Flipped(), batch_size=args.batch, shuffle=True)
begun = perf_counter()
loop = training_loop(loader, model, schedule, epochs=10**6, lr=lr)
for step, seen in enumerate(itertools.islice(loop, args.steps), 1):
    print(json.dumps({"step": step, "loss": seen.loss.item(), "seconds": round(perf_counter() - begun, 2)}), flush=True)
