//! Models of the Hub, from a server on this machine that has a fixture's files.

use crate::support::golden;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tweedie_sd::files::OpenOptions;
use tweedie_sd::files::hub::Hub;
use tweedie_sd::pipeline::{Options, Request};
use tweedie_sd::{Error, StableDiffusion};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server has, and what it was asked for.
#[derive(Default)]
struct Served {
    files: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    /// The file that ends in its middle.
    cut: Option<String>,
}

/// A server of `tiny/model`, whose cache is a folder of its own.
struct Server {
    served: Arc<Mutex<Served>>,
    hub: Hub,
    _cache: TempDir,
}

fn files_in(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type().unwrap().is_dir() {
            true => files_in(&entry.path(), &format!("{name}/"), files),
            false => drop(files.insert(name, std::fs::read(entry.path()).unwrap())),
        }
    }
}

impl Server {
    fn of(pipeline: &str) -> Self {
        let mut served = Served::default();
        files_in(&golden(pipeline), "", &mut served.files);
        let served = Arc::new(Mutex::new(served));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&served);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &shared);
            }
        });
        let cache = tempfile::tempdir().unwrap();
        let hub = Hub { endpoint, cache: cache.path().into(), token: None, offline: false };
        Server { served, hub, _cache: cache }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Served) -> T) -> T {
        f(&mut self.served.lock().unwrap())
    }

    /// The folder of the model, and the files that were fetched for it.
    fn fetch(&self, options: &OpenOptions) -> (Result<PathBuf, Error>, Vec<String>) {
        self.with(|served| served.asked.clear());
        let folder = self.hub.fetch("tiny/model", None, options, &mut |_| {});
        let mut asked = self.with(|served| std::mem::take(&mut served.asked));
        asked.dedup();
        (folder, asked)
    }

    fn refused(&self, options: &OpenOptions) -> String {
        self.fetch(options).0.unwrap_err().to_string()
    }
}

/// One request: the list of files, or bytes of one.
fn answer(mut stream: TcpStream, served: &Mutex<Served>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let mut served = served.lock().unwrap();
    if path == "/api/models/tiny/model/revision/main" {
        let files = served.files.keys().map(|file| serde_json::json!({ "rfilename": file }));
        let list = serde_json::json!({ "sha": COMMIT, "siblings": files.collect::<Vec<_>>() });
        let list = list.to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", list.len());
        return send(&mut stream, &head, list.as_bytes());
    }
    let file = path.strip_prefix(&format!("/tiny/model/resolve/{COMMIT}/")).unwrap_or_default();
    let Some(bytes) = served.files.get(file).cloned() else {
        return send(&mut stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", &[]);
    };
    served.asked.push(file.to_owned());
    let range = head
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let (from, to) = range.as_ref().and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let from: usize = from.parse().unwrap();
    let end = to.parse().map_or(bytes.len(), |to: usize| (to + 1).min(bytes.len()));
    let part = &bytes[from..end];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\
         ETag: \"{:x}\"\r\nX-Repo-Commit: {COMMIT}\r\n",
        part.len(),
        end.saturating_sub(1),
        bytes.len(),
        file.bytes()
            .fold(bytes.len(), |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte))),
    );
    let cut = served.cut.as_deref() == Some(file) && part.len() > 1;
    send(&mut stream, &head, if cut { &part[..part.len() / 2] } else { part });
}

fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    // A client that has gone is no fault of the server's.
    let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
}

fn latents(folder: &Path) -> tch::Tensor {
    let mut sd = StableDiffusion::open(folder, Options::default()).unwrap();
    let request = Request { prompt: "a red cat".to_owned(), steps: 2, ..Request::default() };
    sd.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap().latents
}

#[test]
fn what_is_needed_is_fetched_once() {
    let server = Server::of("sdxl");
    let unneeded = ["README.md", "unet/diffusion_pytorch_model.bin", "model.ckpt", "vae/x.msgpack"];
    server.with(|served| {
        served.files.extend(unneeded.map(|name| (name.to_owned(), b"no".to_vec())));
        let unet = served.files["unet/diffusion_pytorch_model.safetensors"].clone();
        served.files.insert("unet/diffusion_pytorch_model.fp16.safetensors".to_owned(), unet);
    });
    let (folder, asked) = server.fetch(&OpenOptions::default());
    let folder = folder.unwrap();
    assert_eq!(latents(&folder), latents(&golden("sdxl")));
    let needed = server.with(|served| {
        let plain = |name: &&String| !unneeded.contains(&name.as_str()) && !name.contains("fp16");
        served.files.keys().filter(plain).cloned().collect::<Vec<_>>()
    });
    let mut sorted = asked.clone();
    sorted.sort();
    assert_eq!(sorted, needed);
    assert!(asked[0] == "model_index.json" && asked.last().unwrap().ends_with(".safetensors"));

    let (again, asked) = server.fetch(&OpenOptions::default());
    assert_eq!((again.unwrap(), asked), (folder.clone(), vec![]));
    let offline =
        Hub { offline: true, endpoint: "http://127.0.0.1:9".into(), ..server.hub.clone() };
    let found = offline.fetch("tiny/model", None, &OpenOptions::default(), &mut |_| {});
    assert_eq!(found.unwrap(), folder);

    let options = OpenOptions { variant: Some("fp16".to_owned()), ..OpenOptions::default() };
    let (folder, asked) = server.fetch(&options);
    assert_eq!(asked, ["unet/diffusion_pytorch_model.fp16.safetensors"]);
    assert!(folder.unwrap().join(&asked[0]).is_file());
}

