use super::*;

fn shapes_of<const N: usize>(tensors: [(&str, &[i64]); N]) -> Shapes {
    tensors.map(|(name, shape)| (name.to_owned(), shape.to_vec())).into()
}

fn message(tensors: &Shapes) -> String {
    plan(Path::new("m.safetensors"), tensors).unwrap_err().to_string()
}

#[test]
fn operations_say_the_shape_and_make_it() {
    let t = Tensor::arange(24, (tch::Kind::Float, tch::Device::Cpu)).view([6, 4]);
    let third = Operation::Third(2).apply(&t).unwrap();
    assert_eq!(third.size(), [2, 4]);
    assert_eq!(third.double_value(&[0, 0]), 16.0);
    assert_eq!(Operation::Transpose.apply(&t).unwrap().size(), [4, 6]);
    let conv = t.view([6, 4, 1, 1]);
    assert_eq!(Operation::Linear.apply(&conv).unwrap(), t);
    assert_eq!(Operation::Linear.apply(&t).unwrap(), t);
    let bias = Tensor::arange(6, (tch::Kind::Float, tch::Device::Cpu));
    assert_eq!(Operation::Third(1).apply(&bias).unwrap().size(), [2]);
    assert!(Operation::Third(0).apply(&t.view([4, 6])).is_err());
    assert!(Operation::Linear.apply(&t.view([3, 2, 2, 2])).is_err());
    assert!(Operation::Transpose.apply(&bias).is_err());
}

#[test]
fn what_has_no_place_is_counted_and_named() {
    let name = |i| (format!("control_model.{i}.weight"), vec![1]);
    let message = message(&(0..5).map(name).collect());
    assert!(message.starts_with("m.safetensors: 5 of its tensors"), "{message}");
    assert!(message.contains("control_model.0.weight, ") && message.ends_with("…)"), "{message}");
}

#[test]
fn what_training_left_is_ignored() {
    let names = [
        "model_ema.decay",
        "alphas_cumprod",
        "sqrt_alphas_cumprod",
        "logvar",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "cond_stage_model.model.logit_scale",
        "first_stage_model.loss.logvar",
        "betas",
    ];
    let tensors = shapes_of(names.map(|name| (name, &[1][..])));
    assert_eq!(plan(Path::new("x"), &tensors).unwrap(), []);
}

#[test]
fn a_shape_that_cannot_be_is_an_error() {
    let name = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_bias";
    assert!(message(&shapes_of([(name, &[7])])).contains("has shape [7], expected rows in three"));
}

#[test]
fn a_vae_alone_has_no_prefix() {
    let vae = shapes_of([
        ("decoder.up.0.block.0.norm1.bias", &[4]),
        ("decoder.up.1.block.0.norm1.bias", &[8]),
    ]);
    let plan = plan(Path::new("x"), &vae).unwrap();
    assert_eq!(plan[1].target.name, "decoder.up_blocks.0.resnets.0.norm1.bias");
    assert_eq!(plan[0].target.part, Part::Vae);
    let error = guess(Path::new("x"), &vae).unwrap_err().to_string();
    assert_eq!(error, "x: there is no UNet in it");
}

#[test]
fn what_sd2_predicts_shows_in_one_bias() {
    assert!(sd2_predicts_v(&Tensor::from_slice(&[0.1f32, -0.1])).unwrap());
    assert!(!sd2_predicts_v(&Tensor::from_slice(&[0.08f32, -0.08])).unwrap());
}

#[test]
fn huge_numbers_in_names_are_no_names() {
    for name in [
        "model.diffusion_model.input_blocks.18446744073709551615.0.op.weight",
        "decoder.up.18446744073709551615.block.0.norm1.bias",
        "model.diffusion_model.output_blocks.99999999999999999999.0.op.weight",
    ] {
        let _ = plan(Path::new("x"), &shapes_of([(name, &[1])]));
    }
}
