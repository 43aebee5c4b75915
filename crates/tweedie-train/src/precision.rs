//! What a network computes in.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};
use tweedie_torch::runtime;

/// What a network computes in. Parameters, averages and the optimiser's state are of single
/// precision whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// What the device is fastest in: [`Bf16`](Self::Bf16) where its products are the device's
    /// own, else [`F32`](Self::F32).
    Auto,
    /// Single precision.
    #[default]
    F32,
    /// 8 bits of precision, the range of single precision.
    Bf16,
    /// 11 bits of precision, a narrow range: gradients are scaled ([`LossScale`](crate::LossScale)).
    F16,
}

impl Precision {
    /// libtorch's name for it on `device`. Only `Auto` asks what the device can do; a kind that is
    /// named is taken at its word.
    pub fn kind(self, device: Device) -> Kind {
        match self {
            Precision::Auto => runtime::fast_kind(device),
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
            Precision::F16 => Kind::Half,
        }
    }

    /// The name of a kind, as recipes and checkpoints have it.
    pub fn name(kind: Kind) -> &'static str {
        match kind {
            Kind::BFloat16 => "bf16",
            Kind::Half => "f16",
            Kind::Double => "f64",
            _ => "f32",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_auto_asks_the_device() {
        let kinds = |p: Precision| [Device::Cpu, Device::Cuda(0)].map(|d| p.kind(d));
        assert_eq!(kinds(Precision::F32), [Kind::Float; 2]);
        assert_eq!(kinds(Precision::Bf16), [Kind::BFloat16; 2]);
        assert_eq!(kinds(Precision::F16), [Kind::Half; 2]);
        assert_eq!(kinds(Precision::Auto)[0], runtime::fast_kind(Device::Cpu));
        for precision in ["auto", "f32", "bf16", "f16"] {
            let read: Precision = serde_json::from_value(precision.into()).unwrap();
            if read != Precision::Auto {
                assert_eq!(Precision::name(read.kind(Device::Cpu)), precision);
            }
        }
    }
}
