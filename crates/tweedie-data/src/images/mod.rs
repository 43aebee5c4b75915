//! Folders of PNG, JPEG and WebP files, read when they are asked for.
//!
//! Three layouts, told apart by what is there:
//! - a table in the folder, `metadata.csv`, `metadata.jsonl` or `captions.txt`, names the files
//!   and gives each a label, a text, or both;
//! - images in sub-folders only: each sub-folder is a class, in the order of their names;
//! - images in the folder itself: no classes.
//!
//! A file that cannot be read is passed over: its place is taken by the next good one, so a batch
//! is still a function of its rows. How many may be broken is [`ImageConfig::max_broken`].

mod decode;
mod listing;
mod table;
mod tally;

pub use decode::Crop;
pub use tally::Limit;

use crate::source::check_rows;
use crate::{Batch, Dataset, Error, Filter, Result, Source};
use decode::Wanted;
use listing::Listing;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tally::Tally;
use tch::{Kind, Tensor};
use tweedie_torch::tensor;

/// What the images of a folder are made into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageConfig {
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// 3 for colour, 1 for grey (Pillow's `L`: 0.299 R + 0.587 G + 0.114 B).
    pub channels: usize,
    /// Which part of an image of another shape is kept.
    pub crop: Crop,
    /// How pixels are weighed when the size changes.
    pub filter: Filter,
    /// What is seen through transparent pixels.
    pub background: [u8; 3],
    /// How many files may be broken.
    pub max_broken: Limit,
}

impl ImageConfig {
    /// Colour, centre crop, bicubic, white behind transparent pixels, at most 1 % broken.
    pub fn new(height: usize, width: usize) -> Self {
        ImageConfig {
            size: [height, width],
            channels: 3,
            crop: Crop::default(),
            filter: Filter::default(),
            background: [255; 3],
            max_broken: Limit::default(),
        }
    }

    fn check(&self) -> Result<Wanted> {
        let [height, width] = self.size;
        if !self.size.iter().all(|side| (1..=LARGEST).contains(side)) {
            let expected = format!("sides of 1 to {LARGEST}");
            return Err(Error::invalid("the size", format!("{height} × {width}"), expected));
        }
        if !matches!(self.channels, 1 | 3) {
            return Err(Error::invalid("channels", self.channels, "1 or 3"));
        }
        let ImageConfig { size, channels, crop, filter, background, .. } = *self;
        Ok(Wanted { size, channels, crop, filter, background })
    }
}

/// The largest side that is made.
const LARGEST: usize = 1 << 13;

/// The images of a folder: a [`Source`] of `[channels, height, width]`.
#[derive(Clone, Debug)]
pub struct ImageFolder {
    // Shared with the thread that reads ahead.
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    listing: Listing,
    wanted: Wanted,
    tally: Tally,
}

impl ImageFolder {
    /// Finds the images of a folder; none is opened yet.
    ///
    /// # Errors
    /// If there are none, a class is empty, a table is wrong, or a setting makes no sense.
    pub fn open(folder: &Path, config: ImageConfig) -> Result<Self> {
        let wanted = config.check()?;
        let listing = listing::list(folder)?;
        let tally = Tally::new(config.max_broken, listing.paths.len())?;
        Ok(ImageFolder { inner: Arc::new(Inner { listing, wanted, tally }) })
    }

    /// Finds the images of a folder as they are, in the size that the first one has: an image of
    /// another size, or one that is broken, is an error once it is read.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if the first image cannot be read.
    pub fn of_one_size(folder: &Path, channels: usize) -> Result<Self> {
        let listing = listing::list(folder)?;
        let first = listing.paths.first();
        let first = first.ok_or_else(|| Error::broken(folder, "its table names no image"))?;
        let [height, width] = decode::size(first).map_err(|e| Error::broken(first, e))?;
        let (crop, max_broken) = (Crop::Exact, Limit::Count(0));
        let config = ImageConfig { channels, crop, max_broken, ..ImageConfig::new(height, width) };
        Self::open(folder, config)
    }

    /// The files, in the order of the rows.
    pub fn paths(&self) -> &[PathBuf] {
        &self.inner.listing.paths
    }

    /// A name for each class; none without classes.
    pub fn class_names(&self) -> &[String] {
        &self.inner.listing.class_names
    }

    /// A text for each image, where a table has them.
    pub fn texts(&self) -> Option<&[String]> {
        self.inner.listing.texts.as_deref()
    }

