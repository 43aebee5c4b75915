//! Runge–Kutta pairs that choose their own steps.

use crate::runge_kutta::{Stages, Tableau};
use crate::{Frame, Run, Sampler, Solver, euler::euler_step};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// How exact an adaptive solver is to be, and how far it may go for that.
///
/// It solves the probability-flow ODE from each level of the grid to the next in as many steps as
/// the tolerances ask for; a step is long enough when the estimated error of every sample, root
/// mean square over its elements, is within `atol + rtol·max(|y|, |y'|)`. Step lengths are governed
/// by a PI controller (Hairer & Wanner, Solving ODEs II, IV.2).
/// The step to no noise is Euler's, as in all Runge–Kutta methods here, and so is one from
/// `alpha = 0` in [`Frame::Ve`].
///
/// A batch shares its steps, so a sample agrees with itself in another batch within the tolerance
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerance {
    /// Error that is allowed relative to the state `y` of the frame.
    pub rtol: f64,
    /// Error that is allowed in any case, in the units of the data.
    pub atol: f64,
    /// The coordinates: EDM's by default.
    pub frame: Frame,
    /// The shortest step, as a share of the frame's time; one that would have to be shorter is an
    /// error.
    pub min_step: f64,
    /// The most attempts between two levels of the grid; needing more is an error too.
    pub max_attempts: usize,
}

impl Default for Tolerance {
    /// Those of Song et al. (arXiv:2011.13456, D.4) for their black-box ODE solver.
    fn default() -> Self {
        let frame = Frame::default();
        Tolerance { rtol: 1e-5, atol: 1e-5, frame, min_step: 1e-10, max_attempts: 1000 }
    }
}

impl Tolerance {
    fn check(&self) -> Result<()> {
        for (what, value) in [("rtol", self.rtol), ("atol", self.atol), ("min_step", self.min_step)]
        {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::invalid(what, value, "a finite number of at least 0"));
            }
        }
        if self.rtol + self.atol == 0.0 {
            return Err(Error::invalid("rtol", self.rtol, "above 0 where atol is 0"));
        }
        if self.max_attempts == 0 {
            return Err(Error::invalid("max_attempts", 0, "at least 1"));
        }
        Ok(())
    }
}

/// The pair of orders 3 and 2 of Bogacki & Shampine (1989).
/// Order 3, three evaluations an attempt and one at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BogackiShampine(pub Tolerance);

/// The pair of orders 5 and 4 of Dormand & Prince (1980), known as RK45 or dopri5.
/// Order 5, six evaluations an attempt and one at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DormandPrince(pub Tolerance);

impl Sampler for BogackiShampine {
    fn solver(&self) -> Result<Solver> {
        Adaptive::solver(&BOGACKI_SHAMPINE, self.0)
    }
    fn evaluations(&self, grid: &Grid) -> usize {
        most_evaluations(&BOGACKI_SHAMPINE, self.0, grid)
    }
    fn is_adaptive(&self) -> bool {
        true
    }
}

impl Sampler for DormandPrince {
    fn solver(&self) -> Result<Solver> {
        Adaptive::solver(&DORMAND_PRINCE, self.0)
    }
    fn evaluations(&self, grid: &Grid) -> usize {
        most_evaluations(&DORMAND_PRINCE, self.0, grid)
    }
    fn is_adaptive(&self) -> bool {
        true
    }
}

/// A method whose last stage is the step's end, with a second one that tells the error.
struct Pair {
    tableau: Tableau<'static>,
    /// The difference of the two methods' weights.
    error: &'static [f64],
    /// One over one more than the lower order: how the error of a step goes with its length.
    exponent: f64,
}

const BOGACKI_SHAMPINE: Pair = Pair {
    tableau: Tableau {
        c: &[0.0, 0.5, 0.75, 1.0],
        a: &[&[], &[0.5], &[0.0, 0.75], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
        b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0],
    },
    error: &[-5.0 / 72.0, 1.0 / 12.0, 1.0 / 9.0, -1.0 / 8.0],
    exponent: 1.0 / 3.0,
};

const DORMAND_PRINCE: Pair = Pair {
    tableau: Tableau {
        c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
        a: &[
            &[],
            &[0.2],
            &[3.0 / 40.0, 9.0 / 40.0],
            &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
            &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
            &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
            DORMAND_PRINCE_B,
        ],
        b: DORMAND_PRINCE_B,
    },
    error: &[
        71.0 / 57600.0,
        0.0,
        -71.0 / 16695.0,
        71.0 / 1920.0,
        -17253.0 / 339_200.0,
        22.0 / 525.0,
        -1.0 / 40.0,
    ],
    exponent: 1.0 / 5.0,
};

const DORMAND_PRINCE_B: &[f64] =
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0];

fn most_evaluations(pair: &Pair, tolerance: Tolerance, grid: &Grid) -> usize {
    let attempt = pair.tableau.c.len() - 1;
    let slopes = grid.pairs().filter(|&(from, to)| tolerance.frame.has_slopes(from, to)).count();
    grid.steps() + slopes * attempt * tolerance.max_attempts
}

/// What goes from one attempt to the next.
struct Adaptive {
    pair: &'static Pair,
    tolerance: Tolerance,
    stages: Stages,
    /// The estimate at the state, where the last step's last stage gave it and its slope.
    known: Option<Tensor>,
    /// The length that the controller proposes.
    size: Option<f64>,
    /// The error of the last step that was taken.
    last_error: f64,
    difference: Option<Tensor>,
    bounds: [Option<Tensor>; 2],
}

impl Adaptive {
    fn solver(pair: &'static Pair, tolerance: Tolerance) -> Result<Solver> {
        tolerance.check()?;
        let mut this = Adaptive {
            pair,
            tolerance,
            stages: Stages::default(),
            known: None,
            size: None,
            last_error: 1.0,
            difference: None,
            bounds: [None, None],
        };
        Ok(Box::new(move |run| this.step(run)))
    }

