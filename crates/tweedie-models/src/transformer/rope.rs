//! Rotary positions (Su et al., arXiv:2104.09864) in a sequence and, by axis as vision transformers
//! have it (arXiv:2403.13298), in two dimensions.

use tch::{Device, Kind, Tensor};
use tweedie_torch::{Result, tensor};

/// Rotations by position. A head is four quarters; number `i` of the first and of the second are
/// a pair and turn by one angle, and so are those of the third and the fourth.
#[derive(Debug)]
pub struct Rope {
    /// `[tokens, head_dim]` each, in single precision.
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    const BASE: f64 = 10_000.0;

    /// For a grid of `rows × columns` tokens, row after row. The first half of a head turns by row,
    /// the second by column; pair `i` of a half's `d` by `position·10000^(−i/d)`. `head_dim` is a
    /// multiple of 4.
    pub fn new(rows: i64, columns: i64, head_dim: i64, device: Device) -> Result<Self> {
        let pairs = head_dim / 4;
        let places = (0..rows).flat_map(|r| (0..columns).map(move |c| [(r, 0), (c, 0)]));
        Self::of(places, pairs, pairs, device)
    }

    /// For tokens one after another: pair `i` of all the head's `d` turns by
    /// `position·10000^(−i/d)`. `head_dim` is a multiple of 4.
    pub fn sequence(length: i64, head_dim: i64, device: Device) -> Result<Self> {
        let pairs = head_dim / 4;
        Self::of((0..length).map(|place| [(place, 0), (place, pairs)]), pairs, 2 * pairs, device)
    }

    /// For each token and half of a head its position and the first of its frequencies, of which
    /// there are `frequencies`.
    fn of(
        tokens: impl Iterator<Item = [(i64, i64); 2]>,
        pairs: i64,
        frequencies: i64,
        device: Device,
    ) -> Result<Self> {
        let mut angles = vec![];
        for (position, first) in tokens.flatten() {
            let frequency = |i: i64| Self::BASE.powf(-((first + i) as f64) / frequencies as f64);
            let angle = |i: i64| position as f64 * frequency(i);
            angles.extend((0..pairs).chain(0..pairs).map(angle));
        }
        let tokens = angles.len() as i64 / (4 * pairs);
        let angles = tensor::from_f64(&angles, &[tokens, 4 * pairs])?;
        let to = |t: Tensor| t.to_kind(Kind::Float).f_to_device(device);
        Ok(Rope { cos: to(angles.cos())?, sin: to(angles.sin())? })
    }

    /// The same in `kind`, behind `others` tokens that have no place and do not turn.
    pub fn behind(&self, others: i64, kind: Kind) -> Self {
        let (cos, sin) = (self.cos.to_kind(kind), self.sin.to_kind(kind));
        if others == 0 {
            return Rope { cos, sin };
        }
        let rows =
            |t: &Tensor, value: f64| t.new_full([others, t.size()[1]], value, (kind, t.device()));
        let before = |t: &Tensor, value| Tensor::cat(&[&rows(t, value), t], 0);
        Rope { cos: before(&cos, 1.0), sin: before(&sin, 0.0) }
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
        let rope = Rope::new(4, 4, 8, Device::Cpu).unwrap().behind(1, Kind::Float);
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

    /// In a sequence: by distance, and by whether it is before or behind.
    #[test]
    fn in_a_sequence_too() {
        let rope = Rope::sequence(9, 8, Device::Cpu).unwrap();
        let one = |seed: f64| {
            (Tensor::arange(8, (Kind::Float, Device::Cpu)) * seed).sin().reshape([1, 1, 1, 8])
        };
        let everywhere = |t: Tensor| rope.rotate(&t.expand([1, 1, 9, 8], false));
        let (q, k) = (everywhere(one(1.3)), everywhere(one(0.7)));
        let product = |i: i64, j: i64| {
            to_f64(&(q.select(2, i) * k.select(2, j)).sum(Kind::Float)).unwrap()[0]
        };
        assert!((product(1, 3) - product(6, 8)).abs() < 1e-5); // single precision
        assert!((product(1, 3) - product(3, 1)).abs() > 1e-3);
        // Pair 1 of 4: half a turn and more at place 8, 8·10000^(−1/4) = 0.8.
        let (at, from) = (to_f64(&q.select(2, 8)).unwrap(), to_f64(&one(1.3)).unwrap());
        assert!((at[1] - (from[1] * 0.8f64.cos() - from[3] * 0.8f64.sin())).abs() < 1e-5);
    }
}
