//! Where a server listens, and what becomes of it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::kit::{Memory, Running};
use crate::error::ErrorKind;
use crate::serve::nbd::{NbdAddress, NbdExport, NbdServer};

fn exports() -> Vec<NbdExport> {
    vec![Memory::random(1, 1000).export("disk")]
}

fn place(name: &str) -> (tempfile::TempDir, PathBuf, NbdAddress) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    (folder, path.clone(), NbdAddress::Unix(path))
}

#[test]
fn a_socket_lets_only_its_owner_in_and_goes_with_the_server() {
    let (_folder, path, address) = place("s");
    let server = NbdServer::bind(&address, exports()).expect("a server");
    let mode = path.metadata().expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(server);
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_server_that_is_gone_is_replaced_and_one_in_use_is_not() {
    let (_folder, path, address) = place("s");
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "a killed server leaves its socket");
    let first = NbdServer::bind(&address, exports()).expect("a server");
    let error = NbdServer::bind(&address, exports()).expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(
        error.to_string().contains("another server listens"),
        "{error}"
    );
    UnixStream::connect(&path).expect("the first still listens");
    drop(first);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (_folder, path, address) = place("s");
    std::fs::write(&path, "precious").expect("a file");
    let error = NbdServer::bind(&address, exports()).expect_err("a file");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).expect("a file"), b"precious");
}

#[test]
fn a_server_leaves_the_socket_of_another_that_took_its_place() {
    let (_folder, path, address) = place("s");
    let first = NbdServer::bind(&address, exports()).expect("a server");
    std::fs::remove_file(&path).expect("its socket");
    let second = UnixListener::bind(&path).expect("another socket");
    drop(first);
    assert!(path.exists());
    drop(second);
}

#[test]
fn a_port_in_use_and_a_folder_that_is_not_there_are_told() {
    let any = NbdAddress::Tcp("127.0.0.1:0".parse().expect("an address"));
    let server = NbdServer::bind(&any, exports()).expect("a server");
    let error = NbdServer::bind(server.address(), exports()).expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Busy);
    let (_folder, path, address) = place("no/such/folder");
    let error = NbdServer::bind(&address, exports()).expect_err("no folder");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with(&path.display().to_string()));
    let long = NbdAddress::Unix(path.join("x".repeat(200)));
    NbdServer::bind(&long, exports()).expect_err("no socket has such a long path");
}

#[test]
fn exports_that_cannot_be_offered_together_are_refused() {
    let (_folder, _, address) = place("s");
    let twice = vec![
        Memory::random(1, 10).export("x"),
        Memory::random(2, 10).export("x"),
    ];
    let long = vec![Memory::random(1, 10).export(&"x".repeat(4097))];
    for (exports, kind) in [
        (Vec::new(), ErrorKind::InvalidInput),
        (twice, ErrorKind::InvalidInput),
        (long, ErrorKind::LimitExceeded),
    ] {
        let error = NbdServer::bind(&address, exports).expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn a_server_that_is_stopped_ends_at_once_whatever_its_clients_do() {
    let server = Running::new(exports());
    let path = server.path();
    let idle = server.structured(&[]);
    let silent = server.connect();
    let began = Instant::now();
    let report = server.end();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(report.connections >= 1, "{report:?}");
    idle.assert_closed();
    drop(silent);
    assert!(!path.exists());
}

#[test]
fn a_url_is_one_that_clients_take() {
    let unix = NbdAddress::Unix("/run/a b/s?".into());
    assert_eq!(
        unix.url("snap/disk 0"),
        "nbd+unix:///snap/disk%200?socket=/run/a%20b/s%3F"
    );
    let tcp = NbdAddress::Tcp("[::1]:10809".parse().expect("an address"));
    assert_eq!(tcp.url(""), "nbd://[::1]:10809/");
}
