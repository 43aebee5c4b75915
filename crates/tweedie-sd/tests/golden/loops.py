"""Whole runs of the pipelines: from a seed to latents and the picture."""

import diffusers
import torch
from parts import NEGATIVE, PROMPT

SEED = 0
SIZE = 32


def run(pipe, inputs, steps, scheduler=None, **options):
    """Latents at the end (scaled as the UNet sees them) and the picture `[1, 3, h, w]` in
    [0, 1] of one run."""
    before = pipe.scheduler
    if scheduler:
        name, changes = scheduler
        pipe.scheduler = getattr(diffusers, name).from_config(before.config, **changes)
    settings = dict(prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=steps,
                    guidance_scale=7.5) | inputs | options
    seeded = dict(generator=torch.Generator("cpu").manual_seed(SEED))
    latents = pipe(**settings, **seeded, output_type="latent").images
    scaled = latents / pipe.vae.config.scaling_factor
    picture = (pipe.vae.decode(scaled).sample / 2 + 0.5).clamp(0, 1)
    again = dict(generator=torch.Generator("cpu").manual_seed(SEED))
    if "mask_image" not in inputs:
        whole = pipe(**settings, **again, output_type="pt").images
        assert torch.allclose(whole, picture, atol=1e-5)
    pipe.scheduler = before
    return latents, picture


WITH_PICTURE = ("ddim", "euler", "two", "wide")  # the others would say nothing new

# (name, steps, scheduler class and what is changed of the folder's configuration, options)
TXT2IMG = {
    "sd15": [
        ("ddim", 5, ("DDIMScheduler", {}), {}),
        ("ddim-eta", 5, ("DDIMScheduler", {}), dict(eta=1.0)),
        ("pndm", 5, ("PNDMScheduler", {}), {}),
        ("euler", 5, ("EulerDiscreteScheduler", {}), {}),
        ("euler-karras", 5, ("EulerDiscreteScheduler", dict(use_karras_sigmas=True)), {}),
        ("euler-ancestral", 5, ("EulerAncestralDiscreteScheduler", {}), {}),
        ("dpmpp-2m", 5, ("DPMSolverMultistepScheduler", {}), {}),
        ("dpmpp-2m-karras", 5,
         ("DPMSolverMultistepScheduler", dict(use_karras_sigmas=True)), {}),
        ("dpmpp-2m-sde", 5,
         ("DPMSolverMultistepScheduler", dict(algorithm_type="sde-dpmsolver++")), {}),
        ("heun", 4, ("HeunDiscreteScheduler", {}), {}),
        ("lms", 6, ("LMSDiscreteScheduler", {}), {}),
        ("unipc", 5, ("UniPCMultistepScheduler", {}), {}),
        ("ddpm", 5, ("DDPMScheduler", {}), {}),
        ("lcm", 4, ("LCMScheduler", {}), dict(guidance_scale=1.0)),
        ("turbo", 1, ("EulerAncestralDiscreteScheduler", dict(timestep_spacing="trailing")),
         dict(guidance_scale=0.0)),
        ("clip-skip", 3, ("DDIMScheduler", {}), dict(clip_skip=1)),
        ("two", 3, ("DDIMScheduler", {}), dict(num_images_per_prompt=2)),
        ("wide", 3, ("DDIMScheduler", {}), dict(height=32, width=48)),
        ("rescaled", 3, ("DDIMScheduler", {}), dict(guidance_rescale=0.7)),
    ],
    "sd21": [
        ("ddim", 5, None, {}),
        ("euler", 5, ("EulerDiscreteScheduler", {}), {}),
        ("dpmpp-2m", 5, ("DPMSolverMultistepScheduler", {}), {}),
        ("ddim-zero-snr", 5, ("DDIMScheduler", dict(rescale_betas_zero_snr=True,
                                                    timestep_spacing="trailing")),
         dict(guidance_rescale=0.7)),
        ("euler-zero-snr", 5, ("EulerDiscreteScheduler",
                               dict(rescale_betas_zero_snr=True, timestep_spacing="trailing")),
         {}),
    ],
    "sdxl": [
        ("euler", 5, None, {}),
        ("dpmpp-2m", 5, ("DPMSolverMultistepScheduler", {}), {}),
        ("no-negative", 3, None, dict(negative_prompt=None)),
        ("sizes", 3, None, dict(original_size=(64, 48), crops_coords_top_left=(4, 8),
                                target_size=(40, 32))),
        ("first-part", 5, None, dict(denoising_end=0.6)),
    ],
}


def txt2img(name, pipe, put):
    # diffusers' clip_skip looks for the final norm where transformers 4 had it
    if pipe.text_encoder:
        vars(pipe.text_encoder)["text_model"] = pipe.text_encoder
    for case, steps, scheduler, options in TXT2IMG.get(name, []):
        sizes = dict(height=SIZE, width=SIZE)
        sizes |= {k: options[k] for k in options if k in sizes}
        put(case, "txt2img", steps, scheduler, options, run(pipe, sizes, steps, scheduler, **options))


def three_steps(pipe):
    """Latents of a short run, for LoRA."""
    return run(pipe, dict(height=SIZE, width=SIZE), 3, ("DDIMScheduler", {}))[0]


def sibling(cls, pipe):
    return cls(**pipe.components, **({} if "XL" in cls.__name__
                                     else dict(requires_safety_checker=False)))


def img2img(name, pipe, image, put):
    if name == "sd15":
        other = sibling(diffusers.StableDiffusionImg2ImgPipeline, pipe)
        cases = [("img2img", ("DDIMScheduler", {})),
                 ("img2img-euler-ancestral", ("EulerAncestralDiscreteScheduler", {}))]
    elif name == "sdxl":
        other = sibling(diffusers.StableDiffusionXLImg2ImgPipeline, pipe)
        cases = [("img2img", None)]
    elif name == "refiner":
        other, cases = pipe, [("img2img", None)]
    else:
        return
    for case, scheduler in cases:
        options = dict(strength=0.6)
        put(case, "img2img", 5, scheduler, options,
            run(other, dict(image=image), 5, scheduler, **options))


def refine(base, refiner, put):
    """The refiner's part of the ensemble of experts: it goes on from the base's latents."""
    g = torch.Generator("cpu").manual_seed(SEED)
    latents = base(prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=5,
                   guidance_scale=7.5, height=SIZE, width=SIZE, denoising_end=0.6,
                   generator=g, output_type="latent").images
    options = dict(denoising_start=0.6)
    put("second-part", "refine", 5, None, options,
        run(refiner, dict(image=latents), 5, None, **options))


def inpaint(name, pipe, image, mask, put):
    """With nine channels, and with an ordinary UNet, whose known region is blended back."""
    if name == "inpaint":
        other, cases = pipe, [("inpaint", 1.0), ("inpaint-weak", 0.6)]
    elif name == "sd15":
        other = sibling(diffusers.StableDiffusionInpaintPipeline, pipe)
        cases = [("inpaint", 1.0), ("inpaint-weak", 0.6)]
    else:
        return
    for case, strength in cases:
        scheduler, options = ("DDIMScheduler", {}), dict(strength=strength)
        inputs = dict(image=image, mask_image=mask, height=SIZE, width=SIZE)
        put(case, "inpaint", 5, scheduler, options,
            run(other, inputs, 5, scheduler, **options))
