//! A run as a page: what must be on it, and that a browser shows it.

use crate::support::{copy, digits, json, stdout, swissroll, tweedie};
use std::path::Path;

const SECTIONS: [&str; 6] = ["recipe", "curves", "samples", "way", "metrics", "neighbours"];

/// The report of a run, with few steps of the sampler.
fn report(run: &Path) -> (String, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let run = run.to_str().unwrap();
    let args = ["report", run, "-o", "a.html", "--steps", "3", "--threads", "1", "--json"];
    let said = json(folder.path(), &args);
    let html = std::fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert_eq!(said["bytes"], html.len());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the page");
    (html, said)
}

/// What every report has, and nothing from elsewhere.
fn check(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"));
    for id in SECTIONS {
        assert_eq!(html.matches(&format!("<section id=\"{id}\"")).count(), 1, "{id}");
        assert_eq!(html.matches(&format!("href=\"#{id}\"")).count(), 1, "a link to {id}");
    }
    // Random letters may spell anything.
    let parts = html.split("base64,").map(|part| part.split_once("\" alt").map_or(part, |p| p.1));
    let words: String = parts.collect();
    for outside in
        ["http:", "https:", "src=\"/", "url(", "<script", "<link", "@import", "NaN", "inf\""]
    {
        assert!(!words.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("<img").count(), html.matches("src=\"data:image/png;base64,").count());
    assert_eq!(html.matches("<img").count(), html.matches(" alt=\"").count());
    assert_eq!(
        html.matches("role=\"img\"").count(),
        html.matches("role=\"img\" aria-label=\"").count()
    );
}

/// The part of the page below a heading.
fn section<'a>(html: &'a str, id: &str) -> &'a str {
    html.split(&format!("<section id=\"{id}\"")).nth(1).unwrap().split("</section>").next().unwrap()
}

#[test]
fn digits_have_a_row_a_class_a_film_and_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(digits(), &run);
    std::fs::write(
        run.join("eval.json"),
        r#"{"metrics": {"frechet_classifier": 12.25}, "settings": {"seed": 4}}"#,
    )
    .unwrap();
    let (html, said) = report(&run);
    check(&html);
    assert_eq!(said["left_out"], serde_json::json!({}), "{said}");
    assert_eq!(said["samples"], 100);
    assert!(html.len() < 1_000_000, "{} bytes", html.len());

    let samples = section(&html, "samples");
    assert_eq!((samples.matches("<dt>").count(), samples.matches("<img").count()), (10, 100));
    assert!(samples.contains("alt=\"sample 10 of class 9\""));
    // Four samples: four states and three estimates each, and a level below each state.
    let way = section(&html, "way");
    assert_eq!(way.matches("<img").count(), 4 * (4 + 3));
    assert_eq!(way.split("<tfoot>").nth(1).unwrap().matches("<td>").count(), 4);
    let neighbours = section(&html, "neighbours");
    assert_eq!(neighbours.matches("<figure").count(), 20);
    assert!(neighbours.contains("of 100 samples count as copies") && neighbours.contains("1500"));
    assert!(section(&html, "metrics").contains("12.25"));
    assert!(section(&html, "recipe").contains("conditional-mlp") && html.contains("[schedule]"));
    assert_eq!(section(&html, "curves").matches("<svg").count(), 4);
}

#[test]
fn points_are_scattered_over_their_data() {
    let (html, said) = report(swissroll());
    check(&html);
    let left_out = said["left_out"].as_object().unwrap();
    assert_eq!(left_out.keys().collect::<Vec<_>>(), ["metrics"], "{said}");
    assert!(left_out["metrics"].as_str().unwrap().contains("nothing was measured yet"), "{said}");
    assert!(!html.contains("<img"));
    assert_eq!(section(&html, "samples").matches("class=\"plane large\"").count(), 1);
    assert_eq!(section(&html, "way").matches("class=\"plane small\"").count(), 4 + 3);
    assert_eq!(section(&html, "neighbours").matches("class=\"pair-line\"").count(), 1);
    assert!(section(&html, "metrics").contains("tweedie eval RUN"));
    assert!(
        html.contains(&format!("tweedie {}", env!("CARGO_PKG_VERSION")))
            && html.contains("libtorch 2.")
    );
}

