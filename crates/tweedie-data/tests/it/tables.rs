//! Tables beside images.

use crate::support::{png, write};
use tweedie_data::Source;
use tweedie_data::images::{ImageConfig, ImageFolder};
use tweedie_torch::tensor::to_i64;

/// Opens a folder with images 0.png … 2.png and this table.
fn open(name: &str, table: &str) -> tweedie_data::Result<ImageFolder> {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..3 {
        write(folder.path(), &format!("in/{i}.png"), &png(1, [i; 3]));
    }
    write(folder.path(), name, table.as_bytes());
    let set = ImageFolder::open(folder.path(), ImageConfig::new(1, 1))?;
    let names = set.paths().iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["2.png", "0.png"], "{name}");
    let batch = set.whole()?;
    let labels = batch.labels.map(|labels| to_i64(&labels).unwrap());
    assert_eq!(labels.map(|l| l.len()).unwrap_or(2), 2);
    Ok(set)
}

#[test]
fn texts_and_labels() {
    let set = open("metadata.csv", "file_name,text,label\nin/2.png,\"a, b\",dog\nin/0.png,c,cat\n");
    let set = set.unwrap();
    assert_eq!(set.texts().unwrap(), ["a, b", "c"]);
    assert_eq!(set.class_names(), ["cat", "dog"]);

    let table = "{\"file_name\": \"in/2.png\", \"caption\": \"two\", \"label\": 5, \"score\": 0.5}\n\n\
                 {\"file_name\": \"in/0.png\", \"caption\": \"none\", \"label\": 0}\n";
    let set = open("metadata.jsonl", table).unwrap();
    assert_eq!(
        (set.texts().unwrap(), set.classes()),
        (&["two".to_owned(), "none".into()][..], Some(6))
    );

    for head in ["", "image,caption\n"] {
        let set = open("captions.txt", &format!("{head}in/2.png,two, too\nin/0.png\tnone, yet\n"));
        assert_eq!(set.unwrap().texts().unwrap(), ["two, too", "none, yet"]);
    }
    let set = open("metadata.csv", "label,file_name\n1,in/2.png\n0,in/0.png\n").unwrap();
    assert!(set.texts().is_none() && set.classes() == Some(2));
}

#[test]
fn broken_tables_are_explained() {
    let cases = [
        ("metadata.csv", "", "no column file_name"),
        ("metadata.csv", "file_name\n", "no lines"),
        ("metadata.csv", "name,text\nin/2.png,a\n", "no column file_name; it has name, text"),
        ("metadata.csv", "file_name\nin/2.png\nin/9.png\n", "line 3: there is no file in/9.png"),
        ("metadata.csv", "file_name\nin/2.png\nin/0.png\nin/2.png\n", "named in line 2 already"),
        ("metadata.csv", "file_name,text\nin/2.png\n", "not a whole csv file"),
        ("metadata.csv", "file_name\n../x.png\n", "../x.png is not in the folder"),
        ("metadata.csv", "file_name\n/etc/x.png\n", "/etc/x.png is not in the folder"),
        ("metadata.csv", "file_name,label\nin/2.png,-1\nin/0.png,0\n", "label -1, expected 0 to"),
        ("metadata.csv", "file_name,label\nin/2.png,9999999999\n", "label 9999999999, expected"),
        ("metadata.jsonl", "{\"file\": 1}\n", "no column file_name; it has file"),
        ("metadata.jsonl", "[1]\n", "line 1: not a JSON object"),
        (
            "metadata.jsonl",
            "{\"file_name\": \"in/2.png\"}\n{\"text\": \"a\"}\n",
            "line 2: no file_name",
        ),
        (
            "metadata.jsonl",
            "{\"file_name\": \"in/2.png\", \"label\": 1}\n{\"file_name\": \"in/0.png\"}\n",
            "line 2: no label",
        ),
        ("captions.txt", "in/2.png\n", "line 1: expected a file's name, a tab or comma, a text"),
        ("captions.txt", "\n\n", "no lines"),
    ];
    for (name, table, word) in cases {
        let error = open(name, table).expect_err(table).to_string();
        assert!(error.contains(word) && error.contains(name), "{table:?}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "captions.txt", &[0xff, 0xfe, b'\n']);
    assert!(ImageFolder::open(folder.path(), ImageConfig::new(1, 1)).is_err());
}
