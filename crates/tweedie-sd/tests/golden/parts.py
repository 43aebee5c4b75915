"""What each part of a pipeline gives for a stored input: token ids, text states, the UNet's
output, the VAE both ways."""

import torch

PROMPT = "A photo of a (red) CAT on 2 sofas, highly detailed!"
NEGATIVE = "blurry, low quality"
PAIRS = [("", "tokenizer", "text_encoder"), ("_2", "tokenizer_2", "text_encoder_2")]


def token_ids(tokenizer, text):
    return tokenizer(text, padding="max_length", max_length=77, truncation=True,
                     return_tensors="pt").input_ids


def text(pipe, put):
    """`last` is after the final norm, `penultimate` before it; `pooled` is the final-norm
    state at the first end token, projected where the encoder has a projection."""
    for suffix, tokenizer, encoder in PAIRS:
        tokenizer, encoder = getattr(pipe, tokenizer, None), getattr(pipe, encoder, None)
        if encoder is None:
            continue
        for which, words in (("prompt", PROMPT), ("negative", NEGATIVE)):
            ids = token_ids(tokenizer, words)
            out = encoder(ids, output_hidden_states=True)
            pooled = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
            name = f"text{suffix}.{which}"
            put(f"{name}.ids", ids)
            put(f"{name}.last", out.last_hidden_state)
            put(f"{name}.penultimate", out.hidden_states[-2])
            put(f"{name}.pooled", pooled)


def unet(pipe, put):
    """Two samples of 16 × 12, so that a swap of height and width shows."""
    g = torch.Generator().manual_seed(1)
    config = pipe.unet.config
    sample = torch.randn(2, config.in_channels, 16, 12, generator=g)
    timestep = torch.tensor([981.0, 401.0])
    context = torch.randn(2, 77, config.cross_attention_dim, generator=g)
    added = None
    if config.addition_embed_type:
        width = pipe.text_encoder_2.config.projection_dim
        numbers = (config.projection_class_embeddings_input_dim - width) \
            // config.addition_time_embed_dim
        time_ids = torch.tensor([[32.0, 24, 0, 4, 32, 32], [64, 64, 8, 0, 32, 24]])[:, :numbers]
        added = dict(text_embeds=torch.randn(2, width, generator=g), time_ids=time_ids)
        for name, value in added.items():
            put(f"unet.{name}", value)
    put("unet.sample", sample)
    put("unet.timestep", timestep)
    put("unet.context", context)
    put("unet.output", pipe.unet(sample, timestep, context, added_cond_kwargs=added).sample)


def changed(pipe, tensors, case, put):
    """The parts again, with other weights: `tensors` has their inputs."""
    inputs = [tensors[f"unet.{name}"] for name in ("sample", "timestep", "context")]
    added = {name: tensors[f"unet.{name}"] for name in ("text_embeds", "time_ids")
             if f"unet.{name}" in tensors}
    put(f"{case}.unet.output", pipe.unet(*inputs, added_cond_kwargs=added or None).sample)
    for suffix, _, encoder in PAIRS:
        if encoder := getattr(pipe, encoder, None):
            ids = tensors[f"text{suffix}.prompt.ids"]
            put(f"{case}.text{suffix}.prompt.last", encoder(ids).last_hidden_state)


def vae(pipe, put):
    g = torch.Generator().manual_seed(2)
    image = torch.rand(2, 3, 32, 24, generator=g) * 2 - 1
    posterior = pipe.vae.encode(image).latent_dist
    latents = torch.randn(2, 4, 16, 12, generator=g)
    put("vae.image", image)
    put("vae.mean", posterior.mean)
    put("vae.logvar", posterior.logvar)
    put("vae.latents", latents)
    put("vae.decoded", pipe.vae.decode(latents).sample)
