//! Tensors from numbers and numbers from tensors, with every length checked.
#![allow(unsafe_code)]
#![allow(clippy::disallowed_methods)] // the raw calls are made safe here

use crate::{Error, Result, ffi};
use tch::{Device, Kind, Tensor};

/// The number of elements of a shape; refuses negative sizes and products that overflow.
pub fn elements(shape: &[i64]) -> Result<usize> {
    let product = shape.iter().try_fold(1_usize, |n, &s| n.checked_mul(usize::try_from(s).ok()?));
    product.filter(|&n| n <= isize::MAX as usize).ok_or_else(|| {
        Error::invalid("a shape", format!("{shape:?}"), "sizes of at least 0 that fit in memory")
    })
}

/// Only for kinds whose Rust type is what libtorch's kind says: not for `half::bf16`.
fn checked<T: tch::kind::Element>(values: &[T], shape: &[i64]) -> Result<Tensor> {
    if elements(shape)? != values.len() {
        return Err(Error::Length { shape: shape.to_vec(), found: values.len() });
    }
    // SAFETY: plain numbers, whose memory is read as the bytes that it is.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) };
    Ok(Tensor::f_from_data_size(bytes, shape, T::KIND)?)
}

/// A CPU tensor of single precision with these values, in row-major order.
pub fn from_f32(values: &[f32], shape: &[i64]) -> Result<Tensor> {
    checked(values, shape)
}

/// A CPU tensor of double precision.
pub fn from_f64(values: &[f64], shape: &[i64]) -> Result<Tensor> {
    checked(values, shape)
}

/// A CPU tensor of 64-bit integers.
pub fn from_i64(values: &[i64], shape: &[i64]) -> Result<Tensor> {
    checked(values, shape)
}

/// A CPU tensor of bytes.
pub fn from_u8(values: &[u8], shape: &[i64]) -> Result<Tensor> {
    checked(values, shape)
}

/// A CPU tensor of any kind from its bytes (little-endian, as in memory).
pub fn from_bytes(bytes: &[u8], shape: &[i64], kind: Kind) -> Result<Tensor> {
    let expected = elements(shape)?.checked_mul(kind.elt_size_in_bytes());
    if expected != Some(bytes.len()) {
        return Err(Error::Length {
            shape: shape.to_vec(),
            found: bytes.len() / kind.elt_size_in_bytes(),
        });
    }
    if kind == Kind::Bool {
        // A byte other than 0 and 1 is no bool, and C++ may do anything with it.
        return Ok(Tensor::f_from_data_size(bytes, shape, Kind::Uint8)?.f_ne(0)?);
    }
    Ok(Tensor::f_from_data_size(bytes, shape, kind)?)
}

/// A CPU tensor over memory that `owner` keeps alive, and is dropped with the last view of it.
///
/// # Safety
/// From `data` on lie, for as long as `owner` lives, the numbers of `shape` in row-major order,
/// aligned for `kind`, in memory that may be written and that nobody else writes meanwhile.
pub unsafe fn from_memory<O: Send + 'static>(
    data: *mut u8,
    shape: &[i64],
    kind: Kind,
    owner: O,
) -> Result<Tensor> {
    extern "C" fn drop_owner<O>(owner: ffi::Raw) {
        // SAFETY: the box that was given away below, once.
        drop(unsafe { Box::from_raw(owner.cast::<O>()) });
    }
    elements(shape)?;
    let like = Tensor::f_empty([0], (kind, Device::Cpu))?;
    let owner: ffi::Raw = Box::into_raw(Box::new(owner)).cast();
    let mut out = std::ptr::null_mut();
    // SAFETY: the caller promises the memory; the bridge drops the owner once, also if it refuses.
    ffi::check(unsafe {
        let (sizes, dims) = (shape.as_ptr(), shape.len() as i32);
        ffi::tweedie_from_memory(
            data,
            sizes,
            dims,
            ffi::raw(&like),
            owner,
            drop_owner::<O>,
            &mut out,
        )
    })?;
    // SAFETY: without an error the bridge has made a tensor that is ours.
    Ok(unsafe { ffi::own(out) })
}