    fn step(&mut self, run: &mut Run<'_>) -> Result<Tensor> {
        let frame = self.tolerance.frame;
        let (from, to) = (run.level(), run.next_level());
        let known = self.known.take();
        let has_slope = known.is_some();
        let x0 = known.map_or_else(|| run.denoise(), Ok)?;
        if !frame.has_slopes(from, to) {
            euler_step(run, &x0)?;
            return Ok(x0);
        }
        if !has_slope {
            self.stages.begin(run, frame, from, &x0)?;
        }
        let mut at = from;
        for _ in 0..self.tolerance.max_attempts {
            let (time, left) = (frame.time(at), frame.time(at) - frame.time(to));
            let proposed = self.size.unwrap_or(left);
            // A step that would leave next to nothing goes all the way.
            let next = match proposed >= left * 0.999 {
                true => to,
                false => frame.level(time - proposed, from, to),
            };
            if !self.attempt(run, (at, next), proposed)? {
                self.refuse_short(run, at)?;
                continue;
            }
            at = next;
            if at == to {
                return Ok(x0);
            }
        }
        Err(self.too_short(run, at))
    }

    /// Tries a step and takes it if its error is within the tolerance; proposes the next length.
    fn attempt(
        &mut self,
        run: &mut Run<'_>,
        ends: (NoiseLevel, NoiseLevel),
        proposed: f64,
    ) -> Result<bool> {
        let Tolerance { frame, .. } = self.tolerance;
        let Pair { tableau, exponent, .. } = self.pair;
        let x0 = self.stages.evaluate(run, frame, tableau, ends)?;
        let error = self.error(run, ends)?.max(1e-10);
        let length = frame.time(ends.0) - frame.time(ends.1);
        if error > 1.0 {
            self.size = Some(length * (0.9 * error.powf(-exponent)).max(0.2));
            return Ok(false);
        }
        self.stages.advance(run, frame, tableau.b, ends)?;
        self.stages.reuse_last(tableau.c.len());
        self.known = x0;
        let growth = 0.9 * error.powf(-0.7 * exponent) * self.last_error.powf(0.4 * exponent);
        let size = length * growth.clamp(0.2, 10.0);
        // A good step that the grid cut short says nothing against the longer one.
        let cut_short = proposed > length && growth >= 1.0;
        self.size = Some(if cut_short { size.max(proposed) } else { size });
        self.last_error = error.max(1e-4);
        Ok(true)
    }

    /// The estimated error of the sample that has the largest, in units of its tolerance.
    fn error(&mut self, run: &Run<'_>, (at, next): (NoiseLevel, NoiseLevel)) -> Result<f64> {
        let Tolerance { rtol, atol, frame, .. } = self.tolerance;
        let h = frame.time(next) - frame.time(at);
        run.combine(&mut self.difference, &self.stages.terms(self.pair.error, h))?;
        let [before, after] = &mut self.bounds;
        run.combine(before, &[(rtol * frame.scale(at), run.x())])?;
        run.combine(after, &[(rtol * frame.scale(next), self.stages.last_x().unwrap_or(run.x()))])?;
        let (Some(difference), Some(before), Some(after)) = (&mut self.difference, before, after)
        else {
            return Ok(0.0);
        };
        // In place: nothing of the state's size is allocated.
        let _ = before.abs_();
        let _ = before.maximum_out(&before.shallow_clone(), &after.abs_());
        let _ = before.g_add_scalar_(atol);
        let _ = difference.g_div_(before);
        let squares = difference.square_();
        let within: Vec<i64> = (1..squares.dim() as i64).collect();
        let means = match within.is_empty() {
            true => squares,
            false => squares.mean_dim(&within[..], false, None::<Kind>),
        };
        let error = means.max().sqrt().double_value(&[]);
        if error.is_finite() {
            return Ok(error);
        }
        Err(Error::NonFinite { what: "the state", step: run.index(), level: at })
    }

    fn refuse_short(&self, run: &Run<'_>, at: NoiseLevel) -> Result<()> {
        let time = self.tolerance.frame.time(at);
        match self.size {
            Some(size) if size < self.tolerance.min_step * time => Err(self.too_short(run, at)),
            _ => Ok(()),
        }
    }

    fn too_short(&self, run: &Run<'_>, level: NoiseLevel) -> Error {
        let size = self.size.unwrap_or(0.0) / self.tolerance.frame.time(level);
        Error::StepSize { step: run.index(), level, size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows sum to their `c`, weights to 1, the differences to 0; and `Σ bᵢcᵢᵏ = 1/(k+1)`.
    #[test]
    fn the_tableaus_fulfil_the_conditions_of_their_order() {
        for (pair, order) in [(&BOGACKI_SHAMPINE, 3), (&DORMAND_PRINCE, 5)] {
            let Tableau { c, a, b } = pair.tableau;
            for (c, row) in c.iter().zip(a) {
                assert!((row.iter().sum::<f64>() - c).abs() < 1e-14);
            }
            let moment = |w: &[f64], k: i32| -> f64 {
                w.iter().zip(c).map(|(w, c): (&f64, &f64)| w * c.powi(k)).sum()
            };
            for k in 0..order {
                assert!((moment(b, k) - 1.0 / f64::from(k + 1)).abs() < 1e-14, "{order} {k}");
            }
            for k in 0..order - 1 {
                assert!(moment(pair.error, k).abs() < 1e-15, "{order} {k}");
            }
            assert!(moment(pair.error, order - 1).abs() > 1e-4);
            assert_eq!(a[a.len() - 1], b, "first same as last");
        }
    }
}
