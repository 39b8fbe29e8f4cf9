//! What the user wants left out stays out, and nothing else does.
//!
//! Defends I10: what is in a snapshot is exactly what was asked for. What a pattern means in detail
//! is the engine's own test; here it is that each flag arrives.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;

use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# made by a test\n";

/// All paths below the source that are restored from a snapshot with these flags, sorted.
fn captured(workspace: &Workspace, flags: &[&dyn AsRef<OsStr>]) -> Vec<String> {
    let source = workspace.join("source");
    let repository = TestRepository::init(workspace);
    let mut words = flags.to_vec();
    words.push(&source);
    let taken = repository.snapshot(&words);
    let target = workspace.join("target");
    repository.restore(&taken.id, &target).expect_code(0);
    let mut paths = Vec::new();
    add_paths(&target, &target, &mut paths);
    paths.sort();
    paths
}

fn add_paths(root: &Path, folder: &Path, paths: &mut Vec<String>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        if path.is_dir() {
            add_paths(root, &path, paths);
            paths.push(shown + "/");
        } else {
            paths.push(shown);
        }
    }
}

/// A workspace whose source has these files, each with its own name as content.
fn with_files(names: &[&str]) -> Workspace {
    let workspace = Workspace::new();
    for name in names {
        workspace.file(&format!("source/{name}"), name);
    }
    workspace
}

#[test]
fn without_excludes_everything_is_captured() {
    let workspace = with_files(&["a.o", ".hidden", "build/x", ".gitignore"]);
    workspace.file("source/.gitignore", "*.o\n");
    assert_eq!(
        captured(&workspace, &[]),
        [".gitignore", ".hidden", "a.o", "build/", "build/x"]
    );
}

#[test]
fn exclude_leaves_out_what_matches_and_a_later_pattern_takes_back_in() {
    let workspace = with_files(&["a.o", "keep.o", "sub/b.o", "sub/c", "build/x"]);
    let flags: [&dyn AsRef<OsStr>; 6] = [
        &"--exclude",
        &"*.o",
        &"--exclude",
        &"!keep.o",
        &"--exclude",
        &"/build/",
    ];
    assert_eq!(captured(&workspace, &flags), ["keep.o", "sub/", "sub/c"]);
}

#[test]
fn a_file_of_patterns_counts_less_than_patterns_given_directly() {
    let workspace = with_files(&["a.log", "b.tmp", "keep.log"]);
    let patterns = workspace.file("patterns", "# logs\n*.log\n\n*.tmp\n");
    let flags: [&dyn AsRef<OsStr>; 4] = [&"--exclude-from", &patterns, &"--exclude", &"!keep.log"];
    assert_eq!(captured(&workspace, &flags), ["keep.log"]);
}

#[test]
fn folders_with_a_cache_tag_stay_as_folder_and_tag_and_a_false_tag_does_nothing() {
    let workspace = with_files(&["cache/x", "cache/sub/y", "false/z"]);
    workspace.file("source/cache/CACHEDIR.TAG", CACHE_TAG);
    workspace.file("source/false/CACHEDIR.TAG", "not a signature");
    assert_eq!(
        captured(&workspace, &[&"--exclude-caches"]),
        [
            "cache/",
            "cache/CACHEDIR.TAG",
            "false/",
            "false/CACHEDIR.TAG",
            "false/z"
        ]
    );
}

#[test]
fn folders_with_a_named_file_are_left_out_by_name_or_by_its_beginning() {
    let names = ["a/.nobackup", "a/x", "b/tag", "b/x", "c/tag", "c/x"];
    let workspace = with_files(&names);
    workspace.file("source/c/tag", "skip: this one");
    let flags: [&dyn AsRef<OsStr>; 4] = [
        &"--exclude-if-present",
        &".nobackup",
        &"--exclude-if-present",
        &"tag:skip:",
    ];
    assert_eq!(
        captured(&workspace, &flags),
        ["a/", "a/.nobackup", "b/", "b/tag", "b/x", "c/", "c/tag"]
    );
}

#[test]
fn files_with_more_bytes_than_allowed_are_left_out() {
    let workspace = with_files(&["small"]);
    workspace.file("source/exact", vec![1; 64 << 10]);
    workspace.file("source/above", vec![1; (64 << 10) + 1]);
    let flags: [&dyn AsRef<OsStr>; 2] = [&"--exclude-larger-than", &"64K"];
    assert_eq!(captured(&workspace, &flags), ["exact", "small"]);
}

#[test]
fn another_file_system_stays_an_empty_folder_if_the_user_wants_one() {
    let workspace = with_files(&["file"]);
    let at: PathBuf = workspace.folder("source/mounted");
    let Some(_mounted) = Mounted::tmpfs(&at) else {
        return;
    };
    workspace.file("source/mounted/inside", "x");
    assert_eq!(
        captured(&workspace, &[&"--one-file-system"]),
        ["file", "mounted/"]
    );
    std::fs::remove_dir_all(workspace.join("repository")).unwrap();
    std::fs::remove_dir_all(workspace.join("target")).unwrap();
    assert_eq!(
        captured(&workspace, &[]),
        ["file", "mounted/", "mounted/inside"]
    );
}

#[test]
fn a_pattern_that_cannot_mean_anything_is_refused_before_anything_is_stored() {
    let workspace = with_files(&["file"]);
    let repository = TestRepository::init(&workspace);
    let source = workspace.join("source");
    let refused = repository.run("snapshot", &[&"--exclude", &"[z-a]", &source]);
    assert!([1, 2].contains(&refused.code), "{refused:?}");
    assert!(refused.mentions("[z-a]"), "{refused:?}");
    assert!(repository.packs().is_empty());
}
