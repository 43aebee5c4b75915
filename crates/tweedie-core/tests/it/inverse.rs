//! Operators against dense matrices, and posteriors against the one that is known: normal data.

use crate::{max_difference, normal};
use tch::{Device, Kind, Tensor};
use tweedie_core::closed_form::{DataSet, Gaussian};
use tweedie_core::inverse::{AveragePool, Blur, Ddnm, LinearOperator, Mask, Posterior};
use tweedie_core::{
    Cond, Denoiser, Guidance, Model, Network, NoiseLevel, Parametrization, Prediction, Result,
};

const SHAPE: [i64; 4] = [1, 1, 4, 6];
const D: i64 = 24;

fn mask() -> Mask {
    Mask::new(&normal(1, &[4, 6]).gt(0.2)).unwrap()
}

fn blur() -> Blur {
    let kernel = normal(2, &[3, 3]).abs();
    Blur::new(&(&kernel / kernel.sum(Kind::Double)), [4, 6]).unwrap()
}

fn operators() -> Vec<(&'static str, Box<dyn LinearOperator>)> {
    vec![
        ("mask", Box::new(mask())),
        ("pool", Box::new(AveragePool::new(2).unwrap())),
        ("blur", Box::new(blur())),
    ]
}

/// The matrix `[m, d]` of a map, from what it does to the unit vectors.
fn matrix(map: impl Fn(&Tensor) -> Result<Tensor>, shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    let eye = Tensor::eye(n, (Kind::Double, Device::Cpu));
    let batch: Vec<i64> = [n].into_iter().chain(shape[1..].iter().copied()).collect();
    map(&eye.reshape(&batch)).unwrap().reshape([n, -1]).tr()
}

#[test]
fn operators_are_their_dense_matrices() {
    for (name, a) in operators() {
        let dense = matrix(|x| a.apply(x), &SHAPE);
        let shape = a.apply(&Tensor::zeros(SHAPE, (Kind::Double, Device::Cpu))).unwrap().size();
        let transposed = matrix(|y| a.transpose(y), &shape);
        assert!(max_difference(&transposed, &dense.tr()) < 1e-12, "{name}: transpose");
        let inverse = matrix(|y| a.pseudo_inverse(y), &shape);
        let expected = dense.linalg_pinv(1e-10, false);
        assert!(max_difference(&inverse, &expected) < 1e-8, "{name}: pseudo-inverse");
        let eye = Tensor::eye(dense.size()[0], (Kind::Double, Device::Cpu));
        let gram = dense.matmul(&dense.tr()) * 0.7 + eye * 0.3;
        // On the range of A: a mask's solution is 0 where nothing is seen.
        let expected = gram.inverse().matmul(&dense);
        let solved = matrix(|y| a.solve(y, 0.7, 0.3), &shape).matmul(&dense);
        assert!(max_difference(&solved, &expected) < 1e-10, "{name}: solve");
    }
}

/// `E[x0 | x, y]` of normal data, with dense matrices.
fn exact(dense: &Tensor, y: &Tensor, x: &Tensor, level: NoiseLevel, noise_std: f64) -> Tensor {
    let (v, m) = (1.7, 0.4);
    let eye = Tensor::eye(D, (Kind::Double, Device::Cpu));
    let given_x = level.alpha.powi(2) / level.sigma.powi(2);
    let precision = &eye * (1.0 / v + given_x) + dense.tr().matmul(dense) * noise_std.powi(-2);
    let pull = (x * (level.alpha / level.sigma.powi(2)) + m / v).reshape([D, 1])
        + dense.tr().matmul(&y.reshape([-1, 1])) * noise_std.powi(-2);
    precision.inverse().matmul(&pull).reshape(SHAPE)
}

fn normal_data() -> Gaussian {
    Gaussian::new(Tensor::from_slice(&[0.4]), Tensor::from_slice(&[1.7])).unwrap()
}

/// ΠGDM is exact for normal data of its variance, at every level and for every operator; also where
/// gradients are switched off around it, as in a sampler.
#[test]
fn pigdm_is_the_posterior_of_normal_data() {
    let _guard = tch::no_grad_guard();
    for (name, a) in operators() {
        let dense = matrix(|x| a.apply(x), &SHAPE);
        let y = a.apply(&normal(5, &SHAPE)).unwrap() + 0.3;
        let y = a.apply(&a.pseudo_inverse(&y).unwrap()).unwrap(); // within the range
        let x = normal(6, &SHAPE);
        for level in
            [NoiseLevel::ve(0.1), NoiseLevel::vp(1.0), NoiseLevel::flow(0.9), NoiseLevel::flow(1.0)]
        {
            let expected = exact(&dense, &y, &x, level, 0.2);
            let posterior =
                Posterior::pigdm(normal_data(), LinearOperatorBox(a.as_ref()), y.copy(), 0.2);
            let x0 = posterior.unwrap().data_variance(1.7).unwrap().denoise(&x, level).unwrap();
            let off = max_difference(&x0, &expected);
            assert!(off < 1e-9, "{name} at {level:?}: {off}");
            assert!(!x0.requires_grad());
        }
    }
}

struct LinearOperatorBox<'a>(&'a dyn LinearOperator);

impl LinearOperator for LinearOperatorBox<'_> {
    fn apply(&self, x0: &Tensor) -> Result<Tensor> {
        self.0.apply(x0)
    }
    fn transpose(&self, y: &Tensor) -> Result<Tensor> {
        self.0.transpose(y)
    }
    fn pseudo_inverse(&self, y: &Tensor) -> Result<Tensor> {
        self.0.pseudo_inverse(y)
    }
    fn solve(&self, y: &Tensor, a: f64, b: f64) -> Result<Tensor> {
        self.0.solve(y, a, b)
    }
}

