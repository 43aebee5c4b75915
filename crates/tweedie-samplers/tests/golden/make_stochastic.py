"""Trajectories of stochastic reference samplers, with their noise written down to be replayed.

Run with k-diffusion 0.1.1.post1 and diffusers 0.42.1:  python make_stochastic.py > stochastic.json
The denoiser is that of make.py, in float64. Noise samplers are replaced by independent draws.
"""
import json
import torch
import k_diffusion.sampling as kd
from diffusers import SASolverScheduler

W = torch.tensor([0.3, 0.7], dtype=torch.float64)
M = torch.tensor([[-1.0, 0.5], [0.8, -0.2]], dtype=torch.float64)
S = torch.tensor([0.2, 0.4], dtype=torch.float64)


def denoise(x, sigma):
    var = S**2 + sigma**2
    away = x[:, None] - M
    r = torch.softmax(-0.5 * (away**2).sum(-1) / var - torch.log(var) + torch.log(W), dim=1)
    return (r[..., None] * (M + away * (S**2 / var)[:, None])).sum(1)


def start(sigma):
    torch.manual_seed(3)
    return torch.randn(3, 2, dtype=torch.float64) * sigma


def karras(name, fn, steps=6, end=True, **settings):
    sigmas = kd.get_sigmas_karras(steps, 0.05, 10.0).double()
    sigmas = sigmas if end else sigmas[:-1]
    x, drawn, states = start(sigmas[0]), [], []

    def noise_sampler(*_):
        drawn.append(torch.randn(3, 2, dtype=torch.float64))
        return drawn[-1]

    x_end = fn(lambda x, s: denoise(x, s[0]), x, sigmas, disable=True, noise_sampler=noise_sampler,
               callback=lambda d: states.append(d["x"].clone()), **settings)
    return dict(name=name, sigmas=sigmas.tolist(), settings=settings, x=x.tolist(),
                noise=[t.tolist() for t in drawn],
                trajectory=[t.tolist() for t in states[1:] + [x_end]])


def sa(steps, predictor_order, corrector_order, tau):
    """The scheduler's float32 sigmas are replaced by a float64 list; states are of the VP path."""
    ratios = torch.logspace(1, -1, steps + 1, dtype=torch.float64)
    scheduler = SASolverScheduler(predictor_order=predictor_order, corrector_order=corrector_order,
                                  prediction_type="sample", tau_func=lambda t: torch.tensor(tau, dtype=torch.float64))
    scheduler.set_timesteps(steps)
    scheduler.sigmas = ratios
    scheduler.timesteps = torch.arange(steps, 0, -1)
    alpha = (1 + ratios**2) ** -0.5
    x, drawn, states = start(ratios[0]), [], []
    import diffusers.schedulers.scheduling_sasolver as module

    def randn_tensor(*_, **__):
        drawn.append(torch.randn(3, 2, dtype=torch.float64))
        return drawn[-1]

    module.randn_tensor = randn_tensor
    z = x * alpha[0]
    for i, t in enumerate(scheduler.timesteps):
        z = scheduler.step(denoise(z / alpha[i], ratios[i]), t, z).prev_sample
        states.append(z / alpha[i + 1])
    return dict(name="sa-solver", sigmas=ratios.tolist(), x=x.tolist(),
                settings=dict(predictor_order=predictor_order, corrector_order=corrector_order, tau=tau),
                noise=[t.tolist() for t in drawn] if tau else [],
                trajectory=[t.tolist() for t in states])


print(json.dumps([
    karras("euler-ancestral", kd.sample_euler_ancestral),
    karras("euler-ancestral", kd.sample_euler_ancestral, end=False, eta=0.4, s_noise=1.1),
    karras("dpm-2-ancestral", kd.sample_dpm_2_ancestral),
    karras("dpm-2-ancestral", kd.sample_dpm_2_ancestral, end=False, eta=0.6, s_noise=0.9),
    karras("dpmpp-2s-ancestral", kd.sample_dpmpp_2s_ancestral),
    karras("dpmpp-2s-ancestral", kd.sample_dpmpp_2s_ancestral, end=False, eta=0.6, s_noise=0.9),
    karras("dpmpp-sde", kd.sample_dpmpp_sde),
    karras("dpmpp-sde", kd.sample_dpmpp_sde, end=False, eta=0.5, s_noise=1.2, r=0.4),
    karras("dpmpp-2m-sde", kd.sample_dpmpp_2m_sde),
    karras("dpmpp-2m-sde", kd.sample_dpmpp_2m_sde, end=False, eta=0.5, s_noise=1.2, solver_type="heun"),
    karras("dpmpp-3m-sde", kd.sample_dpmpp_3m_sde, steps=8),
    karras("dpmpp-3m-sde", kd.sample_dpmpp_3m_sde, steps=8, end=False, eta=0.3, s_noise=1.1),
    sa(7, 2, 2, 1.0),
    sa(7, 3, 4, 0.6),
    sa(6, 1, 1, 0.8),
    sa(7, 3, 2, 0.0),
]))