    /// The files that were found broken so far.
    pub fn broken_files(&self) -> Vec<&Path> {
        self.inner.tally.rows().into_iter().map(|row| &*self.paths()[row]).collect()
    }

    /// Reads all good images into memory, as bytes; broken ones are left out.
    ///
    /// # Errors
    /// If more are broken than may be.
    pub fn dataset(&self) -> Result<Dataset> {
        let read: Vec<Option<Vec<u8>>> =
            (0..self.count()).into_par_iter().map(|row| self.read(row)).collect::<Result<_>>()?;
        let good =
            || read.iter().enumerate().filter_map(|(row, image)| Some((row, image.as_ref()?)));
        let n = good().count() as i64;
        if n == 0 {
            return Err(self.none_is_good());
        }
        let bytes: Vec<u8> = good().flat_map(|(_, image)| image.iter().copied()).collect();
        let [h, w] = self.inner.wanted.size.map(|side| side as i64);
        let x = tensor::from_u8(&bytes, &[n, h, w, self.inner.wanted.channels as i64])?;
        let x = x.permute([0, 3, 1, 2]).contiguous();
        let labels: Option<Vec<i64>> =
            self.inner.listing.labels.as_ref().map(|l| good().map(|(row, _)| l[row]).collect());
        Dataset::new(x, labels.map(|l| tensor::from_i64(&l, &[n])).transpose()?)
    }

    /// The bytes `[height, width, channels]` of an image; none if it is broken.
    fn read(&self, row: usize) -> Result<Option<Vec<u8>>> {
        let inner = &*self.inner;
        if inner.tally.knows(row) {
            return Ok(None);
        }
        let path = &inner.listing.paths[row];
        match decode::decode(path, &inner.wanted) {
            Ok(image) => Ok(Some(image)),
            Err(problem) => inner.tally.add(row, path, problem).map(|()| None),
        }
    }

    /// The image of a row, or the next good one after it, and its row.
    fn good(&self, row: usize) -> Result<(usize, Vec<u8>)> {
        let n = self.count();
        for row in (row..n).chain(0..row) {
            if let Some(image) = self.read(row)? {
                return Ok((row, image));
            }
        }
        Err(self.none_is_good())
    }

    fn none_is_good(&self) -> Error {
        Error::broken(&self.inner.listing.folder, format!("all {} images are broken", self.count()))
    }
}

impl Source for ImageFolder {
    fn count(&self) -> usize {
        self.paths().len()
    }

    fn sample_shape(&self) -> Vec<i64> {
        let Wanted { channels, size: [height, width], .. } = self.inner.wanted;
        [channels, height, width].map(|n| n as i64).to_vec()
    }

    fn classes(&self) -> Option<i64> {
        self.inner.listing.labels.as_ref().map(|_| self.class_names().len() as i64)
    }

    fn batch(&self, rows: &[i64]) -> Result<Batch> {
        check_rows(rows, self.count())?;
        let found: Vec<(usize, Vec<u8>)> =
            rows.par_iter().map(|&row| self.good(row as usize)).collect::<Result<_>>()?;
        let shape = [&[rows.len() as i64], &self.sample_shape()[..]].concat();
        let mut x = Tensor::empty(&shape, (Kind::Float, tch::Device::Cpu));
        let each = tensor::elements(&shape[1..])?;
        let plane = each / self.inner.wanted.channels;
        tensor::fill_f32(&mut x, |values| {
            if each > 0 {
                values
                    .chunks_exact_mut(each)
                    .zip(&found)
                    .for_each(|(to, (_, image))| to_planes(image, to, plane));
            }
        })?;
        let labels = self.inner.listing.labels.as_ref().map(|labels| {
            let labels: Vec<i64> = found.iter().map(|&(row, _)| labels[row]).collect();
            tensor::from_i64(&labels, &shape[..1])
        });
        Ok(Batch { x, labels: labels.transpose()? })
    }

    fn share(&self) -> Box<dyn Source> {
        Box::new(self.clone())
    }

    fn broken(&self) -> usize {
        self.inner.tally.count()
    }
}

/// Bytes `[height, width, channels]` to numbers `[channels, height, width]` in [−1, 1].
fn to_planes(pixels: &[u8], to: &mut [f32], plane: usize) {
    let channels = to.len() / plane.max(1);
    for (i, pixel) in pixels.chunks_exact(channels.max(1)).enumerate() {
        for (c, &value) in pixel.iter().enumerate() {
            // As a data set in memory does it, to the bit.
            to[c * plane + i] = f32::from(value) / 127.5 - 1.0;
        }
    }
}
