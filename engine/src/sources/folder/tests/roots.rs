//! What a path given by the user leads to, and when a scan of it begins.

use super::*;

#[test]
fn a_single_object_of_any_kind_can_be_the_root() {
    let tree = tree();
    let file = tree.path().join("file");
    fs::write(&file, "content").unwrap();
    let source = open(&file);
    assert_eq!(source.root().unwrap().stat.kind, FileKind::File);
    assert_eq!(source.open_file(None, b"").unwrap().stat().len, 7);
    assert_eq!(
        source.open_folder(None, b"").unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let (path, root) = (Path::new("/"), open(Path::new("/")));
    assert_eq!(
        (root.path(), root.root().unwrap().stat.kind),
        (path, FileKind::Folder)
    );
    assert!(names(&list_root(&root)).contains(&&b"proc"[..]));
}

#[test]
fn a_link_as_the_root_is_itself_unless_a_slash_follows() {
    let tree = tree();
    let real = tree.path().canonicalize().unwrap().join("real");
    let link = real.with_file_name("link");
    fs::create_dir(&real).unwrap();
    symlink("real", &link).unwrap();
    let source = open(&link);
    let root = source.root().unwrap();
    assert_eq!(
        (source.path(), root.stat.kind),
        (link.as_path(), FileKind::Symlink)
    );
    let node = source.read_node(None, &root.name, &root.stat).unwrap();
    assert_eq!(node, Node::Symlink(b"real".to_vec()));

    let source = open(&link.join(""));
    assert_eq!(
        (source.path(), source.root().unwrap().stat.kind),
        (&*real, FileKind::Folder)
    );
}

#[test]
fn the_path_is_cleaned_without_leading_elsewhere() {
    let tree = tree();
    let base = tree.path().canonicalize().unwrap();
    fs::create_dir_all(base.join("a/b")).unwrap();
    fs::create_dir(base.join("c")).unwrap();
    symlink("a/b", base.join("link")).unwrap();
    let table = [
        ("a//./b/", "a/b"),
        ("a/b/..", "a"),
        ("a/../c", "c"),
        ("link/../b", "a/b"),
    ];
    for (given, expected) in table {
        assert_eq!(
            open(&base.join(given)).path(),
            base.join(expected),
            "{given}"
        );
    }
}

#[test]
fn a_source_that_is_not_there_is_not_found_by_its_path() {
    let tree = tree();
    let path = tree.path().join("gone");
    let error = FolderSource::open(&path, FolderOptions::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.place()),
        (ErrorKind::NotFound, &Place::Path(path))
    );
}

#[test]
fn a_file_written_just_now_is_racy_and_one_from_before_is_not() {
    let tree = tree();
    fs::write(tree.path().join("file"), "x").unwrap();
    let source = open(tree.path());
    let stat = list_root(&source).entries[0].stat;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = |later: i64| Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap() + later,
        nanoseconds: since.subsec_nanos(),
    };
    assert!(source.begin_scan(now(-1)).is_racy(&stat));
    assert!(
        !source.begin_scan(now(61)).is_racy(&stat),
        "61 s are beyond any slack"
    );
}
