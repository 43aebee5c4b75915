//! Merging of tokens that are alike (Bolya & Hoffman, "Token Merging for Fast Stable Diffusion",
//! arXiv:2303.17604, section 4; the matching is Bolya et al.'s, arXiv:2210.09461, section 3).

use tch::{Kind, Tensor};
use tweedie_core::noise::philox::{self, Key};
use tweedie_torch::Result;

/// Cells of so many tokens a side have one destination each.
const CELL: i64 = 2;

/// The stream of [`philox`] that the choice of destinations uses: "merg".
const STREAM: u32 = 0x6d65_7267;

/// How many tokens are merged, and into which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Merging {
    /// The share of the tokens that go, from 0 to 3/4: all but the destinations.
    pub(crate) ratio: f64,
    /// Which of the choices of destinations: that of one call is another than that of the next. It
    /// depends on nothing else, so a sample is the same in any batch.
    pub(crate) draw: u32,
}

impl Merging {
    /// The matching of tokens `metric`, `[batch, height·width, width of a token]`, of an image of
    /// `size`, `[height, width]`; nothing if no token would go.
    pub(crate) fn matching(self, metric: &Tensor, size: [i64; 2]) -> Result<Option<Matching>> {
        let tokens = size[0] * size[1];
        let (dst, src) = self.split(size);
        let merged = ((tokens as f64 * self.ratio) as i64).min(src.len() as i64);
        if merged == 0 || dst.is_empty() {
            return Ok(None);
        }
        let device = metric.device();
        let [dst, src] = [dst, src].map(|list| Tensor::from_slice(&list));
        let (dst, src) = (dst.f_to_device(device)?, src.f_to_device(device)?);
        Matching::new(metric, &dst, &src, merged).map(Some)
    }

    /// One token of every whole cell, and the others; counted along the rows.
    fn split(self, [height, width]: [i64; 2]) -> (Vec<i64>, Vec<i64>) {
        let (rows, columns) = (height / CELL, width / CELL);
        let mut words = vec![0; (rows * columns) as usize];
        philox::words(Key { seed: 0, stream: STREAM, sample: 0, draw: self.draw }, &mut words);
        let chosen = |y: i64, x: i64| {
            let (row, column) = (y / CELL, x / CELL);
            let inside = row < rows && column < columns;
            let place =
                i64::from(words.get((row * columns + column) as usize).map_or(0, |w| w % 4));
            inside && place == y % CELL * CELL + x % CELL
        };
        (0..height * width).partition(|i| chosen(i / width, i % width))
    }
}

/// Which tokens become one.
#[derive(Debug)]
pub(crate) struct Matching {
    /// For every token of the batch, the row of all samples' merged tokens that it goes to.
    place: Tensor,
    /// How many tokens each of these rows is the mean of, `[rows, 1]`, in single precision.
    count: Tensor,
}

impl Matching {
    /// Of the `src` tokens the `merged` that are most like a `dst` token go into it.
    fn new(metric: &Tensor, dst: &Tensor, src: &Tensor, merged: i64) -> Result<Self> {
        let (batch, tokens) = (metric.size()[0], metric.size()[1]);
        let (destinations, device) = (dst.size()[0], metric.device());
        let length = metric.f_norm_scalaropt_dim(2.0, [-1], true)?.f_clamp_min(1e-6)?;
        let unit = metric.f_div(&length)?;
        let cosine = unit
            .f_index_select(1, src)?
            .f_matmul(&unit.f_index_select(1, dst)?.f_transpose(1, 2)?)?;
        let (most, mut goes_to) = cosine.f_max_dim(-1, false)?;
        // Those that stay have rows behind the destinations'.
        let stay =
            most.f_argsort_stable(true, -1, true)?.f_narrow(1, merged, src.size()[0] - merged)?;
        let rows = tokens - merged;
        let integers = (Kind::Int64, device);
        let own = Tensor::f_arange_start(destinations, rows, integers)?.f_expand_as(&stay)?;
        let _ = goes_to.f_scatter_(1, &stay, &own)?;
        let mut place = Tensor::f_empty([batch, tokens], integers)?;
        let itself = Tensor::f_arange(destinations, integers)?.f_expand([batch, -1], false)?;
        let _ = place.f_index_copy_(1, dst, &itself)?;
        let _ = place.f_index_copy_(1, src, &goes_to)?;
        let first = Tensor::f_arange(batch, integers)?.f_mul_scalar(rows)?.f_unsqueeze(1)?;
        let place = place.f_add(&first)?.f_flatten(0, 1)?;
        let one = Tensor::f_ones([batch * tokens, 1], (Kind::Float, device))?;
        let mut count = Tensor::f_zeros([batch * rows, 1], (Kind::Float, device))?;
        let _ = count.f_index_add_(0, &place, &one)?;
        Ok(Matching { place, count })
    }

    /// `[batch, tokens, width]` to `[batch, fewer, width]`: the means, in an order of no meaning.
    pub(crate) fn merge(&self, x: &Tensor) -> Result<Tensor> {
        let (size, options) = (x.size(), (x.kind(), x.device()));
        let mut sum = Tensor::f_zeros([self.count.size()[0], size[2]], options)?;
        let _ = sum.f_index_add_(0, &self.place, &x.f_flatten(0, 1)?)?;
        let _ = sum.f_div_(&self.count.f_to_kind(x.kind())?)?;
        Ok(sum.f_view([size[0], -1, size[2]])?)
    }

