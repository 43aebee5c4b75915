"""Golden values of smalldiffusion 0.5's image networks, made by running them.

    pip install smalldiffusion==0.5.* torch==2.13.0 safetensors
    OMP_NUM_THREADS=1 python make_images.py   # writes images.safetensors beside this file

The weights are not stored. Those of a fresh network follow from the seed; for outputs and
gradients every parameter is filled by a formula that both sides know (`fill`). Of every parameter
and gradient three numbers are kept: its sum, its norm, and its product with the formula's values.
"""

from pathlib import Path

import torch
from formula import fill, order, three, wave
from safetensors.torch import save_file
from smalldiffusion import DiT, PredFlow, PredV, Scaled, Unet
from smalldiffusion.model import CondEmbedderLabel, TimestepEmbedder

OUT = {}
B = 3


def put(name, value):
    OUT[name] = value.detach().clone().contiguous()


def learned(net):
    return [(n, p) for n, p in net.named_parameters() if p.requires_grad]


def unet(**kw):
    return lambda: Unet(8, 2, 2, ch=32, **kw)


def classed(make, width, n=3):
    return lambda: make(cond_embed=CondEmbedderLabel(width, n, 0.0))


CASES = {
    "unet": (unet(ch_mult=(1, 2), attn_resolutions=(4,), num_res_blocks=1, dropout=0.0), None),
    "unet_classes": (classed(lambda **k: Unet(8, 2, 2, ch=32, ch_mult=(1, 1, 2), num_res_blocks=2, embed_ch_mult=2,
                                              attn_resolutions=(8, 2), dropout=0.0, **k), 64), 3),
    "unet_scaled": (lambda: Scaled(Unet)(4, 1, 1, ch=32, ch_mult=(1,), attn_resolutions=(), dropout=0.0,
                                         num_res_blocks=1), None),
    "dit": (lambda: DiT(in_dim=8, channels=2, patch_size=2, depth=2, head_dim=8, num_heads=3), None),
    "dit_classes": (classed(lambda **k: DiT(in_dim=6, channels=1, patch_size=3, depth=1, head_dim=4, num_heads=2,
                                            mlp_ratio=2.5, **k), 8), 3),
    "dit_flow": (lambda: PredFlow(DiT)(in_dim=4, channels=3, patch_size=1, depth=2, head_dim=8, num_heads=2,
                                       sig_embed=TimestepEmbedder(16)), None),
    "unet_flow_classes": (lambda: PredFlow(Unet)(8, 1, 1, ch=32, ch_mult=(1, 2), attn_resolutions=(4,), dropout=0.0,
                                                 num_res_blocks=1, embed_ch_mult=1, sig_embed=TimestepEmbedder(32),
                                                 cond_embed=CondEmbedderLabel(32, 3, 0.0)), 3),
    "dit_flow_classes": (lambda: PredFlow(DiT)(in_dim=4, channels=2, patch_size=2, depth=2, head_dim=4, num_heads=4,
                                               sig_embed=TimestepEmbedder(16),
                                               cond_embed=CondEmbedderLabel(16, 3, 0.0)), 3),
}

for seed, (name, (make, classes)) in enumerate(CASES.items()):
    torch.manual_seed(seed)
    net = make()
    for key, p in learned(net):
        put(f"{name}.start.{key}", three(p))
    names = [n for n, _ in learned(net)]
    put(f"{name}.order", order(names))
    fill(learned(net))
    net.train()  # nothing drops: all probabilities are 0
    shape = (B,) + net.input_dims
    x0, eps = wave(shape, 0.9, 0.1).float(), wave(shape, 1.7, 0.4).float()
    sigma = torch.tensor([0.05, 0.6, 0.98]).reshape(B, 1, 1, 1)
    cond = torch.tensor([0, 2, classes]) if classes else None
    put(f"{name}.output", net(x0 + sigma * eps, sigma, cond=cond))
    loss = net.get_loss(x0, sigma, eps, cond=cond)
    loss.backward()
    put(f"{name}.loss", loss.reshape(1))
    for key, p in learned(net):
        put(f"{name}.grad.{key}", three(p.grad))

path = Path(__file__).with_name("images.safetensors")
save_file(OUT, path, metadata={"made_by": f"smalldiffusion 0.5, torch {torch.__version__}"})
print(f"{len(OUT)} tensors, {path.stat().st_size} bytes")