/// The values as single precision, in row-major order.
pub fn to_f32(t: &Tensor) -> Result<Vec<f32>> {
    to_vec(t, Kind::Float, 0.0)
}

/// The values as double precision.
pub fn to_f64(t: &Tensor) -> Result<Vec<f64>> {
    to_vec(t, Kind::Double, 0.0)
}

/// The values as 64-bit integers.
pub fn to_i64(t: &Tensor) -> Result<Vec<i64>> {
    to_vec(t, Kind::Int64, 0)
}

/// The values as bytes.
pub fn to_u8(t: &Tensor) -> Result<Vec<u8>> {
    to_vec(t, Kind::Uint8, 0)
}

fn to_vec<T: tch::kind::Element + Copy>(t: &Tensor, kind: Kind, zero: T) -> Result<Vec<T>> {
    let t = t.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(kind)?.f_contiguous()?;
    let mut values = vec![zero; t.numel()];
    t.f_copy_data(&mut values, t.numel())?;
    Ok(values)
}

/// The bytes of the values in their own kind.
pub fn to_bytes(t: &Tensor) -> Result<Vec<u8>> {
    let t = t.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; t.numel() * t.f_kind()?.elt_size_in_bytes()];
    t.f_copy_data_u8(&mut bytes, t.numel())?;
    Ok(bytes)
}

/// Whether nobody else holds the tensor or a view of its memory.
pub fn is_unique(t: &Tensor) -> bool {
    // SAFETY: `t` is a live tensor; the bridge only reads its reference counts.
    unsafe { ffi::tweedie_is_unique(ffi::raw(t)) }
}

/// Whether every value is a finite number: one pass over CPU memory, a wait for other devices.
pub fn all_finite(t: &Tensor) -> Result<bool> {
    let mut finite = false;
    // SAFETY: `t` is live; the bridge reads its values.
    ffi::check(unsafe { ffi::tweedie_all_finite(ffi::raw(t), &mut finite) })?;
    Ok(finite)
}

/// Lets `f` write the values, in row-major order: in place where the memory allows it, through
/// a copy on the host where it does not (other devices, kinds and strides).
pub fn fill_f32(t: &mut Tensor, f: impl FnOnce(&mut [f32])) -> Result<()> {
    let n = t.numel();
    if n > 0 && t.f_kind()? == Kind::Float && t.device() == Device::Cpu && t.is_contiguous() {
        // SAFETY: contiguous single-precision CPU memory of n elements, which `t` keeps alive.
        // Whoever else holds the tensor sees the change, as with every in-place operation.
        f(unsafe { std::slice::from_raw_parts_mut(t.data_ptr().cast(), n) });
        return Ok(());
    }
    let mut values = vec![0.0; n];
    f(&mut values);
    let _guard = tch::no_grad_guard();
    t.f_copy_(&from_f32(&values, &t.size())?)?;
    Ok(())
}

/// As [`fill_f32`], a row of `[rows, …]` at a time, on the threads of libtorch's own pool: a
/// second pool would fight with it for the processors. `f` must not panic: that ends the process.
pub fn fill_rows_f32(t: &mut Tensor, f: impl Fn(usize, &mut [f32]) + Sync) -> Result<()> {
    let rows = t.size().first().map_or(1, |&n| n as usize);
    let mut done = Ok(());
    fill_f32(t, |values| {
        let each = values.len().checked_div(rows).unwrap_or(0);
        done = parallel_rows(values, each, &f);
    })?;
    done
}

/// Below this many numbers a thread costs more than it brings.
const GRAIN: usize = 1 << 13;

struct Rows<'a, F> {
    values: *mut f32,
    each: usize,
    f: &'a F,
}

