//! Rotary positions in two dimensions (Su et al., arXiv:2104.09864; by axis as vision
//! transformers have it, arXiv:2403.13298).

use tch::{Device, Kind, Tensor};
use tweedie_torch::{Result, tensor};

/// Rotations by position. The first half of a head turns by row, the second by column; number `i`
/// of a half's `d` pairs by the angle `position·10000^(−i/d)`.
#[derive(Debug)]
pub struct Rope {
    /// `[tokens, head_dim]` each, in single precision.
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    const BASE: f64 = 10_000.0;

    /// For a grid of `rows × columns` tokens, row after row, behind `others` tokens without a
    /// place. `head_dim` is a multiple of 4.
    pub fn new(
        rows: i64,
        columns: i64,
        others: i64,
        head_dim: i64,
        device: Device,
    ) -> Result<Self> {
        let pairs = head_dim / 4;
        let mut angles = vec![0.0; (others * head_dim) as usize];
        for place in (0..rows).flat_map(|r| (0..columns).map(move |c| [r, c])) {
            for position in place {
                let angle = |i: i64| position as f64 * Self::BASE.powf(-(i as f64) / pairs as f64);
                // A pair is (i, i + pairs): both turn by one angle.
                angles.extend((0..pairs).chain(0..pairs).map(angle));
            }
        }
        let angles = tensor::from_f64(&angles, &[others + rows * columns, head_dim])?;
        let to = |t: Tensor| t.to_kind(Kind::Float).f_to_device(device);
        Ok(Rope { cos: to(angles.cos())?, sin: to(angles.sin())? })
    }

    /// Queries or keys, `[batch, heads, tokens, head_dim]`, turned.
    pub fn rotate(&self, x: &Tensor) -> Tensor {
        // (a, b) to (−b, a) within each half.
        let parts = x.chunk(4, -1);
        let turned = Tensor::cat(&[&-&parts[1], &parts[0], &-&parts[3], &parts[2]], -1);
        let (cos, sin) = (self.cos.to_kind(x.kind()), self.sin.to_kind(x.kind()));
        x * cos + turned * sin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::to_f64;

    /// What attention sees, the product of a query and a key, depends on how far they are apart.
    #[test]
    fn products_depend_on_distance_only() {
        let rope = Rope::new(4, 4, 1, 8, Device::Cpu).unwrap();
        let one = |seed: f64| {
            (Tensor::arange(8, (Kind::Float, Device::Cpu)) * seed).sin().reshape([1, 1, 1, 8])
        };
        let everywhere = |t: Tensor| rope.rotate(&t.expand([1, 1, 17, 8], false));
        let (q, k) = (everywhere(one(1.3)), everywhere(one(0.7)));
        let product = |i: i64, j: i64| {
            to_f64(&(q.select(2, i) * k.select(2, j)).sum(Kind::Float)).unwrap()[0]
        };
        let at = |row: i64, column: i64| 1 + 4 * row + column;
        let far = (product(at(0, 0), at(1, 2)) - product(at(2, 1), at(3, 3))).abs();
        assert!(far < 1e-5, "{far}"); // single precision
        assert!((product(at(0, 0), at(1, 2)) - product(at(0, 0), at(2, 1))).abs() > 1e-3);
        // A token without a place is left as it is.
        assert_eq!(to_f64(&q.select(2, 0)).unwrap(), to_f64(&one(1.3)).unwrap());
    }
}
