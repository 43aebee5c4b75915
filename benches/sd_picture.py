"""The picture that diffusers draws with a folder of weights, and how far another is from it.

    python benches/sd_picture.py DIR theirs.png [--compare ours.png]
    tweedie txt2img --model DIR --prompt "an astronaut riding a horse" --sampler ddim --steps 5 \\
        --guidance-scale 7.5 --width 256 --height 256 --noise torch --seed 0 -o ours.png

Prints one JSON object: seconds of the picture, and grey levels of the difference if there is one.
"""

import argparse
import json
import time

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir")
    parser.add_argument("output")
    parser.add_argument("--compare")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe = StableDiffusionPipeline.from_pretrained(args.dir, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    # A PNDM folder that does not speak of clip_sample gets DDIM's default, which clips latents to
    # [-1, 1]; published Stable Diffusion folders say false.
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    begun = time.perf_counter()
    image = pipe("an astronaut riding a horse", height=256, width=256, num_inference_steps=5,
                 guidance_scale=7.5, generator=torch.Generator().manual_seed(0)).images[0]
    said = {"seconds": round(time.perf_counter() - begun, 2)}
    image.save(args.output)
    if args.compare:
        ours, theirs = (np.asarray(i.convert("RGB"), int) for i in (Image.open(args.compare), image))
        off = np.abs(ours - theirs)
        said |= {"most": int(off.max()), "mean": round(float(off.mean()), 5),
                 "differ": round(float((off > 0).mean()), 5)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
