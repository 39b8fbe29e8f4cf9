//! Claims about the chunker as a whole; those about a part are beside the part.

use super::filter::Kernel;
use super::*;
use proptest::prelude::*;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn sizes(min: u32, avg: u32, max: u32) -> ChunkSizes {
    ChunkSizes::new(min, avg, max).expect("sizes of a test are valid")
}

fn small_sizes() -> ChunkSizes {
    sizes(2048, 8192, 32768)
}

fn chunker(sizes: ChunkSizes) -> Chunker {
    Chunker::new(&[42; 32], sizes)
}

fn candidates(chunker: &Chunker, buf: &[u8]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    chunker.scan(buf, 0, &mut candidates);
    candidates
}

/// The definition, slowly: every position judged, then the rules applied one position at a time.
fn cuts_by_definition(chunker: &Chunker, data: &[u8]) -> Vec<usize> {
    let sizes = chunker.sizes();
    let candidates = candidates(chunker, data);
    let mut cuts = Vec::new();
    let mut start = 0;
    for end in 1..=data.len() {
        let len = end - start;
        let found = candidates
            .binary_search_by_key(&end, |c| c.end)
            .map(|i| candidates[i].hard);
        let wanted = found.is_ok_and(|hard| hard || len >= sizes.avg()) && len >= sizes.min();
        if wanted || len == sizes.max() || end == data.len() {
            cuts.push(end);
            start = end;
        }
    }
    cuts
}

/// As a large file is cut: each segment has one longest chunk of overlap, is scanned in steps as it
/// is read, and selected once the segment before says where.
fn cuts_by_segments(chunker: &Chunker, data: &[u8], segment_len: usize, step: usize) -> Vec<usize> {
    let mut cuts = Vec::new();
    let mut next_start = 0;
    for begin in (0..data.len()).step_by(segment_len) {
        let end = data.len().min(begin + segment_len);
        let reach = data.len().min(end + chunker.sizes().max());
        let buf = &data[begin..reach];
        let candidates = candidates_by_steps(chunker, buf, step);
        let mut found = Vec::new();
        let is_end = reach == data.len();
        let first = next_start - begin;
        next_start = begin
            + chunker.select(
                &candidates,
                first,
                end - begin,
                buf.len(),
                is_end,
                &mut found,
            );
        cuts.extend(found.iter().map(|cut| begin + cut));
    }
    cuts
}

fn candidates_by_steps(chunker: &Chunker, buf: &[u8], step: usize) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for from in (0..buf.len()).step_by(step) {
        chunker.scan(&buf[..buf.len().min(from + step)], from, &mut candidates);
    }
    candidates
}

/// Bytes of one of the kinds that chunkers stumble over.
fn any_data(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    (0..6, any::<u64>(), 0..=len_max, 2..300usize).prop_map(|(kind, seed, len, period)| {
        let mut data = noise(seed, len);
        match kind {
            0 => {}
            1 => data.iter_mut().for_each(|byte| *byte &= 1),
            2 => data.fill(seed as u8),
            3 => (period..len).for_each(|i| data[i] = data[i - period]),
            4 => data
                .iter_mut()
                .for_each(|byte| *byte = b" etaoinsrhldcum\n"[*byte as usize % 16]),
            _ => (0..len)
                .filter(|i| i / 4096 % 3 != 0)
                .for_each(|i| data[i] = 0),
        }
        data
    })
}

/// Without optimization each case takes ten times as long.
const CASES: u32 = if cfg!(debug_assertions) { 24 } else { 256 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn cuts_follow_the_definition(data in any_data(300_000)) {
        for sizes in [small_sizes(), sizes(64, 8192, 8192), sizes(8192, 8192, 20_001)] {
            let chunker = chunker(sizes);
            let cuts: Vec<_> = chunker.cuts(&data).collect();
            prop_assert_eq!(cuts, cuts_by_definition(&chunker, &data));
        }
    }

    #[test]
    fn cuts_are_the_same_in_segments_of_any_length(
        data in any_data(500_000),
        segment_len in prop_oneof![1usize..300, 300usize..100_000, Just(65_536)],
        step in prop_oneof![33usize..400, 400usize..100_000, Just(65_536)],
    ) {
        // Tiny segments overlap nearly whole: keep the work bounded.
        let data = &data[..data.len().min(segment_len * 400)];
        let chunker = chunker(small_sizes());
        let whole: Vec<_> = chunker.cuts(data).collect();
        prop_assert_eq!(cuts_by_segments(&chunker, data, segment_len, step), whole);
    }

    #[test]
    fn kernels_agree_on_cuts_and_candidates(data in any_data(200_000), offset in 0..70usize) {
        let data = &data[offset.min(data.len())..];
        let fastest = chunker(small_sizes());
        for &kernel in Kernel::ALL.iter().filter(|kernel| kernel.is_available()) {
            let filter = fastest.filter.with_kernel(kernel);
            let other = Chunker { filter, ..fastest.clone() };
            prop_assert_eq!(candidates(&other, data), candidates(&fastest, data));
            prop_assert!(other.cuts(data).eq(fastest.cuts(data)));
        }
    }

    #[test]
    fn chunks_are_never_shorter_or_longer_than_allowed(data in any_data(400_000)) {
        let chunker = chunker(small_sizes());
        let cuts: Vec<_> = chunker.cuts(&data).collect();
        prop_assert_eq!(cuts.last().copied().unwrap_or(0), data.len());
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let lens: Vec<_> = starts.zip(&cuts).map(|(start, end)| end - start).collect();
        for (i, &len) in lens.iter().enumerate() {
            prop_assert!(len <= chunker.sizes().max());
            prop_assert!(len >= chunker.sizes().min() || i + 1 == lens.len());
            prop_assert!(len > 0);
        }
    }
}

