//! Sets drawn by chance.

use super::Points;
use std::f64::consts::{FRAC_PI_4, PI, TAU};
use tweedie_core::noise::philox::{self, Key};

/// The chance of point `i`: uniform and normal numbers.
struct Chance {
    uniform: [f64; 8],
}

impl Chance {
    fn of(seed: u64, i: usize) -> Self {
        let mut uniform = [0.0; 8];
        let key = Key { seed, stream: 18, sample: i as u32, draw: 0 };
        philox::uniforms(key, &mut uniform);
        Chance { uniform }
    }

    fn uniform(&self, k: usize) -> f64 {
        self.uniform[k]
    }

    /// Two normal numbers, by Box and Muller.
    fn normals(&self) -> [f64; 2] {
        let radius = (-2.0 * self.uniform[6].ln()).sqrt();
        [radius * (TAU * self.uniform[7]).cos(), radius * (TAU * self.uniform[7]).sin()]
    }

    /// One of 0 … n − 1.
    fn below(&self, k: usize, n: usize) -> usize {
        ((self.uniform[k] * n as f64) as usize).min(n - 1)
    }
}

/// Points at `place`, which is given the chance of each and returns it with a label.
fn draw(n: usize, seed: u64, noise: f64, place: impl Fn(&Chance) -> ([f64; 2], usize)) -> Points {
    let mut points = Points::default();
    for i in 0..n {
        let chance = Chance::of(seed, i);
        let ([x, y], label) = place(&chance);
        let [a, b] = chance.normals();
        points.xy.push([x + noise * a, y + noise * b]);
        points.labels.push(label as i64);
    }
    points
}

/// Two interleaving half circles; each is a class.
pub fn moons(n: usize, noise: f64, seed: u64) -> Points {
    draw(n, seed, noise, |c| {
        let (t, lower) = (PI * c.uniform(0), c.below(1, 2));
        let upper = [t.cos() - 0.5, t.sin() - 0.25];
        (if lower == 1 { [-upper[0], -upper[1]] } else { upper }, lower)
    })
}

/// Concentric circles, the largest of radius 1; each is a class.
pub fn rings(n: usize, count: usize, noise: f64, seed: u64) -> Points {
    draw(n, seed, noise, |c| {
        let ring = c.below(0, count.max(1));
        let (r, t) = ((ring + 1) as f64 / count.max(1) as f64, TAU * c.uniform(1));
        ([r * t.cos(), r * t.sin()], ring)
    })
}

/// The dark squares of a 4 × 4 board on [−1, 1]²; no classes.
pub fn checkerboard(n: usize, seed: u64) -> Points {
    let points = draw(n, seed, 0.0, |c| {
        let (square, row) = (c.below(0, 2), c.below(1, 4));
        let column = 2 * square + row % 2;
        let at = |cell: usize, k: usize| (cell as f64 + c.uniform(k)) / 2.0 - 1.0;
        ([at(column, 2), at(row, 3)], 0)
    });
    Points { labels: vec![], ..points }
}

/// Eight normal distributions on the unit circle; each is a class.
pub fn eight_gaussians(n: usize, std: f64, seed: u64) -> Points {
    draw(n, seed, std, |c| {
        let which = c.below(0, 8);
        let t = FRAC_PI_4 * which as f64;
        ([t.cos(), t.sin()], which)
    })
}

/// Two arms that wind around each other; each is a class.
pub fn spirals(n: usize, noise: f64, seed: u64) -> Points {
    draw(n, seed, noise, |c| {
        let (arm, r) = (c.below(0, 2), c.uniform(1).sqrt());
        let t = 3.0 * PI * r + PI * arm as f64;
        ([r * t.cos(), r * t.sin()], arm)
    })
}

/// Normal distributions, drawn out and bent like the blades of a pinwheel; each is a class.
pub fn pinwheel(n: usize, blades: usize, seed: u64) -> Points {
    draw(n, seed, 0.0, |c| {
        let (blade, [a, b]) = (c.below(0, blades.max(1)), c.normals());
        let (x, y) = (1.0 + 0.25 * a, 0.05 * b);
        let t = TAU * blade as f64 / blades.max(1) as f64 + 0.25 * x.exp();
        ([x * t.cos() - y * t.sin(), x * t.sin() + y * t.cos()], blade)
    })
}
