use super::*;
use crate::tensor::{from_f32, to_f32, to_f64};

fn t(values: &[f32]) -> Tensor {
    from_f32(values, &[values.len() as i64]).unwrap()
}

/// The update written out in double precision.
#[test]
fn adamw_is_the_papers() {
    let config = AdamWConfig { weight_decay: 0.1, ..Default::default() };
    let params = [t(&[1.0, -2.0]), t(&[0.5])];
    let mut adamw = AdamW::new(&params, config).unwrap();
    let mut expected = [1.0, -2.0, 0.5];
    let (mut m, mut v) = ([0.0; 3], [0.0; 3]);
    for step in 1..=5 {
        let g = [0.3 * f64::from(step), -1.0, 2.0 / f64::from(step)];
        let grads = [t(&[g[0] as f32, g[1] as f32]), t(&[g[2] as f32])];
        adamw.step(&[&params[0], &params[1]], &[&grads[0], &grads[1]], 0.01).unwrap();
        for i in 0..3 {
            m[i] = 0.9 * m[i] + 0.1 * g[i];
            v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
            let (m_hat, v_hat) =
                (m[i] / (1.0 - 0.9f64.powi(step)), v[i] / (1.0 - 0.999f64.powi(step)));
            expected[i] = expected[i] * (1.0 - 0.01 * 0.1) - 0.01 * m_hat / (v_hat.sqrt() + 1e-8);
        }
    }
    let found: Vec<f64> = params.iter().flat_map(|p| to_f64(p).unwrap()).collect();
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}"); // single precision
    }
    let dict = adamw.state_dict(["a", "b"]);
    assert_eq!(to_f32(&dict["step"]).unwrap(), [5.0]);
    assert_eq!(dict.len(), 5);
}

#[test]
fn mistakes_are_refused() {
    let p = t(&[1.0]);
    let mut adamw = AdamW::new([&p], AdamWConfig::default()).unwrap();
    assert!(adamw.step(&[&p], &[], 0.1).is_err());
    assert!(adamw.step(&[&p], &[&Tensor::new()], 0.1).is_err());
    assert!(AdamW::new([&p], AdamWConfig { beta1: 1.0, ..Default::default() }).is_err());
    assert!(ema_update(&[&p], &[], 0.9).is_err());
}

#[test]
fn averages_norms_and_factors() {
    let (shadow, p) = (t(&[1.0, 0.0]), t(&[3.0, 4.0]));
    ema_update(&[&shadow], &[&p], 0.75).unwrap();
    assert_eq!(to_f32(&shadow).unwrap(), [1.5, 1.0]);
    assert!((norm(&[&p, &t(&[12.0])]).unwrap() - 13.0).abs() < 1e-6);
    scale(&[&p], 0.5).unwrap();
    assert_eq!(to_f32(&p).unwrap(), [1.5, 2.0]);
    assert_eq!(norm(&[]).unwrap(), 0.0);
    assert!(ema_update(&[&shadow], &[&t(&[1.0])], 0.5).is_err(), "no silent broadcast");
    ema_update(&[&shadow], &[&t(&[0.0, 0.0]).to_kind(Kind::BFloat16)], 0.5).unwrap();
    assert_eq!(to_f32(&shadow).unwrap(), [0.75, 0.5]);
}

#[test]
fn norms_of_every_size_kind_and_layout() {
    let big = Tensor::arange(100_000, tch::kind::FLOAT_CPU) / 1000.0;
    let expected = (0..100_000).map(|i| (f64::from(i) / 1000.0).powi(2)).sum::<f64>().sqrt();
    for t in [big.view([100, 1000]).tr(), big.to_kind(Kind::Double), big.shallow_clone()] {
        assert!((norm(&[&t]).unwrap() / expected - 1.0).abs() < 1e-6); // single precision
    }
    let one = t(&[3.0]).expand([4], false); // one number in memory, four in the tensor
    assert!((norm(&[&one, &one.to_kind(Kind::BFloat16)]).unwrap() - 72_f64.sqrt()).abs() < 1e-5);
    assert!(norm(&[&t(&[1.0, f32::NAN])]).unwrap().is_nan());
}

