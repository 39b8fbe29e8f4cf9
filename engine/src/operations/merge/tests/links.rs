//! Groups of hard links that lose their first name: the rest stays a group, with its content.

use super::{World, keeping, replacing, tree};
use crate::format::entry::{Metadata, Node, Xattr};
use crate::testing::sample_repository::{SampleNode, SampleTree, tree_path};

fn link(leader: &str) -> Node {
    Node::HardLink(tree_path(leader))
}

/// A file with a mode and an extended attribute, which its followers do not have.
fn leader(tree: &mut SampleTree, path: &str, content: &str) {
    tree.file(path, Vec::new()); // the folders above
    let xattr = Xattr {
        name: b"user.of".to_vec(),
        value: content.as_bytes().to_vec(),
    };
    let metadata = Metadata {
        mode: 0o640,
        xattrs: vec![xattr],
        ..Metadata::default()
    };
    let content = SampleNode::File(content.as_bytes().to_vec().into());
    tree.entry(tree_path(path), metadata, content);
}

#[test]
fn the_first_name_that_is_left_leads_the_rest_and_has_content_and_attributes() {
    let mut base = tree(&["bob/other"]);
    leader(&mut base, "ana/first", "shared");
    base.node("bob/second", link("ana/first"))
        .node("bob/third", link("ana/first"))
        .node("cy/fourth", link("ana/first"))
        .node("ana/inside", link("ana/first"));
    let newer = tree(&["first=something else"]);
    let world = World::new(&[&[("/home", &base)], &[("/home/ana", &newer)]]);
    let mut expected = tree(&["ana/first=something else", "bob/other"]);
    leader(&mut expected, "bob/second", "shared");
    expected
        .node("bob/third", link("bob/second"))
        .node("cy/fourth", link("bob/second"));
    world.assert_merged(&replacing(), &[("/home", &expected)]);
    // Kept, one more name is left, and it comes first.
    let mut expected = tree(&["ana/first=something else", "bob/other"]);
    leader(&mut expected, "ana/inside", "shared");
    for path in ["bob/second", "bob/third", "cy/fourth"] {
        expected.node(path, link("ana/inside"));
    }
    world.assert_merged(&keeping(), &[("/home", &expected)]);
}

#[test]
fn a_group_of_one_name_left_is_a_file() {
    let mut base = SampleTree::new();
    leader(&mut base, "a", "shared");
    base.node("b", link("a"));
    let world = World::new(&[&[("/r", &base)], &[("/r", &tree(&["a=new"]))]]);
    let mut expected = tree(&["a=new"]);
    leader(&mut expected, "b", "shared");
    world.assert_merged(&keeping(), &[("/r", &expected)]);
}

#[test]
fn groups_of_a_newer_root_come_along_with_paths_of_the_older_one() {
    let mut newer = SampleTree::new();
    leader(&mut newer, "docs/a", "shared");
    newer.node("docs/b", link("docs/a")).node("z", Node::Fifo);
    newer.node("zz", link("z"));
    let world = World::new(&[&[("/home", &tree(&["x", "y/w"]))], &[("/home/ana", &newer)]]);
    let mut expected = tree(&["x", "y/w"]);
    leader(&mut expected, "ana/docs/a", "shared");
    expected
        .node("ana/docs/b", link("ana/docs/a"))
        .node("ana/z", Node::Fifo)
        .node("ana/zz", link("ana/z"));
    for options in [replacing(), keeping()] {
        world.assert_merged(&options, &[("/home", &expected)]);
    }
}

#[test]
fn links_to_what_is_no_file_keep_what_they_are() {
    let mut base = SampleTree::new();
    base.node("a/link", Node::Symlink(b"there".to_vec()))
        .node("b", link("a/link"));
    // In tree order b comes before a/link, so the group is led from a folder before it.
    base.remove("b").node("c/d", link("a/link"));
    let world = World::new(&[&[("/r", &base)], &[("/r/a", &tree(&["x"]))]]);
    let mut expected = tree(&["a/x=x"]);
    expected.node("c/d", Node::Symlink(b"there".to_vec()));
    world.assert_merged(&replacing(), &[("/r", &expected)]);
}

#[test]
fn a_leader_below_a_folder_that_is_a_file_now_hands_over_too() {
    let mut base = SampleTree::new();
    leader(&mut base, "a/b/c", "shared");
    base.node("z/1", link("a/b/c")).node("z/2", link("a/b/c"));
    let world = World::new(&[&[("/r", &base)], &[("/r", &tree(&["a"]))]]);
    let mut expected = tree(&["a"]);
    leader(&mut expected, "z/1", "shared");
    expected.node("z/2", link("z/1"));
    world.assert_merged(&keeping(), &[("/r", &expected)]);
}

#[test]
fn a_group_that_the_newer_one_leads_otherwise_is_taken_from_it() {
    let mut base = SampleTree::new();
    leader(&mut base, "b", "shared");
    base.node("c", link("b")).node("d", link("b"));
    let mut newer = SampleTree::new();
    leader(&mut newer, "a", "shared");
    newer.node("b", link("a")).node("c", link("a"));
    let world = World::new(&[&[("/r", &base)], &[("/r", &newer)]]);
    let mut expected = newer.clone();
    leader(&mut expected, "d", "shared");
    world.assert_merged(&keeping(), &[("/r", &expected)]);
}

#[test]
fn a_link_whose_leader_is_no_file_and_must_be_replaced_is_refused_by_name() {
    let mut base = tree(&["a/folder/x"]);
    base.node("z", link("a/folder")); // no reader minds until it follows the link
    base.remove("z").node("zz/z", link("a/folder"));
    let world = World::new(&[&[("/r", &base)], &[("/r/a", &tree(&["x"]))]]);
    let error = super::merge(&world.repository(), &world.snapshots, &replacing(), &());
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("/r/zz/z: in snapshot "), "{text}");
}
