"""Numbers of PyTorch 2.13 (CPU) that tweedie-torch must give too. Writes torch.json beside it.

    OMP_NUM_THREADS=1 python make.py
"""
import hashlib
import json
import pathlib
import torch

torch.set_num_threads(1)


def numbers(t):
    return [float(v) for v in t.detach().double().flatten()]


def digest(t):
    """Of the bytes: long streams need not be written out."""
    return hashlib.sha256(t.contiguous().numpy().tobytes()).hexdigest()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


golden = {"torch": torch.__version__.split("+")[0]}

# Fewer than 16 normals are drawn one by one, 16 and more in blocks; 17 has a block that overlaps.
golden["normal"] = [
    {"seed": seed, "n": n, "kind": str(kind).split(".")[1],
     "values": numbers(torch.randn(n, generator=seeded(seed), dtype=kind))}
    for seed, n, kind in [
        (0, 1, torch.float32), (0, 15, torch.float32), (0, 16, torch.float32),
        (0, 17, torch.float32), (42, 40, torch.float32), (2**63, 5, torch.float32),
        (0, 15, torch.float64), (0, 17, torch.float64), (0, 17, torch.bfloat16),
    ]
]
g = seeded(7)
golden["in_a_row"] = {
    "seed": 7,
    "normal_3": numbers(torch.randn(3, generator=g)),
    "uniform_4": numbers(torch.empty(4).uniform_(-2, 3, generator=g)),
    "below_10": torch.randint(10, (6,), generator=g).tolist(),
    "permutation_9": torch.randperm(9, generator=g).tolist(),
    "normal_20": numbers(torch.randn(20, generator=g)),
}
golden["below"] = [
    {"seed": 3, "high": high, "values": torch.randint(high, (5,), generator=seeded(3)).tolist()}
    for high in [1, 2, 1000, 2**31, 2**40]
]
golden["permutation"] = {
    "seed": 5, "n": 30000,
    "sha256": digest(torch.randperm(30000, generator=seeded(5))),
}
golden["uniform"] = {
    "seed": 5, "n": 100000,
    "sha256": digest(torch.empty(100000).uniform_(generator=seeded(5))),
}

# Layers made one after the other from one seed.
torch.manual_seed(11)
layers = torch.nn.ModuleDict({
    "fc": torch.nn.Linear(3, 4),
    "emb": torch.nn.Embedding(3, 5),
    "conv": torch.nn.Conv2d(4, 6, 3, groups=2),
    "ln": torch.nn.LayerNorm(4),
    "gn": torch.nn.GroupNorm(2, 6),
})
x = torch.linspace(-1, 1, 2 * 4 * 5 * 5).view(2, 4, 5, 5)
golden["layers"] = {
    "parameters": {name: numbers(p) for name, p in layers.named_parameters()},
    "fc": numbers(layers["fc"](torch.linspace(-1, 1, 6).view(2, 3))),
    "emb": numbers(layers["emb"](torch.tensor([2, 0]))),
    "conv": numbers(layers["gn"](layers["conv"](x))),
    "ln": numbers(layers["ln"](torch.linspace(-3, 1, 8).view(2, 4).square())),
}

# AdamW, fused, for 10 steps of a quadratic with a gradient that changes its sign.
golden["adamw"] = []
for settings in [
    {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01},
    {"lr": 3e-1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.0},
]:
    params = [torch.linspace(-2, 2, 6).view(2, 3), torch.tensor([0.5, -0.25, 1e-3])]
    for p in params:
        p.requires_grad_()
    opt = torch.optim.AdamW(params, **settings, fused=True)
    for step in range(10):
        for i, p in enumerate(params):
            p.grad = (p.detach() * (i + 1) - 0.1 * step) * (-1) ** step
        opt.step()
    golden["adamw"].append({
        **settings,
        "params": [numbers(p) for p in params],
        "exp_avg": [numbers(opt.state[p]["exp_avg"]) for p in params],
        "exp_avg_sq": [numbers(opt.state[p]["exp_avg_sq"]) for p in params],
    })

grads = [torch.linspace(-3, 5, 700), torch.full((3, 4), 2.5)]
params = [torch.zeros_like(v) for v in grads]
for p, v in zip(params, grads):
    p.grad = v.clone()
norm = torch.nn.utils.clip_grad_norm_(params, 1.5)
golden["clip"] = {"norm": norm.item(), "limit": 1.5, "first": params[0].grad[0].item(),
                  "last": params[1].grad[0, 0].item()}

path = pathlib.Path(__file__).with_name("torch.json")
path.write_text(json.dumps(golden, indent=0).replace(",\n", ", ").replace("[\n", "[") + "\n")
