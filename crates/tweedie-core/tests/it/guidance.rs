//! Rules of guidance against diffusers (`golden/make_guidance.py`) and by hand.

use crate::{answer, max_difference, normal};
use serde_json::Value;
use tch::Tensor;
use tweedie_core::closed_form::GaussianMixture;
use tweedie_core::guidance::{Apg, CfgPlusPlus, Composed, Guidance, Guided, Interval, Rescaled};
use tweedie_core::{
    Cond, Denoiser, DenoiserExt, Grid, Model, Network, NoiseLevel, Parametrization, Prediction,
    Result,
};
use tweedie_torch::tensor;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/guidance.json")).unwrap()
}

fn picture(value: &Value) -> Tensor {
    let values: Vec<f64> = serde_json::from_value(value.clone()).unwrap();
    tensor::from_f64(&values, &[2, 3, 4, 4]).unwrap()
}

fn pictures(value: &Value) -> Vec<Tensor> {
    value.as_array().unwrap().iter().map(picture).collect()
}

/// Double precision on both sides.
#[test]
fn apg_agrees_with_diffusers() {
    for case in golden()["apg"].as_array().unwrap() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let (strong, weak) = (pictures(&case["strong"]), pictures(&case["weak"]));
        let (strong, weak) = (strong.iter().cycle(), weak.iter().cycle());
        let calls = std::cell::RefCell::new((strong, weak));
        let of = |first: bool| {
            let calls = &calls;
            move |_: &Tensor, _: NoiseLevel| -> Result<Tensor> {
                let mut calls = calls.borrow_mut();
                let next = if first { calls.0.next() } else { calls.1.next() };
                Ok(next.unwrap().copy())
            }
        };
        let threshold = number("norm_threshold");
        let apg = Apg::new((of(true), of(false)), number("scale"))
            .eta(number("eta"))
            .norm_threshold(if threshold > 0.0 { threshold } else { f64::INFINITY })
            .momentum(number("momentum"));
        // The second round starts with as much noise as the first: the momentum begins anew.
        for _ in 0..2 {
            for (sigma, expected) in [3.0, 2.0, 1.0].iter().zip(pictures(&case["out"])) {
                let x0 = apg.denoise(&expected.zeros_like(), NoiseLevel::vp(*sigma)).unwrap();
                assert!(max_difference(&x0, &expected) < 1e-12);
            }
        }
    }
}

#[test]
fn rescaling_agrees_with_diffusers_in_what_the_network_predicts() {
    for case in golden()["rescaled"].as_array().unwrap() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let (strong, weak) = (picture(&case["strong"]), picture(&case["weak"]));
        let (x, level) = (normal(1, &[2, 3, 4, 4]), NoiseLevel::vp(1.7));
        for prediction in [Prediction::X0, Prediction::Eps, Prediction::V, Prediction::Flow] {
            let (skip, out) = prediction.denoiser(level);
            let x0 = |predicted: &Tensor| &x * skip + predicted * out;
            let rule = Rescaled {
                branches: (answer(&x0(&strong)), answer(&x0(&weak))),
                scale: number("scale"),
                rescale: number("rescale"),
                prediction,
            };
            let expected = x0(&picture(&case["out"]));
            let off = max_difference(&rule.denoise(&x, level).unwrap(), &expected);
            assert!(off < 1e-11, "{prediction:?}: {off}");
        }
    }
}

#[test]
fn dynamic_thresholding_agrees_with_diffusers() {
    for case in golden()["threshold"].as_array().unwrap() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let x0 = picture(&case["x0"]);
        let rule = answer(&x0).dynamic_threshold(number("quantile"), number("max")).unwrap();
        let kept = rule.denoise(&x0, NoiseLevel::vp(1.0)).unwrap();
        // diffusers casts to single precision to find the quantile.
        assert!(max_difference(&kept, &picture(&case["out"])) < 1e-6);
    }
    assert!(answer(&normal(0, &[1])).dynamic_threshold(0.0, 1.0).is_err());
    assert!(answer(&normal(0, &[1])).dynamic_threshold(0.9, 0.5).is_err());
}

