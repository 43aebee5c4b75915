//! A pass through a U-Net, in parts.

use super::dropout::Dropout;
use super::{Level, Unet, UnetConfig};
use crate::SelfAttention;
use crate::checkpointing::{self, Segment};
use crate::inputs::{check_classes_alone, check_input, embed, labels};
use tch::Tensor;
use tweedie_core::{Cond, Result};
use tweedie_torch::ops::Around;
use tweedie_torch::rng::Generator;

impl Unet {
    /// The pass in parts; everything is checked and drawn here. Between two of them are the
    /// embedding, what waits for its way up, and what goes on. Attention layers in `identity`, counted
    /// in the order of the pass, have the identity for their map.
    pub(super) fn segments<'a>(
        &'a self,
        x: &'a Tensor,
        noise: &'a Tensor,
        cond: Option<&Cond>,
        mut rng: Option<&mut Generator>,
        identity: &'a [usize],
    ) -> Result<Vec<Segment<'a>>> {
        let UnetConfig { image_size, channels, .. } = self.config;
        let (sample, device) = ([channels, image_size, image_size], self.parameters.device());
        let batch = check_input(x, noise, &sample, device)?;
        check_classes_alone(cond)?;
        let labels = labels(self.cond_embed.as_ref(), cond, batch, rng.as_deref_mut())?;
        let seed = Dropout::seed(rng)?;
        let mut segments: Vec<Segment<'a>> = vec![Box::new(move |_| {
            let (level, class) = ((&self.sig_embed, noise), self.cond_embed.as_ref());
            let emb = embed(level, class, labels.as_ref(), self.compute);
            let h = self.conv_in.forward(&x.to_kind(self.compute));
            Ok(vec![emb, h.shallow_clone(), h])
        })];
        let layers = self.layers(identity);
        let between = (1..).zip(layers).map(|(place, (skip, layer))| {
            segment(skip, move |h, emb| layer(h, emb, &Dropout::new(seed, place)))
        });
        segments.extend(between);
        segments.push(Box::new(move |mut state| {
            let h = state.pop().unwrap_or_default();
            let silu = Around { silu: true, ..Default::default() };
            let out = self.out_conv.forward(&self.out_norm.forward_around(&h, silu)?);
            Ok(vec![out.to_kind(x.kind())])
        }));
        Ok(segments)
    }

    /// All between the first convolution and the last norm.
    fn layers<'a>(&'a self, identity: &[usize]) -> Vec<(Skip, Layer<'a>)> {
        let mut layers: Vec<(Skip, Layer<'_>)> = vec![];
        let mut attentions = 0;
        let mut next = |there: bool| {
            attentions += usize::from(there);
            there && identity.contains(&(attentions - 1))
        };
        for Level { blocks, way } in &self.downs {
            for block in blocks {
                let identity = next(block.attention.is_some());
                let layer =
                    move |h: &Tensor, emb: &Tensor, d: &Dropout| block.forward(h, emb, d, identity);
                layers.push((Skip::Left, Box::new(layer)));
            }
            if let Some(way) = way {
                layers.push((Skip::Left, Box::new(|h, emb, d| way.forward(h, emb, d))));
            }
        }
        let (first, attention, second) = &self.mid;
        let identity = next(true);
        layers.push((
            Skip::None,
            Box::new(move |h, emb, d| {
                let h = attention.forward(&first.forward(h, emb, d)?, identity)?;
                second.forward(&h, emb, d)
            }),
        ));
        for Level { blocks, way } in &self.ups {
            for block in blocks {
                let identity = next(block.attention.is_some());
                let layer =
                    move |h: &Tensor, emb: &Tensor, d: &Dropout| block.forward(h, emb, d, identity);
                layers.push((Skip::Taken, Box::new(layer)));
            }
            if let Some(way) = way {
                layers.push((Skip::None, Box::new(|h, emb, d| way.forward(h, emb, d))));
            }
        }
        layers
    }
}

impl SelfAttention for Unet {
    fn attention_layers(&self) -> Vec<String> {
        let names = |way: &'static str, levels: &[Level]| -> Vec<String> {
            let all = levels.iter().enumerate().flat_map(|(i, level)| {
                let blocks = level.blocks.iter().enumerate();
                blocks.filter(|(_, block)| block.attention.is_some()).map(move |(j, _)| (i, j))
            });
            all.map(|(i, j)| format!("{way}.{i}.blocks.{j}.1")).collect()
        };
        [names("downs", &self.downs), vec!["mid.1".into()], names("ups", &self.ups)].concat()
    }

    fn forward_identity(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        layers: &[usize],
    ) -> Result<Tensor> {
        checkpointing::answer(&self.segments(x, noise, cond, None, layers)?)
    }
}

/// What goes on, the embedding, and masks, to what goes on from there.
type Layer<'a> = Box<dyn Fn(&Tensor, &Tensor, &Dropout) -> tweedie_torch::Result<Tensor> + 'a>;

/// What a layer has to do with the way across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    None,
    /// Its answer waits for the way up.
    Left,
    /// It finds what waits beside what goes on.
    Taken,
}

fn segment<'a>(
    skip: Skip,
    layer: impl Fn(&Tensor, &Tensor) -> tweedie_torch::Result<Tensor> + 'a,
) -> Segment<'a> {
    Box::new(move |mut state| {
        let mut h = state.pop().unwrap_or_default();
        if skip == Skip::Taken {
            h = Tensor::cat(&[h, state.pop().unwrap_or_default()], 1);
        }
        let h = layer(&h, &state[0])?;
        if skip == Skip::Left {
            state.push(h.shallow_clone());
        }
        state.push(h);
        Ok(state)
    })
}
