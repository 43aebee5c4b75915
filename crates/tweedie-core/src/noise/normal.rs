//! Normal numbers from Philox blocks, by Box and Muller.
//!
//! Logarithm, sine and cosine are our own polynomials (the single-precision ones of the Cephes
//! library): additions and multiplications in a fixed order, so every machine gives the same bits
//! and the compiler may do sixteen at a time.

use super::philox::{Blocks, Key, LANES, blocks};
use pulp::{Arch, Simd, WithSimd};
use std::f32::consts::LN_2;

/// So many numbers are made together.
pub(super) const GROUP: usize = 4 * LANES;

/// Fills `out` with standard normal numbers; the first n do not depend on how many are asked for.
pub fn normals(key: Key, out: &mut [f32]) {
    normals_from(key, 0, out);
}

/// The same from the number `from` on, a multiple of [`GROUP`].
pub(super) fn normals_from(key: Key, from: usize, out: &mut [f32]) {
    Arch::new().dispatch(Fill { out, from, source: key });
}

/// Fills `out` with `Σ weightᵢ·zᵢ`, the numbers zᵢ being those that [`normals_from`] gives for a key.
pub(super) fn mixture_from(terms: &[(Key, f32)], from: usize, out: &mut [f32]) {
    Arch::new().dispatch(Fill { out, from, source: terms });
}

/// Where numbers come from, so many at once.
trait Source {
    fn group(&self, first: u32) -> [[f32; LANES]; 4];
}

impl Source for Key {
    #[inline(always)]
    fn group(&self, first: u32) -> [[f32; LANES]; 4] {
        box_muller(blocks(*self, first))
    }
}

impl Source for &[(Key, f32)] {
    #[inline(always)]
    fn group(&self, first: u32) -> [[f32; LANES]; 4] {
        let mut sum = [[0.0; LANES]; 4];
        for (key, weight) in *self {
            let z = key.group(first);
            for (sum, z) in sum.iter_mut().zip(&z) {
                for (sum, z) in sum.iter_mut().zip(z) {
                    *sum += weight * z;
                }
            }
        }
        sum
    }
}

/// What is compiled once for each width of vectors. All give the same bits: nothing is contracted.
struct Fill<'a, S> {
    out: &'a mut [f32],
    from: usize,
    source: S,
}

impl<N: Source> WithSimd for Fill<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let first = self.from / GROUP;
        for (group, chunk) in self.out.chunks_mut(GROUP).enumerate() {
            let z = self.source.group(((first + group) * LANES) as u32);
            match <&mut [f32; GROUP]>::try_from(&mut *chunk) {
                Ok(whole) => interleave(&z, whole),
                Err(_) => {
                    let mut whole = [0.0; GROUP];
                    interleave(&z, &mut whole);
                    chunk.copy_from_slice(&whole[..chunk.len()]);
                }
            }
        }
    }
}

#[inline(always)]
fn interleave(z: &[[f32; LANES]; 4], out: &mut [f32; GROUP]) {
    for (word, lanes) in z.iter().enumerate() {
        for (lane, value) in lanes.iter().enumerate() {
            out[word * LANES + lane] = *value;
        }
    }
}

/// Two pairs of uniform numbers a lane to two pairs of normal ones.
#[inline(always)]
fn box_muller(b: Blocks) -> [[f32; LANES]; 4] {
    let mut z = [[0.0; LANES]; 4];
    for pair in [0, 2] {
        for lane in 0..LANES {
            let radius = (-2.0 * ln_unit(b[pair][lane])).sqrt();
            let (sin, cos) = sin_cos_turn(b[pair + 1][lane] as i32);
            z[pair][lane] = radius * cos;
            z[pair + 1][lane] = radius * sin;
        }
    }
    z
}

/// `ln((word + ½) / 2³²)`, rounded to single precision beforehand; never above 0.
#[inline(always)]
fn ln_unit(word: u32) -> f32 {
    // Two halves, since a signed conversion is one instruction and an unsigned one is not.
    let u = (word >> 16) as i32 as f32 * 65_536.0 + ((word & 0xFFFF) as i32 as f32 + 0.5);
    let bits = u.to_bits().wrapping_sub(0x3F35_04F3); // u / √½: the mantissa from √½ to √2
    let exponent = (bits as i32 >> 23) as f32 - 32.0;
    let m = f32::from_bits((bits & 0x007F_FFFF) + 0x3F35_04F3) - 1.0;
    let mut p = 7.037_683_6e-2;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p * m + c;
    }
    let m2 = m * m;
    exponent * LN_2 + (m + (p * m * m2 - 0.5 * m2))
}

