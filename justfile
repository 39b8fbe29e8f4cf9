# Recipes; CI runs the same scripts.

# Everything that has to pass.
check:
    .ci/run

# All tests.
test:
    scripts/test

# The main job on a real folder.
try folder="/usr/share":
    scripts/try {{folder}}

# Every flipped bit and every truncation, not a sample of them.
flips:
    BLOCKSTORE_ALL_FLIPS=1 cargo test --release -p blockstore-tests --test engine -- --nocapture flips

# A disk that is full at every point, on each of these file systems.
full-disk file_systems="ext4,xfs,btrfs":
    scripts/full-disk {{file_systems}}

# Writers, prunes and forgets in very many orders, and every known mistake found again.
interleavings schedules="10000" preemptions="2" seed="1":
    BLOCKSTORE_SCHEDULES={{schedules}} BLOCKSTORE_PREEMPTIONS={{preemptions}} BLOCKSTORE_SEED={{seed}} \
        cargo test --release -p blockstore-tests --test interleavings -- --nocapture

# Every known mistake, switched on and found again by its attack.
mutants:
    cargo test --release -p blockstore-tests --test mutants -- --include-ignored --nocapture

# A machine out of a backup, by both firmwares.
boot:
    scripts/boot-test

# Every interleaving of more writers and prunes than the tests explore: minutes and gigabytes.
model:
    cargo test --release -p blockstore-tests --test model -- --ignored --nocapture

# Every fuzz target for some seconds.
fuzz seconds="60":
    fuzz/run {{seconds}}

# Rewrite the vectors and show what changed.
vectors:
    BLOCKSTORE_WRITE_VECTORS=1 cargo test -p blockstore-format-spec -p blockstore
    git diff --stat -- format-spec/vectors

# Speed of stages, index, pages, operations or floor; benches/README.md says what each takes.
bench what="stages" *arguments="":
    cargo bench -p blockstore-benches --bench {{what}} -- {{arguments}}

# Licences and advisories of the dependencies.
deny:
    cargo deny check
