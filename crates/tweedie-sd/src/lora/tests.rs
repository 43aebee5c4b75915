use super::*;
use std::collections::BTreeMap as Map;
use tch::Device;
use tweedie_torch::weights;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
const Q: &str = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
const WEIGHT: &str = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight";

fn ones(shape: &[i64]) -> Tensor {
    Tensor::ones(shape, FLOAT)
}

fn number(value: f64) -> Tensor {
    Tensor::from(value).to_kind(Kind::Float)
}

/// What reading a file of these tensors gives.
fn read(tensors: &[(&str, Tensor)]) -> Result<Lora> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lora.safetensors");
    let named = tensors.iter().map(|(name, t)| (*name, t));
    weights::save(&path, named, &Map::new(), None).unwrap();
    Lora::open(&path)
}

fn problem(tensors: &[(&str, Tensor)]) -> String {
    read(tensors).unwrap_err().to_string()
}

/// A layer of kohya's, with `alpha` if there is one.
fn kohya(down: &Tensor, up: &Tensor, alpha: Option<f64>) -> Result<Lora> {
    let (down_name, up_name) = (format!("{Q}.lora_down.weight"), format!("{Q}.lora_up.weight"));
    let mut tensors =
        vec![(down_name.as_str(), down.shallow_clone()), (up_name.as_str(), up.shallow_clone())];
    let alpha_name = format!("{Q}.alpha");
    tensors.extend(alpha.map(|a| (alpha_name.as_str(), number(a))));
    read(&tensors)
}

fn modules(shape: &[i64]) -> Modules {
    let mut modules = Modules::default();
    modules.insert(Part::Unet, WEIGHT, shape);
    modules
}

fn delta(lora: &Lora, scale: f64, shape: &[i64]) -> Tensor {
    adapters(&[(lora, scale)], &modules(shape)).unwrap()[0].delta().unwrap()
}

#[test]
fn alpha_is_divided_by_the_rank() {
    // Up times down of ones is the rank, 2, everywhere.
    let (down, up) = (ones(&[2, 4]), ones(&[3, 2]));
    let with = kohya(&down, &up, Some(1.0)).unwrap();
    assert_eq!(delta(&with, 0.5, &[3, 4]), ones(&[3, 4]) * 0.5);
    let without = kohya(&down, &up, None).unwrap();
    assert_eq!(without.layers()[0].alpha, 2.0);
    assert_eq!(delta(&without, 0.5, &[3, 4]), ones(&[3, 4]));
}

#[test]
fn several_files_add_up_in_the_weights_own_kind() {
    let lora = kohya(&ones(&[1, 4]), &ones(&[3, 1]), None).unwrap();
    let two = adapters(&[(&lora, 1.0), (&lora, -0.25)], &modules(&[3, 4])).unwrap();
    assert_eq!((two.len(), two[0].terms.len(), two[0].name.as_str()), (1, 2, WEIGHT));
    let fused = two[0].fuse(&ones(&[3, 4]).to_kind(Kind::BFloat16)).unwrap();
    assert_eq!(fused, (ones(&[3, 4]) * 1.75).to_kind(Kind::BFloat16));
    assert!(two[0].fuse(&ones(&[4, 3])).is_err());
}

#[test]
fn convolutions_and_linear_layers_fit_one_another() {
    let conv = kohya(&ones(&[2, 4, 3, 3]), &ones(&[3, 2, 1, 1]), None).unwrap();
    assert_eq!(delta(&conv, 1.0, &[3, 4, 3, 3]).size(), [3, 4, 3, 3]);
    let linear = kohya(&ones(&[2, 4]), &ones(&[3, 2]), None).unwrap();
    assert_eq!(delta(&linear, 1.0, &[3, 4, 1, 1]).size(), [3, 4, 1, 1]);
    let one = kohya(&ones(&[2, 4, 1, 1]), &ones(&[3, 2, 1, 1]), None).unwrap();
    assert_eq!(delta(&one, 1.0, &[3, 4]).size(), [3, 4]);
    // As many numbers, but not the same layer.
    assert!(adapters(&[(&conv, 1.0)], &modules(&[3, 36])).is_err());
}

#[test]
fn layers_of_another_model_are_counted_and_named() {
    let lora = kohya(&ones(&[2, 4]), &ones(&[3, 2]), None).unwrap();
    let message = |modules: &Modules| adapters(&[(&lora, 1.0)], modules).unwrap_err().to_string();
    let nowhere = message(&Modules::default());
    assert!(
        nowhere.contains("for another model: 1 of its 1 layers are not in this one (unet: mid")
    );
    let wider = message(&modules(&[3, 8]));
    assert!(
        wider.contains(&format!("1 of its 1 layers have another shape in this one ({WEIGHT})"))
    );
    let nan = adapters(&[(&lora, f64::NAN)], &modules(&[3, 4])).unwrap_err().to_string();
    assert_eq!(nan, "a LoRA's scale is NaN, expected a finite number");
}

#[test]
fn what_is_no_lora_or_a_broken_one() {
    let (down, up) = ("unet.conv_in.lora_A.weight", "unet.conv_in.lora_B.weight");
    let alpha = "unet.conv_in.alpha";
    assert!(problem(&[(down, ones(&[2, 4]))]).ends_with("conv_in of the unet has no up factor"));
    assert!(problem(&[(alpha, number(1.0))]).contains("no down factor"));
    for (d, u) in
        [(&[2, 4][..], &[3, 1][..]), (&[0, 4], &[3, 0]), (&[2], &[3, 2]), (&[2, 4], &[3, 2, 3, 3])]
    {
        let message = problem(&[(down, ones(d)), (up, ones(u))]);
        assert!(message.contains("expected [out, rank] times [rank, in]"), "{message}");
    }
    let nan = ones(&[2, 4]) * f64::NAN;
    assert!(
        problem(&[(down, nan), (up, ones(&[3, 2]))]).contains("lora_A.weight has a value that is")
    );
    let two = problem(&[(down, ones(&[2, 4])), (up, ones(&[3, 2])), (alpha, ones(&[2]))]);
    assert!(two.contains("alpha of shape [2]"), "{two}");
    let twice =
        problem(&[(down, ones(&[2, 4])), ("lora_unet_conv_in.lora_down.weight", ones(&[2, 4]))]);
    assert!(twice.contains("second time"), "{twice}");
    let loha = problem(&[("lora_unet_conv_in.hada_w1_a", ones(&[2, 4]))]);
    assert!(loha.contains("is of LoHa, which is not built"), "{loha}");
    let whole = problem(&[("conv_in.weight", ones(&[2, 4]))]);
    assert!(whole.contains("1 of its tensors are of no LoRA that is known (conv_in.weight)"));
    assert!(problem(&[]).contains("no LoRA in it"));
}

#[test]
fn a_cut_off_file_or_a_pickle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lora.safetensors");
    let t = ones(&[64, 64]);
    weights::save(&path, [("unet.conv_in.lora_A.weight", &t)], &Map::new(), None).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 40, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(
            Lora::open(&path).unwrap_err().to_string().contains("not a whole safetensors file")
        );
    }
    let error = Lora::open(&folder.path().join("lora.pt")).unwrap_err().to_string();
    assert!(error.contains("pickle"), "{error}");
}
