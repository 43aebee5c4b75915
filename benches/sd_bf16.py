"""diffusers' Stable Diffusion set to bf16 and channels_last by hand, at the work of `bench.py sd`.

    python benches/sd_bf16.py DIR [--threads 2]

DIR is what make_sd_random.py --full writes. Prints one JSON object a line, as bench.py does.
"""

import argparse
import json
import statistics
import time

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline


def seconds(call, n):
    call()
    values = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        values.append(time.perf_counter() - start)
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)

    plain = StableDiffusionPipeline.from_pretrained(args.dir, local_files_only=True)
    torch.manual_seed(0)
    latents, prompt = torch.randn(2, 4, 32, 32), torch.randn(2, 77, plain.unet.config.cross_attention_dim)
    step = torch.tensor(500)
    exact = plain.unet(latents, step, encoder_hidden_states=prompt).sample
    pipe = plain.to(torch.bfloat16)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    for part in (pipe.unet, pipe.vae):
        part.to(memory_format=torch.channels_last)
    latents, prompt = latents.bfloat16().to(memory_format=torch.channels_last), prompt.bfloat16()
    ids = torch.arange(77)[None]

    def say(what, call, n=3):
        values = seconds(call, n)
        print(json.dumps({"case": "sd", "peer": "diffusers bf16", "what": what, "unit": "s",
                          "median": round(statistics.median(values), 5), "n": n,
                          "threads": args.threads}), flush=True)

    rough = pipe.unet(latents, step, encoder_hidden_states=prompt).sample.float()
    print(json.dumps({"case": "sd", "peer": "diffusers bf16", "what": "unet, relative error",
                      "median": ((rough - exact).norm() / exact.norm()).item()}), flush=True)
    say("text encoder, 77 tokens, batch 1", lambda: pipe.text_encoder(ids))
    say("unet forward, latent 32x32, batch 2",
        lambda: pipe.unet(latents, step, encoder_hidden_states=prompt))
    say("vae decode, latent 32x32 to 256x256, batch 1", lambda: pipe.vae.decode(latents[:1]))
    say("pipeline 256x256, 5 DDIM steps, CFG 7.5",
        lambda: pipe("an astronaut riding a horse", height=256, width=256, num_inference_steps=5,
                     guidance_scale=7.5, output_type="np",
                     generator=torch.Generator().manual_seed(0)), 2)


if __name__ == "__main__":
    main()
