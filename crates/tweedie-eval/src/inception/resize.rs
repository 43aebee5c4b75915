//! TensorFlow 1's bilinear resize, without anti-aliasing and without half-pixel centres: what the
//! reference code of FID does to its images (`tf.image.resize_bilinear`, `align_corners = False`).
//! Pixel k of the result is read at `k · from / to`, and what lies beyond the last pixel is it.

use crate::Result;
use tch::{Device, Tensor};
use tweedie_torch::tensor;

/// One dimension of a resize.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resize {
    from: i64,
    to: i64,
}

impl Resize {
    /// Both at least 1.
    pub(super) fn new(from: i64, to: i64) -> Self {
        Resize { from, to }
    }

    /// The two pixels that pixel `k` of the result is made of, and how much of the second.
    fn at(self, k: i64) -> (i64, i64, f64) {
        let place = k as f64 * self.from as f64 / self.to as f64;
        let low = (place as i64).min(self.from - 1);
        (low, (low + 1).min(self.from - 1), place - low as f64)
    }

    /// `[to, from]`: a row for each pixel of the result.
    pub(super) fn matrix(self, device: Device) -> Result<Tensor> {
        let mut values = vec![0.0; (self.to * self.from) as usize];
        for k in 0..self.to {
            let (low, high, part) = self.at(k);
            let row = k * self.from;
            values[(row + low) as usize] += (1.0 - part) as f32;
            values[(row + high) as usize] += part as f32;
        }
        Ok(tensor::from_f32(&values, &[self.to, self.from])?.f_to_device(device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::to_f32;

    #[test]
    fn by_hand() {
        // Places 0, 2/3, 4/3: TensorFlow's, where PyTorch reads at −1/6, 1/2 and 7/6.
        let up = to_f32(&Resize::new(2, 3).matrix(Device::Cpu).unwrap()).unwrap();
        let third = 1.0_f32 / 3.0;
        let expected = [1.0, 0.0, third, 1.0 - third, 0.0, 1.0];
        assert!(up.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{up:?}");
        let down = to_f32(&Resize::new(4, 2).matrix(Device::Cpu).unwrap()).unwrap();
        assert_eq!(down, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        let same = to_f32(&Resize::new(2, 2).matrix(Device::Cpu).unwrap()).unwrap();
        assert_eq!(same, [1.0, 0.0, 0.0, 1.0]);
    }
}
