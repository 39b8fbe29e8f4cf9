//! Known mistakes, switched on one at a time: the attack that each must fall to, and how long it
//! took. An attack finds nothing while its mistake is off.
//!
//! A switch holds for the whole process, so the attacks wait for each other.

#![allow(clippy::print_stderr, reason = "tests print what they counted")]

#[allow(
    dead_code,
    reason = "shared with the interleavings, which use more of it"
)]
#[path = "../interleavings/scene.rs"]
mod scene;

mod attacks;

use blockstore::mutants::{Mutant, switch_on};

/// What an attack found; nothing if all is well.
type Attack = fn() -> Option<String>;

/// Holds the attacks apart from those of other mistakes.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[track_caller]
fn demand_caught(mutant: Mutant, attack: Attack) {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|held| held.into_inner());
    assert_eq!(
        attack(),
        None,
        "the attack on {mutant:?} finds something that is not there"
    );
    let _mutant = switch_on(mutant);
    let found = attack();
    let found = found.unwrap_or_else(|| panic!("{mutant:?} is not caught"));
    eprintln!("{mutant:?} is caught: {found}");
}

macro_rules! caught {
    ($($(#[$mark:meta])* $test:ident: $mutant:ident by $attack:path,)*) => {
        $(
            #[test]
            $(#[$mark])*
            fn $test() {
                demand_caught(Mutant::$mutant, $attack);
            }
        )*
    };
}

caught! {
    #[ignore = "a search of minutes: just mutants"]
    a_writer_that_does_not_look_twice: NoSecondLook by attacks::one_writer_one_prune,
    #[ignore = "a search of minutes: just mutants"]
    a_writer_that_relies_on_what_is_condemned: CondemnedCounts by attacks::one_writer_one_prune,
    #[ignore = "a search of minutes: just mutants"]
    a_commit_that_came_too_late_and_stands: LateCommitStands by attacks::one_writer_one_prune,
    a_commit_before_its_packs: CommitBeforePacks by attacks::a_crash_at_every_call,
    a_torn_pack_that_counts: TornPackCounts by attacks::a_torn_pack,
    a_prune_that_aborts_nobody: NoAborts by attacks::a_commit_before_the_seal,
    a_page_that_is_kept_without_what_it_names: ParentWithoutChildren by attacks::one_prune,
    an_index_run_that_is_forgotten: IndexInputDropped by attacks::one_prune,
    a_series_that_is_emptied: SeriesEmptied by attacks::rules_for_one_of_two,
    #[ignore = "a search of minutes: just mutants"]
    a_prune_that_does_not_look_again: NoRescue by attacks::one_writer_one_prune,
    a_page_that_cannot_be_read_and_counts_as_empty:
        UnreadableIsEmpty by attacks::a_page_that_is_away_for_a_while,
    two_copies_that_make_each_other_unneeded: BothCopiesDropped by attacks::two_copies,
    #[ignore = "a search of minutes: just mutants"]
    an_abort_in_place_of_a_commit: AbortOverwrites by attacks::one_writer_one_prune,
    a_nonce_that_stays: NonceStays by attacks::nonces,
    a_kind_that_is_not_bound: KindNotBound by attacks::another_kind,
    a_restore_through_links: LinksFollowed by attacks::a_link_on_the_way,
    holes_that_are_trusted: HolesTrusted by attacks::file_systems_that_lie,
}
