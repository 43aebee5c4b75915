"""Trajectories of k-diffusion's and diffusers' deterministic samplers on a known denoiser.

Run with k-diffusion 0.1.1.post1 and diffusers 0.39:  python make_multistep.py > multistep.json
The denoiser is that of a mixture of two Gaussians in the plane (make.py's). Everything is computed
in float64; where diffusers casts to float32 by name, that name is float64 here. A case holds the
sampler as a `SamplerSpec`, the levels as pairs (alpha, sigma), the start, and the state after each
step, all in the reference's own scale.
"""
import json
import math

import numpy as np
import torch

torch.float32 = torch.float64  # diffusers asks for it by name inside its steps

import diffusers
import k_diffusion.sampling as kd
from make import denoise


def case(spec, source, levels, x, trajectory):
    number = lambda rows: [[[float(v) for v in row] for row in t] for t in rows]
    return dict(spec=spec, source=source, levels=[[float(a), float(s)] for a, s in levels],
                x=number([x])[0], trajectory=number(trajectory))


def start(scale):
    torch.manual_seed(3)
    return torch.randn(3, 2, dtype=torch.float64) * scale


# k-diffusion, variance exploding

def k_grid(kind, zero):
    make = {"karras": kd.get_sigmas_karras, "exponential": kd.get_sigmas_exponential}[kind]
    sigmas = make(7, 0.05, 10.0).double()
    return sigmas if zero else sigmas[:-1]


def k_case(spec, fn, kind, zero, **settings):
    sigmas = k_grid(kind, zero)
    x, trajectory = start(sigmas[0]), []
    end = fn(lambda x, s: denoise(x, s[0]), x, sigmas, disable=True,
             callback=lambda d: trajectory.append(d["x"].clone()), **settings)
    return case(spec, f"k-diffusion {fn.__name__} {kind}", [(1, s) for s in sigmas], x,
                trajectory[1:] + [end])


def k_single(order):
    """One step of the given order from each level to the next."""
    sigmas = k_grid("exponential", False)
    solver = kd.DPMSolver(lambda x, s: denoise(x, s[0]), {})
    step = getattr(solver, f"dpm_solver_{order}_step")
    x, trajectory = start(sigmas[0]), []
    state = x
    for s, s_next in zip(sigmas, sigmas[1:]):
        state, _ = step(state, solver.t(s), solver.t(s_next))
        trajectory.append(state)
    spec = {"name": "dpm-solver", "order": order}
    return case(spec, "k-diffusion DPMSolver", [(1, s) for s in sigmas], x, trajectory)


# diffusers, variance preserving

TABLE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012,
             beta_schedule="scaled_linear", prediction_type="epsilon")


def vp(sigma):
    alpha = 1 / (1 + sigma**2) ** 0.5
    return alpha, sigma * alpha


def eps(x, alpha, sigma):
    return (x - alpha * denoise(x / alpha, sigma / alpha)) / sigma


def d_case(spec, cls, steps, **config):
    scheduler = cls(**TABLE, **config)
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    scheduler.sigmas = scheduler.sigmas.double()
    levels = [vp(s) for s in scheduler.sigmas]
    x, trajectory = start(1), []
    state = x
    for t, (alpha, sigma) in zip(scheduler.timesteps, levels):
        state = scheduler.step(eps(state, alpha, sigma), t, state).prev_sample
        trajectory.append(state)
    return case(spec, f"diffusers {cls.__name__} {config}", levels, x, trajectory)


def plms(spacing, steps):
    scheduler = diffusers.PNDMScheduler(**TABLE, skip_prk_steps=True, set_alpha_to_one=True,
                                        timestep_spacing=spacing)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.set_timesteps(steps)
    level = lambda t: (scheduler.alphas_cumprod[t] ** 0.5, (1 - scheduler.alphas_cumprod[t]) ** 0.5)
    x, states = start(1), []
    state = x
    for t in scheduler.timesteps:
        state = scheduler.step(eps(state, *level(t)), t, state).prev_sample
        states.append(state)
    # The second call is at the first step's end and takes that step again.
    times = [t for i, t in enumerate(scheduler.timesteps) if i != 1]
    return case({"name": "plms"}, f"diffusers PNDMScheduler {spacing}",
                [level(t) for t in times] + [(1, 0)], x, states[1:])


