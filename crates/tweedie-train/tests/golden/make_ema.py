"""Power-function averages by the formulas of Karras et al., arXiv:2312.02696, in NumPy.

python make_ema.py writes ema.json beside this file.
"""

import json
from pathlib import Path

import numpy as np


def gamma(sigma_rel):
    """The root of (g + 2)^2 (g + 3) - (g + 1) / sigma_rel^2."""
    t = sigma_rel**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def density(g, end, t):
    return np.where(t <= end, (g + 1) * (t / end) ** g / end, 0.0)


def product(a, b):
    """The integral of two densities, by Gauss-Legendre up to the end of the shorter one."""
    end = min(a[1], b[1])
    x, w = np.polynomial.legendre.leggauss(400)
    t = (x + 1) * end / 2
    return float((w * density(*a, t) * density(*b, t)).sum() * end / 2)


def coefficients(stored, target):
    a = np.array([[product(p, q) for q in stored] for p in stored])
    b = np.array([product(p, target) for p in stored])
    return np.linalg.solve(a, b).tolist()


widths = [0.28, 0.2, 0.15, 0.1, 0.075, 0.05, 0.025, 0.01]
cases = []
for steps, target in [
    ([50, 100], (0.075, 100)),
    ([100], (0.15, 100)),
    ([100, 200, 300, 400], (0.08, 400)),
    ([100, 200, 300, 400], (0.2, 300)),
]:
    stored = [(s, t) for t in steps for s in (0.05, 0.1)]
    profiles = [(gamma(s), t) for s, t in stored]
    found = coefficients(profiles, (gamma(target[0]), target[1]))
    cases.append({"stored": stored, "target": target, "coefficients": found})

golden = {"gamma": [[s, gamma(s)] for s in widths], "reconstruction": cases}
Path(__file__).with_name("ema.json").write_text(json.dumps(golden, indent=1) + "\n")