/// `x0 + sigma²/alpha · ∂/∂x (−‖y − A·x0(x)‖² / 2·noise_std²)`, the gradient by central differences.
#[test]
fn dps_is_the_gradient_of_the_likelihood_of_the_estimate() {
    let data = tweedie_core::closed_form::GaussianMixture::new(
        &[0.4, 0.6],
        &[vec![-1.0, 0.5, 0.1], vec![0.8, -0.2, 0.3]],
        &[0.3, 0.5],
    )
    .unwrap();
    let (x, y, level) = (normal(1, &[2, 3]), normal(2, &[2, 3]), NoiseLevel::vp(0.8));
    let seen = Tensor::from_slice(&[1.0, 0.0, 1.0]);
    let y = y * &seen;
    let log_p = |x: &Tensor| {
        let x0 = data.denoise(x, level).unwrap();
        let square = (&y - x0 * &seen).square().sum(Kind::Double);
        square.double_value(&[]) * -0.5 / 0.09
    };
    let expected = data.denoise(&x, level).unwrap();
    for i in 0..6 {
        let bump = x.zeros_like();
        let _ = bump.view(-1).narrow(0, i, 1).fill_(1e-5);
        let slope = (log_p(&(&x + &bump)) - log_p(&(&x - &bump))) / 2e-5;
        let _ = expected
            .view(-1)
            .narrow(0, i, 1)
            .g_add_scalar_(slope * level.sigma.powi(2) / level.alpha);
    }
    let rule = Posterior::dps(data, Mask::new(&seen).unwrap(), y.copy(), 0.3).unwrap();
    // Differences of second order with steps of 1e-5 in numbers of size 100.
    assert!(max_difference(&rule.denoise(&x, level).unwrap(), &expected) < 1e-6);
}

#[test]
fn ddnm_fits_the_measurement_and_leaves_the_rest() {
    for (name, a) in operators() {
        let truth = normal(5, &SHAPE);
        let y = a.apply(&truth).unwrap();
        let (x, level) = (normal(6, &SHAPE), NoiseLevel::vp(1.0));
        let rule = Ddnm::new(normal_data(), LinearOperatorBox(a.as_ref()), y.copy());
        let x0 = rule.denoise(&x, level).unwrap();
        assert!(max_difference(&a.apply(&x0).unwrap(), &y) < 1e-9, "{name}: fits");
        let moved = &x0 - normal_data().denoise(&x, level).unwrap();
        let back = a.pseudo_inverse(&a.apply(&moved).unwrap()).unwrap();
        assert!(max_difference(&back, &moved) < 1e-9, "{name}: the null space is left alone");
    }
}

/// A network of one weight that a posterior may differentiate through.
struct Half;

impl Network for Half {
    fn forward(&self, x: &Tensor, _: &Tensor, _: Option<&Cond>) -> Result<Tensor> {
        Ok(x * x * 0.5)
    }
}

/// Models and guidance combine in place where nobody records; under gradients the graph survives.
#[test]
fn gradients_pass_through_models_and_guidance() {
    let parametrization = Parametrization { prediction: Prediction::Eps, ..Default::default() };
    let model = Model::new(Half, parametrization).unwrap();
    let (x, level) = (normal(3, &[2, 5]), NoiseLevel::vp(0.5));
    let guided = Guidance { strong: model, weak: normal_data(), scale: 2.0 };
    let grad = |x: &Tensor| guided.denoise(x, level).unwrap();
    let leaf = x.copy().set_requires_grad(true);
    let x0 = grad(&leaf);
    let ones = x0.ones_like();
    let found = tweedie_torch::autograd::vjp(&x0, &ones, &[&leaf]).unwrap();
    let slope = (grad(&(&x + 1e-6)) - grad(&(&x - 1e-6))) / 2e-6;
    assert!(max_difference(&found[0], &slope) < 1e-7);
    assert!(max_difference(&x0.detach(), &grad(&x)) < 1e-14, "the same numbers either way");
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = normal(1, &SHAPE);
    let level = NoiseLevel::vp(1.0);
    let message = |d: &dyn Denoiser| d.denoise(&x, level).unwrap_err().to_string();
    let pool = AveragePool::new(2).unwrap();
    let wrong = Ddnm::new(normal_data(), pool, normal(2, &[1, 1, 3, 3]));
    assert!(message(&wrong).contains("the measurement has shape [1, 1, 3, 3]"));
    let five = Ddnm::new(normal_data(), AveragePool::new(5).unwrap(), x.copy());
    assert!(message(&five).contains("divisible by 5"));
    let set = DataSet::new(&normal(3, &[4, 1, 4, 6])).unwrap();
    let flat = Posterior::pigdm(set, mask(), x.copy(), 0.1).unwrap();
    assert!(message(&flat).contains("gradient"), "{}", message(&flat));
    assert!(Mask::new(&Tensor::from_slice(&[0.5])).is_err());
    assert!(Posterior::dps(normal_data(), mask(), x.copy(), 0.0).is_err());
    assert!(Posterior::pigdm(normal_data(), mask(), x.copy(), -1.0).is_err());
    assert!(Blur::new(&Tensor::zeros([3, 3], (Kind::Double, Device::Cpu)), [4, 4]).is_err());
    assert!(Blur::new(&normal(1, &[5, 3]), [4, 4]).is_err());
    assert!(blur().apply(&normal(1, &[2, 2])).is_err());
    assert!(mask().apply(&normal(1, &[1, 1, 4, 5])).is_err());
}
