//! Overlays against a model in memory, through every way in which they are left.

use std::path::PathBuf;

use super::*;
use crate::testing::random::Random;

const GRAIN: u64 = OVERLAY_GRAIN_LEN;
/// Not a whole number of grains.
const LEN: u64 = 9 * GRAIN + 777;
const BOOT: Option<&str> = Some("1-1");

/// A view of bytes, of which some cannot be read.
struct Below {
    bytes: Vec<u8>,
    bad: Range<u64>,
}

impl View for Below {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset + out.len() as u64;
        if offset < self.bad.end && end > self.bad.start {
            let place = Place::Argument("below");
            return Err(Error::new(ErrorKind::Damaged, place, "is bad"));
        }
        out.copy_from_slice(&self.bytes[offset as usize..end as usize]);
        Ok(())
    }

    fn map(&self, range: Range<u64>, _: usize) -> Result<Vec<MappedRange>> {
        Ok(vec![MappedRange {
            range,
            kind: RangeKind::Hole,
            chunk: None,
        }])
    }
}

fn below() -> Arc<Below> {
    Arc::new(Below {
        bytes: Random::new(1).bytes(LEN as usize),
        bad: 0..0,
    })
}

fn of() -> OverlayBase {
    OverlayBase {
        repository: "3f".to_owned(),
        snapshot: "91".to_owned(),
        volume: b"disk0".to_vec(),
    }
}

/// A folder for an overlay, and the view below it.
struct Scene {
    _folder: tempfile::TempDir,
    path: PathBuf,
    below: Arc<Below>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            path: folder.path().join("overlay"),
            _folder: folder,
            below: below(),
        }
    }

    fn open_in(&self, boot: Option<&str>) -> Result<Overlay> {
        Overlay::open_in(&self.path, &of(), self.below.clone(), boot)
    }

    fn open(&self) -> Overlay {
        self.open_in(BOOT).expect("an overlay")
    }
}

fn contents(overlay: &Overlay) -> Vec<u8> {
    let mut bytes = vec![1; overlay.len() as usize];
    overlay.read_at(0, &mut bytes).expect("a read");
    bytes
}

/// A range that begins and ends anywhere, often at grains.
fn range(random: &mut Random) -> Range<u64> {
    let mut place = || match random.below(2) {
        0 => random.below(10) as u64 * GRAIN,
        _ => random.below(LEN as usize + 1) as u64,
    };
    let (a, b) = (place(), place());
    a.min(b)..a.max(b)
}

/// One change, made to the overlay and to the model.
fn change(overlay: &Overlay, model: &mut [u8], random: &mut Random) {
    let range = range(random);
    let part = range.start as usize..range.end as usize;
    match random.below(6) {
        0 => {
            overlay
                .write_zeroes(range, random.below(2) == 0)
                .expect("zeros");
            model[part].fill(0);
        }
        1 => {
            overlay.discard(range.clone()).expect("a discard");
            for grain in 0..LEN.div_ceil(GRAIN) {
                let whole = grain * GRAIN..((grain + 1) * GRAIN).min(LEN);
                if range.start <= whole.start && whole.end <= range.end {
                    model[whole.start as usize..whole.end as usize].fill(0);
                }
            }
        }
        _ => {
            let bytes = random.bytes(part.len());
            overlay.write_at(range.start, &bytes).expect("a write");
            model[part].copy_from_slice(&bytes);
        }
    }
}

#[test]
fn what_was_written_is_read_however_the_overlay_is_left_and_opened_again() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let scene = Scene::new();
        let mut model = scene.below.bytes.clone();
        let mut overlay = scene.open();
        for step in 0..60 {
            change(&overlay, &mut model, &mut random);
            if random.below(8) == 0 {
                overlay.flush().expect("a flush");
            }
            if random.below(10) == 0 {
                drop(overlay); // as a process that was killed: nothing is done at the end
                overlay = scene.open();
            }
            assert!(contents(&overlay) == model, "seed {seed}, step {step}");
        }
        for dirty in overlay.dirty() {
            assert!(dirty.start % GRAIN == 0 && (dirty.end % GRAIN == 0 || dirty.end == LEN));
        }
    }
}