fn two_mixtures() -> (GaussianMixture, GaussianMixture) {
    let all = GaussianMixture::new(&[0.3, 0.7], &[vec![-1.0, 0.5], vec![0.8, -0.2]], &[0.2, 0.4]);
    let one = GaussianMixture::new(&[1.0], &[vec![0.8, -0.2]], &[0.4]);
    (one.unwrap(), all.unwrap())
}

/// The paper's algorithm, written out: x0 guided, eps of the unconditional branch.
#[test]
fn cfgpp_with_ddim_is_the_papers_algorithm() {
    let (cond, uncond) = two_mixtures();
    let ratios = [f64::INFINITY, 8.0, 2.0, 0.7, 0.2, 0.0];
    for path in [NoiseLevel::vp, |s: f64| match s.is_finite() {
        true => NoiseLevel::flow(s / (1.0 + s)),
        false => NoiseLevel::flow(1.0),
    }] {
        let grid = Grid::from_levels(ratios.iter().map(|&s| path(s)).collect()).unwrap();
        let rule = CfgPlusPlus::new((cond.by_ref(), uncond.by_ref()), 0.6, &grid).unwrap();
        let (mut x, mut expected) = (normal(4, &[5, 2]), normal(4, &[5, 2]));
        for (from, to) in grid.pairs() {
            // Euler's step of any sampler of the library, from one estimate.
            let x0 = rule.denoise(&x, from).unwrap();
            let keep = to.sigma / from.sigma;
            x = x * keep + x0 * (to.alpha - keep * from.alpha);
            let weak = uncond.denoise(&expected, from).unwrap();
            let strong = cond.denoise(&expected, from).unwrap();
            let eps = (&expected - &weak * from.alpha) / from.sigma;
            expected = (&weak + (strong - &weak) * 0.6) * to.alpha + eps * to.sigma;
            assert!(max_difference(&x, &expected) < 1e-12);
        }
    }
    let grid = Grid::from_sigmas(&[1.0, 0.0]).unwrap();
    assert!(CfgPlusPlus::new((cond, uncond), 1.5, &grid).is_err());
}

/// "Scale 1 is off" means: to the bit, and the other branch is not asked.
#[test]
fn off_is_off_and_asks_once() {
    let x = normal(3, &[4, 2]);
    let level = NoiseLevel::vp(0.8);
    let (cond, uncond) = two_mixtures();
    let expected = cond.denoise(&x, level).unwrap();
    let (cond, uncond) = (cond.counted(), uncond.counted());
    let pair = || (cond.by_ref(), uncond.by_ref());
    let rescaled =
        Rescaled { branches: pair(), scale: 1.0, rescale: 0.7, prediction: Prediction::Eps };
    let rules: Vec<(&str, Box<dyn Denoiser + '_>)> = vec![
        (
            "guidance",
            Box::new(Guidance { strong: cond.by_ref(), weak: uncond.by_ref(), scale: 1.0 }),
        ),
        ("perturbed", Box::new(Guidance::perturbed(cond.by_ref(), uncond.by_ref(), 0.0))),
        ("guided", Box::new(Guided { branches: pair(), scale: 1.0 })),
        ("apg", Box::new(Apg::new(pair(), 1.0).momentum(-0.5))),
        ("rescaled", Box::new(rescaled)),
        ("composed", Box::new(Composed::new(uncond.by_ref()).and(1.0, cond.by_ref()))),
        ("interval", Box::new(Interval::new(uncond.by_ref(), cond.by_ref(), 0.9, 2.0).unwrap())),
    ];
    for (name, rule) in &rules {
        cond.reset();
        uncond.reset();
        assert!(rule.denoise(&x, level).unwrap().equal(&expected), "{name}");
        assert_eq!((cond.calls(), uncond.calls()), (1, 0), "{name}");
    }
}

