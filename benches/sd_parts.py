"""What the parts of a Stable Diffusion folder answer in diffusers, for a test of tweedie-sd at true size.

    python benches/sd_parts.py DIR GOLDEN.safetensors
    TWEEDIE_SD_DIR=DIR TWEEDIE_SD_GOLDEN=GOLDEN.safetensors \\
        cargo test --release -p tweedie-sd --test it -- --ignored true_size --nocapture
"""

import argparse

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir")
    parser.add_argument("output")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline.from_pretrained(args.dir, local_files_only=True)
    prompt = "an astronaut riding a horse"
    ids = pipe.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    last = pipe.text_encoder(ids).last_hidden_state
    sample, timestep = torch.randn(2, 4, 32, 32), torch.tensor(500.0)
    context = torch.cat([last, torch.randn_like(last)])
    output = pipe.unet(sample, timestep, encoder_hidden_states=context).sample
    latents = torch.randn(1, 4, 32, 32)
    save_file({
        "text.ids": ids.int(), "text.last": last.contiguous(),
        "unet.sample": sample, "unet.timestep": timestep[None].expand(2).contiguous(),
        "unet.context": context, "unet.output": output.contiguous(),
        "vae.latents": latents, "vae.decoded": pipe.vae.decode(latents).sample.contiguous(),
    }, args.output)


if __name__ == "__main__":
    main()
