"""The same weights as one file under the names of the original latent diffusion code.

The table that is written says where each tensor of the single file comes from, so that the
file can be made from the folder; here it is made, and diffusers must read it back the same.
"""

import re
import tempfile
from pathlib import Path

import diffusers
import torch
from safetensors.torch import load_file, save_file

UNET = "model.diffusion_model."
VAE = "first_stage_model."


def unet_name(name, layers):
    """`layers` residual blocks a level: each level is that many blocks and one more."""
    level = layers + 1
    rules = [
        (r"conv_in\.", lambda m: "input_blocks.0.0."),
        (r"time_embedding\.linear_(\d)\.", lambda m: f"time_embed.{2 * int(m[1]) - 2}."),
        (r"add_embedding\.linear_(\d)\.", lambda m: f"label_emb.0.{2 * int(m[1]) - 2}."),
        (r"conv_norm_out\.", lambda m: "out.0."),
        (r"conv_out\.", lambda m: "out.2."),
        (r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)\.", lambda m:
         f"input_blocks.{1 + int(m[1]) * level + int(m[3])}.{int(m[2] == 'attentions')}."),
        (r"down_blocks\.(\d)\.downsamplers\.0\.conv\.", lambda m:
         f"input_blocks.{(int(m[1]) + 1) * level}.0.op."),
        (r"mid_block\.resnets\.(\d)\.", lambda m: f"middle_block.{2 * int(m[1])}."),
        (r"mid_block\.attentions\.0\.", lambda m: "middle_block.1."),
        (r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)\.", lambda m:
         f"output_blocks.{int(m[1]) * level + int(m[3])}.{int(m[2] == 'attentions')}."),
        # after the attention, where the level has one: see single_file
        (r"up_blocks\.(\d)\.upsamplers\.0\.conv\.", lambda m:
         f"output_blocks.{int(m[1]) * level + layers}.UP.conv."),
    ]
    for pattern, new in rules:
        if m := re.match(pattern, name):
            rest = name[m.end():]
            if "attentions" not in m[0]:
                for a, b in (("norm1.", "in_layers.0."), ("conv1.", "in_layers.2."),
                             ("norm2.", "out_layers.0."), ("conv2.", "out_layers.3."),
                             ("time_emb_proj.", "emb_layers.1."),
                             ("conv_shortcut.", "skip_connection.")):
                    rest = rest.replace(a, b)
            return new(m) + rest
    raise KeyError(name)


def vae_name(name, blocks):
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)",
                  lambda m: f"up.{blocks - 1 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0",
                  lambda m: f"up.{blocks - 1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "attentions" in name:
        for a, b in (("mid_block.attentions.0", "mid.attn_1"), ("group_norm", "norm"),
                     ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            name = name.replace(a, b)
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def open_clip_name(name):
    name = name.removeprefix("text_model.")
    for a, b in (("encoder.layers.", "transformer.resblocks."), ("layer_norm1", "ln_1"),
                 ("layer_norm2", "ln_2"), ("self_attn.", "attn."), ("mlp.fc1", "mlp.c_fc"),
                 ("mlp.fc2", "mlp.c_proj"), ("final_layer_norm", "ln_final"),
                 ("embeddings.token_embedding", "token_embedding"),
                 ("embeddings.position_embedding.weight", "positional_embedding"),
                 ("text_projection.weight", "text_projection")):
        name = name.replace(a, b)
    return name


def sources(folder, part):
    """Tensors of a part as its folder has them."""
    [file] = (folder / part).glob("*.safetensors")
    return load_file(file)


def clip_entries(folder, part, prefix):
    return {prefix + name: ("keep", part, [name]) for name in sources(folder, part)}


def open_clip_entries(folder, part, prefix):
    out = {}
    for name in sources(folder, part):
        new = prefix + open_clip_name(name)
        if "position_ids" in name:
            continue
        if m := re.match(r"(.*\.attn\.)q_proj\.(weight|bias)", new):
            three = [name.replace("q_proj", p) for p in ("q_proj", "k_proj", "v_proj")]
            out[f"{m[1]}in_proj_{m[2]}"] = ("join", part, three)
        elif not re.search(r"attn\.[kv]_proj", new):
            out[new] = ("transpose" if new.endswith("text_projection") else "keep", part, [name])
    return out


def entries(pipe, folder):
    """Single-file name: how it is made, of which part, of which tensors."""
    out = {}
    config = pipe.unet.config
    names = {n: unet_name(n, config.layers_per_block) for n in sources(folder, "unet")}
    for name, new in names.items():
        block = new.split(".UP")[0]
        attends = any(other.startswith(f"{block}.1.") for other in names.values())
        out[UNET + new.replace("UP", "2" if attends else "1")] = ("keep", "unet", [name])
    blocks = len(pipe.vae.config.block_out_channels)
    for name in sources(folder, "vae"):
        flat = "attentions" in name and "group_norm" not in name and name.endswith("weight")
        out[VAE + vae_name(name, blocks)] = ("unsqueeze" if flat else "keep", "vae", [name])
    if not hasattr(pipe, "text_encoder_2"):
        act = pipe.text_encoder.config.hidden_act
        out |= (clip_entries(folder, "text_encoder", "cond_stage_model.transformer.")
                if act == "quick_gelu"
                else open_clip_entries(folder, "text_encoder", "cond_stage_model.model."))
    elif pipe.text_encoder is None:
        out |= open_clip_entries(folder, "text_encoder_2", "conditioner.embedders.0.model.")
    else:
        out |= clip_entries(folder, "text_encoder", "conditioner.embedders.0.transformer.")
        out |= open_clip_entries(folder, "text_encoder_2", "conditioner.embedders.1.model.")
    return out


MAKE = dict(
    keep=lambda t: t[0], transpose=lambda t: t[0].T.contiguous(),
    unsqueeze=lambda t: t[0][:, :, None, None].contiguous(), join=torch.cat)


def single_file(table, folder):
    parts = {part: sources(folder, part) for _, part, _ in table.values()}
    return {new: MAKE[how]([parts[part][n] for n in names]).clone()
            for new, (how, part, names) in table.items()}


def check(pipe, folder, tensors):
    """diffusers reads the single file as the same pipeline."""
    with tempfile.TemporaryDirectory() as tmp:
        path = Path(tmp) / "model.safetensors"
        save_file(tensors, path)
        for part, cls in (("unet", diffusers.UNet2DConditionModel),
                          ("vae", diffusers.AutoencoderKL)):
            read = cls.from_single_file(str(path), config=str(folder), subfolder=part)
            same(read, getattr(pipe, part))
        read = type(pipe).from_single_file(str(path), config=str(folder), local_files_only=True)
        for part in ("text_encoder", "text_encoder_2"):
            if getattr(pipe, part, None) is not None:
                same(getattr(read, part), getattr(pipe, part))


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def table(pipe, folder):
    out = entries(pipe, folder)
    check(pipe, folder, single_file(out, folder))
    # One line a tensor: how, part, its names, joined where they are three.
    return {new: f"{how} {part} {' '.join(names)}" for new, (how, part, names) in out.items()}
