//! Memory that is not there: an error, wherever in a step it is missing.

use crate::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use tch::TchError;
use tweedie_torch::Error as Torch;

/// What libtorch said, if this is what a panic carries for want of memory. tch's operators panic
/// where libtorch refuses; sizes and kinds are checked before, so memory is what is left.
pub fn of_panic(payload: &(dyn Any + Send)) -> Option<String> {
    let text = match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
        (Some(text), _) => text.as_str(),
        (_, Some(text)) => text,
        _ => return None,
    };
    // The message of `Result::unwrap`: the error as `Debug` has it.
    let said = text.split_once("Torch(\"").map_or(text, |(_, said)| said).replace("\\n", "\n");
    match Torch::from(TchError::Torch(said)) {
        Torch::Memory(said) => Some(said),
        _ => None,
    }
}

/// Runs `f`; want of memory within it is an error, not a panic.
pub(crate) fn caught<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    // What `f` leaves half done is never looked at again: a trainer that failed is at its end.
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(payload) => match of_panic(payload.as_ref()) {
            Some(said) => Err(Torch::Memory(said).into()),
            None => resume_unwind(payload),
        },
    }
}

/// Says how large the batch was, if the error is one of memory.
pub(crate) fn with_batch(error: Error, batch_size: usize) -> Error {
    let said = match error {
        Error::Torch(Torch::Memory(said))
        | Error::Core(tweedie_core::Error::Torch(Torch::Memory(said)))
        | Error::Data(tweedie_data::Error::Torch(Torch::Memory(said)))
        | Error::Model(tweedie_models::Error::Torch(Torch::Memory(said))) => said,
        other => return other,
    };
    Error::OutOfMemory { batch_size, said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn an_operators_panic_becomes_an_error() {
        let (one, kind) = (Tensor::zeros([1], tch::kind::FLOAT_CPU), tch::kind::FLOAT_CPU);
        let error = caught(|| {
            let huge = one.expand([1 << 30, 1 << 20], false);
            Ok((huge + Tensor::zeros([1], kind)).numel())
        });
        let error = with_batch(error.unwrap_err(), 64).to_string();
        assert!(error.starts_with("out of memory with batches of 64: "), "{error}");
        assert!(error.contains("4503599627370496 bytes") && !error.contains("\\n"), "{error}");
    }

    #[test]
    fn other_panics_stay_panics() {
        let panic = std::panic::catch_unwind(|| caught(|| -> Result<()> { panic!("a bug") }));
        assert!(of_panic(panic.unwrap_err().as_ref()).is_none());
    }
}