#[test]
fn after_the_machine_went_down_what_was_flushed_is_there() {
    let scene = Scene::new();
    let overlay = scene.open();
    overlay.write_at(100, &[7; 50]).expect("a write");
    overlay.flush().expect("a flush");
    overlay.write_at(5 * GRAIN, &[8; 10]).expect("a write");
    let dirty = overlay.dirty();
    assert_eq!(dirty, [0..GRAIN, 5 * GRAIN..6 * GRAIN]);
    drop(overlay);
    let overlay = scene.open_in(Some("2-2")).expect("an overlay");
    assert_eq!(overlay.dirty(), std::slice::from_ref(&(0..GRAIN)));
    let found = contents(&overlay);
    assert_eq!(found[100..150], [7; 50]);
    assert!(found[GRAIN as usize..] == scene.below.bytes[GRAIN as usize..]);
    // What was forgotten once stays forgotten, and what is written now counts.
    overlay.write_at(8 * GRAIN, &[9; 3]).expect("a write");
    drop(overlay);
    let overlay = scene.open_in(Some("2-2")).expect("an overlay");
    assert_eq!(overlay.dirty(), [0..GRAIN, 8 * GRAIN..9 * GRAIN]);
}

#[test]
fn a_machine_that_does_not_name_its_starts_keeps_what_was_flushed() {
    let scene = Scene::new();
    for boot in [BOOT, None, None] {
        let overlay = scene.open_in(boot).expect("an overlay");
        overlay.write_at(0, &[1]).expect("a write");
        overlay.flush().expect("a flush");
        overlay.write_at(GRAIN, &[1]).expect("a write");
    }
    let overlay = scene.open_in(None).expect("an overlay");
    assert_eq!(overlay.dirty(), std::slice::from_ref(&(0..GRAIN)));
}

#[test]
fn a_torn_note_of_a_flush_loses_nothing_that_was_flushed_before() {
    let scene = Scene::new();
    let overlay = scene.open();
    overlay.write_at(3 * GRAIN, &[3; 100]).expect("a write");
    overlay.flush().expect("a flush");
    let before = std::fs::read(scene.path.join("flushed")).expect("bits");
    overlay.write_at(4 * GRAIN, &[4; 100]).expect("a write");
    overlay.write_at(6 * GRAIN, &[6; 100]).expect("a write");
    overlay.flush().expect("a flush");
    drop(overlay);
    let after = std::fs::read(scene.path.join("flushed")).expect("bits");
    for torn in 0..8_u32 {
        // The machine goes down while the second note is written: any of its new bits is there.
        let new = before.iter().zip(&after).map(|(old, new)| new & !old);
        let bits: Vec<_> = new
            .zip(&before)
            .map(|(new, old)| old | (new & (torn << 4) as u8))
            .collect();
        std::fs::write(scene.path.join("flushed"), &bits).expect("bits");
        let overlay = scene
            .open_in(Some(&format!("boot-{torn}")))
            .expect("an overlay");
        let found = contents(&overlay);
        assert_eq!(found[3 * GRAIN as usize..][..100], [3; 100]);
        for (grain, new) in [(4, 4), (6, 6)] {
            let at = grain * GRAIN as usize;
            let is_new = found[at..at + 100] == [new; 100];
            assert!(is_new || found[at..at + 100] == scene.below.bytes[at..at + 100]);
        }
        drop(overlay);
    }
}

#[test]
fn another_base_other_files_and_a_second_process_are_refused_in_words() {
    let scene = Scene::new();
    let overlay = scene.open();
    let error = scene.open_in(BOOT).expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(overlay);
    let other = OverlayBase {
        snapshot: "77".to_owned(),
        ..of()
    };
    let error = Overlay::open_in(&scene.path, &other, below(), BOOT).expect_err("another");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error
            .to_string()
            .contains("is an overlay of snapshot 91, not of 77"),
        "{error}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("data"), "precious").expect("a file");
    let error = Overlay::open(folder.path(), &of(), below()).expect_err("not empty");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let left = std::fs::read(folder.path().join("data")).expect("a file");
    assert_eq!(left, b"precious");
}

