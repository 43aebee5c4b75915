//! The best few steps out of many, by dynamic programming.

use super::Grid;
use crate::error::{Result, argument, count};
use crate::level::NoiseLevel;

/// What a step from one level of a fine grid to any later one costs, and the cheapest way along it
/// in a given number of steps (Watson et al., arXiv:2106.03802, Algorithm 1).
///
/// Costs add up along a grid: bits of a bound on the likelihood ([`StepCosts::elbo`]), or errors of
/// single steps that were measured. The search is exact: `O(steps·n²)` for `n` levels.
///
/// ```
/// use tweedie_schedules::{Grid, grid::StepCosts};
///
/// let fine = Grid::from_sigmas(&[8.0, 4.0, 2.0, 1.0, 0.5])?;
/// // A step costs the square of its length in lambda: equal steps are best.
/// let costs = StepCosts::new(fine, |from, to| (to.lambda() - from.lambda()).powi(2))?;
/// let (grid, cost) = costs.best(2)?;
/// assert_eq!(grid.sigmas(), [8.0, 2.0, 0.5]);
/// assert!((cost - 2.0 * 4f64.ln().powi(2)).abs() < 1e-12);
/// # Ok::<(), tweedie_schedules::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StepCosts {
    grid: Grid,
    /// For each level, those of the steps from it to the ones after it.
    costs: Vec<Vec<f64>>,
}

/// The most levels of a table of costs, which has half as many entries as their square.
const MOST: usize = 5000;

impl StepCosts {
    /// The table of `cost(from, to)` for every pair of levels of `grid`; infinity forbids a step.
    ///
    /// # Errors
    /// For a cost that is no number or `−∞`, and for more than 5,000 levels.
    pub fn new(grid: Grid, mut cost: impl FnMut(NoiseLevel, NoiseLevel) -> f64) -> Result<Self> {
        Self::of_places(grid, |levels, from, to| cost(levels[from], levels[to]))
    }

    /// The table of costs between places in the grid.
    fn of_places(
        grid: Grid,
        mut cost: impl FnMut(&[NoiseLevel], usize, usize) -> f64,
    ) -> Result<Self> {
        let n = grid.len();
        if n > MOST {
            return Err(argument("the levels of a table of costs", n, "at most 5000"));
        }
        let mut row = |from: usize| (from + 1..n).map(|to| cost(&grid, from, to)).collect();
        let costs: Vec<Vec<f64>> = (0..n).map(&mut row).collect();
        let bad = |c: &&f64| c.is_nan() || **c == f64::NEG_INFINITY;
        if let Some(bad) = costs.iter().flatten().find(bad) {
            return Err(argument("the cost of a step", bad, "a number, or infinity"));
        }
        Ok(Self { grid, costs })
    }

    /// The terms of the variational bound (arXiv:2107.00630, eq. 13) for a model whose mean squared
    /// error of `x0`, summed over a sample's elements, is `mse[i]` at level `i` of `grid`: a step
    /// from `i` to `j` costs `½·(snrⱼ − snrᵢ)·mse[i]` nats, with `snr = alpha²/sigma²`.
    ///
    /// # Errors
    /// Unless there is a finite `mse` of at least 0 for each level but the last, and for a grid that
    /// ends clean: there the bound has another term, which is infinite in this form.
    pub fn elbo(grid: Grid, mse: &[f64]) -> Result<Self> {
        if mse.len() != grid.steps() {
            let expected = format!("{}, one a level but the last", grid.steps());
            return Err(argument("the number of errors", mse.len(), expected));
        }
        if let Some(bad) = mse.iter().find(|e| !(e.is_finite() && **e >= 0.0)) {
            return Err(argument("an error", bad, "a finite number of at least 0"));
        }
        if grid.end().is_clean() {
            return Err(argument("the last sigma", 0, "above 0"));
        }
        let snr = |level: NoiseLevel| level.ratio().powi(-2);
        Self::of_places(grid, |levels, from, to| {
            0.5 * (snr(levels[to]) - snr(levels[from])) * mse[from]
        })
    }

    /// The cheapest grid of `steps` steps from the first level to the last, and its cost. Of equally
    /// cheap ones it is the one whose last steps are longest.
    ///
    /// # Errors
    /// Unless `steps` is from 1 to those of the fine grid, and where every way is forbidden.
    pub fn best(&self, steps: usize) -> Result<(Grid, f64)> {
        count("steps", steps, 1)?;
        if steps > self.grid.steps() {
            let expected = format!("at most {}, those of the fine grid", self.grid.steps());
            return Err(argument("steps", steps, expected));
        }
        let last = self.grid.steps();
        // cheapest[j]: from the first level to j in so many steps; before[k][j]: where it comes from.
        let mut cheapest = vec![f64::INFINITY; last + 1];
        cheapest[0] = 0.0;
        let mut before: Vec<Vec<usize>> = Vec::with_capacity(steps);
        for _ in 0..steps {
            let ways = (0..=last).map(|to| self.last_step(&cheapest, to));
            let (costs, from): (Vec<f64>, Vec<usize>) = ways.unzip();
            cheapest = costs;
            before.push(from);
        }
        if cheapest[last] == f64::INFINITY {
            return Err(argument("the cost of every way", f64::INFINITY, "a finite one somewhere"));
        }
        let mut places = vec![last];
        for from in before.iter().rev() {
            places.push(from[places[places.len() - 1]]);
        }
        let levels = places.iter().rev().map(|&i| self.grid[i]).collect();
        Ok((Grid::from_levels(levels)?, cheapest[last]))
    }