#[test]
fn shards_and_progress() {
    let server = Server::of("sd15");
    server.with(|served| {
        let unet = served.files.remove("unet/diffusion_pytorch_model.safetensors").unwrap();
        served.files.insert("unet/all.safetensors".to_owned(), unet);
        let index = r#"{"weight_map": {"conv_in.weight": "all.safetensors"}}"#;
        let name = "unet/diffusion_pytorch_model.safetensors.index.json";
        served.files.insert(name.to_owned(), index.into());
    });
    let mut told = BTreeMap::new();
    let options = OpenOptions::default();
    let folder = server.hub.fetch("tiny/model", None, &options, &mut |fetching| {
        assert!(fetching.done <= fetching.bytes);
        told.insert(fetching.file.to_owned(), (fetching.done, fetching.bytes));
    });
    assert!(folder.unwrap().join("unet/all.safetensors").is_file());
    assert!(told.contains_key("unet/all.safetensors"));
    assert!(told.values().all(|(done, bytes)| done == bytes), "{told:?}");
}

#[test]
fn what_cannot_be_had_is_named() {
    let server = Server::of("sd15");
    let options = OpenOptions::default();
    let text = "text_encoder/model.safetensors";
    server.with(|served| served.cut = Some(text.to_owned()));
    let cut = server.refused(&options);
    assert!(cut.starts_with(&format!("hub:tiny/model: {text} cannot be fetched: ")), "{cut}");
    server.with(|served| served.cut = None);
    let (folder, asked) = server.fetch(&options);
    assert_eq!(asked[0], text, "the rest was there");
    assert_eq!(latents(&folder.unwrap()), latents(&golden("sd15")));

    let fetch = |hub: &Hub, repo: &str, revision| {
        hub.fetch(repo, revision, &options, &mut |_| {}).unwrap_err()
    };
    let nobody = fetch(&server.hub, "tiny/nobody", None);
    assert!(matches!(&nobody, Error::Hub { repo, .. } if repo == "tiny/nobody"));
    assert!(nobody.to_string().contains("404"), "{nobody}");
    assert!(fetch(&server.hub, "tiny/model", Some("v2")).to_string().contains("404"));
    // A port that nobody listens at.
    let gone = Hub { endpoint: "http://127.0.0.1:9".to_owned(), ..server.hub.clone() };
    let gone = fetch(&gone, "tiny/model", None).to_string();
    assert!(
        gone.starts_with("hub:tiny/model: the list of its files cannot be fetched: "),
        "{gone}"
    );
    let offline = Hub { offline: true, ..server.hub.clone() };
    let offline = fetch(&offline, "tiny/other", None).to_string();
    assert!(offline.contains("tiny/other: model_index.json") && offline.contains("HF_HUB_OFFLINE"));
    for (repo, revision) in
        [("", None), ("../x", None), ("a//b", None), ("a b", None), ("a/b", Some("../../x"))]
    {
        assert!(matches!(fetch(&server.hub, repo, revision), Error::Invalid { .. }), "{repo}");
    }
}

/// A model that cannot be used is refused before its weights are fetched.
#[test]
fn what_is_no_model_costs_no_download() {
    let weights = "unet/diffusion_pytorch_model.safetensors";
    let refused = |change: &dyn Fn(&mut Served), variant: Option<&str>| {
        let server = Server::of("sd15");
        server.with(change);
        let options = OpenOptions { variant: variant.map(str::to_owned), ..OpenOptions::default() };
        let (folder, asked) = server.fetch(&options);
        assert!(!asked.iter().any(|file| file == weights), "{asked:?}");
        folder.unwrap_err().to_string()
    };
    let pickle = refused(
        &|served: &mut Served| {
            let unet = served.files.remove(weights).unwrap();
            served.files.insert("unet/diffusion_pytorch_model.bin".to_owned(), unet);
        },
        None,
    );
    assert!(pickle.contains("hub:tiny/model/unet/") && pickle.contains("pickle"), "{pickle}");
    let class = refused(
        &|served: &mut Served| {
            let index = r#"{"_class_name": "FluxPipeline"}"#;
            served.files.insert("model_index.json".to_owned(), index.into());
        },
        None,
    );
    assert!(class.contains("_class_name is FluxPipeline"), "{class}");
    let variant = refused(&|_: &mut Served| {}, Some("fp16"));
    assert!(variant.contains("variant \"fp16\""), "{variant}");
    let none = refused(&|served: &mut Served| drop(served.files.remove("model_index.json")), None);
    assert!(none.contains("model_index.json cannot be fetched"), "{none}");
}
