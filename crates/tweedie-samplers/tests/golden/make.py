"""Trajectories of the reference samplers with a denoiser that is known in closed form.

Run with smalldiffusion 0.5.0 and k-diffusion 0.1.1.post1:  python make.py > trajectories.json
The denoiser is that of a mixture of two Gaussians in the plane; everything is in float64, and all
noise that the references draw is written down to be replayed.
"""
import json
import torch
import k_diffusion.sampling as kd
from smalldiffusion import ModelMixin, ScheduleDDPM, ScheduleLogLinear, samples

W = torch.tensor([0.3, 0.7], dtype=torch.float64)
M = torch.tensor([[-1.0, 0.5], [0.8, -0.2]], dtype=torch.float64)
S = torch.tensor([0.2, 0.4], dtype=torch.float64)


def denoise(x, sigma):
    var = S**2 + sigma**2
    away = x[:, None] - M
    r = torch.softmax(-0.5 * (away**2).sum(-1) / var - torch.log(var) + torch.log(W), dim=1)
    return (r[..., None] * (M + away * (S**2 / var)[:, None])).sum(1)


class Exact(torch.nn.Module, ModelMixin):
    input_dims = (2,)

    def __init__(self):
        super().__init__()
        self.drawn = []

    def rand_input(self, batchsize):
        self.drawn.append(torch.randn(batchsize, 2, dtype=torch.float64))
        return self.drawn[-1]

    def forward(self, x, sigma, cond=None):
        return (x - denoise(x, sigma)) / sigma


def case(name, source, sigmas, x, trajectory, noise, settings):
    return dict(name=name, source=source, settings=settings, sigmas=sigmas.tolist(),
                x=x.tolist(), trajectory=[t.tolist() for t in trajectory],
                noise=[t.tolist() for t in noise])


def small(name, sigmas, **settings):
    torch.manual_seed(1)
    model, x = Exact(), torch.randn(3, 2, dtype=torch.float64) * sigmas[0]
    trajectory = list(samples(model, sigmas, xt=x, **settings))
    noise = model.drawn if settings.get("mu", 0) > 0 else []  # with mu = 0 its factor is 0
    return case(name, "smalldiffusion", sigmas, x, trajectory, noise, settings)


def karras(name, fn, steps, **settings):
    torch.manual_seed(2)
    sigmas = kd.get_sigmas_karras(steps, 0.05, 10.0).double()
    x = torch.randn(3, 2, dtype=torch.float64) * sigmas[0]
    drawn, randn_like = [], torch.randn_like

    def record(t):
        drawn.append(randn_like(t))
        return drawn[-1]

    torch.randn_like = record
    trajectory = []
    x_end = fn(lambda x, s: denoise(x, s[0]), x, sigmas, disable=True,
               callback=lambda d: trajectory.append(d["x"].clone()), **settings)
    torch.randn_like = randn_like
    # Its callback shows the state before each step; noise is drawn even where its factor is 0.
    trajectory = trajectory[1:] + [x_end]
    churned = settings.get("s_churn", 0) > 0
    tmin, tmax = settings.get("s_tmin", 0), settings.get("s_tmax", float("inf"))
    if churned:  # … and for a churned step the state with the noise already added: keep the end
        trajectory = trajectory[-1:]
    used = [z for z, s in zip(drawn, sigmas) if churned and tmin <= s <= tmax]
    return case(name, "k-diffusion", sigmas, x, trajectory, used, settings)


if __name__ == "__main__":
    ddpm, loglin = ScheduleDDPM().sample_sigmas(8).double(), ScheduleLogLinear(N=200).sample_sigmas(7).double()
    print(json.dumps([
        small("ddim", ddpm, gam=1, mu=0),
        small("ddpm", ddpm, gam=1, mu=0.5),
        small("accelerated", ddpm, gam=2, mu=0),
        small("accelerated", loglin, gam=1.3, mu=0.25),
        karras("euler", kd.sample_euler, 6),
        karras("heun", kd.sample_heun, 6),
        karras("edm-stochastic", kd.sample_heun, 6, s_churn=2.0, s_tmin=0.1, s_tmax=5.0, s_noise=1.01),
    ]))
