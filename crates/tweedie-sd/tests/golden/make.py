"""Tiny Stable Diffusion pipelines with random weights, saved by diffusers 0.42, and what
diffusers makes of them on the CPU: one folder and one file of golden values a pipeline.

    pip install torch==2.13.0 diffusers==0.42.* transformers==5.* accelerate scipy clip-anytorch
    OMP_NUM_THREADS=1 python make.py        # writes beside this file

`manifest.json` says what each golden run is, `ldm.json` how the single file is made of the
folder. `init.png` and `mask.png` are the pictures of img2img and inpainting. With peft installed the LoRA files are also loaded by diffusers, and
must give the same latents as the weights merged here.
"""

import os

os.environ |= dict(CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1")

import shutil
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import ldm
import lora
import loops
import parts
import tiny

OUT = Path(__file__).parent
diffusers.utils.logging.disable_progress_bar()


class Golden:
    """One file of tensors and its entry in the manifest."""

    def __init__(self, name):
        self.name, self.tensors, self.runs = name, {}, {}

    def put(self, key, tensor):
        assert torch.isfinite(tensor.float()).all(), f"{self.name}: {key}"
        self.tensors[key] = tensor.detach().clone().contiguous()

    def put_run(self, case, task, steps, scheduler, options, result):
        latents, picture = result
        self.put(f"run.{case}.latents", latents)
        if task != "txt2img" or case in loops.WITH_PICTURE:
            self.put(f"run.{case}.image", picture)
        self.runs[case] = dict(
            task=task, prompt=parts.PROMPT, negative_prompt=parts.NEGATIVE, seed=loops.SEED,
            steps=steps, guidance_scale=7.5, height=loops.SIZE, width=loops.SIZE,
            scheduler=None, scheduler_changes={}) | options
        if scheduler:
            self.runs[case] |= dict(scheduler=scheduler[0], scheduler_changes=scheduler[1])

    def save(self):
        save_file(self.tensors, OUT / f"{self.name}.safetensors")


def pictures():
    """A picture without symmetry, and a mask with greys at its edge."""
    y, x = np.mgrid[0:32, 0:32] / 31
    rgb = np.stack([x, (x * y) ** 0.5, 0.5 + 0.5 * np.sin(9 * x + 5 * y)], -1)
    image = Image.fromarray((255 * rgb).round().astype(np.uint8))
    inside = np.clip(6 * (0.35 - np.maximum(abs(x - 0.4), abs(y - 0.6))), -0.5, 0.5) + 0.5
    mask = Image.fromarray((255 * inside).round().astype(np.uint8))
    image.save(OUT / "init.png")
    mask.save(OUT / "mask.png")
    return image, mask


@torch.no_grad()
def main():
    for name in ("sd15", "sd21", "sdxl", "refiner", "inpaint"):
        shutil.rmtree(OUT / name, ignore_errors=True)
    image, mask = pictures()
    pipes = tiny.build_all(OUT)
    goldens = {}
    for name, pipe in pipes.items():
        pipe.set_progress_bar_config(disable=True)
        golden = Golden(name)
        parts.text(pipe, golden.put)
        parts.unet(pipe, golden.put)
        parts.vae(pipe, golden.put)
        loops.txt2img(name, pipe, golden.put_run)
        loops.img2img(name, pipe, image, golden.put_run)
        loops.inpaint(name, pipe, image, mask, golden.put_run)
        if name == "refiner":
            loops.refine(pipes["sdxl"], pipe, golden.put_run)
        goldens[name] = golden

    def keep(name, case, files, latents):
        golden = goldens[name]
        parts.changed(pipes[name], golden.tensors, case, golden.put)
        golden.put_run(case, "txt2img", 3, ("DDIMScheduler", {}), dict(lora=files),
                       (latents, None))

    lora.make(OUT, pipes, loops.three_steps, keep)
    for golden in goldens.values():
        golden.save()
    tiny.write_json(OUT / "manifest.json", {n: g.runs for n, g in goldens.items()}, indent=1)
    single = {n: ldm.table(pipes[n], OUT / n) for n in ("sd15", "sd21", "sdxl")}
    tiny.write_json(OUT / "ldm.json", single, indent=0)
    for name in ("refiner", "inpaint"):  # nothing new in their names, but they must work
        ldm.table(pipes[name], OUT / name)


if __name__ == "__main__":
    main()
