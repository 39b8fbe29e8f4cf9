//! Claims about the filter: all kernels are one function, and hits are as rare as promised.

use super::*;
use proptest::prelude::*;

/// What all kernels must find: the hits of `bytes` after the lead, one by one.
fn expected(coefficients: Coefficients, bytes: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(WINDOW_LEN).enumerate();
    windows
        .filter(|(_, w)| coefficients.is_hit(w))
        .map(|(i, _)| i + WINDOW_LEN)
        .collect()
}

fn found(coefficients: Coefficients, kernel: Kernel, bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let filter = Filter {
        coefficients,
        kernel,
    };
    let _ = filter.visit(bytes, LEAD_LEN.min(bytes.len()), bytes.len(), |end| {
        found.push(end);
        ControlFlow::<()>::Continue(())
    });
    found
}

fn available() -> impl Iterator<Item = Kernel> {
    Kernel::ALL
        .iter()
        .copied()
        .filter(|kernel| kernel.is_available())
}

/// Hits one position in eight of random bytes, by the word at `k` alone.
fn dense(k: usize) -> Coefficients {
    let mut words = [0; 8];
    words[k] = 1;
    Coefficients { start: 0, words }
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn kernels_agree_at_every_length_and_alignment() {
    let bytes = noise(64 + 4 * BLOCK_LEN);
    for kernel in available() {
        for begin in 0..64 {
            for end in (begin..bytes.len()).step_by(1 + begin % 3) {
                let bytes = &bytes[begin..end];
                let coefficients = dense(begin % 8);
                assert_eq!(
                    found(coefficients, kernel, bytes),
                    expected(coefficients, bytes),
                    "{kernel:?} on {} bytes at {begin}",
                    bytes.len()
                );
            }
        }
    }
}

#[test]
fn kernels_agree_beyond_one_batch() {
    let len = LEAD_LEN + 3 * BATCH_BLOCKS * BLOCK_LEN;
    for rest in [0, 1, BLOCK_LEN - 1, BLOCK_LEN, BLOCK_LEN + 1] {
        let bytes = noise(len + rest);
        for kernel in available() {
            for k in 0..8 {
                assert_eq!(found(dense(k), kernel, &bytes), expected(dense(k), &bytes));
            }
        }
    }
}

#[test]
fn kernels_agree_where_a_sum_of_two_products_overflows() {
    let coefficients = Coefficients {
        start: 0,
        words: [i16::MIN; 8],
    };
    let bytes: Vec<u8> = (0..500)
        .map(|i| if i % 37 < 30 { 0x80 * (i % 2) } else { 7 })
        .map(|b| b as u8)
        .collect();
    assert!(!expected(coefficients, &bytes).is_empty());
    for kernel in available() {
        assert_eq!(
            found(coefficients, kernel, &bytes),
            expected(coefficients, &bytes)
        );
    }
}

#[test]
fn a_visit_ends_where_it_breaks() {
    let bytes = noise(1000);
    for kernel in available() {
        let filter = Filter {
            coefficients: dense(0),
            kernel,
        };
        let third = expected(dense(0), &bytes)[2];
        let mut visited = 0;
        let broken = filter.visit(&bytes, LEAD_LEN, bytes.len(), |end| {
            visited += 1;
            if visited == 3 {
                ControlFlow::Break(end)
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!((broken, visited), (ControlFlow::Break(third), 3));
    }
}

#[test]
fn one_position_in_2048_is_hit_in_random_bytes() {
    let bytes = noise(1 << 22);
    let hits = found(Coefficients::new(&[1; 32]), Kernel::fastest(), &bytes).len();
    assert!(
        (1850..2250).contains(&hits),
        "{hits} hits in {} bytes",
        bytes.len()
    );
}

#[test]
fn no_key_hits_a_run_of_one_byte_value() {
    let mut redrawn = 0;
    for n in 0..200 {
        let key = draw(&[3; 32], n);
        redrawn += u32::from(Coefficients::from_draw(&draw(&key, 1)).hit_some_constant_run());
        let coefficients = Coefficients::new(&key);
        for byte in 0..=u8::MAX {
            for kernel in available() {
                assert_eq!(found(coefficients, kernel, &[byte; 90]), []);
            }
        }
    }
    assert!(
        redrawn > 5,
        "some first draws are unsuitable, or the claim is tested on nothing"
    );
}

#[test]
fn the_secrets_of_a_key_are_those_of_the_specification() {
    let Coefficients { start, words } = Coefficients::new(&std::array::from_fn(|i| i as u8));
    assert_eq!(start, 0x724b_d152);
    assert_eq!(
        words,
        [-27155, 27541, -26297, -17815, 23761, 23547, -31511, -19269]
    );
}

#[test]
fn coefficients_are_odd_and_large() {
    for bits in 0..=u16::MAX {
        let coefficient = coefficient(bits);
        assert!(coefficient % 2 != 0 && coefficient.unsigned_abs() > 1 << 14);
    }
}

proptest! {
    #[test]
    fn kernels_agree_on_any_bytes_and_coefficients(
        start: u32,
        words: [i16; 8],
        wide: [bool; 8],
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let words = std::array::from_fn(|k| if wide[k] { words[k] } else { words[k] % 2 });
        let coefficients = Coefficients { start, words };
        for kernel in available() {
            prop_assert_eq!(found(coefficients, kernel, &bytes), expected(coefficients, &bytes));
        }
    }
}
