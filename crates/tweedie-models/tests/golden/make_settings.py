"""Golden values of networks that smalldiffusion has not: the 1-D transformer, DiT's newer settings,
and a DiT under the names of facebookresearch/DiT. Written out in torch.nn.functional, one function
a part, from the same state dicts.

    pip install torch==2.13.0 safetensors
    OMP_NUM_THREADS=1 python make_settings.py   # writes settings.safetensors beside this file

Weights and inputs follow from a formula (`formula.py`). The settings are in the file's metadata.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from formula import fill, order, three, wave
from safetensors.torch import save_file

OUT, SPECS, B = {}, {}, 3
SIGMA = torch.tensor([0.05, 0.6, 0.98])


def put(name, value):
    OUT[name] = value.detach().clone().contiguous()


class Weights(dict):
    """Makes a parameter when it is first asked for: the second pass finds them filled."""

    def get(self, name, *shape):
        if name not in self:
            self[name] = torch.zeros(shape, requires_grad=True)
        return self[name]

    def linear(self, name, x, out):
        return F.linear(x, self.get(f"{name}.weight", out, x.shape[-1]), self.get(f"{name}.bias", out))


def bank(t, n=256):
    f = torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(n // 2) / (n // 2))
    return torch.cat([torch.cos(t[:, None] * f), torch.sin(t[:, None] * f)], 1)


def level(w, s, width):
    kind = s["noise_embedding"]
    if kind["type"] == "sin-cos":
        e = torch.stack([torch.sin(SIGMA.log() / 2), torch.cos(SIGMA.log() / 2)], 1)
    else:
        e = bank(SIGMA * kind["scale"])
    return w.linear("sig_embed.mlp.2", F.silu(w.linear("sig_embed.mlp.0", e, width)), width)


def condition(w, s, width, cond):
    y = level(w, s, width)
    if cond is not None:
        e = w.get("cond_embed.embeddings.weight", s["num_classes"] + 1, width)[cond]
        y = y + (e if s["class_embedding"] == "table" else w.linear("cond_embed.mlp.1", F.silu(e), width))
    return F.silu(y)


def norm(w, name, x, y):
    scale, shift = w.linear(f"{name}.modulation.proj.1", y, 2 * x.shape[-1])[:, None].chunk(2, -1)
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


def turn(x, angles):
    """x is [b, heads, tokens, d], angles [tokens, 2, d/4]: quarters 0, 1 and 2, 3 are complex numbers"""
    halves = x.reshape(*x.shape[:-1], 2, 2, -1)
    z = torch.complex(halves[..., 0, :], halves[..., 1, :]) * torch.exp(1j * angles)
    return torch.stack([z.real, z.imag], -2).reshape(x.shape)


def attend(w, name, s, q, k, v, angles=None, causal=False):
    """[b, tokens, heads, d] each"""
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    if s["qk_norm"]:
        rms = lambda t, g: t / (t.square().mean(-1, keepdim=True) + 1e-6).sqrt() * g
        q = rms(q, w.get(f"{name}.q_norm.weight", s["head_dim"]))
        k = rms(k, w.get(f"{name}.k_norm.weight", s["head_dim"]))
    if angles is not None:
        q, k = turn(q, angles), turn(k, angles)
    logits = q @ k.transpose(-1, -2) / s["head_dim"] ** 0.5
    if causal:
        logits = logits.masked_fill(torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    out = (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return w.linear(f"{name}.proj", out, out.shape[-1])


def block(w, name, s, x, y, angles, context):
    width, heads = x.shape[-1], (s["num_heads"], s["head_dim"])
    h = norm(w, f"{name}.norm1", x, y)
    q, k, v = w.linear(f"{name}.attn.qkv", h, 3 * width).unflatten(-1, (3, *heads)).unbind(2)
    gate1, gate2 = w.linear(f"{name}.scale_modulation.proj.1", y, 2 * width)[:, None].chunk(2, -1)
    x = x + gate1 * attend(w, f"{name}.attn", s, q, k, v, angles, s.get("causal", False))
    if context is not None:
        g, b = (w.get(f"{name}.cross_norm.{n}", width) for n in ("weight", "bias"))
        h = F.layer_norm(x, (width,), g, b, eps=1e-6)
        q = w.linear(f"{name}.cross_attn.q", h, width).unflatten(-1, heads)
        k, v = w.linear(f"{name}.cross_attn.kv", context, 2 * width).unflatten(-1, (2, *heads)).unbind(2)
        x = x + attend(w, f"{name}.cross_attn", s, q, k, v)
    h = norm(w, f"{name}.norm2", x, y)
    hidden = int(width * s["mlp_ratio"])
    if s["mlp"] == "gelu":
        h = F.gelu(w.linear(f"{name}.mlp.0", h, hidden), approximate="tanh")
    else:
        a, b = w.linear(f"{name}.mlp.0", h, 2 * int(width * s["mlp_ratio"] * 2 / 3)).chunk(2, -1)
        h = F.silu(a) * b
    return x + gate2 * w.linear(f"{name}.mlp.2", h, width)


def trunk(w, s, h, y, angles, context, outputs):
    for i in range(s["depth"]):
        h = block(w, f"blocks.{i}", s, h, y, angles, context)
    return w.linear("final_linear", norm(w, "final_norm", h, y), outputs)


def sin_cos(places, half):
    a = places[:, None].double() / 10000 ** (torch.arange(half).double() / half)
    return torch.cat([a.sin(), a.cos()], 1)


def frequencies(first, last, n):
    return 10000 ** (-torch.arange(first, last).double() / n)


def transformer_1d(w, s, x, cond, context):
    width, n, d = s["num_heads"] * s["head_dim"], s["length"], s["head_dim"] // 4
    y = condition(w, s, width, cond)
    if "dim" in s["tokens"]:
        h, outputs = w.linear("x_embed", x, width), s["tokens"]["dim"]
    else:
        outputs = s["tokens"]["vocab_size"]
        h = F.embedding(x, w.get("x_embed.weight", outputs, width))
    angles, places = None, torch.arange(n)
    if s["positions"] == "sin-cos":
        h = h + sin_cos(places, width // 2).float()
    elif s["positions"] == "learned":
        h = h + w.get("pos_embed", 1, n, width)
    elif s["positions"] == "rope":
        f = torch.stack([frequencies(0, d, 2 * d), frequencies(d, 2 * d, 2 * d)])
        angles = (places[:, None, None] * f).float()
    return trunk(w, s, h, y, angles, None, outputs)


def dit(w, s, x, cond, context):
    width, p, d = s["num_heads"] * s["head_dim"], s["patch_size"], s["head_dim"] // 4
    grid, channels = s["image_size"] // p, s["channels"]
    y = condition(w, s, width, cond)
    weight = w.get("x_embed.proj.weight", width, channels, p, p)
    h = F.conv2d(x, weight, w.get("x_embed.proj.bias", width), stride=p).flatten(2).transpose(1, 2)
    angles, row = None, torch.arange(grid).repeat_interleave(grid)
    column = torch.arange(grid).repeat(grid)
    if s["positions"] == "learned":
        h = h + w.get("pos_embed", 1, grid * grid, width)
    elif s["positions"] == "rope":
        angles = (torch.stack([row, column], 1)[..., None] * frequencies(0, d, d)).float()
    else:
        h = h + torch.cat([sin_cos(column, width // 4), sin_cos(row, width // 4)], 1).float()
    joint = s["context"]["attention"] == "joint"
    if joint:
        tokens = w.linear("context_embed", context, width)
        h = torch.cat([tokens, h], 1)
        if angles is not None:
            angles = torch.cat([torch.zeros(tokens.shape[1], 2, d), angles])
    out = trunk(w, s, h, y, angles, None if joint else context, p * p * channels)[:, -grid * grid:]
    out = out.reshape(-1, grid, grid, p, p, channels).permute(0, 5, 1, 3, 2, 4)
    return out.reshape(x.shape)


BASE = dict(depth=2, head_dim=8, num_heads=2, mlp_ratio=4.0, mlp="gelu", positions="sin-cos", qk_norm=False,
            adaln_zero=False, noise_embedding={"type": "sin-cos"}, num_classes=0, class_embedding="table",
            dropout_prob=0.0)
IMAGE = dict(BASE, type="dit", image_size=6, channels=2, patch_size=2, learn_sigma=False)
SEQUENCE = dict(BASE, type="transformer-1d", causal=False)
CASES = {
    "words_causal": (transformer_1d, dict(SEQUENCE, length=6, tokens={"vocab_size": 11}, positions="rope", causal=True,
                                          mlp="swi-glu", qk_norm=True, num_classes=3)),
    "vectors": (transformer_1d, dict(SEQUENCE, length=5, tokens={"dim": 3}, head_dim=4, depth=1, mlp_ratio=2.5,
                                     noise_embedding={"type": "timestep", "scale": 1000.0})),
    "vectors_learned": (transformer_1d, dict(SEQUENCE, length=4, tokens={"dim": 2}, depth=1, positions="learned",
                                             num_classes=3, class_embedding="mlp")),
    "set": (transformer_1d, dict(SEQUENCE, length=4, tokens={"dim": 2}, depth=1, positions="none")),
    "dit_cross": (dit, dict(IMAGE, positions="learned", mlp="swi-glu", qk_norm=True, num_classes=3, depth=1,
                            context={"dim": 5, "attention": "cross"})),
    "dit_joint": (dit, dict(IMAGE, positions="rope", depth=1, context={"dim": 5, "attention": "joint"})),
}

for name, (network, s) in CASES.items():
    SPECS[name] = s
    if s["type"] == "dit":
        x = wave((B, s["channels"], s["image_size"], s["image_size"]), 0.9, 0.1).float()
    elif "dim" in s["tokens"]:
        x = wave((B, s["length"], s["tokens"]["dim"]), 0.9, 0.1).float()
    else:
        x = (torch.arange(B * s["length"]) * 7 % s["tokens"]["vocab_size"]).reshape(B, -1)
    context = wave((B, 4, s["context"]["dim"]), 0.3, 0.7).float() if "context" in s else None
    cond = torch.tensor([0, 2, 3]) if s["num_classes"] else None
    w = Weights()
    network(w, s, x, cond, context)
    put(f"{name}.order", order(list(w)))
    fill(w.items())
    out = network(w, s, x, cond, context)
    loss = (out - wave(out.shape, 1.7, 0.4).float()).square().mean()
    loss.backward()
    put(f"{name}.output", out)
    put(f"{name}.loss", loss.reshape(1))
    for key, p in w.items():
        put(f"{name}.grad.{key}", three(p.grad))


def facebook(w, s, x, cond):
    """DiT as its paper has it, under the names of its own code."""
    width, p = s["num_heads"] * s["head_dim"], s["patch_size"]
    grid, outputs = s["image_size"] // p, 2 * s["channels"]
    row, column = torch.arange(grid).repeat_interleave(grid), torch.arange(grid).repeat(grid)
    place = torch.cat([sin_cos(column, width // 4), sin_cos(row, width // 4)], 1).float()
    weight = w.get("x_embedder.proj.weight", width, s["channels"], p, p)
    h = F.conv2d(x, weight, w.get("x_embedder.proj.bias", width), stride=p).flatten(2).transpose(1, 2) + place
    y = w.linear("t_embedder.mlp.2", F.silu(w.linear("t_embedder.mlp.0", bank(SIGMA * 1000), width)), width)
    y = F.silu(y + w.get("y_embedder.embedding_table.weight", s["num_classes"] + 1, width)[cond])
    modulate = lambda h, shift, scale: F.layer_norm(h, (width,), eps=1e-6) * (1 + scale) + shift
    for i in range(s["depth"]):
        b = f"blocks.{i}"
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            w.linear(f"{b}.adaLN_modulation.1", y, 6 * width)[:, None].chunk(6, -1))
        qkv = w.linear(f"{b}.attn.qkv", modulate(h, shift1, scale1), 3 * width)
        q, k, v = qkv.unflatten(-1, (3, s["num_heads"], s["head_dim"])).unbind(2)
        h = h + gate1 * attend(w, f"{b}.attn", s, q, k, v)
        hidden = w.linear(f"{b}.mlp.fc1", modulate(h, shift2, scale2), 4 * width)
        h = h + gate2 * w.linear(f"{b}.mlp.fc2", F.gelu(hidden, approximate="tanh"), width)
    shift, scale = w.linear("final_layer.adaLN_modulation.1", y, 2 * width)[:, None].chunk(2, -1)
    out = w.linear("final_layer.linear", modulate(h, shift, scale), p * p * outputs)
    out = out.reshape(-1, grid, grid, p, p, outputs).permute(0, 5, 1, 3, 2, 4)
    return out.reshape(-1, outputs, s["image_size"], s["image_size"]), place


s = dict(IMAGE, noise_embedding={"type": "timestep", "scale": 1.0}, num_classes=3, learn_sigma=True, depth=1)
SPECS["facebook"] = s
w, x, cond = Weights(), wave((B, 2, 6, 6), 0.9, 0.1).float(), torch.tensor([0, 2, 3])
facebook(w, s, x, cond)
fill(w.items())
out, place = facebook(w, s, x, cond)
put("facebook.output", out[:, : s["channels"]])
put("facebook.order", order(list(w)))
for key, p in w.items():
    put(f"facebook.shape.{key}", torch.tensor(p.shape))
put("facebook.shape.pos_embed", torch.tensor((1, *place.shape)))

path = Path(__file__).with_name("settings.safetensors")
save_file(OUT, path, metadata={"made_by": f"torch {torch.__version__}", "specs": json.dumps(SPECS)})
print(f"{len(OUT)} tensors, {path.stat().st_size} bytes")
