//! Models of the Hugging Face Hub (the feature `hf-hub`): what is needed of a repository is fetched
//! into the cache that Python's `huggingface_hub` has too, and opened there as a folder.

use super::{Files, OpenOptions, Part, Pipeline, parts};
use crate::options::Options;
use crate::{Error, Result};
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A server of models, and the folder where they are kept.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Its address, `https://huggingface.co`.
    pub endpoint: String,
    /// The folder of all models: `hub` in Hugging Face's folder of caches.
    pub cache: PathBuf,
    /// What opens repositories that are not everybody's.
    pub token: Option<String>,
    /// Whether nothing may be fetched: what is in the cache is used.
    pub offline: bool,
}

/// A file on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetching<'a> {
    /// Its name in the repository.
    pub file: &'a str,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes in all.
    pub bytes: u64,
}

const INDEX: &str = "model_index.json";
const TOKENIZER: [&str; 6] = [
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

impl Hub {
    /// As the environment has it: `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` (else the token that is kept in
    /// the cache) and `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let cache = Cache::from_env();
        let offline = text("HF_HUB_OFFLINE").map(|text| text.to_ascii_uppercase());
        Hub {
            endpoint: text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned()),
            cache: cache.path().clone(),
            token: text("HF_TOKEN").or_else(|| cache.token()),
            offline: offline
                .is_some_and(|said| ["1", "ON", "YES", "TRUE"].contains(&said.as_str())),
        }
    }

    /// The folder with all of a model that `options` need, `owner/name` at a revision (`main` if
    /// none): settings, tokenizers and safetensors, fetched if they are not there yet. `told` learns of
    /// each file that is.
    ///
    /// # Errors
    /// If the name is none, the Hub or a file of it cannot be had, or it is no model that is known;
    /// this is found out before the weights are fetched.
    pub fn fetch(
        &self,
        repo: &str,
        revision: Option<&str>,
        options: &OpenOptions,
        told: &mut dyn FnMut(Fetching<'_>),
    ) -> Result<PathBuf> {
        let revision = revision.unwrap_or("main");
        check_name("the model's name on the Hub", repo, "owner/name")?;
        check_name("the revision", revision, "a branch, a tag or a commit")?;
        let at = |revision: &str| {
            Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned())
        };
        let cache = Cache::new(self.cache.clone());
        if self.offline {
            return cached(repo, &cache.repo(at(revision)));
        }
        let builder = ApiBuilder::from_cache(cache.clone()).with_progress(false);
        let builder = builder.with_endpoint(self.endpoint.clone()).with_token(self.token.clone());
        let api = builder.build().map_err(failed(repo, "the list of its files"))?;
        let info = api.repo(at(revision)).info().map_err(failed(repo, "the list of its files"))?;
        check_name("the Hub's name of a commit", &info.sha, "hexadecimal digits")?;
        // A branch may move while its files are fetched; a commit does not.
        let commit = at(&info.sha);
        let mut wanted = Wanted {
            repo,
            remote: api.repo(commit.clone()),
            local: cache.repo(commit),
            files: info.siblings.into_iter().map(|file| file.rfilename).collect(),
            told,
        };
        let folder = wanted.all(options)?;
        cache.repo(at(revision)).create_ref(&info.sha).map_err(Error::file(&self.cache))?;
        Ok(folder)
    }
}

/// The files of one commit.
struct Wanted<'a> {
    repo: &'a str,
    remote: ApiRepo,
    local: CacheRepo,
    /// Those that there are.
    files: BTreeSet<String>,
    told: &'a mut dyn FnMut(Fetching<'_>),
}

