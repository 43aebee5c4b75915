//! Samples at levels of their own.

use crate::{max_difference, normal};
use std::cell::Cell;
use tch::Tensor;
use tweedie_core::{
    Cond, Denoiser, DenoiserExt, Model, Network, NoiseLevel, Parametrization, Result,
    closed_form::GaussianMixture,
};

/// Something of everything that it is given, and how often it was asked.
#[derive(Default)]
struct Mixed(Cell<usize>);

impl Network for Mixed {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        self.0.set(self.0.get() + 1);
        let noise = noise.to_kind(x.kind()).reshape([-1, 1, 1]);
        let class = cond
            .and_then(|c| c.class.as_ref())
            .map_or(Tensor::from(0.0), |c| c.to_kind(x.kind()).reshape([-1, 1, 1]));
        Ok((x * noise.sin()).tanh() + class)
    }
}

fn levels() -> [NoiseLevel; 3] {
    [NoiseLevel::vp(4.0), NoiseLevel::ve(0.5), NoiseLevel::flow(0.3)]
}

fn each(levels: &[NoiseLevel], batch: usize) -> Vec<NoiseLevel> {
    levels.iter().flat_map(|l| std::iter::repeat_n(*l, batch)).collect()
}

/// Asked at once or level by level, in double precision; what a network is told is single on both
/// sides.
fn agrees(denoiser: &dyn Denoiser, levels: &[NoiseLevel], x: &Tensor) {
    let batch = x.size()[0] / levels.len() as i64;
    let at_once = denoiser.denoise_each(x, &each(levels, batch as usize)).unwrap();
    for (i, level) in levels.iter().enumerate() {
        let (first, part) = (i as i64 * batch, |t: &Tensor| t.narrow(0, i as i64 * batch, batch));
        let alone = denoiser.denoise(&part(x), *level).unwrap();
        let off = max_difference(&part(&at_once), &alone);
        assert!(off < 1e-13, "sample {first}: off by {off:e}");
    }
}

#[test]
fn a_network_is_asked_once() {
    let x = normal(1, &[6, 2, 3]);
    for parametrization in
        [Parametrization::default(), Parametrization::edm(0.5), Parametrization::flow()]
    {
        let model = Model::new(Mixed::default(), parametrization).unwrap();
        agrees(&model, &levels(), &x);
        assert_eq!(model.network.0.replace(0), 1 + 3);
        // A condition for two is one for each level.
        let cond = Cond::class(&[3, 1]);
        agrees(&model.given(&cond), &levels(), &x);
        assert_eq!(model.network.0.replace(0), 1 + 3);
        // Clean data are no question for a network.
        let clean = [NoiseLevel::vp(1.0), NoiseLevel::ve(0.0)];
        agrees(&model, &clean, &x);
        agrees(&model.given(&Cond::class(&[3, 1, 4])), &clean, &x);
        assert!(model.given(&cond).denoise_each(&x.narrow(0, 0, 3), &levels()).is_err());
    }
}

#[test]
fn others_are_asked_level_by_level() {
    let data = GaussianMixture::ring(5, 1.0, 0.2).unwrap();
    let x = normal(2, &[6, 2]);
    agrees(&data, &levels(), &x);
    let boxed: Box<dyn Denoiser> = Box::new(data);
    let counted = boxed.by_ref().clipped(-0.5, 0.5).counted();
    agrees(&counted, &levels(), &x);
    assert_eq!(counted.calls(), 1 + 3);
    for wrong in [&levels()[..2], &[]] {
        let error = boxed.denoise_each(&x, wrong).unwrap_err().to_string();
        assert!(error.contains("the number of levels"), "{error}");
    }
    let empty = x.narrow(0, 0, 0);
    assert!(boxed.denoise_each(&empty, &[]).is_err());
    let narrow = |x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x.narrow(1, 0, 1)) };
    assert!(narrow.denoise_each(&x, &each(&levels(), 2)).is_err());
}
