//! Maps against Pillow and torchvision, and their odds.

use crate::support::{golden, pattern};
use std::sync::Arc;
use tweedie_data::augment::{CenterCrop, HorizontalFlip, RandomCrop, RandomResizedCrop, Resize};
use tweedie_data::{Dataset, Filter, Loader, LoaderConfig, Map};
use tweedie_torch::tensor::{from_f32, from_u8, to_f32};

/// The pattern as a data set of one image, `[3, height, width]`.
fn one(height: u32, width: u32) -> Dataset {
    let image = pattern(height, width).into_raw();
    let x = from_u8(&image, &[1, height.into(), width.into(), 3]).unwrap();
    Dataset::new(x.permute([0, 3, 1, 2]).contiguous(), None).unwrap()
}

fn mapped(set: Dataset, map: impl tweedie_data::augment::Augment + 'static) -> Vec<f32> {
    let config = LoaderConfig { maps: vec![Arc::new(map)], ..LoaderConfig::new(1, 0) };
    to_f32(&Loader::new(set, config).unwrap().next().unwrap().unwrap().x).unwrap()
}

/// `torchvision.transforms.functional.resize(…, antialias=True)` on numbers in [−1, 1].
#[test]
fn resizing_is_torchvisions() {
    for case in golden()["floats"].as_array().unwrap() {
        let filter = serde_json::from_value(case["filter"].clone()).unwrap();
        let ours = mapped(one(37, 53), Resize { height: 9, width: 11, filter });
        let theirs: Vec<f32> = serde_json::from_value(case["values"].clone()).unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(theirs) {
            // The file has five digits; the rest is the order of summation.
            assert!((a - b / 1e5).abs() < 1e-5, "{filter:?}: {a} for {}", b / 1e5);
        }
    }
}

#[test]
fn the_middle_is_torchvisions() {
    let set = || {
        let values: Vec<f32> = (0..30).map(|v| v as f32).collect();
        Dataset::new(from_f32(&values, &[1, 1, 5, 6]).unwrap(), None).unwrap()
    };
    // (5 − 2)/2 = 1.5 rounds to 2, (6 − 3)/2 = 1.5 to 2; (5 − 4)/2 = 0.5 to 0.
    let middle = mapped(set(), CenterCrop { height: 2, width: 3 });
    assert_eq!(middle, [14., 15., 16., 20., 21., 22.]);
    assert_eq!(mapped(set(), CenterCrop { height: 4, width: 6 })[0], 0.0);
}

/// Columns 0 … 4 of a row, a thousand times.
fn rows(n: i64) -> Dataset {
    let values: Vec<f32> = (0..n * 5).map(|i| (i % 5) as f32).collect();
    Dataset::new(from_f32(&values, &[n, 1, 1, 5]).unwrap(), None).unwrap()
}

fn whole(set: Dataset, maps: Vec<Map>, seed: u64) -> Vec<f32> {
    let n = set.count();
    let config = LoaderConfig { maps, shuffle: false, ..LoaderConfig::new(n, seed) };
    to_f32(&Loader::new(set, config).unwrap().next().unwrap().unwrap().x).unwrap()
}

/// Within four standard deviations of a binomial count.
fn likely(count: usize, n: usize, p: f64) {
    let (mean, deviation) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
    assert!((count as f64 - mean).abs() <= 4.0 * deviation, "{count} of {n} for p = {p}");
}

#[test]
fn flips_are_as_frequent_as_they_should_be() {
    for p in [0.0, 0.1, 0.5, 1.0] {
        let out = whole(rows(4000), vec![Arc::new(HorizontalFlip { p })], 3);
        let flipped = out.as_chunks::<5>().0.iter().filter(|row| **row == [4., 3., 2., 1., 0.]);
        let kept = out.as_chunks::<5>().0.iter().filter(|row| **row == [0., 1., 2., 3., 4.]);
        let (flipped, kept) = (flipped.count(), kept.count());
        assert_eq!(flipped + kept, 4000);
        likely(flipped, 4000, p);
    }
}

