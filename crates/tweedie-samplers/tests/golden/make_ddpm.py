"""Trajectories of diffusers' DDPM with each of its variances, and of its consistency sampler.

Run with diffusers 0.42.1:  python make_ddpm.py > ddpm.json
The denoiser is that of make.py, in float64; the schedulers' float32 tables are replaced by float64.
"""
import json
import diffusers.schedulers.scheduling_consistency_models as consistency
import diffusers.schedulers.scheduling_ddpm as ddpm
import torch

W = torch.tensor([0.3, 0.7], dtype=torch.float64)
M = torch.tensor([[-1.0, 0.5], [0.8, -0.2]], dtype=torch.float64)
S = torch.tensor([0.2, 0.4], dtype=torch.float64)


def denoise(x, sigma):
    var = S**2 + sigma**2
    away = x[:, None] - M
    r = torch.softmax(-0.5 * (away**2).sum(-1) / var - torch.log(var) + torch.log(W), dim=1)
    return (r[..., None] * (M + away * (S**2 / var)[:, None])).sum(1)


def record(module):
    drawn = []

    def randn_tensor(shape, **_):
        drawn.append(torch.randn(3, 2, dtype=torch.float64))
        return drawn[-1].reshape(shape)

    module.randn_tensor = randn_tensor
    return drawn


def ddpm_case(variance_type, v):
    """`v` is the interpolation; a learned one is what the network would say, 2v − 1."""
    torch.manual_seed(5)
    drawn = record(ddpm)
    scheduler = ddpm.DDPMScheduler(variance_type=variance_type, prediction_type="sample", clip_sample=False)
    betas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
    scheduler.alphas_cumprod = torch.cumprod(1 - betas, 0)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(8)
    levels = [(a.sqrt().item(), (1 - a).sqrt().item()) for a in scheduler.alphas_cumprod[scheduler.timesteps]]
    z = torch.randn(3, 2, dtype=torch.float64) * levels[0][1]
    x, states = z, []
    for t, (alpha, sigma) in zip(scheduler.timesteps, levels):
        x0 = denoise(z / alpha, sigma / alpha)
        if variance_type == "learned_range":  # it splits channels: [batch, channels, …]
            answer, state = torch.cat([x0, torch.full_like(x0, 2 * v - 1)], 1)[..., None], z[..., None]
            z = scheduler.step(answer, t, state).prev_sample[..., 0]
        else:
            z = scheduler.step(x0, t, z).prev_sample
        states.append(z)
    return dict(spec=dict(name="ddpm", v=v), source=f"DDPMScheduler {variance_type}", levels=levels + [(1.0, 0.0)],
                x=x.tolist(), noise=[t.tolist() for t in drawn], trajectory=[s.tolist() for s in states])


def consistency_case(s_noise):
    torch.manual_seed(6)
    drawn = record(consistency)
    scheduler = consistency.CMStochasticIterativeScheduler(s_noise=s_noise, clip_denoised=False)
    scheduler.set_timesteps(5)
    sigmas = scheduler.sigmas.double()
    sigmas[-1] = scheduler.config.sigma_min  # Karras' last value, which float32 rounds
    scheduler.sigmas = sigmas
    x = torch.randn(3, 2, dtype=torch.float64) * sigmas[0]
    z, states = x, []
    for i, t in enumerate(scheduler.timesteps):
        scheduler.is_scale_input_called = True
        c_skip, c_out = scheduler.get_scalings_for_boundary_condition(sigmas[i])
        network = (denoise(z, sigmas[i]) - c_skip * z) / c_out
        z = scheduler.step(network, t, z).prev_sample
        states.append(z)
    n = len(scheduler.timesteps)
    return dict(spec=dict(name="consistency", s_noise=s_noise), source="CMStochasticIterativeScheduler",
                levels=[(1.0, s) for s in sigmas[: n + 1].tolist()], x=x.tolist(),
                noise=[t.tolist() for t in drawn], trajectory=[s.tolist() for s in states])


print(json.dumps([
    ddpm_case("fixed_small", 0.0),
    ddpm_case("fixed_small_log", 0.0),
    ddpm_case("fixed_large", 1.0),
    ddpm_case("learned_range", 0.3),
    ddpm_case("learned_range", 0.8),
    consistency_case(1.0),
    consistency_case(0.7),
]))
