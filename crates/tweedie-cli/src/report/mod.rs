//! The report of a run: one HTML page that holds everything.
//!
//! Reading order: [`page`] (what is around the sections), then a file a section: [`facts`] (the
//! recipe), [`curves`] (what was logged), [`samples`], [`way`] (from noise to picture), [`scores`]
//! (what `tweedie eval` measured), [`neighbours`]; what they draw with is in [`axis`], [`chart`],
//! [`dots`] and [`images`].
//!
//! A section that cannot be made says why; the others are made all the same.

mod axis;
mod chart;
mod curves;
mod dots;
mod facts;
mod images;
mod neighbours;
mod page;
mod samples;
mod scores;
mod way;

use crate::output::chain;
use crate::recipe::data::View;
use crate::run::{Request, Run, Samples};
use anyhow::{Context, Result, anyhow};
use axis::count;
use maud::{Markup, html};
use page::{Head, Section};
use std::path::Path;
use std::time::SystemTime;
use time::OffsetDateTime;
use tweedie::torch::runtime;
use tweedie::train::{checkpoint, run_dir};

/// Images that are followed on their way, and points.
const FOLLOWED: (usize, usize) = (4, 400);
/// Points that are drawn, and about how many images.
const DRAWN: (usize, usize) = (1000, 100);

/// A whole page, and what is not on it.
pub(crate) struct Report {
    /// The HTML.
    pub(crate) html: String,
    /// (section, why): what could not be made.
    pub(crate) left_out: Vec<(&'static str, String)>,
}

/// What is sampled for a report: as `wanted`, but so many and of all classes as fit on a page.
pub(crate) fn request(run: &Run, wanted: Request) -> Result<Request> {
    let classes = run.model.network.spec().num_classes();
    let count = match (&run.view, classes) {
        (View::Points { .. }, _) => DRAWN.0,
        (View::Images { .. }, Some(classes)) if 10 * classes as usize <= DRAWN.1 => {
            10 * classes as usize
        }
        (View::Images { .. }, Some(_)) => DRAWN.1,
        (View::Images { .. }, None) => run.view.usual_count(),
    };
    of_all_classes(run, Request { count, keep_way: false, ..wanted })
}

/// The same for the samples that are followed on their way.
fn followed(run: &Run, request: &Request) -> Result<Request> {
    let count = if let View::Points { .. } = run.view { FOLLOWED.1 } else { FOLLOWED.0 };
    of_all_classes(run, Request { count, keep_way: true, ..request.clone() })
}

fn of_all_classes(run: &Run, request: Request) -> Result<Request> {
    let classes = run.model.network.spec().num_classes();
    let classes = classes.map(|_| run.classes("all", request.count)).transpose()?;
    Ok(Request { classes, ..request })
}

/// Makes the report of the run in `folder`; `progress` hears of every step of the sampler.
pub(crate) fn make(
    folder: &Path,
    run: &Run,
    request: &Request,
    mut progress: impl FnMut(usize, usize) -> Result<()>,
) -> Result<Report> {
    let samples = run.sample(request, &mut progress);
    let way = followed(run, request)?;
    let followed = run.sample(&way, &mut progress);
    let mut left_out = Vec::new();
    let mut add = |id, title, body: Result<Markup>| {
        let body = body.unwrap_or_else(|err| {
            let why = chain(&err);
            let note = html! { p.note { "Left out: " (why) "." } };
            left_out.push((id, why));
            note
        });
        Section { id, title, body }
    };
    let sections = [
        add("recipe", "Recipe", facts::section(run)),
        add("curves", "Curves", curves::section(folder)),
        add("samples", "Samples", made(&samples).and_then(|s| samples::section(run, request, s))),
        add(
            "way",
            "From noise to picture",
            made(&followed).and_then(|s| way::section(run, &way, s)),
        ),
        add("metrics", "Metrics", scores::section(folder)),
        add(
            "neighbours",
            "Nearest neighbours",
            made(&samples).and_then(|s| neighbours::section(run, request, s)),
        ),
    ];
    let html = page::page(&head(folder, run)?, &sections);
    Ok(Report { html, left_out })
}

/// What was sampled, or why it was not: several sections ask.
fn made(samples: &Result<Samples>) -> Result<&Samples> {
    samples.as_ref().map_err(|err| anyhow!("{}", chain(err)))
}

fn head(folder: &Path, run: &Run) -> Result<Head> {
    let (_, newest) = run_dir::latest_checkpoint(folder)?;
    let averaged = newest.join(checkpoint::EMA).exists();
    let saved = std::fs::metadata(newest.join(checkpoint::STATE)).and_then(|m| m.modified());
    let steps = format!("{} of {} steps", count(run.step), count(run.recipe.steps));
    let facts = vec![
        ("Network", facts::network(run)),
        ("Trained", if run.step == 0 { format!("{steps}: not yet") } else { steps }),
        ("Weights", if averaged { "averaged (EMA)" } else { "of the last step" }.to_owned()),
        ("Last checkpoint", saved.map_or_else(|_| "unknown".to_owned(), date)),
        ("This report", date(SystemTime::now())),
        (
            "Made by",
            format!(
                "tweedie {}, libtorch {}",
                env!("CARGO_PKG_VERSION"),
                runtime::libtorch_version()
            ),
        ),
    ];
    Ok(Head { run: name(folder)?, gist: facts::gist(&run.recipe), facts })
}

/// The name of the folder; where it lies is nobody's business who reads the page.
fn name(folder: &Path) -> Result<String> {
    let whole = folder.canonicalize().with_context(|| folder.display().to_string())?;
    Ok(whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned())
}

/// A day and a time, the same everywhere.
fn date(when: SystemTime) -> String {
    let when = OffsetDateTime::from(when);
    let (year, month, day) = when.to_calendar_date();
    format!("{year}-{:02}-{day:02} {:02}:{:02} UTC", u8::from(month), when.hour(), when.minute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_read_the_same_everywhere() {
        let when = SystemTime::UNIX_EPOCH + Duration::from_secs(951_827_696);
        assert_eq!(date(when), "2000-02-29 12:34 UTC");
    }
}