#[test]
fn a_seed_decides() {
    let page = |seed: &str| {
        let folder = tempfile::tempdir().unwrap();
        let run = swissroll().to_str().unwrap();
        stdout(folder.path(), &["report", run, "-o", "a.html", "--steps", "2", "--seed", seed]);
        let html = std::fs::read_to_string(folder.path().join("a.html")).unwrap();
        section(&html, "samples").to_owned()
    };
    assert_eq!(page("1"), page("1"));
    assert_ne!(page("1"), page("2"));
}

/// Ways in which a run may lack something: what is done to a copy, and where the page says so.
type Lack = (&'static str, fn(&Path), &'static str, &'static str);

const LACKS: [Lack; 5] = [
    (
        "no metrics",
        |run| std::fs::remove_file(run.join("metrics.jsonl")).unwrap(),
        "curves",
        "metrics.jsonl: No such file",
    ),
    (
        "empty metrics",
        |run| std::fs::write(run.join("metrics.jsonl"), "").unwrap(),
        "curves",
        "holds no numbers yet",
    ),
    (
        "one line among others",
        |run| {
            let text =
                b"garbage\n{\"step\": 1, \"loss\": 0.5}\n{\"step\": 2, \"loss\": NaN}\n\xff{\"st";
            std::fs::write(run.join("metrics.jsonl"), text).unwrap();
        },
        "curves",
        "3 lines of metrics.jsonl could not be read",
    ),
    (
        "a broken eval.json",
        |run| std::fs::write(run.join("eval.json"), "{").unwrap(),
        "metrics",
        "Left out: eval.json is not JSON",
    ),
    (
        "no training data",
        |run| {
            let recipe = std::fs::read_to_string(run.join("recipe.toml")).unwrap();
            let gone = recipe.replace("name = \"digits\"", "name = \"idx\"\npath = \"gone\"");
            assert_ne!(gone, recipe);
            std::fs::write(run.join("recipe.toml"), gone).unwrap();
        },
        "neighbours",
        "Left out: the training data: the folder of data.path, gone",
    ),
];

#[test]
fn what_a_run_lacks_is_told_and_the_rest_is_there() {
    for (what, lack, place, words) in LACKS {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        copy(digits(), &run);
        lack(&run);
        let (html, _) = report(&run);
        check(&html);
        assert!(section(&html, place).contains(words), "{what}: {}", section(&html, place));
        assert_eq!(section(&html, "samples").matches("<img").count(), 100, "{what}");
    }
}

#[test]
fn a_run_with_a_strange_name_that_was_killed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("<script>alert(\"1\")&'");
    copy(swissroll(), &run);
    std::fs::write(run.join("metrics.jsonl"), "").unwrap();
    let printed = stdout(folder.path(), &["report", run.to_str().unwrap(), "--steps", "2"]);
    assert!(printed.trim_end().ends_with("report.html"), "{printed}");
    let html = std::fs::read_to_string(run.join("report.html")).unwrap();
    check(&html);
    assert!(html.contains("<h1>&lt;script&gt;alert(&quot;1&quot;)&amp;'</h1>"));
}

#[test]
fn what_cannot_be_is_one_line_and_leaves_the_earlier_page() {
    let run = swissroll().to_str().unwrap();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["nowhere"], 1, "nowhere"),
        (&[".", "-o", "a.html"], 1, "recipe.toml"),
        (&[run, "-o", "a.png"], 2, "a.png: expected a name ending in .html"),
        (&[run, "-o", "nowhere/a.html"], 1, "nowhere/a.html"),
        (&[run, "-o", "a.html", "--steps", "0"], 2, "--steps"),
        (&[run, "-o", "a.html", "--sampler", "dimm"], 2, "ddim"),
        (&[run, "-o", "a.html", "--guidance-scale", "2"], 2, "without classes"),
        (&[run, "-o", "a.html", "--guidance-scale", "nan"], 2, "finite"),
    ];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.html"), "earlier").unwrap();
    for (args, code, words) in cases {
        let output = tweedie(folder.path()).arg("report").args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{said}");
        assert!(said.contains(words) && !said.contains("panicked"), "{args:?}\n{said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("a.html")).unwrap(), "earlier");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
