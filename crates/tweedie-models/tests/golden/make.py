"""Golden values of smalldiffusion 0.5's small networks, made by running it.

    pip install smalldiffusion==0.5.* torch==2.13.0 safetensors
    OMP_NUM_THREADS=1 python make.py        # writes mlp.safetensors beside this file

Everything is seeded; `torch.manual_seed(seed)` stands directly before each
network is built, so the state dicts are also the golden initial weights.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from smalldiffusion import (ConditionalMLP, PredFlow, PredV, PredX0, Scaled, TimeInputMLP)
from smalldiffusion.model import SigmaEmbedderSinCos, TimestepEmbedder, timestep_embedding

OUT = {}
B = 6


def put(name, value):
    OUT[name] = value.detach().clone().contiguous()


def put_all(prefix, named):
    for name, value in named:
        put(f"{prefix}.{name}", value)


def build(seed, cls, *args, **kwargs):
    torch.manual_seed(seed)
    return cls(*args, **kwargs).eval()


def inputs(seed, dim):
    g = torch.Generator().manual_seed(seed)
    x0 = torch.randn(B, dim, generator=g)
    eps = torch.randn(B, dim, generator=g)
    sigma = torch.exp(torch.linspace(-3, 2, B)).unsqueeze(1)
    return x0, eps, sigma


# 1 Plain networks: initial weights, outputs for one sigma and for one a sample.
TIME = {"time": (1, 2, (16, 32, 16)), "time_narrow": (2, 3, (8,))}
for name, (seed, dim, hidden) in TIME.items():
    net = build(seed, TimeInputMLP, dim=dim, hidden_dims=hidden)
    x, _, sigma = inputs(seed + 100, dim)
    put_all(f"{name}.state", net.state_dict().items())
    put(f"{name}.x", x)
    put(f"{name}.sigma", sigma.squeeze(1))
    put(f"{name}.each", net(x, sigma))
    put(f"{name}.one", net(x, torch.tensor(0.7)))

# 2 Networks with a class. Twelve numbers in an embedding are drawn one by one by
#   PyTorch's generator, sixteen and more in blocks: both are here.
COND = {"cond": (3, 2, (16, 32, 16), 4, 10), "cond_small": (4, 2, (8, 8), 4, 2)}
for name, (seed, dim, hidden, cond_dim, classes) in COND.items():
    net = build(seed, ConditionalMLP, dim=dim, hidden_dims=hidden, cond_dim=cond_dim,
                num_classes=classes, dropout_prob=0.4)
    x, _, sigma = inputs(seed + 100, dim)
    cond = torch.arange(B) % (classes + 1)  # the null class included
    put_all(f"{name}.state", net.state_dict().items())
    put(f"{name}.x", x)
    put(f"{name}.sigma", sigma.squeeze(1))
    put(f"{name}.cond", cond)
    put(f"{name}.each", net(x, sigma, cond))
    put(f"{name}.one", net(x, torch.tensor(0.7), cond))
    net.train()
    torch.manual_seed(seed + 200)  # torch.rand(B) < 0.4 drops labels
    put(f"{name}.dropped", net(x, sigma, cond))
    net.eval()
    label = torch.arange(B) % classes
    put(f"{name}.label", label)
    for scale in (0.0, 0.5, 2.0):
        put(f"{name}.cfg.{scale}", net.predict_eps_cfg(x, torch.tensor(0.7), label, scale))

# 3 Losses, their gradients, and predictions of the noise, for every kind of prediction.
VARIANTS = {"eps": TimeInputMLP, "x0": PredX0(TimeInputMLP), "v": PredV(TimeInputMLP),
            "scaled": Scaled(TimeInputMLP), "scaled_v": PredV(Scaled(TimeInputMLP)),
            "flow": PredFlow(TimeInputMLP)}
x0, eps, sigma = inputs(500, 2)
t = torch.linspace(0.02, 0.98, B).unsqueeze(1)
put("loss.x0", x0)
put("loss.noise", eps)
put("loss.sigma", sigma.squeeze(1))
put("loss.t", t.squeeze(1))
for name, cls in VARIANTS.items():
    net = build(1, cls, dim=2, hidden_dims=(16, 32, 16))
    loss = net.get_loss(x0, t if name == "flow" else sigma, eps)
    loss.backward()
    put(f"loss.{name}.loss", loss.reshape(1))
    put_all(f"loss.{name}.grad", ((n, p.grad) for n, p in net.named_parameters()))
    put(f"loss.{name}.eps", net.predict_eps(x0 + eps, torch.tensor(0.7)))

# 4 AdamW with its defaults, three steps on one batch.
net = build(1, TimeInputMLP, dim=2, hidden_dims=(16, 32, 16))
opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
for step in range(3):
    opt.zero_grad()
    net.get_loss(x0, sigma, eps).backward()
    opt.step()
    if step in (0, 2):
        put_all(f"adamw.{step + 1}", net.named_parameters())

# 5 Embeddings of the level; the weights follow from the seed.
levels = torch.tensor([0.01, 0.3, 0.99])
put("embed.levels", levels)
put("embed.timestep_16", timestep_embedding(levels * 1000, 16))
put("embed.sin_cos", build(5, SigmaEmbedderSinCos, 8)(3, levels))
put("embed.sin_cos_linear", build(5, SigmaEmbedderSinCos, 8, 1000.0, False)(3, levels))
put("embed.timestep", build(6, TimestepEmbedder, 8)(3, levels))

# 6 A wide network's initial weights, by their ends.
net = build(7, TimeInputMLP)
put("wide.first", net.net[0].weight[0])
put("wide.last", net.net[-1].bias)
put("wide.each", net(x0, sigma))

path = Path(__file__).with_name("mlp.safetensors")
save_file(OUT, path, metadata={"made_by": f"smalldiffusion 0.5, torch {torch.__version__}"})
print(f"{len(OUT)} tensors, {path.stat().st_size} bytes")
