//! Folders of images.

use crate::support::{bytes, encoded, golden, pattern, png, write};
use image::{DynamicImage, ImageFormat};
use std::path::Path;
use tweedie_data::images::{Crop, ImageConfig, ImageFolder, Limit};
use tweedie_data::{Dataset, Error, Filter, Loader, LoaderConfig, LoaderState, Source};
use tweedie_torch::tensor::{to_f32, to_i64, to_u8};

/// The first image of a folder as bytes `[height, width, channels]`.
fn first(folder: &Path, config: ImageConfig) -> Vec<u8> {
    let set = ImageFolder::open(folder, config).unwrap().dataset().unwrap();
    to_u8(&set.samples().get(0).permute([1, 2, 0])).unwrap()
}

/// Writes the only image of a folder and reads it as it is.
fn through(name: &str, file: &[u8], config: ImageConfig) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), name, file);
    first(folder.path(), config)
}

fn close(ours: &[u8], theirs: &[u8], within: u8, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!(a.abs_diff(*b) <= within, "{what}: {a} for {b}");
    }
}

/// Pillow's resizing, to one grey level: both round to bytes between the two directions.
#[test]
fn resizing_is_pillows() {
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.png", &encoded(pattern(37, 53), ImageFormat::Png));
    for case in golden["resized"].as_array().unwrap() {
        let filter: Filter = serde_json::from_value(case["filter"].clone()).unwrap();
        let [h, w]: [usize; 2] = serde_json::from_value(case["size"].clone()).unwrap();
        let config = ImageConfig { filter, crop: Crop::None, ..ImageConfig::new(h, w) };
        let ours = first(folder.path(), config);
        close(&ours, &bytes(&case["pixels"]), 1, &format!("{filter:?} {h} × {w}"));
    }
    let ours = first(folder.path(), ImageConfig::new(8, 8));
    close(&ours, &bytes(&golden["cropped"]), 1, "crop and resize");
}

#[test]
fn every_kind_of_file_becomes_the_wanted_colours() {
    let golden = golden();
    let image = pattern(4, 4);
    let (exact, grey) = (image.clone().into_raw(), bytes(&golden["grey"]));
    let colour = ImageConfig::new(4, 4);
    let one = ImageConfig { channels: 1, ..colour };
    for (name, format) in [("a.png", ImageFormat::Png), ("b.WEBP", ImageFormat::WebP)] {
        let file = encoded(image.clone(), format);
        assert_eq!(through(name, &file, colour), exact, "{name}");
        assert_eq!(through(name, &file, one), grey, "{name}");
    }
    let dynamic = DynamicImage::from(image);
    let deep = encoded(dynamic.to_rgb16(), ImageFormat::Png);
    assert_eq!(through("deep.png", &deep, colour), exact);
    let deep = encoded(
        image::DynamicImage::ImageLuma8(image::GrayImage::from_raw(4, 4, grey.clone()).unwrap())
            .to_luma16(),
        ImageFormat::Png,
    );
    assert_eq!(through("grey16.png", &deep, one), grey);
    let thrice: Vec<u8> = grey.iter().flat_map(|&v| [v; 3]).collect();
    assert_eq!(through("grey16.png", &deep, colour), thrice);
    let palette = &golden["palette"];
    assert_eq!(through("palette.png", &bytes(&palette["file"]), colour), bytes(&palette["pixels"]));
    // The wrong ending, and none of the endings that are looked for.
    assert_eq!(through("a.jpg", &encoded(dynamic, ImageFormat::Png), colour), exact);
}

#[test]
fn transparent_pixels_show_what_is_behind() {
    let mut image = image::RgbaImage::from_pixel(2, 1, image::Rgba([10, 20, 30, 0]));
    image.put_pixel(1, 0, image::Rgba([10, 20, 30, 255]));
    let config = ImageConfig { background: [1, 2, 3], ..ImageConfig::new(1, 2) };
    for (name, format) in [("a.png", ImageFormat::Png), ("a.webp", ImageFormat::WebP)] {
        let pixels = through(name, &encoded(image.clone(), format), config);
        assert_eq!(pixels, [1, 2, 3, 10, 20, 30], "{name}");
    }
    let white = ImageConfig { channels: 1, ..ImageConfig::new(1, 2) };
    assert_eq!(through("a.png", &encoded(image, ImageFormat::Png), white), [255, 18]);
}

