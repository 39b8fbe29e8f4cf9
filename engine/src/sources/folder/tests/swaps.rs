//! Objects that become something else between being listed and being opened.

use super::*;
use crate::sources::folder::file::open_leased;

#[test]
fn a_link_swapped_in_for_a_folder_is_refused() {
    let tree = tree();
    fs::create_dir(tree.path().join("folder")).unwrap();
    let source = open(tree.path());
    let root = source.open_folder(None, b"").unwrap();
    assert_eq!(names(&source.list(&root).unwrap()), [b"folder"]);
    fs::remove_dir(tree.path().join("folder")).unwrap();
    symlink("/", tree.path().join("folder")).unwrap();
    let error = source.open_folder(Some(&root), b"folder").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.place(), &Place::Path(tree.path().join("folder")));
    let problem = problem_of(&error);
    assert_eq!(
        (problem.kind, &*problem.detail),
        (ProblemKind::Vanished, "is no longer a folder")
    );
}

#[test]
fn whatever_is_swapped_in_for_a_file_is_refused_and_does_not_hang() {
    let tree = tree();
    let at = |name| tree.path().join(name);
    assert!(make_node(&at("fifo"), FileType::Fifo, 0));
    symlink("fifo", at("link")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let source = open(tree.path());
    let kinds = in_time(move || {
        let root = source.open_folder(None, b"").unwrap();
        [&b"fifo"[..], b"link", b"folder", b"socket", b"gone"]
            .map(|name| source.open_file(Some(&root), name).unwrap_err().kind())
    });
    assert_eq!(kinds, [ErrorKind::NotFound; 5]);
}

#[test]
fn a_link_that_is_no_longer_one_is_refused() {
    let tree = tree();
    symlink("target", tree.path().join("link")).unwrap();
    let source = open(tree.path());
    let found = list_root(&source).entries.remove(0);
    fs::remove_file(tree.path().join("link")).unwrap();
    fs::write(tree.path().join("link"), "").unwrap();
    let root = source.open_folder(None, b"").unwrap();
    let error = source
        .read_node(Some(&root), b"link", &found.stat)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn waiting_for_a_lease_never_means_waiting_on_a_pipe() {
    let tree = tree();
    fs::write(tree.path().join("file"), "content").unwrap();
    assert!(make_node(&tree.path().join("fifo"), FileType::Fifo, 0));
    symlink("file", tree.path().join("link")).unwrap();
    let folder = fs::File::open(tree.path()).unwrap();
    let [file, fifo, link] = in_time(move || {
        [&b"file"[..], b"fifo", b"link"].map(|name| open_leased(folder.as_fd(), name))
    });
    assert_eq!(
        file::read_full(file.unwrap().as_fd(), 0, &mut [0; 8]).unwrap(),
        7
    );
    assert_eq!(
        (fifo.unwrap_err(), link.unwrap_err()),
        (Errno::NXIO, Errno::NXIO)
    );
}