fn parallel_rows<F: Fn(usize, &mut [f32]) + Sync>(
    values: &mut [f32],
    each: usize,
    f: &F,
) -> Result<()> {
    extern "C" fn body<F: Fn(usize, &mut [f32]) + Sync>(context: ffi::Raw, from: i64, to: i64) {
        // SAFETY: the context below, which outlives the call, and of which every row is given out
        // to one thread only.
        let rows = unsafe { &*context.cast::<Rows<'_, F>>() };
        for row in from as usize..to as usize {
            // SAFETY: row `row` lies within the slice that `values` was made of.
            let row_values = unsafe {
                std::slice::from_raw_parts_mut(rows.values.add(row * rows.each), rows.each)
            };
            (rows.f)(row, row_values);
        }
    }
    if each == 0 {
        return Ok(());
    }
    let (n, grain) = (values.len() / each, (GRAIN / each).max(1));
    let mut context = Rows { values: values.as_mut_ptr(), each, f };
    // SAFETY: `body` is for this very `F`; the context lives until the call returns.
    ffi::check(unsafe {
        ffi::tweedie_parallel_for(n as i64, grain as i64, body::<F>, (&raw mut context).cast())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_shapes_are_checked() {
        assert!(matches!(from_f32(&[1.0], &[2]), Err(Error::Length { found: 1, .. })));
        assert!(matches!(from_bytes(&[0; 4], &[2], Kind::Float), Err(Error::Length { .. })));
        assert!(from_f32(&[1.0], &[-1]).is_err());
        assert!(elements(&[i64::MAX, 3]).is_err());
        assert_eq!(elements(&[]).unwrap(), 1);
        assert_eq!(from_f32(&[], &[0, 3]).unwrap().size(), [0, 3]);
    }

    #[test]
    fn values_survive_the_way_there_and_back() {
        let t = from_f64(&[1.0, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
        assert_eq!(to_f32(&t.tr()).unwrap(), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(to_i64(&t).unwrap(), [1, 2, 3, 4]);
        let half = t.to_kind(Kind::BFloat16);
        let back = from_bytes(&to_bytes(&half).unwrap(), &[2, 2], Kind::BFloat16).unwrap();
        assert_eq!(to_f64(&back).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn holders_of_clones_and_views_are_noticed() {
        let t = from_f32(&[1.0, 2.0], &[2]).unwrap();
        assert!(is_unique(&t));
        let clone = t.shallow_clone();
        assert!(!is_unique(&t));
        drop(clone);
        let view = t.view([2, 1]);
        assert!(!is_unique(&t));
        drop(view);
        assert!(is_unique(&t));
    }

    #[test]
    fn fill_reaches_every_kind() {
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16] {
            let mut t = Tensor::zeros([2, 2], (kind, Device::Cpu));
            fill_f32(&mut t, |v| v.copy_from_slice(&[1.0, 2.0, 3.0, 4.0])).unwrap();
            assert_eq!(to_f32(&t).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        }
    }

    #[test]
    fn rows_are_filled_once_each() {
        for shape in [[1, 5], [1000, 37], [0, 3], [3, 0]] {
            let mut t = Tensor::zeros(shape, tch::kind::FLOAT_CPU);
            fill_rows_f32(&mut t, |row, values| {
                values.iter_mut().for_each(|v| *v += row as f32 + 1.0);
            })
            .unwrap();
            let each = shape[1] as usize;
            for (i, v) in to_f32(&t).unwrap().iter().enumerate() {
                assert_eq!(*v, (i / each) as f32 + 1.0);
            }
        }
    }

    /// tch takes `half::bf16` for half precision (0.26). When this fails, tch has mended it and
    /// the detours through bytes can go.
    #[test]
    fn tch_still_takes_bf16_for_f16() {
        use tch::kind::Element;
        assert_eq!(half::bf16::KIND, Kind::Half);
    }
}