/// Files of Pillow's: CMYK, progressive, turned by its EXIF, lossy WebP.
#[test]
fn jpeg_and_webp_in_their_kinds() {
    let golden = golden();
    let config = ImageConfig::new(16, 16);
    let flat = |name: &str, golden: &serde_json::Value, rgb: &[u8], within| {
        let pixels = through(name, &bytes(golden), config);
        close(&pixels, &rgb.repeat(256), within, name);
    };
    // Lossy: quality 90 and more leaves a flat colour within a few levels.
    flat("progressive.jpg", &golden["progressive"], &[200, 100, 50], 3);
    flat("lossy.webp", &golden["lossy_webp"], &[200, 100, 50], 5);
    let cmyk = &golden["cmyk"];
    flat("cmyk.jpeg", &cmyk["file"], &bytes(&cmyk["pixel"]), 5);
    // Black on the left of white, turned clockwise: black on top.
    let one = ImageConfig { channels: 1, ..ImageConfig::new(32, 16) };
    let turned = through("turned.jpg", &bytes(&golden["turned"]), one);
    close(&turned[..240], &[0; 240], 8, "the top");
    close(&turned[272..], &[255; 240], 8, "the bottom");
}

/// Two classes of two, in the order of their names.
fn classes(folder: &Path) {
    for (name, value) in
        [("dog/b.png", 3), ("cat/y.png", 1), ("dog/deep/a.png", 2), ("cat/x.png", 0)]
    {
        write(folder, name, &png(2, [value; 3]));
    }
    write(folder, "cat/notes.txt", b"no image");
    write(folder, ".hidden/z.png", b"no image");
}

#[test]
fn sub_folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    classes(folder.path());
    let set = ImageFolder::open(folder.path(), ImageConfig::new(2, 2)).unwrap();
    assert_eq!((set.count(), set.classes(), set.sample_shape()), (4, Some(2), vec![3, 2, 2]));
    assert_eq!(set.class_names(), ["cat", "dog"]);
    let batch = set.batch(&[3, 0, 1, 2]).unwrap();
    assert_eq!(to_i64(&batch.labels.unwrap()).unwrap(), [1, 0, 0, 1]);
    // In memory and from disk, to the bit.
    let read = set.dataset().unwrap();
    let all = to_f32(&set.whole().unwrap().x).unwrap();
    assert_eq!(all, to_f32(&read.all().x).unwrap());
    assert_eq!(all, to_f32(Dataset::read(&set).unwrap().samples()).unwrap());
    assert_eq!([0, 12, 24, 36].map(|i| ((all[i] + 1.0) * 127.5).round()), [0.0, 1.0, 3.0, 2.0]);

    std::fs::create_dir(folder.path().join("bird")).unwrap();
    let error = ImageFolder::open(folder.path(), ImageConfig::new(2, 2)).unwrap_err();
    assert!(matches!(&error, Error::Missing { .. }) && error.to_string().contains("bird"));
    // Images beside the folders: no classes at all.
    write(folder.path(), "beside.png", &png(2, [9; 3]));
    let set = ImageFolder::open(folder.path(), ImageConfig::new(2, 2)).unwrap();
    assert_eq!((set.count(), set.classes()), (5, None));
    assert!(set.batch(&[0]).unwrap().labels.is_none());
}

#[test]
fn images_of_one_size_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    classes(folder.path());
    let read = || ImageFolder::of_one_size(folder.path(), 1).and_then(|set| set.dataset());
    let set = read().unwrap();
    assert_eq!(to_u8(set.samples()).unwrap(), [0_u8, 1, 3, 2].map(|v| [v; 4]).concat());
    assert_eq!(to_i64(set.labels().unwrap()).unwrap(), [0, 0, 1, 1]);
    write(folder.path(), "dog/z.png", &png(3, [9; 3]));
    let error = read().unwrap_err().to_string();
    assert!(error.contains("z.png: it is 3 × 3 pixels, expected 2 × 2; 1 of 5"), "{error}");
    write(folder.path(), "cat/a.png", b"no image");
    let error = read().unwrap_err().to_string();
    assert!(error.contains("a.png: it is no PNG, JPEG or WebP"), "{error}");
}

