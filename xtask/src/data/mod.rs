//! To be.
#[derive(clap::Subcommand)]
pub(crate) enum Set {
    FashionMnist,
}
pub(crate) fn run(_: &Set) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
