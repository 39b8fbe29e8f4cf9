//! What cannot be read stops a prune before it condemns anything, or stays as it is.

use super::*;
use crate::error::{ErrorKind, Place};
use crate::testing::sample_repository::{flip_bit, leaf_pages};

#[test]
fn a_damaged_page_stops_a_prune_which_names_the_snapshots_and_changes_nothing() {
    let world = World::new();
    let [first, second, third] = [1, 2, 3].map(|seed| world.commit(&tree(seed)));
    let repository = world.open();
    let own = leaf_pages(&repository, &second.roots[0]);
    let index = repository.index().unwrap();
    let of_second = own.iter().find_map(|page| {
        let copy = index.locate(page).next()?;
        (copy.pack.session == second.session).then_some(copy)
    });
    let copy = of_second.expect("a page that only the second and later ones name");
    world.forget(&first);
    flip_bit(&*world.backend, &copy.pack.name(), copy.frame.offset + 2);
    let before = world.objects();
    let error = prune(&world.open(), &thorough(), &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(
        error.detail().contains(&second.session.to_string()),
        "{error}"
    );
    assert!(world.objects() == before, "something was changed");
    // Forgetting what is lost is the way out.
    world.forget(&second);
    world.prune();
    world.expect_only(&[&third]);
}

#[test]
fn a_missing_chunk_stops_a_prune_which_names_the_snapshots() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    let lost = world.packs_of(second.session, PackClass::Data)[0];
    world.backend.delete(&lost).unwrap();
    world.forget(&first);
    let before = world.objects();
    let error = prune(&world.open(), &thorough(), &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.detail().contains(&second.session.to_string()),
        "{error}"
    );
    assert!(
        !error.detail().contains(&first.session.to_string()),
        "{error}"
    );
    assert!(world.objects() == before);
}

#[test]
fn a_damaged_snapshot_stops_a_prune_until_it_is_forgotten() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    let name = ObjectName::Snapshot(first.session);
    flip_bit(&*world.backend, &name, 300);
    let before = world.objects();
    let error = prune(&world.open(), &thorough(), &()).unwrap_err();
    assert_eq!(*error.place(), Place::Object(name));
    assert!(world.objects() == before);
    world.forget(&first);
    world.prune();
    world.expect_only(&[&second]);
}

#[test]
fn a_pack_that_cannot_be_read_is_told_and_stays() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    world.forget(&first);
    let pack = world.packs_of(first.session, PackClass::Data)[0];
    let len = world.backend.get(&pack).unwrap().len() as u64;
    for run in world.names(ObjectKind::Index) {
        world.backend.delete(&run).unwrap();
    }
    flip_bit(&*world.backend, &pack, len - 20);
    let report = world.prune();
    assert_eq!(report.unreadable.len(), 1);
    assert_eq!(report.unreadable[0].0, pack);
    assert!(world.names(ObjectKind::Pack).contains(&pack));
    assert_eq!(world.sessions(), [second.session]);
}

#[test]
fn a_sparse_pack_with_a_damaged_block_is_not_copied_and_stays() {
    let world = World::new();
    let mut both = tree(1);
    both.file("later", Random::new(7).bytes(9000));
    let mut rest = both.clone();
    rest.remove("own");
    let first = world.commit(&both);
    let second = world.commit(&rest);
    world.forget(&first);
    for pack in world.packs_of(first.session, PackClass::Data) {
        flip_bit(&*world.backend, &pack, 200);
    }
    let report = world.prune();
    let left = world.packs_of(first.session, PackClass::Data);
    assert!(!report.unreadable.is_empty(), "{report:?}");
    for (pack, _) in &report.unreadable {
        let detail = "what is needed of a damaged pack is not thrown away";
        assert!(left.contains(pack), "{detail}");
    }
    assert_eq!(world.sessions(), [second.session]);
}

#[test]
fn a_plan_that_cannot_be_read_is_ended_without_deleting_anything() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    world.forget(&first);
    let plan = ObjectName::Prune(PruneStep::Plan, 1);
    world.backend.put(&plan, b"no plan at all").unwrap();
    let packs = world.names(ObjectKind::Pack);
    let begun = sample_session_error(&world);
    assert_eq!(begun.kind(), ErrorKind::Damaged, "{begun}");
    let report = world.prune();
    assert_eq!(report.plans, [1, 2]);
    assert!(report.deleted.count > 0 && world.names(ObjectKind::Pack) != packs);
    world.expect_only(&[&second]);
}

fn sample_session_error(world: &World) -> Error {
    use crate::repository::session::Session;
    let repository = world.open();
    let begun = Session::begin(&repository, &Writer::default(), small_packs());
    begun
        .err()
        .expect("nobody writes by a plan that cannot be read")
}
