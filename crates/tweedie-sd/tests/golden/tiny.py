"""The tiny pipelines: Stable Diffusion's classes and options at the smallest sizes that
still have every kind of layer, with random weights from a fixed seed, saved by diffusers.
"""

import gzip
import importlib.util
import json
from pathlib import Path

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler,
                       StableDiffusionInpaintPipeline, StableDiffusionPipeline,
                       StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline,
                       UNet2DConditionModel)
from safetensors.torch import load_file, save_file
from transformers import (CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection,
                          CLIPTokenizer)

MERGES = 186  # 2 · 256 bytes, this many merges and the two special tokens: 700 tokens
VOCAB = 512 + MERGES + 2

UNET = dict(
    sample_size=16, in_channels=4, out_channels=4, layers_per_block=1,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=16,
    attention_head_dim=2)
VAE = dict(
    down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    block_out_channels=(4, 8), norm_num_groups=2, layers_per_block=1, latent_channels=4,
    sample_size=32, scaling_factor=0.18215)
TEXT = dict(
    vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=4, max_position_embeddings=77, hidden_act="quick_gelu",
    projection_dim=16, bos_token_id=VOCAB - 2, eos_token_id=VOCAB - 1, pad_token_id=1)
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")

# What differs from the above, pipeline by pipeline.
SD15 = dict(unet=UNET, text_encoder=dict(TEXT, num_hidden_layers=3))
SD21 = dict(
    unet=dict(UNET, layers_per_block=2, block_out_channels=(4, 8), norm_num_groups=2,
              attention_head_dim=[1, 2], use_linear_projection=True,
              down_block_types=("CrossAttnDownBlock2D",) * 2,
              up_block_types=("CrossAttnUpBlock2D",) * 2),
    text_encoder=dict(TEXT, hidden_act="gelu"))
SDXL = dict(
    unet=dict(UNET, block_out_channels=(8, 12), attention_head_dim=[2, 3],
              use_linear_projection=True,
              down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
              up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
              transformer_layers_per_block=[1, 2], cross_attention_dim=40,
              addition_embed_type="text_time", addition_time_embed_dim=8,
              projection_class_embeddings_input_dim=6 * 8 + 20),
    text_encoder=TEXT,
    text_encoder_2=dict(TEXT, hidden_size=24, hidden_act="gelu", projection_dim=20),
    vae=dict(VAE, scaling_factor=0.13025, force_upcast=True))
REFINER = dict(
    text_encoder_2=SDXL["text_encoder_2"], vae=SDXL["vae"],
    unet=dict(SDXL["unet"], transformer_layers_per_block=2, cross_attention_dim=24,
              projection_class_embeddings_input_dim=5 * 8 + 20))
INPAINT = dict(unet=dict(UNET, in_channels=9, block_out_channels=(8, 12)), text_encoder=TEXT)


