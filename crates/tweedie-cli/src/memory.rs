//! Memory that is not there is told in words.

use anyhow::Result;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use tweedie::train::memory;

/// Want of memory becomes an error with a message of its own: that of the panic is noise.
pub(crate) fn say_nothing() {
    let usual = take_hook();
    set_hook(Box::new(move |info| {
        if memory::of_panic(info.payload()).is_none() {
            usual(info);
        }
    }));
}

/// Runs `f`; where it panics for want of memory, `error` makes an error of what libtorch said.
pub(crate) fn caught<T>(
    f: impl FnOnce() -> Result<T>,
    error: impl FnOnce(String) -> anyhow::Error,
) -> Result<T> {
    say_nothing();
    // What `f` leaves half done is never looked at again: the program is at its end.
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(payload) => match memory::of_panic(payload.as_ref()) {
            Some(said) => Err(error(said)),
            None => resume_unwind(payload),
        },
    }
}