#[test]
fn an_overlay_whose_making_was_interrupted_is_made_again() {
    let scene = Scene::new();
    drop(scene.open());
    let in_the_making = scene.path.join("state.new");
    std::fs::rename(scene.path.join("state"), in_the_making).expect("a file");
    std::fs::remove_file(scene.path.join("flushed")).expect("a file");
    let overlay = scene.open();
    assert!(contents(&overlay) == scene.below.bytes);
}

#[test]
fn files_that_are_missing_cut_off_or_changed_are_damage() {
    for name in ["data", "written", "flushed", "state"] {
        let scene = Scene::new();
        drop(scene.open());
        let path = scene.path.join(name);
        let file = std::fs::File::options()
            .write(true)
            .open(&path)
            .expect("a file");
        let len = file.metadata().expect("a file").len();
        file.set_len(len - 1).expect("a file");
        let error = scene.open_in(BOOT).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(
            error.to_string().starts_with(&path.display().to_string()),
            "{error}"
        );
        std::fs::remove_file(&path).expect("a file");
        scene.open_in(BOOT).expect_err(name);
    }
}

#[test]
fn what_cannot_be_read_below_can_be_written_over_whole() {
    let scene = Scene {
        below: Arc::new(Below {
            bad: 2 * GRAIN + 5..2 * GRAIN + 6,
            ..Below {
                bytes: below().bytes.clone(),
                bad: 0..0,
            }
        }),
        ..Scene::new()
    };
    let overlay = scene.open();
    overlay
        .write_at(2 * GRAIN, &[1; 5])
        .expect_err("the rest cannot be copied up");
    overlay.write_at(GRAIN, &[1; 5]).expect("beside it");
    overlay
        .write_at(2 * GRAIN, &[2; GRAIN as usize])
        .expect("all of it");
    let mut read = [0; 10];
    overlay.read_at(2 * GRAIN, &mut read).expect("a read");
    assert_eq!(read, [2; 10]);
}

#[test]
fn threads_that_write_parts_of_one_grain_lose_nothing() {
    let scene = Scene::new();
    let overlay = scene.open();
    let mut model = scene.below.bytes.clone();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let overlay = &overlay;
            scope.spawn(move || {
                for at in (u64::from(thread) * 512..9 * GRAIN).step_by(4 * 512) {
                    overlay.write_at(at, &[thread; 512]).expect("a write");
                }
            });
        }
    });
    for (sector, bytes) in model[..9 * GRAIN as usize].chunks_mut(512).enumerate() {
        bytes.fill((sector % 4) as u8);
    }
    assert!(contents(&overlay) == model);
}

#[test]
fn what_is_beyond_the_end_is_refused_and_what_was_written_is_data() {
    let scene = Scene::new();
    let overlay = scene.open();
    for range in [LEN - 1..LEN + 1, u64::MAX - 1..u64::MAX] {
        let bytes = vec![0; (range.end - range.start) as usize];
        overlay
            .write_at(range.start, &bytes)
            .expect_err("beyond the end");
        overlay.discard(range.clone()).expect_err("beyond the end");
        overlay
            .write_zeroes(range.clone(), false)
            .expect_err("beyond the end");
        overlay
            .read_at(range.start, &mut [0; 2])
            .expect_err("beyond the end");
    }
    overlay.write_at(GRAIN + 5, &[1; 5]).expect("a write");
    let mapped = overlay.map(10..LEN, 9).expect("a map");
    let found: Vec<_> = mapped
        .into_iter()
        .map(|one| (one.range, one.kind))
        .collect();
    let expected = [
        (10..GRAIN, RangeKind::Hole),
        (GRAIN..2 * GRAIN, RangeKind::Data),
        (2 * GRAIN..LEN, RangeKind::Hole),
    ];
    assert_eq!(found, expected);
    assert_eq!(overlay.map(10..LEN, 2).expect("a map").len(), 2);
}
