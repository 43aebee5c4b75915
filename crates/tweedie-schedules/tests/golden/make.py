"""Writes the JSON files beside this one: numbers of the reference implementations.

Needs smalldiffusion 0.5, k-diffusion, diffusers, torch, numpy and scipy; made with
OMP_NUM_THREADS=1 python make.py
"""

import json
import math
from pathlib import Path

import k_diffusion.external
import k_diffusion.sampling as kd
import numpy as np
import scipy.special
import scipy.stats
import smalldiffusion as sd
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.schedulers.scheduling_utils import AysSchedules

LDM = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def numbers(values):
    return [float(v) for v in values]


def some(table, count=60):
    """Indices spread over a table, both ends among them, and their values."""
    index = sorted({round(i * (len(table) - 1) / (count - 1)) for i in range(count)})
    return {"len": len(table), "index": index, "value": numbers(table[i] for i in index)}


def schedules():
    cases = []
    for name, kind, params in [
        ("log-linear", sd.ScheduleLogLinear, [dict(N=200), dict(N=1000, sigma_min=0.005, sigma_max=80.0), dict(N=2)]),
        ("ddpm", sd.ScheduleDDPM, [dict(), dict(N=37), dict(N=200, beta_start=0.001, beta_end=0.05)]),
        ("ldm", sd.ScheduleLDM, [dict(), dict(N=50)]),
        ("sigmoid", sd.ScheduleSigmoid, [dict(), dict(N=64)]),
        ("cosine", sd.ScheduleCosine, [dict(), dict(N=100), dict(N=100, max_beta=0.5)]),
        ("flow", sd.ScheduleFlow, [dict(), dict(N=10, t_min=0.01, t_max=0.9)]),
        ("log-normal-flow", sd.ScheduleLogNormalFlow, [dict()]),
    ]:
        for p in params:
            spec = {"type": name, "n": 1000} | {k.lower(): v for k, v in p.items()}
            schedule = kind(**({"N": 1000} | p))
            n = len(schedule)
            steps = [k for k in (1, 2, 3, 7, 10, 16, 20, 33, 48, 50) if "flow" in name or 3 * k <= 2 * n]
            grids = {k: numbers(schedule.sample_sigmas(k)) for k in steps}
            cases.append({"spec": spec, "table": some(schedule.sigmas), "grids": grids})
    return cases


def trailing_indices():
    """Of smalldiffusion's trailing spacing over 0, 1, 2 …: the rounding is all there is to it."""
    return [
        {"n": n, "steps": k, "index": numbers(sd.Schedule(torch.arange(n)).sample_sigmas(k))}
        for n in (7, 25, 100, 1000)
        for k in range(1, 51)
        if 3 * k < 2 * n
    ]


def diffusers_tables():
    cases = []
    for ours, theirs in [("ddpm", "linear"), ("ldm", "scaled_linear"), ("cosine", "squaredcos_cap_v2")]:
        start, end = (0.00085, 0.012) if ours == "ldm" else (0.0001, 0.02)
        config = dict(beta_start=start, beta_end=end, beta_schedule=theirs)
        plain = DDIMScheduler(**config).alphas_cumprod.double().sqrt()
        zero = DDIMScheduler(**config, rescale_betas_zero_snr=True).alphas_cumprod.double().sqrt()
        cases.append({"type": ours, "alpha": some(plain), "zero_snr_alpha": some(zero)})
    return cases


def timesteps_of(scheduler, k):
    scheduler.set_timesteps(k)
    return numbers(scheduler.timesteps)


def diffusers_spacings():
    """Timesteps; the sigmas of Euler as well, which fall between timesteps."""
    cases = []
    for spacing in ("trailing", "leading", "linspace"):
        for convention, kind in [
            ("ddim", DDIMScheduler),
            ("euler", EulerDiscreteScheduler),
            ("dpm-solver", DPMSolverMultistepScheduler),
        ]:
            for k in (2, 3, 4, 7, 10, 20, 33, 50):
                case = {"spacing": spacing, "convention": convention, "steps": k}
                offset = 1 if spacing == "leading" else 0
                s = kind(**LDM, timestep_spacing=spacing, steps_offset=offset)
                case |= {"offset": offset, "timesteps": timesteps_of(s, k)}
                if convention == "euler":
                    case["sigmas"] = numbers(s.sigmas)
                cases.append(case)
    return cases