/// With two black pixels on each side each of the five places is as likely as any other.
#[test]
fn crops_are_from_everywhere() {
    let crop = RandomCrop { padding: 2, ..RandomCrop::new(1, 5) };
    let out = whole(rows(4000), vec![Arc::new(crop)], 3);
    let b = -1.0;
    let columns = [b, b, 0., 1., 2., 3., 4., b, b];
    let mut counts = [0; 5];
    let mut black = 0;
    for row in out.as_chunks::<5>().0 {
        // The padding is above and below too: of five rows only the middle one is not black.
        match columns.windows(5).position(|part| part == row) {
            Some(place) => counts[place] += 1,
            None => {
                assert_eq!(*row, [b; 5]);
                black += 1;
            }
        }
    }
    likely(black, 4000, 0.8);
    for count in counts {
        likely(count, 4000, 0.04);
    }
}

/// Two maps draw numbers of their own: all four outcomes are as likely.
#[test]
fn maps_are_independent_of_each_other() {
    let set = {
        let values: Vec<f32> = (0..4000 * 4).map(|i| (i % 4) as f32).collect();
        Dataset::new(from_f32(&values, &[4000, 1, 2, 2]).unwrap(), None).unwrap()
    };
    let up_down: Map =
        Arc::new(|x: &mut tweedie_data::augment::Sample, u: &mut tweedie_data::augment::Chance| {
            if u.uniform() < 0.5 {
                x.values.rotate_left(2);
            }
        });
    let out = whole(set, vec![Arc::new(HorizontalFlip { p: 0.5 }), up_down], 1);
    for first in 0..4 {
        let count = out.as_chunks::<4>().0.iter().filter(|x| x[0] == first as f32).count();
        likely(count, 4000, 0.25);
    }
}

/// The same sample of the same epoch is the same in every batch, ahead or not.
#[test]
fn augmentation_is_a_function_of_seed_sample_and_epoch() {
    let maps = || -> Vec<Map> {
        let crop = RandomResizedCrop { filter: Filter::Bicubic, ..RandomResizedCrop::new(6, 6) };
        vec![Arc::new(HorizontalFlip { p: 0.5 }), Arc::new(crop)]
    };
    let set = || {
        let images: Vec<u8> = (0..12 * 192_u32).map(|i| (i * 7919 % 251) as u8).collect();
        Dataset::new(from_u8(&images, &[12, 3, 8, 8]).unwrap(), None).unwrap()
    };
    let run = |batch_size: usize, prefetch, seed| -> Vec<f32> {
        let config = LoaderConfig { prefetch, maps: maps(), ..LoaderConfig::new(batch_size, seed) };
        let loader = Loader::new(set(), config).unwrap();
        loader.take(24 / batch_size).flat_map(|b| to_f32(&b.unwrap().x).unwrap()).collect()
    };
    let expected = run(12, 0, 5);
    assert_eq!(expected.len(), 24 * 108);
    for (batch_size, prefetch) in [(4, 0), (3, 2), (2, 4)] {
        assert_eq!(run(batch_size, prefetch, 5), expected);
    }
    assert_ne!(run(12, 0, 6), expected);
    assert_ne!(expected[..expected.len() / 2], expected[expected.len() / 2..]);
}

#[test]
fn nonsense_is_refused() {
    let crop = RandomCrop::new(4, 4);
    let maps: Vec<Map> = vec![
        Arc::new(HorizontalFlip { p: 1.5 }),
        Arc::new(HorizontalFlip { p: f64::NAN }),
        Arc::new(RandomCrop { height: 9, ..crop }),
        Arc::new(RandomCrop { width: 0, ..crop }),
        Arc::new(RandomCrop { padding: usize::MAX, ..crop }),
        Arc::new(CenterCrop { height: 9, width: 9 }),
        Arc::new(Resize { height: 0, width: 8, filter: Filter::Box }),
        Arc::new(Resize { height: 8, width: usize::MAX, filter: Filter::Box }),
    ];
    for (i, map) in maps.into_iter().enumerate() {
        let config = LoaderConfig { maps: vec![map], ..LoaderConfig::new(1, 0) };
        assert!(Loader::new(one(8, 8), config).is_err(), "{i}");
    }
    let points = Dataset::new(from_f32(&[0.0; 4], &[2, 2]).unwrap(), None).unwrap();
    let maps: Vec<Map> = vec![Arc::new(HorizontalFlip { p: 0.5 })];
    let config = LoaderConfig { maps, ..LoaderConfig::new(1, 0) };
    let error = Loader::new(points, config).unwrap_err().to_string();
    assert!(error.contains("[2], expected [channels, height, width]"), "{error}");
}
