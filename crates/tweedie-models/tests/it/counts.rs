//! How many parameters the presets have, without the memory for them.

use tch::{Device, Kind};
use tweedie_models::ModelSpec;
use tweedie_models::dit::{DitConfig, DitSize};
use tweedie_models::unet::{Heads, UnetConfig};

fn count(spec: &ModelSpec) -> i128 {
    spec.build(0, Kind::Float, Device::Cpu).unwrap().parameters().count() as i128
}

/// The value at `x` of the polynomial of second degree through these three points (Lagrange).
fn quadratic(points: [(i128, i128); 3], x: i128) -> i128 {
    let term = |i: usize| {
        let [(a, y), (b, _), (c, _)] = [points[i], points[(i + 1) % 3], points[(i + 2) % 3]];
        // Over one denominator, so that whole numbers stay whole.
        (y * (x - b) * (x - c), (a - b) * (a - c))
    };
    let terms = [term(0), term(1), term(2)];
    let denominator: i128 = terms.iter().map(|t| t.1).product();
    let sum: i128 = terms.iter().map(|(n, d)| n * (denominator / d)).sum();
    assert_eq!(sum % denominator, 0);
    sum / denominator
}

/// All widths of a DiT are multiples of a head's, and every block has as many parameters as the
/// next: narrow ones of one and two blocks say how many wide ones of any depth have.
fn dit(config: &DitConfig) -> i128 {
    let of = |depth: i64| {
        let at = |head_dim: i64| {
            let narrow = DitConfig { head_dim, depth, ..config.clone() };
            (i128::from(head_dim), count(&ModelSpec::Dit(narrow)))
        };
        quadratic([at(4), at(8), at(12)], config.head_dim.into())
    };
    let (one, two) = (of(1), of(2));
    one + i128::from(config.depth - 1) * (two - one)
}

/// All widths of a U-Net are multiples of `ch`.
fn unet(config: &UnetConfig) -> i128 {
    let at = |ch: i64| {
        let (heads, norm_groups) = (Heads::Count(1), 1);
        let narrow = UnetConfig { ch, heads, norm_groups, ..config.clone() };
        (i128::from(ch), count(&ModelSpec::Unet(narrow)))
    };
    quadratic([at(2), at(4), at(6)], config.ch.into())
}

/// Those of `facebookresearch/DiT` without its fixed positions: `depth·(18d² + 15d)` in blocks,
/// `d² + 258d` for the level, `1001d` for classes, `(4p² + 1)d` for patches of `p` pixels, and
/// `2d² + 2d + 8p²(d + 1)` at the end. Table 1 of the paper: 33, 130, 458 and 675 million.
#[test]
fn dits_are_as_large_as_the_papers() {
    use DitSize::{B, L, S, Xl};
    let expected = [
        (S, [32_865_056, 32_920_448, 33_142_016], 33),
        (B, [130_315_808, 130_426_496, 130_869_248], 130),
        (L, [457_840_672, 457_988_224, 458_578_432], 458),
        (Xl, [674_834_720, 675_000_704, 675_664_640], 675),
    ];
    for (size, counts, millions) in expected {
        for (patch_size, expected) in [2, 4, 8].into_iter().zip(counts) {
            assert_eq!(dit(&DitConfig::paper(size, patch_size, 32)), expected, "{size:?}");
            assert!((expected - millions * 1_000_000).abs() < 1_000_000);
        }
    }
}

#[test]
fn counting_by_narrow_networks_is_counting() {
    let (size, patch_size) = (DitSize::S, 8);
    let small = DitConfig { depth: 3, num_heads: 2, ..DitConfig::paper(size, patch_size, 32) };
    assert_eq!(dit(&small), count(&ModelSpec::Dit(small)));
    let small = UnetConfig { ch: 32, ..UnetConfig::ddpm_plus_plus(32, 3) };
    assert_eq!(unet(&small), count(&ModelSpec::Unet(small)));
}

/// EDM's own, added up layer by layer, have 55,733,891 and 295,899,267 (its paper: 55.7 and 295.9
/// million); all that differs is listed, here and in `docs/models.md`.
#[test]
fn edms_presets_differ_from_edms_networks_as_documented() {
    // Attention here: a second projection, no bias for queries, keys and values.
    let second = |c: i128| c * c - 2 * c;
    let theirs = |c: i128| 4 * c * c + 6 * c;
    let convolution = |c: i128| c * c + c;

    let ours = unet(&UnetConfig::ddpm_plus_plus(32, 3));
    // On the way up there is attention behind 5 blocks for 1.
    let attention = 4 * theirs(256) + 10 * second(256);
    // The bank of the level, the input for augmentations, convolutions around resampling.
    let rest = (256 - 128) * 512 - 9 * 128 - 4 * convolution(256);
    assert_eq!(ours, 57_240_067);
    assert_eq!(ours - 55_733_891, attention + rest);

    let ours = unet(&UnetConfig::adm(64, 3, 1000));
    let attention = 7 * second(384) + 7 * second(576) + 8 * second(768);
    // The bank of the level; the null class, and a linear layer for classes.
    let rest = (256 - 192) * 768 + 768 + convolution(768);
    assert_eq!(ours, 304_587_267);
    assert_eq!(ours - 295_899_267, attention + rest);
}
