//! The bridge's C functions. Everything unsafe about calling them is here.
#![allow(unsafe_code)]

use crate::{Error, Result};
use std::ffi::{CStr, c_char, c_int, c_void};
use tch::Tensor;

/// A `at::Tensor*` that tch owns.
pub(crate) type Raw = *mut c_void;

unsafe extern "C" {
    pub(crate) fn tweedie_free(text: *mut c_char);
    pub(crate) fn tweedie_is_unique(t: Raw) -> bool;
    pub(crate) fn tweedie_combine(
        place: Raw,
        c: *const f64,
        ts: *const Raw,
        n: c_int,
        fresh: *mut Raw,
        answer: *mut c_int,
    ) -> *mut c_char;
    pub(crate) fn tweedie_from_memory(
        data: *mut u8,
        sizes: *const i64,
        dims: c_int,
        like: Raw,
        owner: Raw,
        drop_owner: extern "C" fn(Raw),
        out: *mut Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_all_finite(t: Raw, out: *mut bool) -> *mut c_char;
    pub(crate) fn tweedie_parallel_for(
        n: i64,
        grain: i64,
        body: extern "C" fn(Raw, i64, i64),
        context: Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_generator_new(seed: u64, out: *mut Raw) -> *mut c_char;
    pub(crate) fn tweedie_generator_free(generator: Raw);
    pub(crate) fn tweedie_generator_fill(
        generator: Raw,
        what: c_int,
        out: Raw,
        a: f64,
        b: f64,
    ) -> *mut c_char;
    pub(crate) fn tweedie_generator_state(generator: Raw, out: Raw, set: bool) -> *mut c_char;
    pub(crate) fn tweedie_dropout(
        out: Raw,
        probability: f64,
        seed: u64,
        stream: u64,
    ) -> *mut c_char;
    pub(crate) fn tweedie_adamw(
        lists: *const *const Raw,
        n: c_int,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
    ) -> *mut c_char;
    pub(crate) fn tweedie_lerp(
        to: *const Raw,
        from: *const Raw,
        n: c_int,
        weight: f64,
    ) -> *mut c_char;
    pub(crate) fn tweedie_norm(ts: *const Raw, n: c_int, out: *mut f64) -> *mut c_char;
    pub(crate) fn tweedie_scale(ts: *const Raw, n: c_int, factor: f64) -> *mut c_char;
    pub(crate) fn tweedie_grads(
        outputs: *const Raw,
        cotangents: *const Raw,
        m: c_int,
        inputs: *const Raw,
        n: c_int,
        out: *const Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_clear_grads(ts: *const Raw, n: c_int) -> *mut c_char;
    pub(crate) fn tweedie_group_norm(
        x: Raw,
        weight: Raw,
        bias: Raw,
        shift: Raw,
        groups: i64,
        eps: f64,
        silu: bool,
        out: *mut Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_modulated_norm(
        x: Raw,
        scale: Raw,
        shift: Raw,
        eps: f64,
        out: *mut Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_gated(x: Raw, gate: Raw, h: Raw, out: *mut Raw) -> *mut c_char;
    pub(crate) fn tweedie_gelu(x: Raw, out: *mut Raw) -> *mut c_char;
    pub(crate) fn tweedie_pack_conv(
        w: Raw,
        stride: i64,
        padding: i64,
        groups: i64,
        input: *const i64,
        out: *mut Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_packed_conv(
        x: Raw,
        packed: Raw,
        bias: Raw,
        stride: i64,
        padding: i64,
        groups: i64,
        out: *mut Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_pack_linear(w: Raw, rows: i64, out: *mut Raw) -> *mut c_char;
    pub(crate) fn tweedie_packed_linear(
        x: Raw,
        packed: Raw,
        bias: Raw,
        out: *mut Raw,
    ) -> *mut c_char;
    pub(crate) fn tweedie_flush_denormals(on: bool) -> *mut c_char;
    pub(crate) fn tweedie_keep_memory() -> bool;
    pub(crate) fn tweedie_load_cuda() -> bool;
    pub(crate) fn tweedie_count_begin(at_least: i64, out: *mut Raw) -> *mut c_char;
    pub(crate) fn tweedie_count_end(counting: Raw) -> i64;
    pub(crate) fn tweedie_torch_version() -> *const c_char;
}

/// The pointer that the bridge takes for `t`, which must outlive the call.
pub(crate) fn raw(t: &Tensor) -> Raw {
    t.as_ptr().cast_mut().cast()
}

/// The tensor that the bridge made.
///
/// # Safety
/// `t` must be a `new at::Tensor` that nobody else owns.
pub(crate) unsafe fn own(t: Raw) -> Tensor {
    // SAFETY: `C_tensor` is tch's name for `at::Tensor`.
    unsafe { Tensor::from_ptr(t.cast()) }
}

/// The tensor that `call` makes, or `None` where it leaves its place empty.
pub(crate) fn made(call: impl FnOnce(*mut Raw) -> *mut c_char) -> Result<Option<Tensor>> {
    let mut out = std::ptr::null_mut();
    check(call(&mut out))?;
    // SAFETY: without an error the bridge has stored a tensor that is ours, or null.
    Ok((!out.is_null()).then(|| unsafe { own(out) }))
}

/// [`made`] by a call that always makes one.
pub(crate) fn made_one(call: impl FnOnce(*mut Raw) -> *mut c_char) -> Result<Tensor> {
    made(call)?.ok_or_else(|| Error::invalid("the bridge's answer", "nothing", "a tensor"))
}

/// The pointers of several.
pub(crate) fn raws<'a>(ts: impl IntoIterator<Item = &'a Tensor>) -> Vec<Raw> {
    ts.into_iter().map(raw).collect()
}

/// Turns the bridge's answer, null or a message to be freed, into a result.
pub(crate) fn check(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the bridge returns null or a string of strdup, which is ours to free.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        tweedie_free(message);
        text
    };
    Err(Error::from_message(&text))
}
