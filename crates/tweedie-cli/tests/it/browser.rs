//! The report in a real browser: headless Chromium, where there is one.

use crate::support::{copy, digits, json, swissroll};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where the page is shown: as wide as a desk's screen, and as narrow as a phone's.
const WIDTHS: [u32; 2] = [1200, 360];
/// Of each frame; they are below each other.
const HEIGHT: u32 = 900;
/// A folder that would break a page that did not escape it.
const NAME: &str = "a <b>bold<i> & more";
const HEADINGS: [&str; 7] =
    [NAME, "Recipe", "Curves", "Samples", "From noise to picture", "Metrics", "Nearest neighbours"];

/// Shows pages in frames of several widths and writes what it sees of each into its own body.
///
/// The pages forbid every script, also in here: they are looked at from outside.
const LOOKER: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<pre id="seen" hidden>not yet</pre>
<script>
const pages = PAGES, widths = WIDTHS;
const seen = [];
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
  };
}
let left = pages.length * widths.length;
for (const page of pages) for (const width of widths) {
  const frame = document.createElement("iframe"), place = seen.push(null) - 1;
  frame.width = width;
  frame.height = HEIGHT;
  frame.style = "border: 0; display: block";
  frame.onload = () => {
    try { seen[place] = look(frame); } catch (e) { seen[place] = { error: String(e) }; }
    if (--left == 0) document.getElementById("seen").textContent = JSON.stringify(seen);
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

/// What the browser saw of each page at each width, after a picture was taken.
fn shown(browser: &str, pages: &[String], folder: &Path) -> Vec<serde_json::Value> {
    // No `</script>` may end the script that holds the pages.
    let json = serde_json::to_string(pages).unwrap().replace("</", "<\\/");
    let looker =
        LOOKER.replace("WIDTHS", &format!("{WIDTHS:?}")).replace("HEIGHT", &HEIGHT.to_string());
    std::fs::write(folder.join("looker.html"), looker.replace("PAGES", &json)).unwrap();
    let frames = (pages.len() * WIDTHS.len()) as u32;
    let file = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--hide-scrollbars", "--enable-logging=stderr", "--dump-dom"])
        .arg("--virtual-time-budget=10000")
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--screenshot={}", folder.join("shot.png").display()))
        .arg(format!("--window-size={},{}", WIDTHS[0], frames * HEIGHT))
        .arg(format!("file://{}", folder.join("looker.html").display()))
        .stdout(file("dom"))
        .stderr(file("said"))
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(180);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > limit {
            child.kill().unwrap();
            panic!("{browser} did not end within three minutes");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let read = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(folder.join(name)).unwrap()).into_owned()
    };
    let (dom, said) = (read("dom"), read("said"));
    assert!(status.success(), "{browser}: {status}\n{said}");
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    let after = dom.split_once("<pre id=\"seen\" hidden=\"\">").map(|parts| parts.1);
    let seen = after.and_then(|rest| rest.split("</pre>").next()).unwrap_or_default();
    let seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&seen).unwrap_or_else(|e| panic!("{e}: {seen:?}\n{said}"))
}

/// How much of each frame's picture is clearly not of the colour of its first pixel.
fn painted(folder: &Path, frames: usize) -> Vec<f64> {
    let shot = image::open(folder.join("shot.png")).unwrap().into_luma8();
    let part = |i: usize| {
        let (width, top) = (WIDTHS[i % WIDTHS.len()], i as u32 * HEIGHT);
        let paper = shot.get_pixel(0, top).0[0];
        let pixels = (top..top + HEIGHT).flat_map(|y| (0..width).map(move |x| (x, y)));
        let other = pixels.filter(|&(x, y)| shot.get_pixel(x, y).0[0].abs_diff(paper) > 40).count();
        other as f64 / f64::from(width * HEIGHT)
    };
    (0..frames).map(part).collect()
}

/// A report of a copy whose name is not nice.
fn page(run: &Path, folder: &Path) -> String {
    let copied = folder.join(NAME);
    copy(run, &copied);
    json(folder, &["report", copied.to_str().unwrap(), "-o", "a.html", "--steps", "3", "--json"]);
    std::fs::remove_dir_all(copied).unwrap();
    std::fs::read_to_string(folder.join("a.html")).unwrap()
}

#[test]
fn a_browser_shows_all_of_a_report() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: there is no chromium, chromium-browser or google-chrome on PATH");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pages = [page(digits(), folder), page(swissroll(), folder)];
    // A hundred samples, four on their way with four states and three estimates, twenty pairs.
    let images = [100 + 4 * (4 + 3) + 2 * 20, 0];
    let seen = shown(browser, &pages, folder);
    assert_eq!(seen.len(), pages.len() * WIDTHS.len());
    for (i, frame) in seen.iter().enumerate() {
        assert_eq!(frame["width"], WIDTHS[i % WIDTHS.len()].to_string(), "{frame}");
        assert_eq!(frame["images"], images[i / WIDTHS.len()], "{frame}");
        assert_eq!(frame["broken"], serde_json::json!([]), "{frame}");
        assert!(frame["shapes"].as_u64() >= Some(4) && frame["flat"] == 0, "{frame}");
        assert_eq!(frame["headings"], serde_json::json!(HEADINGS), "{frame}");
        assert_eq!(frame["scripts"], 0, "{frame}");
        assert_eq!(frame["overflow"], 0, "the page scrolls sideways: {frame}");
        assert_eq!(frame["wide"], serde_json::json!([]), "{frame}");
    }
    for part in painted(folder, seen.len()) {
        assert!((0.003..0.9).contains(&part), "{part} of a picture is painted");
    }
}
