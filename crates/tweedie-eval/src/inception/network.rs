//! Inception v3 (Szegedy et al., arXiv:1512.00567) up to its last average, as FID's weights of
//! 2015-12-05 want it: torchvision's layers, with other pools in six of the blocks.

use super::layers::{Block, BranchSpec, Conv, Maker, Pool, Spec};
use crate::Result;
use tch::{Kind, Tensor};

const ONE: [i64; 2] = [1, 1];
const THREE: [i64; 2] = [3, 3];
const FIVE: [i64; 2] = [5, 5];
const ROW: [i64; 2] = [1, 7];
const COLUMN: [i64; 2] = [7, 1];

/// A convolution that keeps the size.
const fn same(name: &'static str, outputs: i64, kernel: [i64; 2]) -> Spec {
    (name, outputs, kernel, 1, [kernel[0] / 2, kernel[1] / 2])
}

/// A 3×3 convolution at every second pixel, without padding.
const fn halved(name: &'static str, outputs: i64) -> Spec {
    (name, outputs, THREE, 2, [0, 0])
}

/// A branch of convolutions one after the other.
const fn chain(chain: &[Spec]) -> BranchSpec<'_> {
    BranchSpec { pool: None, chain, fork: &[] }
}

/// A branch that pools first.
const fn pooled(pool: Pool, chain: &[Spec]) -> BranchSpec<'_> {
    BranchSpec { pool: Some(pool), chain, fork: &[] }
}

/// The network; its layers are named as torchvision names them.
#[derive(Debug)]
pub(super) struct Network {
    stem: Vec<Conv>,
    blocks: Vec<Block>,
}

/// What stands between convolutions of the stem: a pool after the third and after the fifth.
const POOL_AFTER: [usize; 2] = [2, 4];

impl Network {
    pub(super) fn new(make: &mut Maker<'_>) -> Result<Self> {
        let stem_specs: [Spec; 5] = [
            halved("Conv2d_1a_3x3", 32),
            ("Conv2d_2a_3x3", 32, THREE, 1, [0, 0]),
            same("Conv2d_2b_3x3", 64, THREE),
            ("Conv2d_3b_1x1", 80, ONE, 1, [0, 0]),
            ("Conv2d_4a_3x3", 192, THREE, 1, [0, 0]),
        ];
        let (mut stem, mut channels) = (vec![], 3);
        for spec in &stem_specs {
            let (conv, outputs) = Conv::new(make, "", channels, spec)?;
            stem.push(conv);
            channels = outputs;
        }
        let mut blocks = vec![];
        for (place, kind) in BLOCKS {
            let (block, outputs) = kind.make(make, place, channels)?;
            blocks.push(block);
            channels = outputs;
        }
        Ok(Network { stem, blocks })
    }

    /// `[n, 3, 299, 299]`, prepared, to `[n, 2048]`.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = x.shallow_clone();
        for (number, conv) in self.stem.iter().enumerate() {
            x = conv.forward(&x);
            if POOL_AFTER.contains(&number) {
                x = Pool::MaxHalved.forward(&x);
            }
        }
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        x.mean_dim([2, 3].as_slice(), false, None::<Kind>)
    }
}

/// The kinds of blocks, by the letters of torchvision's classes.
#[derive(Clone, Copy)]
enum BlockKind {
    /// With so many channels from the pool.
    A(i64),
    B,
    /// With so many channels in the 7×7 convolutions.
    C(i64),
    D,
    /// With this pool.
    E(Pool),
}

const BLOCKS: [(&str, BlockKind); 11] = [
    ("Mixed_5b", BlockKind::A(32)),
    ("Mixed_5c", BlockKind::A(64)),
    ("Mixed_5d", BlockKind::A(64)),
    ("Mixed_6a", BlockKind::B),
    ("Mixed_6b", BlockKind::C(128)),
    ("Mixed_6c", BlockKind::C(160)),
    ("Mixed_6d", BlockKind::C(160)),
    ("Mixed_6e", BlockKind::C(192)),
    ("Mixed_7a", BlockKind::D),
    ("Mixed_7b", BlockKind::E(Pool::Mean)),
    ("Mixed_7c", BlockKind::E(Pool::Max)),
];

impl BlockKind {
    fn make(self, make: &mut Maker<'_>, place: &str, inputs: i64) -> Result<(Block, i64)> {
        let mut block = |branches: &[BranchSpec<'_>]| Block::new(make, place, inputs, branches);
        match self {
            BlockKind::A(pool) => block(&[
                chain(&[same("branch1x1", 64, ONE)]),
                chain(&[same("branch5x5_1", 48, ONE), same("branch5x5_2", 64, FIVE)]),
                chain(&[
                    same("branch3x3dbl_1", 64, ONE),
                    same("branch3x3dbl_2", 96, THREE),
                    same("branch3x3dbl_3", 96, THREE),
                ]),
                pooled(Pool::Mean, &[same("branch_pool", pool, ONE)]),
            ]),
            BlockKind::B => block(&[
                chain(&[halved("branch3x3", 384)]),
                chain(&[
                    same("branch3x3dbl_1", 64, ONE),
                    same("branch3x3dbl_2", 96, THREE),
                    halved("branch3x3dbl_3", 96),
                ]),
                pooled(Pool::MaxHalved, &[]),
            ]),
            BlockKind::C(c) => block(&[
                chain(&[same("branch1x1", 192, ONE)]),
                chain(&[
                    same("branch7x7_1", c, ONE),
                    same("branch7x7_2", c, ROW),
                    same("branch7x7_3", 192, COLUMN),
                ]),
                chain(&[
                    same("branch7x7dbl_1", c, ONE),
                    same("branch7x7dbl_2", c, COLUMN),
                    same("branch7x7dbl_3", c, ROW),
                    same("branch7x7dbl_4", c, COLUMN),
                    same("branch7x7dbl_5", 192, ROW),
                ]),
                pooled(Pool::Mean, &[same("branch_pool", 192, ONE)]),
            ]),
            BlockKind::D => block(&[
                chain(&[same("branch3x3_1", 192, ONE), halved("branch3x3_2", 320)]),
                chain(&[
                    same("branch7x7x3_1", 192, ONE),
                    same("branch7x7x3_2", 192, ROW),
                    same("branch7x7x3_3", 192, COLUMN),
                    halved("branch7x7x3_4", 192),
                ]),
                pooled(Pool::MaxHalved, &[]),
            ]),
            BlockKind::E(pool) => block(&[
                chain(&[same("branch1x1", 320, ONE)]),
                BranchSpec {
                    pool: None,
                    chain: &[same("branch3x3_1", 384, ONE)],
                    fork: &[same("branch3x3_2a", 384, [1, 3]), same("branch3x3_2b", 384, [3, 1])],
                },
                BranchSpec {
                    pool: None,
                    chain: &[same("branch3x3dbl_1", 448, ONE), same("branch3x3dbl_2", 384, THREE)],
                    fork: &[
                        same("branch3x3dbl_3a", 384, [1, 3]),
                        same("branch3x3dbl_3b", 384, [3, 1]),
                    ],
                },
                pooled(pool, &[same("branch_pool", 192, ONE)]),
            ]),
        }
    }
}