    /// The way back: every token gets what became of the mean that it was part of.
    pub(crate) fn unmerge(&self, y: &Tensor) -> Result<Tensor> {
        let size = y.size();
        let all = y.f_flatten(0, 1)?.f_index_select(0, &self.place)?;
        Ok(all.f_view([size[0], -1, size[2]])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tweedie_core::Noise;

    fn noise(shape: &[i64]) -> Tensor {
        Noise::seeded(3).initial(shape, Kind::Float, Device::Cpu).unwrap()
    }

    fn off(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.size(), b.size());
        f64::try_from((a - b).abs().max()).unwrap()
    }

    /// What merging and its way back make of one sample, by the definition: loops over numbers.
    fn directly(x: &[Vec<f64>], dst: &[i64], src: &[i64], merged: usize) -> Vec<Vec<f64>> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        let mut edges: Vec<(f64, i64, i64)> = Vec::new();
        for &s in src {
            let like = |d: &i64| cosine(&x[s as usize], &x[*d as usize]);
            let best = dst.iter().max_by(|a, b| like(a).total_cmp(&like(b))).unwrap();
            edges.push((like(best), s, *best));
        }
        edges.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut out = x.to_vec();
        for &d in dst {
            let mine = edges[..merged].iter().filter(|e| e.2 == d).map(|e| e.1);
            let group: Vec<i64> = mine.chain([d]).collect();
            for c in 0..x[0].len() {
                let sum: f64 = group.iter().map(|t| x[*t as usize][c]).sum();
                group.iter().for_each(|t| out[*t as usize][c] = sum / group.len() as f64);
            }
        }
        out
    }

    #[test]
    fn merging_is_what_its_definition_says() {
        for (size, ratio) in [([4, 6], 0.5), ([5, 7], 0.3), ([2, 2], 0.75), ([8, 8], 0.75)] {
            let x = noise(&[3, size[0] * size[1], 5]);
            let merging = Merging { ratio, draw: 2 };
            let matching = merging.matching(&x, size).unwrap().unwrap();
            let fewer = matching.merge(&x).unwrap();
            let tokens = size[0] * size[1];
            let merged = (tokens as f64 * ratio) as i64;
            assert_eq!(fewer.size(), [3, tokens - merged, 5]);
            let (dst, src) = merging.split(size);
            for k in 0..3 {
                let rows = Vec::<Vec<f64>>::try_from(x.get(k).to_kind(Kind::Double)).unwrap();
                let expected = directly(&rows, &dst, &src, merged as usize);
                let expected = Tensor::from_slice2(&expected);
                let found = matching.unmerge(&fewer).unwrap().get(k).to_kind(Kind::Double);
                // Means of up to sixteen numbers in single precision.
                assert!(off(&found, &expected) < 1e-6, "{size:?} {ratio} sample {k}");
            }
        }
    }

    #[test]
    fn one_token_of_each_cell_is_a_destination() {
        let (dst, src) = Merging { ratio: 0.5, draw: 0 }.split([6, 8]);
        let mut cells: Vec<_> = dst.iter().map(|i| (i / 8 / 2, i % 8 / 2)).collect();
        cells.sort_unstable();
        let all = (0..3).flat_map(|y| (0..4).map(move |x| (y, x))).collect::<Vec<_>>();
        assert_eq!((cells, src.len()), (all, 36));
        let other = Merging { ratio: 0.5, draw: 1 }.split([6, 8]).0;
        assert_ne!(dst, other, "another call has other destinations");
        // What is no whole cell has none.
        let (dst, src) = Merging { ratio: 0.5, draw: 0 }.split([3, 5]);
        assert_eq!((dst.len(), src.len()), (2, 13));
        assert!(dst.iter().all(|i| i / 5 < 2 && i % 5 < 4));
    }

    #[test]
    fn nothing_is_merged_where_nothing_may_go() {
        let x = noise(&[1, 16, 3]);
        let none = |ratio, size| Merging { ratio, draw: 0 }.matching(&x, size).unwrap().is_none();
        assert!(none(0.0, [4, 4]) && none(0.05, [4, 4]));
        assert!(none(0.5, [1, 16]), "there is no whole cell");
        assert!(!none(0.07, [4, 4]));
    }

    #[test]
    fn equal_tokens_merge_to_themselves() {
        // Each cell has one kind of token, each kind points somewhere else.
        let kinds = noise(&[2, 16, 6]).view([2, 4, 4, 6]);
        let x = kinds.repeat_interleave_self_int(2, 1, None::<i64>);
        let x = x.repeat_interleave_self_int(2, 2, None::<i64>).reshape([2, 64, 6]);
        let matching = Merging { ratio: 0.75, draw: 5 }.matching(&x, [8, 8]).unwrap().unwrap();
        let fewer = matching.merge(&x).unwrap();
        assert_eq!(fewer.size(), [2, 16, 6]);
        assert!(off(&matching.unmerge(&fewer).unwrap(), &x) < 1e-6);
    }

    #[test]
    fn a_sample_is_merged_alone_as_in_a_batch() {
        let x = noise(&[3, 64, 8]);
        let merge = |x: &Tensor| {
            let matching = Merging { ratio: 0.5, draw: 1 }.matching(x, [8, 8]).unwrap().unwrap();
            matching.unmerge(&matching.merge(x).unwrap()).unwrap()
        };
        assert!(off(&merge(&x).narrow(0, 1, 1), &merge(&x.narrow(0, 1, 1))) < 1e-6);
    }
}
