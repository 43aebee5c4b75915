//! How a program sets libtorch up: once, first thing.
#![allow(unsafe_code)]

use crate::{Error, Result, ffi};
use std::ffi::CStr;
use tch::{Device, Kind};

/// The version of libtorch that everything here is compiled against.
pub const LIBTORCH_VERSION: &str = "2.13.0";

/// What [`init`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Threads within an operation; libtorch's own choice if none.
    pub threads: Option<usize>,
    /// Take numbers below 1e-38 for 0: they slow some processors down many times over.
    pub flush_denormals: bool,
    /// Keep freed memory instead of giving it back to the system and faulting it in again
    /// (glibc only).
    pub keep_memory: bool,
}

impl Default for Runtime {
    fn default() -> Self {
        Runtime { threads: None, flush_denormals: true, keep_memory: true }
    }
}

/// Sets the process up. A program calls it before its first tensor; a library never does.
///
/// # Errors
/// If `threads` is 0 or more than 1024.
pub fn init(runtime: &Runtime) -> Result<()> {
    if let Some(threads) = runtime.threads {
        if !(1..=1024).contains(&threads) {
            return Err(Error::invalid("threads", threads, "1 to 1024"));
        }
        tch::set_num_threads(threads as i32);
    }
    // SAFETY: the bridge's functions set flags of the process and its threads.
    unsafe {
        if runtime.keep_memory {
            ffi::tweedie_keep_memory();
        }
        if runtime.flush_denormals {
            ffi::check(ffi::tweedie_flush_denormals(true))?;
        }
    }
    Ok(())
}

/// Loads the CUDA half of libtorch if it is there, which a linker drops unless it is told not to.
/// Tells whether a device can be used.
pub fn cuda_is_available() -> bool {
    // SAFETY: loads a library of libtorch's own.
    unsafe { ffi::tweedie_load_cuda() && tch::Cuda::is_available() }
}

/// The version of the libtorch that is linked.
pub fn libtorch_version() -> String {
    // SAFETY: a constant string of the bridge.
    unsafe { CStr::from_ptr(ffi::tweedie_torch_version()) }.to_string_lossy().into_owned()
}

/// Counts the tensors of at least so many bytes for which `work` makes libtorch allocate host
/// memory, on this thread: for tests of what is promised not to.
///
/// # Errors
/// If libtorch refuses; `work` is not done then.
pub fn count_allocations<T>(at_least: usize, work: impl FnOnce() -> T) -> Result<(T, usize)> {
    struct Counting(ffi::Raw);
    impl Counting {
        fn end(&mut self) -> i64 {
            match std::mem::replace(&mut self.0, std::ptr::null_mut()) {
                ended if ended.is_null() => 0,
                // SAFETY: `begin` made it on this thread, which raw pointers do not leave.
                counting => unsafe { ffi::tweedie_count_end(counting) },
            }
        }
    }
    impl Drop for Counting {
        fn drop(&mut self) {
            self.end();
        }
    }
    let mut counting = Counting(std::ptr::null_mut());
    let at_least = i64::try_from(at_least.max(1)).unwrap_or(i64::MAX);
    // SAFETY: the bridge writes one pointer, and owns what it points to until the end.
    ffi::check(unsafe { ffi::tweedie_count_begin(at_least, &mut counting.0) })?;
    let answer = work();
    Ok((answer, counting.end() as usize))
}

/// What the processor can do that changes which kernel is the fastest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuFeatures {
    /// 256-bit vectors.
    pub avx2: bool,
    /// 512-bit vectors.
    pub avx512f: bool,
    /// Products of bf16 in vectors.
    pub avx512_bf16: bool,
    /// Products of bf16 in tiles.
    pub amx_bf16: bool,
}

/// Asks the processor; false throughout where it is no x86-64.
pub fn cpu_features() -> CpuFeatures {
    #[cfg(target_arch = "x86_64")]
    {
        // AMX cannot be asked for with the stable macro: leaf 7 of CPUID, EDX bit 22.
        let amx_bf16 = std::arch::x86_64::__cpuid_count(7, 0).edx >> 22 & 1 == 1;
        CpuFeatures {
            avx2: is_x86_feature_detected!("avx2"),
            avx512f: is_x86_feature_detected!("avx512f"),
            avx512_bf16: is_x86_feature_detected!("avx512bf16"),
            amx_bf16: amx_bf16 && is_x86_feature_detected!("avx512f"),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    CpuFeatures::default()
}

/// The kind in which networks compute fastest on a device: `BFloat16` where its products are the
/// processor's own (AMX, AVX-512 BF16) and on CUDA, else `Float`. 16-bit floats with a short
/// exponent gain nothing on a CPU.
pub fn fast_kind(device: Device) -> Kind {
    let CpuFeatures { avx512_bf16, amx_bf16, .. } = cpu_features();
    match device {
        Device::Cpu if avx512_bf16 || amx_bf16 => Kind::BFloat16,
        Device::Cuda(_) => Kind::BFloat16,
        _ => Kind::Float,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_expected() {
        assert!(libtorch_version().starts_with(LIBTORCH_VERSION));
    }

    #[test]
    fn nonsense_threads_are_refused() {
        assert!(init(&Runtime { threads: Some(0), ..Default::default() }).is_err());
        assert!(init(&Runtime { threads: Some(1), ..Default::default() }).is_ok());
    }

    #[test]
    fn allocations_of_a_size_are_counted() {
        let make = |n: i64| tch::Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let (_, none) = count_allocations(4000, || drop(make(999))).unwrap();
        let (_, two) = count_allocations(4000, || [make(1000), make(5000)]).unwrap();
        let (_, in_place) = count_allocations(1, || make(8)).unwrap();
        assert_eq!((none, two, in_place), (0, 2, 1));
    }
}
