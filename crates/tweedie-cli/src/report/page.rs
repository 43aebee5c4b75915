//! The page around the sections: everything that it needs is within it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// Nothing is asked of anybody, and no script runs: a page that is opened years later, or came from
/// somebody else, shows the same.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A part of the report.
pub(super) struct Section {
    /// Its address on the page.
    pub(super) id: &'static str,
    /// Its heading.
    pub(super) title: &'static str,
    /// What is below the heading.
    pub(super) body: Markup,
}

/// The head of the report.
pub(super) struct Head {
    /// The run's name.
    pub(super) run: String,
    /// What it is, in a line.
    pub(super) gist: String,
    /// Names and values.
    pub(super) facts: Vec<(&'static str, String)>,
}

/// The whole page.
pub(super) fn page(head: &Head, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "tweedie " (env!("CARGO_PKG_VERSION")) };
                title { (head.run) " · tweedie report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "To the content" }
                nav aria-label="Contents" {
                    ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                }
                main id="content" {
                    header {
                        p.kind { "tweedie report" }
                        h1 { (head.run) }
                        p.gist { (head.gist) }
                        dl.facts { @for (name, value) in &head.facts { div { dt { (name) } dd { (value) } } } }
                    }
                    @for section in sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.body)
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless() {
        let nasty = "<script>alert(1)</script>\"'&";
        let head =
            Head { run: nasty.into(), gist: nasty.into(), facts: vec![("Run", nasty.into())] };
        let html = page(&head, &[]);
        assert!(!html.contains("<script"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;").count(), 4);
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let head = Head { run: "a".into(), gist: "b".into(), facts: vec![] };
        let body = html! { p { "c" } };
        let html = page(&head, &[Section { id: "x", title: "X", body }]);
        for outside in ["http://", "https://", "url(", "@import", "<link", "src="] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("href=\"#x\"") && html.contains("id=\"x\""));
    }
}
