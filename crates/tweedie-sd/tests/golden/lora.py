"""LoRA files of rank 2 in the key styles that people have, and the weights merged with them."""

import contextlib
import importlib.util

import ldm
import torch
from safetensors.torch import save_file

RANK = 2
SD15 = {"unet": ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
                 "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
                 "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
                 "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.0.proj",
                 "up_blocks.1.attentions.0.proj_in", "down_blocks.1.resnets.0.conv1"],
        "text_encoder": ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"]}
SDXL = {"unet": ["conv_in", "down_blocks.0.resnets.0.conv2",
                 "down_blocks.0.downsamplers.0.conv",
                 "down_blocks.1.resnets.0.time_emb_proj", "down_blocks.1.attentions.0.proj_in",
                 "mid_block.attentions.0.transformer_blocks.1.attn1.to_v",
                 "up_blocks.0.attentions.1.transformer_blocks.0.ff.net.2",
                 "up_blocks.0.upsamplers.0.conv", "up_blocks.1.resnets.1.conv_shortcut"],
        "text_encoder": ["encoder.layers.1.self_attn.out_proj"],
        "text_encoder_2": ["encoder.layers.0.mlp.fc2"]}
KOHYA = {"unet": "lora_unet_", "text_encoder": "lora_te_", "text_encoder_2": "lora_te2_"}


def weight(pipe, part, module):
    model = getattr(pipe, part)
    model = getattr(model, "text_model", model) if part != "unet" else model
    return model.get_submodule(module).weight


def pairs(pipe, modules, seed):
    """(part, module): `down [r, in, …]` and `up [out, r, …]`."""
    g, out = torch.Generator().manual_seed(seed), {}
    for part, names in modules.items():
        for module in names:
            shape = weight(pipe, part, module).shape
            ones = [1] * (len(shape) - 2)
            out[part, module] = (0.4 * torch.randn(RANK, *shape[1:], generator=g),
                                 0.4 * torch.randn(shape[0], RANK, *ones, generator=g))
    return out


def kohya(pairs, alpha, part_names, rename=lambda name: name):
    out = {}
    for (part, module), (down, up) in pairs.items():
        name = rename(module) if part == "unet" else f"text_model.{module}"
        key = part_names[part] + name.replace(".", "_")
        out[f"{key}.lora_down.weight"], out[f"{key}.lora_up.weight"] = down, up
        out[f"{key}.alpha"] = torch.tensor(float(alpha))
    return out


def peft(pairs):
    out = {}
    for (part, module), (down, up) in pairs.items():
        name = f"{part}.{module}" if part == "unet" else f"{part}.text_model.{module}"
        out[f"{name}.lora_A.weight"], out[f"{name}.lora_B.weight"] = down, up
    return out


def attn_processors(pairs):
    """What diffusers wrote before peft: attention and the text encoder's linear layers only."""
    out = {}
    for (part, module), (down, up) in pairs.items():
        if part == "unet":
            block, layer = module.split(".to_")
            name = f"unet.{block}.processor.to_{layer.split('.')[0]}_lora"
        else:
            name = f"{part}.text_model.{module}.lora_linear_layer"
        out[f"{name}.down.weight"], out[f"{name}.up.weight"] = down, up
    return out


@contextlib.contextmanager
def merged(pipe, loras):
    """The pipeline with `scale · up down` added to its weights for a while."""
    before = {}
    for pairs, scale in loras:
        for (part, module), (down, up) in pairs.items():
            w = weight(pipe, part, module)
            before.setdefault((part, module), w.detach().clone())
            w += scale * (up.flatten(1) @ down.flatten(1)).reshape(w.shape)
    yield pipe
    for (part, module), w in before.items():
        weight(pipe, part, module).copy_(w)


def check(pipe, loras, files, run):
    """Where peft is there, diffusers' own loading must give the same; without the text
    encoders, whose LoRA diffusers 0.42 cannot load with transformers 5."""
    if not importlib.util.find_spec("peft"):
        return
    unet = [({k: v for k, v in pairs.items() if k[0] == "unet"}, scale)
            for pairs, scale in loras]
    with merged(pipe, unet) as p:
        ours = run(p)
    for name, (tensors, _) in files.items():
        tensors = {k: v for k, v in tensors.items() if "unet" in k}
        pipe.load_lora_weights(tensors, adapter_name=name)
    pipe.set_adapters(list(files), [scale for _, scale in files.values()])
    assert torch.allclose(run(pipe), ours, atol=1e-3), list(files)
    pipe.unload_lora_weights()
    assert not torch.allclose(run(pipe), ours, atol=0.1), list(files)


def make(out, pipes, run, keep):
    """`run(pipe)` gives latents; `keep(name, case, files, latents)` is called while the
    pipeline has the LoRA."""
    sd15, sdxl = pipes["sd15"], pipes["sdxl"]
    one, two, xl = pairs(sd15, SD15, 1), pairs(sd15, SD15, 2), pairs(sdxl, SDXL, 3)
    plain = {k: v for k, v in one.items() if ".to_" in k[1] or k[0] != "unet"}
    table = ldm.entries(sdxl, out / "sdxl")
    names = {names[0]: new.removeprefix(ldm.UNET)
             for new, (_, part, names) in table.items() if part == "unet"}
    original = lambda module: names[f"{module}.weight"].removesuffix(".weight")
    files = {"kohya": kohya(one, 1, KOHYA), "peft": peft(two), "processors": attn_processors(plain),
             "kohya-xl": kohya(xl, 1, dict(KOHYA, text_encoder="lora_te1_"), original)}
    for name, tensors in files.items():
        save_file(tensors, out / f"lora-{name}.safetensors")
    half = 1 / RANK  # kohya's files say alpha = 1, the others nothing, which is alpha = rank
    cases = [("sd15", "lora-kohya", {"kohya": 0.8}, [(one, 0.8 * half)]),
             ("sd15", "lora-peft", {"peft": 0.8}, [(two, 0.8)]),
             ("sd15", "lora-processors", {"processors": 0.8}, [(plain, 0.8)]),
             ("sd15", "lora-two", {"kohya": 0.8, "peft": -0.5},
              [(one, 0.8 * half), (two, -0.5)]),
             ("sdxl", "lora-kohya-xl", {"kohya-xl": 0.8}, [(xl, 0.8 * half)])]
    for pipe, case, scales, loras in cases:
        with merged(pipes[pipe], loras) as p:
            keep(pipe, case, {f"lora-{n}.safetensors": s for n, s in scales.items()}, run(p))
        check(pipes[pipe], loras, {n: (files[n], s) for n, s in scales.items()}, run)
