//! A table beside the images: `metadata.csv` and `metadata.jsonl` (Hugging Face's `imagefolder`),
//! and `captions.txt`.

use super::listing::{Listing, numbered};
use crate::{Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

/// The names that are looked for, in this order.
const NAMES: [&str; 3] = ["metadata.csv", "metadata.jsonl", "captions.txt"];
/// The columns that say something; `caption` is another word for `text`.
const COLUMNS: [&str; 3] = ["file_name", "text", "label"];
const FILE_NAME: usize = 0;
const TEXT: usize = 1;
const LABEL: usize = 2;
/// More classes than this are no classes.
const CLASSES: i64 = 1_000_000;

/// A line of a table: its number, and what stands in [`COLUMNS`].
struct Row {
    line: usize,
    cells: [Option<String>; 3],
}

/// The table of a folder.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The images that a table names.
pub(super) fn read(folder: &Path, table: &Path) -> Result<Listing> {
    let rows = match table.extension().and_then(std::ffi::OsStr::to_str) {
        Some("csv") => csv_rows(table)?,
        Some("jsonl") => json_rows(table)?,
        _ => caption_rows(table)?,
    };
    if rows.is_empty() {
        return Err(Error::broken(table, "no lines, expected one an image"));
    }
    let labels = column(table, &rows, LABEL)?;
    let labels = labels.map(|labels| numbers(table, &labels)).transpose()?;
    let (labels, class_names) = labels.map_or((None, vec![]), |(l, names)| (Some(l), names));
    Ok(Listing {
        folder: folder.to_path_buf(),
        paths: files(folder, table, &rows)?,
        labels,
        class_names,
        texts: column(table, &rows, TEXT)?,
    })
}

/// The files, each of which is there and named once.
fn files(folder: &Path, table: &Path, rows: &[Row]) -> Result<Vec<PathBuf>> {
    let mut seen = HashMap::new();
    let file = |row: &Row| -> Result<PathBuf> {
        let said = |problem| Err(Error::broken(table, format!("line {}: {problem}", row.line)));
        let Some(name) = row.cells[FILE_NAME].as_deref().filter(|name| !name.is_empty()) else {
            return said("no file_name".to_owned());
        };
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(name).components().all(inside) {
            return said(format!("{name} is not in the folder"));
        }
        if let Some(before) = seen.insert(name.to_owned(), row.line) {
            return said(format!("{name} was named in line {before} already"));
        }
        let path = folder.join(name);
        if path.is_file() { Ok(path) } else { said(format!("there is no file {name}")) }
    };
    rows.iter().map(file).collect()
}

/// A column that the first row has, and then every row.
fn column(table: &Path, rows: &[Row], which: usize) -> Result<Option<Vec<String>>> {
    let cell = |row: &Row| {
        let missing = || Error::broken(table, format!("line {}: no {}", row.line, COLUMNS[which]));
        row.cells[which].clone().ok_or_else(missing)
    };
    let there = rows.first().is_some_and(|row| row.cells[which].is_some());
    there.then(|| rows.iter().map(cell).collect()).transpose()
}

/// Labels that are numbers stay what they are; names are numbered in their order.
fn numbers(table: &Path, labels: &[String]) -> Result<(Vec<i64>, Vec<String>)> {
    let whole: Option<Vec<i64>> = labels.iter().map(|label| label.parse().ok()).collect();
    let Some(whole) = whole else { return Ok(numbered(labels)) };
    if let Some(label) = whole.iter().find(|&label| !(0..CLASSES).contains(label)) {
        let problem = format!("label {label}, expected 0 to {}", CLASSES - 1);
        return Err(Error::broken(table, problem));
    }
    let classes = whole.iter().max().map_or(0, |last| last + 1);
    Ok((whole, (0..classes).map(|c| c.to_string()).collect()))
}

/// Which of [`COLUMNS`] a name is.
fn place(name: &str) -> Option<usize> {
    let name = if name == "caption" { COLUMNS[TEXT] } else { name };
    COLUMNS.iter().position(|column| *column == name)
}

fn without_names(table: &Path, has: &[&str]) -> Error {
    Error::broken(table, format!("no column file_name; it has {}", has.join(", ")))
}

fn csv_rows(table: &Path) -> Result<Vec<Row>> {
    let broken = |e: csv::Error| Error::broken(table, format!("not a whole csv file: {e}"));
    let mut reader = csv::Reader::from_path(table).map_err(broken)?;
    let header = reader.headers().map_err(broken)?.clone();
    let places: Vec<Option<usize>> = header.iter().map(|name| place(name.trim())).collect();
    if !places.contains(&Some(FILE_NAME)) {
        return Err(without_names(table, &header.iter().collect::<Vec<_>>()));
    }
    let mut rows = vec![];
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(0, |at| at.line() as usize);
        let mut row = Row { line, cells: Default::default() };
        for (place, cell) in places.iter().zip(&record) {
            if let Some(place) = place {
                row.cells[*place] = Some(cell.to_owned());
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The lines that are not empty, with their numbers from 1.
fn lines(table: &Path) -> Result<impl Iterator<Item = Result<(usize, String)>>> {
    let file = BufReader::new(File::open(table).map_err(Error::file(table))?);
    let owned = table.to_path_buf();
    let lines = file.lines().enumerate().map(move |(i, line)| {
        let line = line.map_err(Error::file(&owned))?;
        Ok((i + 1, line.trim().to_owned()))
    });
    Ok(lines.filter(|line| !line.as_ref().is_ok_and(|(_, text)| text.is_empty())))
}

fn json_rows(table: &Path) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = vec![];
    for line in lines(table)? {
        let (line, text) = line?;
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
            .map_err(|e| Error::broken(table, format!("line {line}: not a JSON object: {e}")))?;
        let mut row = Row { line, cells: Default::default() };
        for (name, value) in &object {
            let text = match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            if let Some(place) = place(name) {
                row.cells[place] = text;
            }
        }
        if rows.is_empty() && row.cells[FILE_NAME].is_none() {
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            return Err(without_names(table, &names));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// A file's name, a tab or a comma, and its text; a line of names in front may be there.
fn caption_rows(table: &Path) -> Result<Vec<Row>> {
    let mut rows = vec![];
    for line in lines(table)? {
        let (line, text) = line?;
        let Some((name, caption)) = text.split_once('\t').or_else(|| text.split_once(',')) else {
            let problem = format!("line {line}: expected a file's name, a tab or comma, a text");
            return Err(Error::broken(table, problem));
        };
        let (name, caption) = (name.trim(), caption.trim());
        if rows.is_empty() && matches!(name, "file_name" | "image") && place(caption) == Some(TEXT)
        {
            continue;
        }
        rows.push(Row { line, cells: [Some(name.to_owned()), Some(caption.to_owned()), None] });
    }
    Ok(rows)
}
