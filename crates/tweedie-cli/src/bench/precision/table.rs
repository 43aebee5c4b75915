//! The table as text.

use super::{Measure, Point, Precision};
use crate::output;
use anyhow::Result;

/// Prints a table for each measure: a row a sampler, a pair of columns a number of steps.
pub(crate) fn print(found: &Precision, steps: &[usize]) -> Result<()> {
    for measure in [Measure::Rms, Measure::SlicedWasserstein] {
        let points: Vec<&Point> = found.points.iter().filter(|p| p.measure == measure).collect();
        if points.is_empty() {
            continue;
        }
        output::print(measure.name())?;
        for line in lines(&points, steps) {
            output::print(line)?;
        }
        if let (Measure::SlicedWasserstein, Some(floor)) = (measure, found.floor) {
            output::print(format_args!("{:<20} as many exact samples: {}", "", digits(floor)))?;
        }
        output::print("")?;
    }
    Ok(())
}

/// A heading, then a line a sampler in the order of the points.
fn lines(points: &[&Point], steps: &[usize]) -> Vec<String> {
    let pair = |calls: &str, error: &str| format!("{calls:>8}{error:>10}");
    let heading = |words: [&str; 2], cells: Vec<String>| {
        format!("{:<20}{:>6}{}", words[0], words[1], cells.concat())
    };
    let over: Vec<_> = steps.iter().map(|n| format!("{:>18}", format!("{n} steps"))).collect();
    let under = steps.iter().map(|_| pair("calls", "error")).collect();
    let mut lines = vec![heading(["", ""], over), heading(["sampler", "order"], under)];
    let mut samplers: Vec<_> = points.iter().map(|p| p.sampler).collect();
    samplers.dedup_by_key(|info| info.name);
    for info in samplers {
        let cell = |n: &usize| {
            let found = points.iter().find(|p| p.sampler.name == info.name && p.steps == *n);
            match found {
                Some(point) => pair(&point.evaluations.to_string(), &digits(point.error)),
                None => pair("-", "-"),
            }
        };
        let order = info.order.to_string();
        lines.push(heading([info.name, &order], steps.iter().map(cell).collect()));
    }
    lines
}

/// Two digits: more would be noise.
fn digits(value: f64) -> String {
    format!("{value:.1e}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie::samplers::SamplerSpec;

    #[test]
    fn columns_stand_below_each_other() {
        let point = |index: usize, steps, error| Point {
            sampler: &SamplerSpec::all()[index],
            steps,
            evaluations: 2 * steps,
            measure: Measure::Rms,
            error,
        };
        let points = [point(0, 5, 0.25), point(0, 50, 3e-12), point(5, 5, 1.0)];
        let lines = lines(&points.iter().collect::<Vec<_>>(), &[5, 50]);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()));
        assert!(lines[2].contains("100   3.0e-12"), "{}", lines[2]);
        assert!(lines[3].ends_with('-'), "{}", lines[3]);
    }
}
