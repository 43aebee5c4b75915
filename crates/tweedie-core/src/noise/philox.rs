//! Philox4x32-10, a counter-based generator: Salmon et al., "Parallel random numbers: as easy as
//! 1, 2, 3", SC 2011. A random number is a function of where it is used; there is no state.

/// Where random numbers are used: the 192 bits that determine them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The seed of the run.
    pub seed: u64,
    /// The purpose, so that different uses never share numbers.
    pub stream: u32,
    /// The sample within the batch, data set or run.
    pub sample: u32,
    /// The draw: the step of a sampler or of a training loop.
    pub draw: u32,
}

/// So many blocks of four numbers are made together, for the processor's vector units.
pub(super) const LANES: usize = 16;

/// One block for each lane: `result[word][lane]`.
pub(super) type Blocks = [[u32; LANES]; 4];

/// Ten rounds over the counters `[first + lane, draw, sample, stream]`.
#[inline(always)]
pub(super) fn blocks(key: Key, first: u32) -> Blocks {
    let counter = [first, key.draw, key.sample, key.stream];
    let mut words = counter.map(|word| [word; LANES]);
    for (lane, word) in words[0].iter_mut().enumerate() {
        *word = word.wrapping_add(lane as u32);
    }
    rounds(words, [key.seed as u32, (key.seed >> 32) as u32])
}

#[inline(always)]
fn rounds(mut c: Blocks, mut k: [u32; 2]) -> Blocks {
    for _ in 0..10 {
        let [c0, c1, c2, c3] = &mut c;
        for (((c0, c1), c2), c3) in c0.iter_mut().zip(c1).zip(c2).zip(c3) {
            let p0 = 0xD251_1F53_u64 * u64::from(*c0);
            let p1 = 0xCD9E_8D57_u64 * u64::from(*c2);
            *c0 = (p1 >> 32) as u32 ^ *c1 ^ k[0];
            *c2 = (p0 >> 32) as u32 ^ *c3 ^ k[1];
            *c1 = p1 as u32;
            *c3 = p0 as u32;
        }
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

/// Fills `out` with 32-bit random words.
pub fn words(key: Key, out: &mut [u32]) {
    for (group, chunk) in out.chunks_mut(4 * LANES).enumerate() {
        let b = blocks(key, (group * LANES) as u32);
        for (i, word) in chunk.iter_mut().enumerate() {
            *word = b[i % 4][i / 4];
        }
    }
}

/// Fills `out` with numbers in the open interval (0, 1), 32 bits each.
pub fn uniforms(key: Key, out: &mut [f64]) {
    let mut bits = [0; 4 * LANES];
    for (group, chunk) in out.chunks_mut(4 * LANES).enumerate() {
        let b = blocks(key, (group * LANES) as u32);
        for (i, word) in bits.iter_mut().enumerate() {
            *word = b[i % 4][i / 4];
        }
        for (u, word) in chunk.iter_mut().zip(bits) {
            *u = (f64::from(word) + 0.5) / 4_294_967_296.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the authors' Random123 distribution.
    #[test]
    fn known_answers() {
        let one = |c: [u32; 4], k| rounds(c.map(|w| [w; LANES]), k).map(|w| w[LANES - 1]);
        assert_eq!(one([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            one([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            one([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let base = Key { seed: 1, stream: 2, sample: 3, draw: 4 };
        let first = |key| {
            let mut w = [0; 1];
            words(key, &mut w);
            w[0]
        };
        let others = [
            Key { seed: 2, ..base },
            Key { seed: 1 << 32 | 1, ..base },
            Key { stream: 0, ..base },
            Key { sample: 0, ..base },
            Key { draw: 0, ..base },
        ];
        for other in others {
            assert_ne!(first(base), first(other), "{other:?}");
        }
    }

    #[test]
    fn a_longer_request_begins_alike() {
        let key = Key { seed: 7, stream: 0, sample: 0, draw: 0 };
        let (mut long, mut short) = ([0; 200], [0; 33]);
        words(key, &mut long);
        words(key, &mut short);
        assert_eq!(short, long[..33]);
    }
}
