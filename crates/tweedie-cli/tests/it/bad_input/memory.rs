//! More memory than there is.

/// Two million points through a layer of 1,024: 8 GB, more than the process may have.
#[test]
fn memory_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "ulimit -v 8000000; exec {} train swissroll --run run data.points=2000000 \
         batch_size=2000000 model.hidden_dims=[1024] steps=1 preview_every=0",
        env!("CARGO_BIN_EXE_tweedie")
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(folder.path()).env("OMP_NUM_THREADS", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in
        ["out of memory with batches of 2000000", " bytes", "lower batch_size", "step-000000"]
    {
        assert!(said.contains(word), "no {word:?} in\n{said}");
    }
    assert!(!said.contains("panicked") && !said.contains("frame #"), "{said}");
}
