"""The way up of diffusers' DDIMInverseScheduler.

Run with diffusers 0.42.1:  python make_inversion.py > inversion.json
The denoiser is that of make.py, in float64; the scheduler's float32 table is replaced by float64.
"""
import json
import torch
from diffusers import DDIMInverseScheduler

W = torch.tensor([0.3, 0.7], dtype=torch.float64)
M = torch.tensor([[-1.0, 0.5], [0.8, -0.2]], dtype=torch.float64)
S = torch.tensor([0.2, 0.4], dtype=torch.float64)


def denoise(x, sigma):
    var = S**2 + sigma**2
    away = x[:, None] - M
    r = torch.softmax(-0.5 * (away**2).sum(-1) / var - torch.log(var) + torch.log(W), dim=1)
    return (r[..., None] * (M + away * (S**2 / var)[:, None])).sum(1)


scheduler = DDIMInverseScheduler(prediction_type="epsilon", clip_sample=False)
scheduler.alphas_cumprod = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64), 0)
scheduler.initial_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
scheduler.set_timesteps(8)
x = torch.tensor([[0.9, 0.1], [-1.2, 0.6], [0.1, 0.0]], dtype=torch.float64)
levels, z, states = [(1.0, 0.0)], x, []
for t in scheduler.timesteps:
    a = scheduler.alphas_cumprod[t]
    alpha, sigma = a.sqrt(), (1 - a).sqrt()
    eps = (z - alpha * denoise(z / alpha, sigma / alpha)) / sigma
    z = scheduler.step(eps, t, z).prev_sample
    levels.append((alpha.item(), sigma.item()))
    states.append(z.tolist())
print(json.dumps(dict(levels=levels, x=x.tolist(), trajectory=states)))
