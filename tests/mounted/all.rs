//! All snapshots in one mount: by machine, by id, by tag, as they come and go.

use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::fuse;
use blockstore_tests::kit::fuse::Snapshots;
use blockstore_tests::kit::fuse::wait_until;

use crate::mounted::names;
use crate::mounted::point;
use crate::scene::scene;

#[test]
fn all_snapshots_are_found_by_machine_id_and_tag_and_new_ones_appear() {
    if !fuse::is_there() {
        return;
    }
    let (workspace, source, repository, first) = scene();
    workspace.file("source/new", "content");
    let words: [&dyn AsRef<std::ffi::OsStr>; 5] = [&source, &"--tag", &"daily", &"--host", &"web"];
    let second = repository.snapshot(&words);
    let mount = Snapshots::mount(&repository, &[&"--all"], &point(&workspace));
    let at = |path: &str| mount.path().join(path);
    assert_eq!(names(mount.path()), ["hosts", "ids", "tags"]);
    let ids = || {
        names(&at("ids"))
            .into_iter()
            .filter(|name| name != "latest")
            .collect::<Vec<_>>()
    };
    let mut expected = vec![first.id.clone(), second.id.clone()];
    expected.sort();
    assert_eq!(ids(), expected);
    Comparer::default().assert_equal(&source, &at(&format!("ids/{}", second.id)));
    assert!(!at(&format!("ids/{}/new", first.id)).exists());
    assert!(at("ids/latest/new").exists() && at("tags/daily/latest/new").exists());
    let series = names(&at("hosts/web"));
    assert_eq!(series.len(), 1);
    let series = at("hosts/web").join(&series[0]);
    assert_eq!(names(&series).len(), 2, "one time and latest");
    Comparer::default().assert_equal(&source, &series.join("latest").canonicalize().unwrap());

    let held = std::fs::read_dir(at(&format!("ids/{}", first.id))).unwrap();
    workspace.file("source/newer", "content");
    let third = repository.snapshot(&words);
    repository
        .run("forget", &[&first.id, &"--allow-empty"])
        .expect_code(0);
    wait_until("the new one is there", || {
        at(&format!("ids/{}", third.id)).exists()
    });
    wait_until("the forgotten one is not", || !ids().contains(&first.id));
    Comparer::default().assert_equal(&source, &at(&format!("ids/{}", third.id)));
    assert!(at("ids/latest/newer").exists());
    drop(held);

    // What a prune took, who is still in there is told of; the rest goes on.
    repository
        .run("prune", &[&"--max-unused", &"0"])
        .expect_code(0);
    assert_eq!(names(&at(&format!("ids/{}", second.id))).len(), 6);
    mount.end();
}
