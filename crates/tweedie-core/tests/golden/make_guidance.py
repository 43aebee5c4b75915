"""Guidance rules of the reference implementations on random predictions, in float64.

Run with diffusers 0.42.1:  python make_guidance.py > guidance.json
"""
import json
import torch
from diffusers import DDPMScheduler
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance
from diffusers.guiders.guider_utils import rescale_noise_cfg

torch.manual_seed(0)
SHAPE = (2, 3, 4, 4)


def draw(scale=1.0):
    return torch.randn(*SHAPE, dtype=torch.float64) * scale


def apg(scale, eta, norm_threshold, momentum, calls=3):
    buffer = MomentumBuffer(momentum) if momentum else None
    pairs = [(draw(), draw()) for _ in range(calls)]
    # "Original formulation": pred_cond + (scale − 1)·update, as in the paper.
    out = [normalized_guidance(c, u, scale - 1, buffer, eta, norm_threshold, True) for c, u in pairs]
    return dict(scale=scale, eta=eta, norm_threshold=norm_threshold, momentum=momentum,
                strong=[c.flatten().tolist() for c, _ in pairs],
                weak=[u.flatten().tolist() for _, u in pairs],
                out=[o.flatten().tolist() for o in out])


def rescaled(scale, rescale):
    cond, uncond = draw(), draw(0.7)
    guided = uncond + scale * (cond - uncond)
    return dict(scale=scale, rescale=rescale, strong=cond.flatten().tolist(), weak=uncond.flatten().tolist(),
                out=rescale_noise_cfg(guided, cond, rescale).flatten().tolist())


def threshold(quantile, most, spread):
    scheduler = DDPMScheduler(thresholding=True, dynamic_thresholding_ratio=quantile, sample_max_value=most)
    x0 = draw(spread)
    return dict(quantile=quantile, max=most, x0=x0.flatten().tolist(),
                out=scheduler._threshold_sample(x0).flatten().tolist())


print(json.dumps(dict(
    apg=[apg(5.0, 0.0, 0.0, 0.0), apg(7.5, 0.3, 2.5, -0.5), apg(3.0, 1.0, 4.0, 0.4)],
    rescaled=[rescaled(7.5, 0.7), rescaled(3.0, 1.0)],
    threshold=[threshold(0.9, 2.0, 1.5), threshold(0.995, 100.0, 3.0), threshold(0.5, 1.0, 0.3)],
)))