#[test]
fn the_interval_is_open_below_and_closed_above() {
    let (one, two) = (normal(1, &[1, 2]), normal(2, &[1, 2]));
    let rule = Interval::new(answer(&one), answer(&two), 0.5, 2.0).unwrap();
    for (ratio, inside) in [(0.4, false), (0.5, false), (0.6, true), (2.0, true), (2.1, false)] {
        let x0 = rule.denoise(&one, NoiseLevel::ve(ratio)).unwrap();
        assert!(x0.equal(if inside { &one } else { &two }), "{ratio}");
    }
    assert!(!rule.contains(NoiseLevel::flow(1.0)));
    assert!(Interval::new(answer(&one), answer(&two), 2.0, 2.0).is_err());
}

/// With normal data under each condition, weights act on the means; and a negative weight is away.
#[test]
fn composed_conditions_are_a_weighted_sum() {
    let [base, a, b] = [1, 2, 3].map(|seed| normal(seed, &[2, 3]));
    let x0 = Composed::new(answer(&base))
        .and(3.0, answer(&a))
        .and(0.0, |_: &Tensor, _: NoiseLevel| -> Result<Tensor> { panic!("asked") })
        .and(-1.5, answer(&b))
        .denoise(&base, NoiseLevel::ve(1.0))
        .unwrap();
    let expected = &base + (&a - &base) * 3.0 - (&b - &base) * 1.5;
    assert!(max_difference(&x0, &expected) < 1e-14);
    let alone = Composed::new(answer(&base)).denoise(&base, NoiseLevel::ve(1.0)).unwrap();
    assert!(alone.equal(&base));
}

/// Rules nest: guidance in an interval, with projection inside and thresholding outside.
#[test]
fn rules_nest_and_work_on_batches() {
    let (cond, uncond) = two_mixtures();
    let apg = Apg::new((cond.by_ref(), uncond.by_ref()), 4.0);
    let rule = Interval::new(apg, cond.by_ref(), 0.1, 5.0).unwrap();
    let rule = rule.dynamic_threshold(0.9, 3.0).unwrap();
    let x = normal(8, &[6, 2]);
    let whole = rule.denoise(&x, NoiseLevel::vp(1.0)).unwrap();
    for k in 0..6 {
        let alone = rule.denoise(&x.narrow(0, k, 1), NoiseLevel::vp(1.0)).unwrap();
        // Vectors of another length may be summed in another order.
        assert!(max_difference(&alone, &whole.narrow(0, k, 1)) < 1e-12);
    }
}

/// A network whose prediction of the noise is its input plus a number for its class.
struct Shift;

impl Network for Shift {
    fn forward(&self, x: &Tensor, _: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        let class = cond.and_then(|c| c.class.as_ref()).unwrap();
        Ok(x + class.to_kind(x.kind()).unsqueeze(1))
    }
}

#[test]
fn both_branches_in_one_batch_are_the_two_of_them() {
    let model =
        Model::new(Shift, Parametrization { prediction: Prediction::Eps, ..Default::default() })
            .unwrap();
    let (cond, null) = (Cond::class(&[1, 2]), Cond::class(&[5, 5]));
    let (x, level) = (normal(3, &[2, 4]), NoiseLevel::vp(0.9));
    let (strong, weak) = (model.given(&cond), model.given(&null));
    let apart = Guidance { strong, weak, scale: 3.0 }.denoise(&x, level).unwrap();
    let together = model.guided(&cond, &null, 3.0).denoise(&x, level).unwrap();
    assert!(max_difference(&apart, &together) < 1e-12);
    let rule = Apg::new(model.branches(&cond, &null), 3.0).eta(1.0);
    assert!(max_difference(&rule.denoise(&x, level).unwrap(), &together) < 1e-12);
}