/// A loader of a folder goes on in the middle of an epoch, whatever is read ahead.
#[test]
fn a_loader_streams_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..11 {
        let name = format!("{i:02}.png");
        write(folder.path(), &name, if i == 4 { b"broken" } else { &PNGS[i] });
    }
    let config = ImageConfig { max_broken: Limit::Count(1), ..ImageConfig::new(2, 2) };
    let loader = |prefetch| {
        let set = ImageFolder::open(folder.path(), config).unwrap();
        Loader::new(set, LoaderConfig { prefetch, ..LoaderConfig::new(3, 9) }).unwrap()
    };
    let take = |loader: &mut Loader, n| -> Vec<Vec<f32>> {
        loader.take(n).map(|b| to_f32(&b.unwrap().x).unwrap()).collect()
    };
    let all = take(&mut loader(0), 12);
    for (prefetch, cut) in [(0, 2), (1, 5), (4, 3), (4, 7)] {
        let mut begun = loader(prefetch);
        assert_eq!(take(&mut begun, cut), all[..cut]);
        let mut goes_on = loader(prefetch);
        goes_on.resume(begun.state()).unwrap();
        assert_eq!(take(&mut goes_on, 12 - cut), all[cut..], "{prefetch} ahead, from {cut}");
    }
    let mut loader = loader(2);
    take(&mut loader, 4);
    assert_eq!(loader.state(), LoaderState { epoch: 1, position: 0 });
    assert_eq!(loader.dataset().broken(), 1);
}

static PNGS: std::sync::LazyLock<Vec<Vec<u8>>> =
    std::sync::LazyLock::new(|| (0..16).map(|i| png(2, [i; 3])).collect());

/// A broken image is replaced by the next good one, the last by the first, with its label.
#[test]
fn a_broken_image_among_many_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    classes(folder.path());
    write(folder.path(), "dog/deep/a.png", &png(2, [2; 3])[..40]);
    let config = |max_broken| ImageConfig { max_broken, ..ImageConfig::new(2, 2) };
    let set = ImageFolder::open(folder.path(), config(Limit::Fraction(0.25))).unwrap();
    let batch = set.batch(&[3, 2]).unwrap();
    assert_eq!(to_i64(&batch.labels.unwrap()).unwrap(), [0, 1]);
    let x = to_f32(&batch.x).unwrap();
    assert_eq!([x[0], x[12]].map(|v| ((v + 1.0) * 127.5).round()), [0.0, 3.0]);
    assert_eq!(set.broken(), 1);
    assert!(set.broken_files()[0].ends_with("dog/deep/a.png"));
    assert_eq!(set.dataset().unwrap().count(), 3);

    let strict = ImageFolder::open(folder.path(), config(Limit::Count(0))).unwrap();
    for _ in 0..2 {
        let error = strict.batch(&[3]).unwrap_err().to_string();
        assert!(error.contains("a.png") && error.contains("1 of 4 images are broken"), "{error}");
    }
    assert!(strict.dataset().is_err());
    assert!(strict.batch(&[0]).is_ok() && strict.batch(&[4]).is_err());
}

#[test]
fn a_folder_of_broken_images_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..5 {
        write(folder.path(), &format!("{i}.png"), b"no image");
    }
    for limit in [Limit::Count(100), Limit::Fraction(1.0)] {
        let config = ImageConfig { max_broken: limit, ..ImageConfig::new(2, 2) };
        let set = ImageFolder::open(folder.path(), config).unwrap();
        for error in [set.batch(&[1]).map(drop), set.dataset().map(drop)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("all 5 images are broken"), "{error}");
        }
    }
    let set = ImageFolder::open(folder.path(), ImageConfig::new(2, 2)).unwrap();
    let error = set.dataset().unwrap_err();
    assert!(matches!(error, Error::TooManyBroken { allowed: 1, count: 5, .. }), "{error}");
}

