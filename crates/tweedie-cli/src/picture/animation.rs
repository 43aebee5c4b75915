//! Animated GIFs.

use anyhow::{Context, Result};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, RgbImage};

/// NeuQuant's speed, 1 (best) to 30: flat drawings do not need the best.
const QUANTIZER_SPEED: i32 = 10;

/// Frames one after the other, `delay_ms` each, the last held for a while; repeats for ever.
pub(crate) fn gif(frames: &[RgbImage], delay_ms: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, QUANTIZER_SPEED);
        encoder.set_repeat(Repeat::Infinite).context("cannot encode a GIF")?;
        for (i, frame) in frames.iter().enumerate() {
            let last = i + 1 == frames.len();
            let delay = Delay::from_numer_denom_ms(if last { 2000 } else { delay_ms }, 1);
            let image = DynamicImage::from(frame.clone()).into_rgba8();
            encoder
                .encode_frame(Frame::from_parts(image, 0, 0, delay))
                .context("cannot encode a GIF")?;
        }
    }
    Ok(bytes)
}
