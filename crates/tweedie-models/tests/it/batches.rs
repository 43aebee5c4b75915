//! A sample through a network alone, and in batches of other sizes.

use crate::golden::{assert_close, conditional, time};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network};
use tweedie_models::ModelSpec;
use tweedie_torch::rng::Generator;

/// The noise of a sample is the same to the bit in every batch; a network's answer is not, since
/// libtorch's kernels sum in another order for another batch size: 3e-5 was seen in layers of 256
/// and 288 terms in single precision.
const OTHER_KERNELS: f64 = 3e-5;

#[test]
fn a_sample_alone_is_close_to_itself_in_a_batch() {
    let json = |text| serde_json::from_str::<ModelSpec>(text).unwrap();
    let networks = [
        time(2, &[128, 256, 128]),
        conditional(&[128, 256, 128], 10),
        json(
            r#"{"type": "unet", "image_size": 8, "channels": 2, "ch": 32, "ch_mult": [1, 2], "attn_resolutions": [4]}"#,
        ),
        json(r#"{"type": "dit", "image_size": 8, "channels": 2, "depth": 2, "num_heads": 2}"#),
    ];
    let _guard = tch::no_grad_guard();
    for spec in networks {
        let model = spec.build(1, Kind::Float, Device::Cpu).unwrap();
        let mut rng = Generator::new(7).unwrap();
        // Layers that begin at zero would hide what comes before them.
        for weights in model.parameters().tensors() {
            let more = rng.normal(&weights.size(), Kind::Float).unwrap() * 0.02;
            let _ = weights.shallow_clone().g_add_(&more);
        }
        let shape = [&[64], &spec.sample_shape()[..]].concat();
        let x = rng.normal(&shape, Kind::Float).unwrap();
        let noise = rng.uniform(&[64], Kind::Float, 0.1, 2.0).unwrap();
        let labels = spec.num_classes().map(|classes| rng.below(classes, &[64]).unwrap());
        let answer = |first: i64, batch: i64| {
            let part = |t: &Tensor| t.narrow(0, first, batch);
            let cond = labels.as_ref().map(|l| Cond::labels(part(l)));
            model.forward(&part(&x), &part(&noise), cond.as_ref()).unwrap()
        };
        let whole = answer(0, 64);
        for (first, batch) in [(0, 1), (17, 1), (63, 1), (5, 7), (32, 32)] {
            let what = format!("{} {first} of {batch}", spec.name());
            assert_close(
                &what,
                &answer(first, batch),
                &whole.narrow(0, first, batch),
                OTHER_KERNELS,
            );
        }
    }
}