/// Sine and cosine of `word / 2³²` turns.
#[inline(always)]
fn sin_cos_turn(word: i32) -> (f32, f32) {
    // The nearest quarter turn, and what is left of it in [−π/4, π/4].
    let quarter = word.wrapping_add(1 << 29) >> 30;
    let rest = word.wrapping_sub(quarter << 30) as f32 * (std::f32::consts::TAU / 4_294_967_296.0);
    let r2 = rest * rest;
    let sin = rest + rest * r2 * ((-1.951_529_6e-4 * r2 + 8.332_161e-3) * r2 - 1.666_665_5e-1);
    let cos =
        1.0 - 0.5 * r2 + r2 * r2 * ((2.443_315_7e-5 * r2 - 1.388_731_6e-3) * r2 + 4.166_664_6e-2);
    let odd = quarter & 1 == 1;
    let (s, c) = if odd { (cos, sin) } else { (sin, cos) };
    let sign = |negative: bool| if negative { -1.0 } else { 1.0 };
    (s * sign(quarter & 2 == 2), c * sign((quarter + 1) & 2 == 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_agree_with_the_standard_library() {
        let step = 0x0001_F351;
        for i in 0..30_000_u32 {
            let word = i.wrapping_mul(step);
            let ln = ((f64::from(word) + 0.5) / 4_294_967_296.0).ln();
            assert!((f64::from(ln_unit(word)) - ln).abs() < 3e-6 * (1.0 + ln.abs()), "{word}");
            let (s, c) = sin_cos_turn(word as i32);
            let angle = f64::from(word as i32) / 4_294_967_296.0 * std::f64::consts::TAU;
            assert!((f64::from(s) - angle.sin()).abs() < 2e-6, "sin {word}");
            assert!((f64::from(c) - angle.cos()).abs() < 2e-6, "cos {word}");
        }
        assert!(ln_unit(u32::MAX) <= 0.0 && ln_unit(0).is_finite());
    }

    /// Kolmogorov–Smirnov and moments, with a million numbers: far enough from chance to fail.
    #[test]
    fn normals_are_normal() {
        let mut z = vec![0.0; 1_000_000];
        normals(Key { seed: 3, stream: 0, sample: 0, draw: 0 }, &mut z);
        let n = z.len() as f64;
        let moment = |k: i32| z.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n;
        assert!(moment(1).abs() < 4e-3 && (moment(2) - 1.0).abs() < 6e-3);
        assert!(moment(3).abs() < 1.6e-2 && (moment(4) - 3.0).abs() < 4e-2);
        z.sort_by(f32::total_cmp);
        // Quantiles of the standard normal: Φ(−2) = 0.02275, Φ(−1) = 0.158655, Φ(1), Φ(3).
        for (at, cdf) in
            [(-2.0, 0.022_750), (-1.0, 0.158_655), (0.0, 0.5), (1.0, 0.841_345), (3.0, 0.998_650)]
        {
            let below = z.partition_point(|&v| v < at) as f64 / n;
            assert!((below - cdf).abs() < 2e-3, "{below} below {at}");
        }
        // Neighbours of one Box–Muller pair are not correlated.
        let mut pairs = vec![0.0; 4 * LANES * 1000];
        normals(Key { seed: 4, stream: 0, sample: 0, draw: 0 }, &mut pairs);
        let dot: f64 = pairs.windows(17).map(|w| f64::from(w[0] * w[16])).sum();
        assert!((dot / pairs.len() as f64).abs() < 0.02);
    }

    /// Vectors of any width give the bits that scalars give.
    #[test]
    fn every_processor_gives_the_same_bits() {
        let key = Key { seed: 11, stream: 1, sample: 2, draw: 3 };
        let terms = [(key, 0.3), (Key { draw: 4, ..key }, -0.7)];
        let (mut wide, mut scalar) = ([0.0; 500], [0.0; 500]);
        mixture_from(&terms, GROUP, &mut wide);
        let source = &terms[..];
        pulp::Scalar::new().vectorize(Fill { out: &mut scalar, from: GROUP, source });
        assert_eq!(wide.map(f32::to_bits), scalar.map(f32::to_bits));
    }

    #[test]
    fn a_longer_request_begins_alike() {
        let key = Key { seed: 7, stream: 0, sample: 5, draw: 9 };
        let (mut long, mut short) = ([0.0; 1000], [0.0; 77]);
        normals(key, &mut long);
        normals(key, &mut short);
        assert_eq!(short, long[..77]);
        normals_from(key, GROUP, &mut short);
        assert_eq!(short, long[GROUP..GROUP + 77]);
    }
}