impl Wanted<'_> {
    /// Fetches what is needed; returns the folder.
    fn all(&mut self, options: &OpenOptions) -> Result<PathBuf> {
        let index = self.get(INDEX)?;
        let folder = index.parent().unwrap_or(Path::new("")).to_path_buf();
        let pipeline = Pipeline::parse(Options::read(&index)?)?;
        let mut parts = vec![Part::Unet];
        parts.extend((options.vae.is_none()).then_some(Part::Vae));
        parts.extend(pipeline.text_parts());
        let lists: Vec<_> = parts.iter().map(|part| (*part, self.inside(part.folder()))).collect();
        let shown = PathBuf::from(format!("hub:{}", self.repo));
        if let Some(variant) = &options.variant {
            parts::check_variant(&shown, variant, &lists)?;
        }
        self.settings(&parts, options)?;
        let settings = OpenOptions { variant: None, loras: vec![], ..options.clone() };
        Files::open(&folder, &settings)?;
        for (part, files) in &lists {
            let stem = part.stem();
            let weights = parts::chosen(files, stem, options.variant.as_deref())
                .ok_or_else(|| parts::missing(&shown.join(part.folder()), files, stem))?;
            let path = self.get(&format!("{part}/{weights}"))?;
            if weights.ends_with(".json") {
                for shard in parts::shards(&path)? {
                    self.get(&format!("{part}/{shard}"))?;
                }
            }
        }
        Ok(folder)
    }

    /// The small files of the parts, as far as there are any: what is missing is told when the folder
    /// is opened.
    fn settings(&mut self, parts: &[Part], options: &OpenOptions) -> Result<()> {
        let mut names: Vec<_> = parts.iter().map(|part| format!("{part}/config.json")).collect();
        names.push("scheduler/scheduler_config.json".to_owned());
        if options.tokenizer.is_none() {
            for folder in ["tokenizer", "tokenizer_2"] {
                names.extend(TOKENIZER.iter().map(|file| format!("{folder}/{file}")));
            }
        }
        for name in names {
            if self.files.contains(&name) {
                self.get(&name)?;
            }
        }
        Ok(())
    }

    /// The files in a folder of the repository.
    fn inside(&self, folder: &str) -> BTreeSet<String> {
        let name = |file: &String| Some(file.strip_prefix(folder)?.strip_prefix('/')?.to_owned());
        self.files.iter().filter_map(name).collect()
    }

    /// Where a file is, fetched if it is not in the cache.
    fn get(&mut self, file: &str) -> Result<PathBuf> {
        if let Some(path) = self.local.get(file) {
            return Ok(path);
        }
        let telling = Telling { file, bytes: 0, done: 0, told: &mut *self.told };
        self.remote.download_with_progress(file, telling).map_err(failed(self.repo, file))
    }
}

/// Passes on what hf-hub tells of a file.
struct Telling<'a> {
    file: &'a str,
    bytes: u64,
    done: u64,
    told: &'a mut dyn FnMut(Fetching<'_>),
}

impl hf_hub::api::Progress for Telling<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        (self.bytes, self.done) = (size as u64, 0);
        self.update(0);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.told)(Fetching { file: self.file, done: self.done, bytes: self.bytes });
    }

    fn finish(&mut self) {}
}

/// The folder of a model that was fetched before.
fn cached(repo: &str, cache: &CacheRepo) -> Result<PathBuf> {
    let index = cache.get(INDEX).and_then(|index| Some(index.parent()?.to_path_buf()));
    index.ok_or_else(|| {
        let offline = "it is not in the cache, and the Hub is not asked (HF_HUB_OFFLINE)";
        failed(repo, INDEX)(std::io::Error::other(offline))
    })
}

fn failed<E: std::error::Error + Send + Sync + 'static>(
    repo: &str,
    file: &str,
) -> impl FnOnce(E) -> Error {
    let (repo, file) = (repo.to_owned(), file.to_owned());
    move |source| Error::Hub { repo, file, source: Box::new(source) }
}

/// That a name can be a part of an address and of a path.
fn check_name(what: &'static str, name: &str, expected: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    match name.split('/').all(part) {
        true => Ok(()),
        false => Err(Error::invalid(what, format!("{name:?}"), expected)),
    }
}