def diffusers_sigmas():
    cases = []
    for spec, config in [
        ({"type": "karras"}, dict(use_karras_sigmas=True)),
        ({"type": "exponential"}, dict(use_exponential_sigmas=True)),
        ({"type": "beta", "over": "sigma"}, dict(use_beta_sigmas=True)),
    ]:
        for k in (2, 5, 20):
            s = EulerDiscreteScheduler(**LDM, timestep_spacing="trailing", sigma_min=None, sigma_max=None, **config)
            s.set_timesteps(k)
            # Its range is that of the spaced sigmas; ours is given the same.
            plain = EulerDiscreteScheduler(**LDM, timestep_spacing="trailing")
            plain.set_timesteps(k)
            low, high = plain.sigmas[-2].item(), plain.sigmas[0].item()
            cases.append({"spec": spec, "steps": k, "range": [low, high], "sigmas": numbers(s.sigmas)})
    return cases


def flow_match():
    cases = []
    for shift in (1.0, 3.0):
        for k in (1, 2, 10, 28):
            s = FlowMatchEulerDiscreteScheduler(shift=shift)
            ends = [float(s.sigma_min), float(s.sigma_max)]
            s.set_timesteps(k)
            cases.append({"shift": shift, "steps": k, "ends": ends, "sigmas": numbers(s.sigmas)})
    return cases


def k_diffusion_grids():
    def case(name, steps, function, **params):
        return {"name": name, "steps": steps, "params": params, "sigmas": numbers(function(steps, **params))}

    cases = []
    for k in (1, 2, 3, 10, 50):
        cases.append(case("karras", k, kd.get_sigmas_karras, sigma_min=0.002, sigma_max=80.0, rho=7.0))
        cases.append(case("karras", k, kd.get_sigmas_karras, sigma_min=0.1, sigma_max=10.0, rho=3.0))
        cases.append(case("exponential", k, kd.get_sigmas_exponential, sigma_min=0.03, sigma_max=14.6))
        cases.append(case("poly-exponential", k, kd.get_sigmas_polyexponential, sigma_min=0.03, sigma_max=14.6, rho=1.5))
        cases.append(case("vp", k, kd.get_sigmas_vp, beta_d=19.9, beta_min=0.1, eps_s=1e-3))
    return cases


def timesteps():
    """k-diffusion's sigma_to_t and t_to_sigma, in double precision."""
    table = sd.ScheduleLDM().sigmas.double()
    schedule = k_diffusion.external.DiscreteSchedule(table, quantize=False).double()
    sigmas = torch.tensor([0.001, 0.0292, 0.05, 0.3, 1.0, 2.5, 7.77, 14.6, 14.7, 80.0], dtype=torch.float64)
    t = schedule.sigma_to_t(sigmas)
    whole = schedule.sigma_to_t(sigmas, quantize=True)
    at = torch.tensor([0.0, 0.25, 100.5, 998.75, 999.0], dtype=torch.float64)
    return {
        "sigma": numbers(sigmas), "t": numbers(t), "nearest": numbers(whole),
        "at": numbers(at), "sigma_at": numbers(schedule.t_to_sigma(at)),
    }


def distributions():
    u = np.array([1e-12, 1e-6, 0.001, 0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98, 0.999, 1 - 1e-6])
    normal = scipy.special.ndtri(u)
    v = 1 - u
    mode = lambda s: 1 - v - s * (np.cos(math.pi * v / 2) ** 2 - 1 + v)
    betas = [(0.6, 0.6), (0.5, 2.0), (5.0, 1.5), (30.0, 70.0), (0.3, 0.3)]
    return {
        "u": numbers(u),
        "log_normal": numbers(np.exp(-1.2 + 1.2 * normal)),
        "logit_normal": numbers(scipy.special.expit(0.5 + 0.8 * normal)),
        "mode": [{"scale": s, "t": numbers(mode(s))} for s in (-1.0, 0.0, 1.29)],
        "beta": [{"alpha": a, "beta": b, "x": numbers(scipy.stats.beta.ppf(u, a, b))} for a, b in betas],
    }


def ays():
    return {"sd1": AysSchedules["StableDiffusionSigmas"], "sdxl": AysSchedules["StableDiffusionXLSigmas"],
            "svd": AysSchedules["StableDiffusionVideoSigmas"]}


def write(name, *makers):
    lines = (f" {json.dumps(m.__name__)}: {json.dumps(m(), separators=(',', ':'))}" for m in makers)
    Path(__file__).with_name(name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


write("smalldiffusion.json", schedules, trailing_indices)
write("diffusers.json", diffusers_tables, diffusers_spacings, diffusers_sigmas, flow_match, ays)
write("k_diffusion.json", k_diffusion_grids, timesteps)
write("scipy.json", distributions)