/// A PNG file whose header claims a size, with a correct checksum.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(1, [0; 3]);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

#[test]
fn broken_files_are_explained() {
    let good = png(8, [1, 2, 3]);
    let jpeg = encoded(pattern(32, 32), ImageFormat::Jpeg);
    let webp = encoded(pattern(32, 32), ImageFormat::WebP);
    let mut damaged = good.clone();
    let end = damaged.len() - 20;
    damaged[end] ^= 0xff;
    let cases: [(&str, Vec<u8>, &str); 16] = [
        ("empty.png", vec![], "no PNG, JPEG or WebP"),
        ("text.png", b"hello".to_vec(), "no PNG, JPEG or WebP"),
        ("html.jpg", b"<!DOCTYPE html>".to_vec(), "no PNG, JPEG or WebP"),
        ("gif.png", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), "no PNG, JPEG or WebP"),
        ("cut.png", good[..good.len() / 2].to_vec(), ""),
        ("head.png", good[..20].to_vec(), ""),
        ("damaged.png", damaged, ""),
        ("head.jpg", jpeg[..30].to_vec(), ""),
        ("cut.jpg", jpeg[..jpeg.len() - 9].to_vec(), "the JPEG is cut off"),
        ("cut.webp", webp[..webp.len() / 2].to_vec(), ""),
        ("head.webp", webp[..16].to_vec(), ""),
        ("flat.png", claims(0, 4), ""),
        ("bomb.png", claims(30_000, 30_000), "30000 × 30000 pixels take more than"),
        ("wide.png", claims(1 << 30, 1), ""),
        ("huge.png", claims(u32::MAX >> 1, u32::MAX >> 1), ""),
        ("claims.png", claims(4000, 4000), ""),
    ];
    for (name, file, word) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), name, &file);
        let config = ImageConfig { max_broken: Limit::Count(0), ..ImageConfig::new(4, 4) };
        let set = ImageFolder::open(folder.path(), config).unwrap();
        let error = set.batch(&[0]).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(word), "{name}: {error}");
        assert!(error.contains("1 of 1 images are broken, expected at most 0"), "{name}: {error}");
    }
}

#[test]
fn odd_sizes_are_no_trouble() {
    for (w, h) in [(1, 1), (1, 300), (300, 1), (7, 5), (129, 64)] {
        let image = image::RgbImage::from_pixel(w, h, image::Rgb([7, 8, 9]));
        let file = encoded(image, ImageFormat::Png);
        for crop in [Crop::Center, Crop::None] {
            for size in [[1, 1], [5, 3], [16, 16]] {
                let config = ImageConfig { crop, ..ImageConfig::new(size[0], size[1]) };
                let pixels = through("a.png", &file, config);
                close(&pixels, &[7, 8, 9].repeat(size[0] * size[1]), 1, "a flat image");
            }
        }
    }
}

#[test]
fn folders_and_settings_without_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |config| ImageFolder::open(folder.path(), config).unwrap_err().to_string();
    let error = open(ImageConfig::new(2, 2));
    assert!(error.contains("no images; looked for *.png, *.jpg, *.jpeg, *.webp"), "{error}");
    write(folder.path(), "a.png", &png(2, [0; 3]));
    assert!(open(ImageConfig::new(0, 2)).contains("the size is 0 × 2"));
    assert!(open(ImageConfig::new(2, 1 << 40)).contains("sides of 1 to"));
    assert!(open(ImageConfig { channels: 4, ..ImageConfig::new(2, 2) }).contains("channels is 4"));
    let limit = ImageConfig { max_broken: Limit::Fraction(2.0), ..ImageConfig::new(2, 2) };
    assert!(open(limit).contains("is 2, expected"));
    let absent = ImageFolder::open(&folder.path().join("absent"), ImageConfig::new(2, 2));
    assert!(absent.unwrap_err().to_string().contains("absent"));
}
