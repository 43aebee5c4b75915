//! The network of the Fréchet Inception distance, with weights that the user brings.
//!
//! Names and layers are those of `pt_inception-2015-12-05`, the translation to PyTorch of the
//! network that Heusel et al. (arXiv:1706.08500) published; the preparation of images is that of
//! their code, not of PyTorch's resize. `docs/evaluation.md` says how to convert the file.

mod layers;
mod network;
mod resize;

use crate::features::hex;
use crate::{Error, Extractor, Result};
use network::Network;
use resize::Resize;
use sha2::{Digest, Sha256};
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_torch::tensor;
use tweedie_torch::weights::{self, KindPolicy, StateDict};

/// The side of the images that the network looks at.
const SIDE: i64 = 299;

/// Inception v3 up to the 2,048 features that FID compares.
#[derive(Debug)]
pub struct Inception {
    network: Network,
    device: Device,
    key: String,
}

impl Inception {
    /// Reads the weights of a safetensors file: five tensors for each of the 94 convolutions
    /// (`….conv.weight`, `….bn.{weight,bias,running_mean,running_var}`). Counters, the auxiliary
    /// head and the last layer may be there and are not used.
    ///
    /// # Errors
    /// If the file is not whole, or its tensors are not these: the message says how many are
    /// missing, unexpected, of another shape or not finite, and names the first.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let mut dict = weights::load(path, KindPolicy::Cast(Kind::Float), Device::Cpu)?;
        dict.retain(|name, _| !is_unused(name));
        Self::from_dict(&dict, device)
    }

    fn from_dict(dict: &StateDict, device: Device) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let mut expected = vec![];
        Network::new(&mut |name, shape| {
            expected.push((format!("{name}.conv.weight"), shape.to_vec()));
            expected.extend(NORM.map(|part| (format!("{name}.bn.{part}"), vec![shape[0]])));
            Ok((Tensor::new(), Tensor::new()))
        })?;
        let places =
            expected.iter().map(|(_, shape)| Ok(Tensor::f_empty(shape, tch::kind::FLOAT_CPU)?));
        let places = places.collect::<Result<Vec<_>>>()?;
        weights::load_into(expected.iter().map(|(name, _)| name.as_str()).zip(&places), dict)?;
        let mut made = places.chunks(1 + NORM.len());
        let network = Network::new(&mut |_, _| match made.next() {
            Some([conv, a, b, c, d]) => {
                let (weight, bias) = layers::fold(conv, [a, b, c, d]);
                Ok((weight.f_to_device(device)?, bias.f_to_device(device)?))
            }
            _ => Err(Error::invalid("the layers of Inception", "more", "94")),
        })?;
        let mut hash = Sha256::new();
        for t in &places {
            hash.update(tensor::to_bytes(t)?);
        }
        Ok(Inception { network, device, key: format!("inception:{}", hex(&hash.finalize())) })
    }
}

/// The parts of a batch norm, in the order in which [`layers::fold`] takes them.
const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

fn is_unused(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
        || name.starts_with("fc.")
        || name.starts_with("AuxLogits.")
}

impl Extractor for Inception {
    fn key(&self) -> String {
        self.key.clone()
    }

    /// Images of one channel are taken for grey ones. As the reference does, numbers become whole
    /// ones from 0 to 255 first.
    fn features(&self, images: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let size = images.size();
        if !matches!(size[..], [_, 1 | 3, _, _]) || size.contains(&0) {
            return Err(Error::shape("images for Inception", "[n, 1 or 3, height, width]", &size));
        }
        let images = images.to_device(self.device).to_kind(Kind::Float);
        Ok(self.network.forward(&prepare(&images)?))
    }
}

/// [−1, 1] to bytes, to 299×299, to what the network was trained on: `(byte − 128) / 128`.
fn prepare(images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let bytes = ((images + 1.0) * 127.5).round().clamp(0.0, 255.0);
    let bytes = bytes.expand([size[0], 3, size[2], size[3]], false);
    let rows = Resize::new(size[2], SIDE).matrix(images.device())?;
    let columns = Resize::new(size[3], SIDE).matrix(images.device())?;
    Ok((rows.matmul(&bytes).matmul(&columns.tr()) - 128.0) / 128.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::from_f32;

    #[test]
    fn a_wrong_file_is_told_by_its_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let wrong = from_f32(&[0.0; 32], &[32]).unwrap();
        let tensors = [
            ("Conv2d_1a_3x3.conv.weight", &wrong),
            ("Conv2d_1a_3x3.bn.weight", &wrong),
            ("Conv2d_1a_3x3.bn.num_batches_tracked", &wrong),
            ("fc.weight", &wrong),
            ("layer4.weight", &wrong),
        ];
        weights::save(&path, tensors, &Default::default(), None).unwrap();
        let error = Inception::load(&path, Device::Cpu).unwrap_err().to_string();
        for words in [
            "468 missing (Conv2d_1a_3x3.bn.bias",
            "1 unexpected (layer4.weight)",
            "1 of another shape (Conv2d_1a_3x3.conv.weight is [32], expected [32, 3, 3, 3])",
        ] {
            assert!(error.contains(words), "{error}");
        }
        std::fs::write(&path, "half").unwrap();
        assert!(
            Inception::load(&path, Device::Cpu).unwrap_err().to_string().contains("w.safetensors")
        );
    }

    #[test]
    fn bytes_are_those_of_the_reference() {
        // −1, the level below 0, 1 and what lies beyond: 0, 127, 255, 255, before the scaling.
        let x = from_f32(&[-1.0, -0.004, 1.0, 1.5], &[4, 1, 1, 1]).unwrap();
        let ready = prepare(&x).unwrap();
        assert_eq!(ready.size(), [4, 3, 299, 299]);
        let corner = tensor::to_f32(&ready.select(1, 2).select(1, 298).select(1, 0)).unwrap();
        assert_eq!(corner, [-1.0, -0.0078125, 0.9921875, 0.9921875]);
    }
}
