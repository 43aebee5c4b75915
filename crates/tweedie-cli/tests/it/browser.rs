//! The report in a real browser: headless Chromium, where there is one.

use crate::support::{copy, digits, json, swissroll};
use std::path::Path;
use std::process::{Command, Output};

/// Where the page is shown: as wide as a desk's screen, and as narrow as a phone's.
const WIDTHS: [u32; 2] = [1200, 360];
/// Of the window; the frames are below each other.
const WINDOW: (u32, u32) = (1220, 1840);

/// Shows the page in frames of several widths and writes what it sees of each into its own body.
///
/// The page itself forbids every script, also in here: it is looked at from outside.
const LOOKER: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<pre id="seen" hidden>not yet</pre>
<script>
const page = PAGE;
const seen = [];
addEventListener("error", e => seen.push({ error: String(e.message) }));
function look(frame) {
  const doc = frame.contentDocument, root = doc.documentElement;
  const box = e => e.getBoundingClientRect();
  const images = [...doc.images];
  const shapes = [...doc.querySelectorAll("svg[role=img]")];
  return {
    width: frame.width,
    images: images.length,
    broken: images.filter(i => !i.complete || i.naturalWidth == 0 || box(i).width == 0).map(i => i.alt),
    flat: shapes.filter(s => box(s).width < 50 || box(s).height < 50).length,
    shapes: shapes.length,
    headings: [...doc.querySelectorAll("h1, h2")].filter(h => h.checkVisibility() && box(h).height > 10).map(h => h.innerText),
    scripts: doc.scripts.length,
    overflow: root.scrollWidth - root.clientWidth,
    wide: [...doc.querySelectorAll("main *")].filter(e => box(e).right > root.clientWidth + 1 && !e.closest(".scroll, pre, svg")).map(e => e.tagName + "." + e.className).slice(0, 5),
    font: frame.contentWindow.getComputedStyle(doc.body).fontSize,
  };
}
for (const width of WIDTHS) {
  const frame = document.createElement("iframe");
  frame.width = width;
  frame.height = 900;
  frame.style = "border: 0; display: block";
  frame.onload = () => {
    try { seen.push(look(frame)); } catch (e) { seen.push({ error: String(e) }); }
    document.getElementById("seen").textContent = JSON.stringify(seen);
  };
  frame.srcdoc = page;
  document.body.append(frame);
}
</script>"#;

fn chromium() -> Option<&'static str> {
    let there = |name: &&str| {
        Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(there)
}

/// What the browser saw of the page at each width, after a picture was taken.
fn shown(browser: &str, html: &str, folder: &Path) -> Vec<serde_json::Value> {
    // No `</script>` may end the script that holds the page.
    let page = serde_json::to_string(html).unwrap().replace("</", "<\\/");
    let looker = LOOKER.replace("WIDTHS", &format!("{WIDTHS:?}")).replace("PAGE", &page);
    std::fs::write(folder.join("looker.html"), looker).unwrap();
    let Output { status, stdout, stderr } = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--screenshot={}", folder.join("shot.png").display()))
        .arg(format!("--window-size={},{}", WINDOW.0, WINDOW.1))
        .arg(format!("file://{}", folder.join("looker.html").display()))
        .output()
        .unwrap();
    let (dom, said) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{browser}: {status}\n{said}");
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    let seen = dom
        .split("<pre id=\"seen\" hidden=\"\">")
        .nth(1)
        .and_then(|rest| rest.split("</pre>").next());
    let seen = seen.unwrap_or_else(|| panic!("nothing was seen\n{dom}\n{said}"));
    let seen = seen.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    serde_json::from_str(&seen).unwrap_or_else(|e| panic!("{e}: {seen}\n{said}"))
}

/// Shares of the picture that are not as light or dark as its first pixel, by frame.
fn painted(folder: &Path) -> Vec<f64> {
    let shot = image::open(folder.join("shot.png")).unwrap().into_luma8();
    let background = shot.get_pixel(0, 0).0[0];
    let height = shot.height() / WIDTHS.len() as u32;
    let part = |i: usize| {
        let rows = i as u32 * height..(i as u32 + 1) * height;
        let pixels = rows.flat_map(|y| (0..WIDTHS[i]).map(move |x| (x, y)));
        let other =
            pixels.filter(|&(x, y)| shot.get_pixel(x, y).0[0].abs_diff(background) > 40).count();
        other as f64 / f64::from(WIDTHS[i] * height)
    };
    (0..WIDTHS.len()).map(part).collect()
}

#[test]
fn a_browser_shows_all_of_a_report() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: there is no chromium, chromium-browser or google-chrome on PATH");
        return;
    };
    for (run, images) in [(digits(), 100 + 4 * 7 + 40), (swissroll(), 0)] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let copied = folder.join("a <b>run</b> & more");
        copy(run, &copied);
        json(
            folder,
            &["report", copied.to_str().unwrap(), "-o", "a.html", "--steps", "3", "--json"],
        );
        let html = std::fs::read_to_string(folder.join("a.html")).unwrap();
        let seen = shown(browser, &html, folder);
        assert_eq!(seen.len(), WIDTHS.len(), "{seen:?}");
        for frame in &seen {
            assert_eq!(frame["images"], images, "{frame}");
            assert_eq!(frame["broken"], serde_json::json!([]), "{frame}");
            assert_eq!(
                (frame["flat"].as_u64(), frame["scripts"].as_u64()),
                (Some(0), Some(0)),
                "{frame}"
            );
            assert!(frame["shapes"].as_u64() >= Some(4), "{frame}");
            assert_eq!(frame["overflow"], 0, "the page scrolls sideways: {frame}");
            assert_eq!(frame["wide"], serde_json::json!([]), "{frame}");
            let headings = [
                "a <b>run</b> & more",
                "Recipe",
                "Curves",
                "Samples",
                "From noise to picture",
                "Metrics",
                "Nearest neighbours",
            ];
            assert_eq!(frame["headings"], serde_json::json!(headings), "{frame}");
        }
        for part in painted(folder) {
            assert!((0.005..0.9).contains(&part), "{part} of the picture is painted");
        }
    }
}
