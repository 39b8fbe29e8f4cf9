//! Servers that others wrote: nbdkit, with filters that fail, delay and restrict.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use super::super::*;
use crate::sources::volume::tests::kit::{Nbdkit, has, pattern, text, wait_until};
use crate::sources::volume::{FileVolume, read_with_gaps};

const LEN: u64 = 16 << 20;

fn open(server: &Nbdkit) -> NbdVolume {
    NbdVolume::open(&server.url(), &NbdOptions::default()).expect("an export")
}

/// What nbdkit's pattern plugin has: each 8 bytes hold their offset, highest byte first.
fn expected(offset: u64, len: usize) -> Vec<u8> {
    let byte = |at: u64| ((at & !7) >> (56 - 8 * (at & 7))) as u8;
    (offset..offset + len as u64).map(byte).collect()
}

#[track_caller]
fn assert_reads_as_pattern(volume: &NbdVolume, offset: u64, len: usize) {
    let mut buffer = vec![0xee; len];
    let read = volume.read_at(offset, &mut buffer).expect("a read");
    let there = (volume.len() - offset).min(len as u64) as usize;
    assert_eq!(read, there);
    assert!(
        buffer[..read] == expected(offset, read),
        "at {offset}, {len} bytes"
    );
}

#[test]
fn threads_read_an_export_at_the_same_time() {
    if !has(&["nbdkit"]) {
        return;
    }
    for arguments in [
        &["pattern", "size=16M"][..],
        &["--no-sr", "pattern", "size=16M"],
        &[
            "--filter=multi-conn",
            "pattern",
            "size=16M",
            "multi-conn-mode=disable",
        ],
        &["--filter=delay", "pattern", "size=16M", "rdelay=1ms"],
    ] {
        let server = Nbdkit::start(arguments);
        let volume = open(&server);
        assert_eq!(volume.len(), LEN);
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let volume = &volume;
                scope.spawn(move || {
                    for at in 0..4 {
                        assert_reads_as_pattern(volume, (thread + at) * 0x12_3457, 1 << 20);
                    }
                });
            }
            scope.spawn(|| assert_reads_as_pattern(&volume, 0, LEN as usize));
        });
        assert_reads_as_pattern(&volume, LEN - 10, 100);
        assert_eq!(volume.read_at(LEN, &mut [0; 10]).expect("the end"), 0);
        volume.check_unchanged().expect("unchanged");
    }
}

#[test]
fn the_block_size_of_a_server_is_kept_and_does_not_show() {
    if !has(&["nbdkit"]) {
        return;
    }
    let server = Nbdkit::start(&[
        "--filter=blocksize-policy",
        "pattern",
        "size=16M",
        "blocksize-minimum=4096",
        "blocksize-preferred=4096",
        "blocksize-maximum=65536",
        "blocksize-error-policy=error",
    ]);
    let volume = open(&server);
    assert_eq!(volume.identity().logical_sector, 4096);
    for (offset, len) in [(0, 4096), (1, 1), (4095, 2), (5000, 300_000), (LEN - 7, 7)] {
        assert_reads_as_pattern(&volume, offset, len);
    }
    let pieces = volume.allocation(100..5000).expect("an answer");
    assert_eq!(
        (pieces[0].range.start, pieces[pieces.len() - 1].range.end),
        (100, 5000)
    );
}

