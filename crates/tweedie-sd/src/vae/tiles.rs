//! Large pictures in tiles (diffusers' `tiled_encode` and `tiled_decode`).

use super::Vae;
use crate::Result;
use tch::{Kind, Tensor};

pub(super) fn decode(vae: &Vae, z: &Tensor) -> Result<Tensor> {
    let [latent, pixels] = vae.config.tile();
    tiled(z, [latent, pixels], |tile| vae.decode_whole(tile))
}

pub(super) fn encode(vae: &Vae, x: &Tensor) -> Result<Tensor> {
    let [latent, pixels] = vae.config.tile();
    tiled(x, [pixels, latent], |tile| vae.encode_whole(tile))
}

/// Tiles of `from` pixels that overlap by a quarter become tiles of `to` pixels, whose first quarter
/// fades in over the end of their neighbours above and at the left.
fn tiled(
    x: &Tensor,
    [from, to]: [i64; 2],
    f: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (step, fade) = (from * 3 / 4, to / 4);
    let (height, width) = (x.size()[2], x.size()[3]);
    let starts = |n: i64| (0..n).step_by(step as usize);
    let mut above: Vec<Tensor> = vec![];
    let mut rows = vec![];
    for i in starts(height) {
        let strip = x.f_narrow(2, i, from.min(height - i))?;
        let mut row: Vec<Tensor> = vec![];
        for (k, j) in starts(width).enumerate() {
            let tile = f(&strip.f_narrow(3, j, from.min(width - j))?)?;
            if let Some(above) = above.get(k) {
                fade_in(above, &tile, 2, fade)?;
            }
            if let Some(left) = row.last() {
                fade_in(left, &tile, 3, fade)?;
            }
            row.push(tile);
        }
        rows.push(joined(&row, 3, to - fade)?.f_narrow(2, 0, (to - fade).min(row[0].size()[2]))?);
        above = row;
    }
    Ok(Tensor::f_cat(&rows, 2)?)
}

/// The first `most` pixels of each along `dim`, one behind the other.
fn joined(tiles: &[Tensor], dim: i64, most: i64) -> Result<Tensor> {
    let first = |t: &Tensor| t.f_narrow(dim, 0, most.min(t.size()[dim as usize]));
    let all = tiles.iter().map(first).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::f_cat(&all, dim)?)
}

/// Over the first `extent` pixels of `tile` along `dim`, in place, from the end of `before`.
fn fade_in(before: &Tensor, tile: &Tensor, dim: i64, extent: i64) -> Result<()> {
    let length = |t: &Tensor| t.size()[dim as usize];
    let extent = extent.min(length(before)).min(length(tile));
    let mut shape = [1; 4];
    shape[dim as usize] = extent;
    let weight = Tensor::f_arange(extent, (Kind::Float, tile.device()))?
        .f_div_scalar(extent as f64)?
        .f_to_kind(tile.kind())?
        .f_view(shape)?;
    let mut start = tile.f_narrow(dim, 0, extent)?;
    let end = before.f_narrow(dim, length(before) - extent, extent)?;
    let mixed = end.f_lerp_tensor(&start, &weight)?;
    start.f_copy_(&mixed)?;
    Ok(())
}