def byte_symbols():
    """CLIP's printable character for each of the 256 bytes, in its order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = 256 - len(printable)
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(others)]


def first_merges(count):
    package = importlib.util.find_spec("clip").submodule_search_locations[0]
    with gzip.open(Path(package) / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as f:
        return f.read().split("\n")[1:1 + count]  # the first line is a comment


def write_json(path, value, indent=None):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")


def write_tokenizer(folder, pad):
    """CLIP's vocabulary, cut to the first merges, as published folders have it."""
    folder.mkdir(parents=True, exist_ok=True)
    merges, bytes_ = first_merges(MERGES), byte_symbols()
    tokens = bytes_ + [b + "</w>" for b in bytes_] + [m.replace(" ", "") for m in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    assert len(tokens) == VOCAB
    write_json(folder / "vocab.json", {token: i for i, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n",
                                       encoding="utf-8")
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>",
                   unk_token="<|endoftext|>", pad_token=pad)
    write_json(folder / "special_tokens_map.json", special, indent=2)
    write_json(folder / "tokenizer_config.json",
               dict(special, add_prefix_space=False, do_lower_case=True, errors="replace",
                    model_max_length=77, tokenizer_class="CLIPTokenizer"), indent=2)


def liven(model, generator):
    """Moves weights off their initial values: no bias stays 0, no norm stays the identity,
    and embeddings are large enough that another prompt gives another picture."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "embedding" in name and name.endswith("weight") and "position" not in name:
                p.copy_(0.5 * noise) if "token" in name else p.add_(0.05 * noise)
            elif p.dim() == 1:
                p.add_(0.1 * noise)
            else:
                p.add_(0.5 * p.std() * noise)
    return model.eval()


def lean_on_input(unet):
    """Lets the first skip connection carry x and -x to the output, where
    silu(x) - silu(-x) = x: a UNet that finds x itself noisy keeps latents near 1.
    """
    width = unet.conv_out.in_channels
    eye = torch.eye(width // 2)
    with torch.no_grad():
        unet.conv_in.weight[:, :width // 2, 1, 1] += torch.cat([eye, -eye])
        shortcut = unet.up_blocks[-1].resnets[-1].conv_shortcut
        shortcut.weight[:, -width:, 0, 0] += torch.eye(width)
        unet.conv_out.weight[:, :, 1, 1] += torch.cat([eye, -eye], 1)


def tokenizer(folder, name, pad):
    write_tokenizer(folder / name, pad)
    return CLIPTokenizer.from_pretrained(folder / name)


def published_text_names(folder):
    """transformers 5 drops the prefix and the buffer that published text encoders have."""
    for path in folder.glob("text_encoder*/model.safetensors"):
        tensors = load_file(path)
        tensors = {k if k.startswith("text_") else f"text_model.{k}": v
                   for k, v in tensors.items()}
        tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
        save_file(tensors, path, metadata={"format": "pt"})


def never_clip(path):
    """Published configurations say so, whatever the class: DDIM would clip by default."""
    write_json(path, json.loads(path.read_text()) | dict(clip_sample=False), indent=2)


def build(folder, seed, sizes, pipeline, scheduler, pads=("<|endoftext|>",), **options):
    """Builds the parts, saves the pipeline by diffusers and returns it loaded again."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    xl = "XL" in pipeline.__name__
    parts = dict(unet=UNet2DConditionModel.from_config(sizes["unet"]),
                 vae=AutoencoderKL.from_config(sizes.get("vae", VAE)))
    if "text_encoder" in sizes:
        parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**sizes["text_encoder"]))
    if xl:
        parts["text_encoder_2"] = CLIPTextModelWithProjection(
            CLIPTextConfig(**sizes["text_encoder_2"]))
    for part in parts.values():
        liven(part, generator)
    if scheduler.config.prediction_type == "epsilon":
        lean_on_input(parts["unet"])
    with torch.no_grad():  # pictures of random weights are all but grey: some contrast
        parts["vae"].decoder.conv_out.weight.mul_(2)
    names = ["tokenizer", "tokenizer_2"][:2 if xl else 1]
    if xl and "text_encoder" not in sizes:  # the refiner has the second one only
        parts |= dict(text_encoder=None, tokenizer=None)
        names, pads = names[1:], pads[1:]
    for name, pad in zip(names, pads):
        parts[name] = tokenizer(folder, name, pad)
    if not xl:
        options |= dict(safety_checker=None, feature_extractor=None,
                        requires_safety_checker=False)
    pipeline(**parts, scheduler=scheduler, **options).save_pretrained(
        folder, safe_serialization=True)
    for name, pad in zip(names, pads):  # vocab.json and merges.txt, not tokenizer.json
        for file in (folder / name).iterdir():
            file.unlink()
        write_tokenizer(folder / name, pad)
    published_text_names(folder)
    never_clip(folder / "scheduler" / "scheduler_config.json")
    return pipeline.from_pretrained(folder, local_files_only=True)


def build_all(out):
    pndm = dict(BETAS, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1)
    ddim = dict(BETAS, set_alpha_to_one=False, steps_offset=1, clip_sample=False)
    xl = ("<|endoftext|>", "!")
    return dict(
        sd15=build(out / "sd15", 15, SD15, StableDiffusionPipeline, PNDMScheduler(**pndm)),
        sd21=build(out / "sd21", 21, SD21, StableDiffusionPipeline,
                   DDIMScheduler(**ddim, prediction_type="v_prediction"), pads=("!",)),
        inpaint=build(out / "inpaint", 9, INPAINT, StableDiffusionInpaintPipeline,
                      PNDMScheduler(**pndm)),
        sdxl=build(out / "sdxl", 10, SDXL, StableDiffusionXLPipeline,
                   EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
                   pads=xl, add_watermarker=False),
        refiner=build(out / "refiner", 11, REFINER, StableDiffusionXLImg2ImgPipeline,
                      EulerDiscreteScheduler(**BETAS, steps_offset=1,
                                             timestep_spacing="leading"),
                      pads=xl, requires_aesthetics_score=True, add_watermarker=False))