#[test]
fn whether_a_position_is_a_candidate_depends_on_its_window_alone() {
    let chunker = chunker(small_sizes());
    let data = noise(1, 1 << 20);
    let found = candidates(&chunker, &data);
    assert!(found.len() > 100);
    for candidate in found {
        let window = &data[candidate.end - WINDOW_LEN..candidate.end];
        let alone = candidates(&chunker, window);
        assert_eq!(
            alone,
            [Candidate {
                end: WINDOW_LEN,
                hard: candidate.hard
            }]
        );
        assert_eq!(candidates(&chunker, &window[1..]), []);
    }
}

/// The first cut of zeros that hold one candidate, which ends at `end`.
fn first_cut(sizes: ChunkSizes, hard: bool, end: usize) -> usize {
    let chunker = chunker(sizes);
    let data = noise(1, 1 << 20);
    let found = candidates(&chunker, &data);
    let candidate = found
        .iter()
        .find(|c| c.hard == hard)
        .expect("noise has both kinds");
    let mut data_with_one = vec![0; 2 * sizes.max()];
    data_with_one[end - WINDOW_LEN..end]
        .copy_from_slice(&data[candidate.end - WINDOW_LEN..candidate.end]);
    let cuts = chunker.cuts(&data_with_one).collect::<Vec<_>>();
    let step = sizes.max();
    assert_eq!(cuts, cuts_by_segments(&chunker, &data_with_one, step, step));
    cuts[0]
}

#[test]
fn the_minimum_and_the_average_are_where_the_tests_begin() {
    let sizes = small_sizes();
    let (min, avg, max) = (sizes.min(), sizes.avg(), sizes.max());
    assert_eq!(first_cut(sizes, true, min - 1), max);
    assert_eq!(first_cut(sizes, true, min), min);
    assert_eq!(first_cut(sizes, false, avg - 1), max);
    assert_eq!(first_cut(sizes, false, avg), avg);
    assert_eq!(first_cut(sizes, false, max - 1), max - 1);
}

#[test]
fn a_scan_reports_what_ends_after_its_start() {
    let chunker = chunker(small_sizes());
    let data = noise(2, 1 << 18);
    let all = candidates(&chunker, &data);
    let tenth = all[10].end;
    for (from, first) in [(tenth - 1, 10), (tenth, 11), (tenth + 1, 11)] {
        let mut later = Vec::new();
        chunker.scan(&data, from, &mut later);
        assert_eq!(later, all[first..]);
    }
    let mut none = Vec::new();
    chunker.scan(&data, data.len(), &mut none);
    assert_eq!(none, []);
}

#[test]
fn after_a_change_the_old_cuts_are_met_again() {
    let chunker = chunker(small_sizes());
    let data = noise(3, 1 << 21);
    let old: Vec<_> = chunker.cuts(&data).collect();
    for at in (0..1 << 20).step_by(100_003) {
        let mut changed = data.clone();
        changed.insert(at, 0x55);
        let new: Vec<_> = chunker.cuts(&changed).map(|cut| cut - 1).collect();
        let shared = old
            .iter()
            .rev()
            .zip(new.iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        let met_again = old[old.len() - shared];
        assert!(
            met_again < at + 20 * chunker.sizes().max(),
            "changed {at}, again {met_again}"
        );
    }
}

#[test]
fn the_mean_chunk_of_random_bytes_is_near_the_average() {
    let data = noise(4, 32 << 20);
    let sizes = ChunkSizes::default();
    let mean = data.len() / chunker(sizes).cuts(&data).count();
    assert!(
        (sizes.avg() * 9 / 10..sizes.avg() * 3 / 2).contains(&mean),
        "mean chunk is {mean} bytes"
    );
}

#[test]
fn zeros_become_longest_chunks() {
    let max = ChunkSizes::default().max();
    let cuts: Vec<_> = chunker(ChunkSizes::default())
        .cuts(&vec![0; 3 * max + 1])
        .collect();
    assert_eq!(cuts, [max, 2 * max, 3 * max, 3 * max + 1]);
}

#[test]
fn another_key_makes_other_cuts() {
    let data = noise(5, 1 << 20);
    let of = |key: u8| -> Vec<_> {
        Chunker::new(&[key; 32], small_sizes())
            .cuts(&data)
            .collect()
    };
    let (one, other) = (of(1), of(2));
    let common = one.iter().filter(|cut| other.contains(cut)).count();
    assert!(
        common <= 2,
        "{common} of {} cuts are common, the end is one",
        one.len()
    );
}

#[test]
fn nothing_has_no_cuts() {
    let chunker = chunker(ChunkSizes::default());
    assert_eq!(chunker.cuts(&[]).count(), 0);
    let mut cuts = Vec::new();
    assert_eq!(chunker.select(&[], 0, 0, 0, true, &mut cuts), 0);
    assert_eq!(cuts, []);
}

#[test]
#[should_panic(expected = "one longest chunk beyond")]
fn a_segment_without_its_overlap_is_refused() {
    let chunker = chunker(small_sizes());
    let data = vec![0; 100_000];
    chunker.select(
        &candidates(&chunker, &data),
        0,
        90_000,
        data.len(),
        false,
        &mut Vec::new(),
    );
}

#[test]
fn a_chunker_may_be_shared_by_threads_and_does_not_show_its_secrets() {
    fn shared<T: Clone + Send + Sync>(_: &T) {}
    let chunker = chunker(ChunkSizes::default());
    shared(&chunker);
    let shown = format!("{chunker:?}");
    assert!(
        !shown.contains("key") && !shown.contains("words"),
        "{shown}"
    );
}