def ipndm(steps):
    scheduler = diffusers.IPNDMScheduler()
    scheduler.set_timesteps(steps)
    # Its own first level is pure noise, where it forgets the data estimate: begin with less.
    scheduler.betas = torch.sin(torch.linspace(0.95, 0, steps + 1, dtype=torch.float64) * math.pi / 2) ** 2
    scheduler.alphas = (1 - scheduler.betas**2) ** 0.5
    scheduler.set_begin_index(0)
    levels = list(zip(scheduler.alphas, scheduler.betas))
    x, trajectory = start(1), []
    state = x
    for t, (alpha, beta) in zip(scheduler.timesteps, levels):
        # What the scheduler makes the noise estimate of.
        output = (eps(state, alpha, beta) - beta * state) / alpha
        state = scheduler.step(output, t, state).prev_sample
        trajectory.append(state)
    return case({"name": "ipndm"}, "diffusers IPNDMScheduler", levels, x, trajectory)


DPM, UNI, DEIS = (diffusers.DPMSolverMultistepScheduler, diffusers.UniPCMultistepScheduler,
                  diffusers.DEISMultistepScheduler)
ends = dict(zero=dict(final_sigmas_type="zero"), least=dict(final_sigmas_type="sigma_min"))


def main():
    cases = []
    for kind, zero in [("karras", True), ("exponential", False)]:
        cases += [
            k_case({"name": "dpm-2"}, kd.sample_dpm_2, kind, zero),
            k_case({"name": "lms"}, kd.sample_lms, kind, zero),
            k_case({"name": "dpmpp-2s"}, kd.sample_dpmpp_2s_ancestral, kind, zero, eta=0.0),
            k_case({"name": "dpmpp-2m"}, kd.sample_dpmpp_2m, kind, zero),
        ]
    cases += [k_single(order) for order in (1, 2, 3)]

    two, three = {"name": "dpmpp-2m"}, {"name": "dpmpp-3m", "half_difference": True}
    for spacing in ("leading", "trailing", "linspace"):
        cases += [
            d_case(two, DPM, 8, timestep_spacing=spacing, lower_order_final=False, **ends["least"]),
            d_case({**two, "form": "exact", "lower_order_final": True}, DPM, 8, solver_type="heun",
                   timestep_spacing=spacing, **ends["least"]),
            d_case({**three, "lower_order_final": True}, DPM, 8, solver_order=3,
                   timestep_spacing=spacing, **ends["zero"]),
        ]
    cases += [
        # Eight steps divide the table: PNDM takes the next point by arithmetic, not from its list.
        plms("leading", 8),
        plms("trailing", 8),
        d_case(two, DPM, 8, use_karras_sigmas=True, **ends["zero"]),
        d_case(three, DPM, 9, solver_order=3, lower_order_final=False, **ends["least"]),
        d_case({**three, "lower_order_final": True}, DPM, 16, solver_order=3, **ends["least"]),
        ipndm(8),
    ]
    for order in (1, 2, 3):
        for b in ("b1", "b2"):
            spec = {"name": "unipc", "order": order, "b": b}
            cases.append(d_case(spec, UNI, 8, solver_order=order, solver_type="bh" + b[1],
                                lower_order_final=False, **ends["least"]))
        cases.append(d_case({**spec, "lower_order_final": True}, UNI, 8, solver_order=order,
                            timestep_spacing="trailing", use_karras_sigmas=order == 2, **ends["zero"]))
        spec = {"name": "deis", "order": order, "coordinate": "log_rho"}
        cases.append(d_case(spec, DEIS, 8, solver_order=order, lower_order_final=False))
        cases.append(d_case({**spec, "lower_order_final": True}, DEIS, 8, solver_order=order,
                            timestep_spacing="trailing"))
    print(json.dumps(cases))


main()
