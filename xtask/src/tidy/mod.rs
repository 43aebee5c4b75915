//! To be.
pub(crate) fn run(_: Option<&std::path::Path>) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