#[test]
fn long_gradients_are_clipped_and_no_others() {
    let g = t(&[3.0, 4.0]);
    assert_eq!(clip_norm(&[&g], 10.0).unwrap(), 5.0);
    assert_eq!(to_f32(&g).unwrap(), [3.0, 4.0]);
    assert_eq!(clip_norm(&[&g], 1.0).unwrap(), 5.0);
    assert!((norm(&[&g]).unwrap() - 1.0).abs() < 1e-6);
    assert_eq!(clip_norm(&[], 1.0).unwrap(), 0.0, "PyTorch's panics through tch");
    assert!(clip_norm(&[&g], 0.0).is_err());
    let bad = t(&[f32::INFINITY, 1.0]);
    assert!(clip_norm(&[&bad], 1.0).unwrap().is_infinite());
    assert_eq!(to_f32(&bad).unwrap()[1], 1.0);
}

/// libtorch's kernel would read past such gradients, or take their numbers in another order.
#[test]
fn gradients_of_other_layouts_are_brought_beside() {
    let (p, q) = (t(&[0.0; 6]).view([2, 3]), t(&[0.0; 6]).view([2, 3]));
    let g = t(&[1.0, -1.0, 3.0, -4.0, 5.0, 6.0]).view([3, 2]).tr();
    let step = |p: &Tensor, g: &Tensor| {
        let mut adamw = AdamW::new([p], AdamWConfig::default())?;
        adamw.step(&[p], &[g], 0.1)?;
        adamw.step(&[p], &[&(g * 0.3)], 0.1)
    };
    step(&p, &g).unwrap();
    step(&q, &g.contiguous()).unwrap();
    assert_eq!(to_f32(&p).unwrap(), to_f32(&q).unwrap());
    let (p, q) = (t(&[0.0; 4]), t(&[0.0; 4]));
    step(&p, &t(&[2.0]).expand([4], false)).unwrap();
    step(&q, &t(&[2.0; 4])).unwrap();
    assert_eq!(to_f32(&p).unwrap(), to_f32(&q).unwrap());
    let before = to_f32(&p).unwrap();
    for wrong in [t(&[1.0; 3]), t(&[1.0; 4]).to_kind(Kind::Double)] {
        assert!(step(&p, &wrong).is_err());
    }
    assert!(
        AdamW::new([&p], AdamWConfig::default())
            .and_then(|mut a| a.step(&[&p], &[&t(&[1.0; 4])], f64::NAN))
            .is_err()
    );
    assert_eq!(to_f32(&p).unwrap(), before);
}

#[test]
fn a_state_goes_on_where_it_was() {
    let (p, q) = (t(&[1.0, 2.0]), t(&[1.0, 2.0]));
    let new = |p: &Tensor| AdamW::new([p], AdamWConfig::default()).unwrap();
    let (mut a, mut b) = (new(&p), new(&q));
    let g = t(&[0.5, -2.0]);
    for _ in 0..3 {
        a.step(&[&p], &[&g], 0.1).unwrap();
    }
    b.load_state(["p"], &a.state_dict(["p"])).unwrap();
    let _guard = tch::no_grad_guard();
    q.shallow_clone().copy_(&p);
    for (adamw, p) in [(&mut a, &p), (&mut b, &q)] {
        adamw.step(&[p], &[&g], 0.1).unwrap();
    }
    assert_eq!(to_f32(&p).unwrap(), to_f32(&q).unwrap());
    assert!(b.load_state(["p"], &a.state_dict(["q"])).is_err());
    assert_eq!(a.state_dict([]).len(), 3, "nothing is left out");
}
