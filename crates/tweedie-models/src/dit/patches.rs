//! Images to rows of tokens and back.

use crate::transformer::sin_cos;
use tch::{Device, Kind, Tensor};
use tweedie_torch::{Result, tensor};

/// `[batch, patches, patch·patch·channels]` to `[batch, channels, height, width]`; within a token
/// the channels run fastest, patches are row after row.
pub(super) fn unpatchify(x: &Tensor, grid: i64, patch: i64, channels: i64) -> Tensor {
    let batch = x.size()[0];
    let x = x.view([batch, grid, grid, patch, patch, channels]).permute([0, 5, 1, 3, 2, 4]);
    x.reshape([batch, channels, grid * patch, grid * patch])
}

/// Sines and cosines of the column in the first half of a token, of the row in the second, with
/// frequencies `10000^(−i/d)` for `d` a quarter of the width: `[1, patches, width]`.
pub(super) fn sin_cos_positions(grid: i64, width: i64, device: Device) -> Result<Tensor> {
    let places = (0..grid).flat_map(|row| (0..grid).map(move |column| [column, row]));
    let values: Vec<f64> = places.flatten().flat_map(|place| sin_cos(place, width / 4)).collect();
    let t = tensor::from_f64(&values, &[1, grid * grid, width])?.to_kind(Kind::Float);
    Ok(t.f_to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::to_f64;

    #[test]
    fn patches_lie_where_they_belong() {
        // Two patches a side, of two pixels, two channels: number 100·patch + 10·pixel + channel.
        let value = |n: i64| (100 * (n / 8) + 10 * (n / 2 % 4) + n % 2) as f64;
        let values: Vec<f64> = (0..32).map(value).collect();
        let tokens = tensor::from_f64(&values, &[1, 4, 8]).unwrap();
        let image = unpatchify(&tokens, 2, 2, 2);
        assert_eq!(image.size(), [1, 2, 4, 4]);
        let second = to_f64(&image.select(1, 1)).unwrap();
        let expected = [
            1, 11, 101, 111, 21, 31, 121, 131, //
            201, 211, 301, 311, 221, 231, 321, 331,
        ];
        assert_eq!(second, expected.map(f64::from));
    }
}