#[test]
fn a_server_on_tcp_is_found_by_host_and_port() {
    if !has(&["nbdkit"]) {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port().to_string();
    drop(free);
    let mut child = Command::new("nbdkit")
        .args([
            "--foreground",
            "--exit-with-parent",
            "--ipaddr",
            "127.0.0.1",
            "--port",
            &port,
        ])
        .args(["pattern", "size=16M"])
        .stderr(Stdio::null())
        .spawn()
        .expect("nbdkit starts");
    let url = format!("nbd://127.0.0.1:{port}/");
    let mut opened = None;
    wait_until("nbdkit listens", || {
        opened = NbdVolume::open(&url, &NbdOptions::default()).ok();
        opened.is_some()
    });
    assert_reads_as_pattern(&opened.expect("an export"), 12_345, 1 << 20);
    child.kill().expect("killed");
    child.wait().expect("a child");
}

#[test]
fn a_server_tells_the_same_holes_as_the_file_behind_it() {
    if !has(&["nbdkit"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("disk");
    let file = File::create(&path).expect("a file");
    file.set_len(LEN).expect("its length");
    for at in [0, 5 << 20, LEN - (64 << 10)] {
        file.write_all_at(&pattern(64 << 10), at).expect("data");
    }
    let server = Nbdkit::start(&["file", text(&path)]);
    let volume = open(&server);
    let from_file = FileVolume::open(&path).expect("a file");
    for range in [0..LEN, 100..(5 << 20) + 100] {
        let served = volume.allocation(range.clone()).expect("an answer");
        assert_eq!(served, from_file.allocation(range).expect("an answer"));
    }
    assert!(volume.allocation(0..LEN + 1).is_err());
}

#[test]
fn a_server_that_is_slower_than_permitted_is_an_error() {
    if !has(&["nbdkit"]) {
        return;
    }
    let server = Nbdkit::start(&["--filter=delay", "memory", "1M", "rdelay=20"]);
    let options = NbdOptions {
        timeout: Duration::from_secs(2),
        ..NbdOptions::default()
    };
    let volume = NbdVolume::open(&server.url(), &options).expect("an export");
    let error = volume.read_at(0, &mut [0; 512]).expect_err("too slow");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn bad_sectors_of_an_export_cost_themselves_alone() {
    if !has(&["nbdkit", "dd", "tr"]) {
        return;
    }
    let pread = r#"
        if [ $4 -lt 3072 ] && [ $(($4 + $3)) -gt 2560 ]; then echo EIO bad >&2; exit 1; fi
        dd if=/dev/zero bs=$3 count=1 status=none | tr '\0' 'A'"#;
    let pread = format!("pread={pread}");
    let server = Nbdkit::start(&["eval", "get_size=echo 16384", &pread]);
    let volume = open(&server);
    let mut buffer = vec![0; 16_384];
    let (read, gaps) = read_with_gaps(&volume, 0, &mut buffer).expect("a read");
    assert_eq!(
        (read, gaps),
        (16_384, std::iter::once(2560..3072).collect())
    );
    assert!(buffer[2560..3072].iter().all(|&byte| byte == 0));
    assert!(
        buffer[..2560]
            .iter()
            .chain(&buffer[3072..])
            .all(|&byte| byte == b'A')
    );
}

#[test]
fn an_export_that_fails_everywhere_is_one_gap() {
    if !has(&["nbdkit"]) {
        return;
    }
    let filter = ["error-pread=EIO", "error-pread-rate=100%"];
    let server = Nbdkit::start(&["--filter=error", "memory", "4M", filter[0], filter[1]]);
    let volume = open(&server);
    let mut buffer = vec![1; 4 << 20];
    let (_, gaps) = read_with_gaps(&volume, 0, &mut buffer).expect("a read");
    assert_eq!(gaps, std::slice::from_ref(&(0..4 << 20)));
    assert!(buffer.iter().all(|&byte| byte == 0));
}

#[test]
fn an_export_that_fails_now_and_then_is_read_in_the_end() {
    if !has(&["nbdkit"]) {
        return;
    }
    let filter = ["error-pread=EIO", "error-pread-rate=30%"];
    let server = Nbdkit::start(&[
        "--filter=error",
        "pattern",
        "size=64K",
        filter[0],
        filter[1],
    ]);
    let volume = open(&server);
    let mut buffer = vec![1; 64 << 10];
    let (_, gaps) = read_with_gaps(&volume, 0, &mut buffer).expect("a read");
    let expected = expected(0, buffer.len());
    for (at, &byte) in buffer.iter().enumerate() {
        let is_gap = gaps.iter().any(|gap| gap.contains(&(at as u64)));
        assert_eq!(byte, if is_gap { 0 } else { expected[at] }, "{at}");
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_its_url() {
    let url = "nbd+unix:///?socket=/no/such/socket";
    let error = NbdVolume::open(url, &NbdOptions::default()).expect_err("no server");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with(url), "{error}");
}
