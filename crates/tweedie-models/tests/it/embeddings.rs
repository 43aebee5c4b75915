//! Embeddings of the level with the weights of a seed.

use crate::golden::{assert_close, golden};
use tch::{Device, Kind};
use tweedie_models::embed::{SigmaEmbedderSinCos, TimestepEmbedder, timestep_embedding};
use tweedie_torch::parameters::Parameters;

/// Angles of up to 1,000 radians in single precision are known to 6e-5, so are their sines.
const LARGE_ANGLES: f64 = 1e-4;

fn parameters(seed: u64) -> Parameters {
    Parameters::new(seed, Kind::Float, Device::Cpu).unwrap()
}

#[test]
fn embeddings_are_smalldiffusions() {
    let golden = golden();
    let levels = &golden["embed.levels"];
    let bank = timestep_embedding(&(levels * 1000.0), 16, 10_000.0);
    assert_close("bank", &bank, &golden["embed.timestep_16"], LARGE_ANGLES);

    let sigma = SigmaEmbedderSinCos::new(&mut parameters(5).root(), 8, 0.5, true).unwrap();
    assert_close("sin cos", &sigma.forward(levels), &golden["embed.sin_cos"], 1e-6); // f32
    let linear = SigmaEmbedderSinCos::new(&mut parameters(5).root(), 8, 1000.0, false).unwrap();
    assert_close("linear", &linear.forward(levels), &golden["embed.sin_cos_linear"], LARGE_ANGLES);

    let mut named = parameters(6);
    let timestep = TimestepEmbedder::new(&mut named.root(), 8).unwrap();
    assert_close("timestep", &timestep.forward(levels), &golden["embed.timestep"], LARGE_ANGLES);
    let names: Vec<&str> = named.named().map(|(name, _)| name).collect();
    assert_eq!(names[..3], ["mlp.0.weight", "mlp.0.bias", "mlp.2.weight"]);
}