    /// The cheapest way to level `to` that makes one step more than those in `cheapest`.
    fn last_step(&self, cheapest: &[f64], to: usize) -> (f64, usize) {
        let mut best = (f64::INFINITY, 0);
        for (from, (so_far, row)) in cheapest.iter().zip(&self.costs).enumerate().take(to) {
            let cost = so_far + row[to - from - 1];
            if cost < best.0 {
                best = (cost, from);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine(n: usize) -> Grid {
        Grid::from_sigmas(&(0..=n).map(|i| 10.0 * 0.6_f64.powi(i as i32)).collect::<Vec<_>>())
            .unwrap()
    }

    /// Numbers without a pattern, in [0, 1), some of them infinite.
    fn noise(seed: &mut u64) -> f64 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let u = (*seed >> 11) as f64 / (1u64 << 53) as f64;
        if u < 0.1 { f64::INFINITY } else { u }
    }

    /// Every subset of the levels between the ends.
    fn brute_force(costs: &StepCosts, steps: usize) -> f64 {
        let last = costs.grid.steps();
        let mut best = f64::INFINITY;
        for chosen in 0_u32..1 << (last - 1) {
            if chosen.count_ones() as usize != steps - 1 {
                continue;
            }
            let mut places = vec![0];
            places.extend((1..last).filter(|i| chosen >> (i - 1) & 1 == 1));
            places.push(last);
            let cost = places.windows(2).map(|p| costs.costs[p[0]][p[1] - p[0] - 1]).sum();
            best = f64::min(best, cost);
        }
        best
    }

    /// Sums in another order differ by roundings.
    #[test]
    fn as_good_as_every_subset() {
        let mut seed = 1;
        for n in 1..=9 {
            for _ in 0..20 {
                let costs = StepCosts::new(fine(n), |_, _| noise(&mut seed)).unwrap();
                for steps in 1..=n {
                    let exact = brute_force(&costs, steps);
                    match costs.best(steps) {
                        Ok((grid, cost)) => {
                            assert!((cost - exact).abs() < 1e-12, "{cost}, not {exact}");
                            assert_eq!(grid.steps(), steps);
                            assert_eq!((grid.start(), grid.end()), (costs.grid[0], costs.grid[n]));
                        }
                        Err(_) => assert_eq!(exact, f64::INFINITY),
                    }
                }
            }
        }
    }

    /// For normal data of variance 1 the model's error is sigma²/(alpha² + sigma²) an element, and
    /// the bound's sum is a Riemann sum of ½·mse over snr: more steps cost less, down to the
    /// integral, ½·ln of how much total variance falls; the best eight beat eight equal ones.
    #[test]
    fn the_bound_falls_to_its_integral() {
        let n = 400;
        let at = |i: usize, n: usize| 20.0 * (0.05_f64 / 20.0).powf(i as f64 / n as f64);
        let grid = Grid::from_sigmas(&(0..=n).map(|i| at(i, n)).collect::<Vec<_>>()).unwrap();
        let mse = |s: f64| s * s / (1.0 + s * s);
        let errors: Vec<f64> = grid.sigmas()[..n].iter().map(|&s| mse(s)).collect();
        let costs = StepCosts::elbo(grid, &errors).unwrap();
        let found: Vec<f64> = [4, 8, 16, 400].map(|k| costs.best(k).unwrap().1).to_vec();
        assert!(found.windows(2).all(|p| p[1] < p[0]), "{found:?}");
        let integral = 0.5 * ((1.0_f64 + 400.0) / (1.0 + 1.0 / 400.0)).ln();
        assert!(found[3] > integral && found[3] < integral * 1.02, "{} {integral}", found[3]);
        let snr = |s: f64| s.powi(-2);
        let equal: f64 =
            (0..8).map(|i| 0.5 * (snr(at(i + 1, 8)) - snr(at(i, 8))) * mse(at(i, 8))).sum();
        assert!(found[1] < equal * 0.99, "{} {equal}", found[1]);
    }

    #[test]
    fn nonsense_is_refused() {
        let flat = StepCosts::new(fine(4), |_, _| 1.0).unwrap();
        for steps in [0, 5] {
            let error = flat.best(steps).unwrap_err().to_string();
            assert!(error.contains("steps is"), "{error}");
        }
        assert!(StepCosts::new(fine(3), |_, _| f64::NAN).is_err());
        let forbidden = StepCosts::new(fine(3), |_, _| f64::INFINITY).unwrap();
        assert!(forbidden.best(2).is_err());
        assert!(StepCosts::elbo(fine(3), &[1.0, 1.0]).is_err());
        assert!(StepCosts::elbo(fine(3), &[1.0, f64::NAN, 1.0]).is_err());
        let clean = Grid::from_sigmas(&[2.0, 1.0, 0.0]).unwrap();
        assert!(StepCosts::elbo(clean, &[1.0, 1.0]).is_err());
    }
}
