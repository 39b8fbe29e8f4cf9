//! `verify` with a program in the place of qemu that says what such a machine says.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::shell::{Ended, Shell, json};

/// By its last word it boots, says too much before it boots, is silent, or breaks.
const MACHINE: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo "a machine 1.0"; echo "of nobody"; exit; }
for last; do :; done
case $last in
  boots) printf 'starting\r\n\033[2Jhost login: ' ;;
  chatty) head -c 100000 /dev/zero | tr '\0' x; printf 'login: ' ;;
  silent) printf 'starting' ;;
  breaks) echo 'no bootable device'; exit 3 ;;
esac
exec sleep 600
"#;

const WRITABLE: &str = "a temporary folder can be written";
const PLAIN: &str = "temporary folders have plain names";
const LISTED: &str = "a repository has a folder of records";

struct Proofs {
    shell: Shell,
    machine: PathBuf,
}

impl Proofs {
    /// A repository with a snapshot of a volume.
    fn new() -> Self {
        let shell = Shell::with_repository();
        let machine = shell.folder().join("machine");
        fs::write(&machine, MACHINE).expect(WRITABLE);
        fs::set_permissions(&machine, fs::Permissions::from_mode(0o755)).expect(WRITABLE);
        let disk = shell.folder().join("disk.raw");
        fs::write(&disk, vec![7; 100_000]).expect(WRITABLE);
        let taken = shell.run(&["snapshot", "--volume", disk.to_str().expect(PLAIN)]);
        assert_eq!(taken.code, 0, "{taken:?}");
        Self { shell, machine }
    }

    fn words<'w>(&'w self, options: &[&'w str], how: &'w str) -> Vec<&'w str> {
        let machine = self.machine.to_str().expect(PLAIN);
        let words = ["verify", "latest", "--boot", "--expect", "login:"];
        let words = [&words, options, &["--qemu", machine, "--", how]];
        words.concat()
    }

    fn boot(&self, options: &[&str], how: &str) -> Ended {
        self.shell.run(&self.words(options, how))
    }

    fn list(&self) -> Value {
        let listed = self.shell.run(&["verify", "latest", "--list", "--json"]);
        assert_eq!(listed.code, 0, "{listed:?}");
        json(&listed.stdout)
    }

    fn records(&self) -> Vec<PathBuf> {
        let records = fs::read_dir(self.shell.repository().join("boots")).expect(LISTED);
        let records = records.map(|record| record.expect(LISTED).path());
        let mut records: Vec<_> = records.collect();
        records.sort();
        records
    }
}

#[test]
fn a_snapshot_that_starts_is_recorded_and_shown() {
    let proofs = Proofs::new();
    let proven = proofs.boot(&["--memory-size", "512M"], "boots");
    assert_eq!(proven.code, 0, "{proven:?}");
    assert!(
        proven
            .stdout
            .starts_with(r#"booted: "login:" appeared after "#)
    );
    assert!(proven.stdout.contains("; recorded as 0 of snapshot "));
    let list = proofs.list();
    let [record] = list["boots"].as_array().unwrap().as_slice() else {
        panic!("{list}");
    };
    assert_eq!(record["booted"], true);
    assert_eq!(record["outcome"], "appeared");
    assert_eq!(record["expected"], "login:");
    assert_eq!(record["machine"], "a machine 1.0");
    assert_eq!(record["memory"], 512 << 20);
    assert_eq!(record["disks"][0]["path"], "disk0");
    assert_eq!(record["serial"], "starting\r\n\u{1b}[2Jhost login: ");
    assert_eq!(record["said_bytes"], 26);
    assert_eq!(
        (&record["firmware"], &record["accelerator"]),
        (&"bios".into(), &"tcg".into())
    );
    let listed = json(&proofs.shell.run(&["snapshots", "--json"]).stdout);
    let last = &listed["snapshots"][0]["last_boot"];
    assert_eq!(
        (&last["number"], &last["booted"]),
        (&0.into(), &true.into())
    );
    assert_eq!(last["begun"], record["begun"]);
    let table = proofs.shell.run(&["snapshots"]).stdout;
    assert!(
        table.lines().next().unwrap().contains("  booted"),
        "{table}"
    );
    let shown = proofs
        .shell
        .run(&["verify", "latest", "--show", "0"])
        .stdout;
    assert!(
        shown.ends_with("\nstarting\n\\x1b[2Jhost login:\n"),
        "{shown}"
    );
    let checked = proofs.shell.run(&["check", "--read-data"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn a_snapshot_that_does_not_start_is_recorded_with_the_reason() {
    let proofs = Proofs::new();
    let late = proofs.boot(&["--timeout", "1s"], "silent");
    assert_eq!(late.code, 4, "{late:?}");
    assert!(
        late.stdout
            .starts_with(r#"not booted: "login:" did not appear within 1"#)
    );
    let broken = proofs.boot(&["--json"], "breaks");
    assert_eq!(broken.code, 4, "{broken:?}");
    let broken = json(&broken.stdout);
    assert_eq!(
        (&broken["number"], &broken["booted"]),
        (&1.into(), &false.into())
    );
    assert_eq!(broken["outcome"], "machine_ended");
    assert_eq!(broken["detail"], "exit status: 3");
    assert_eq!(broken["serial"], "no bootable device\n");
    assert_eq!(
        (&broken["seen_seconds"], &broken["problem_count"]),
        (&Value::Null, &0.into())
    );
    let list = proofs.list();
    assert_eq!(list["boots"][0]["outcome"], "not_in_time");
    assert_eq!(list["boots"][0]["timeout_seconds"], 1.0);
    let table = proofs.shell.run(&["snapshots"]).stdout;
    assert!(table.contains("  failed 20"), "{table}");
    let wrong = proofs.shell.run(&[
        "verify", "latest", "--boot", "--expect", "x", "--qemu", "/no",
    ]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert_eq!(
        proofs.records().len(),
        2,
        "what cannot be started proves nothing"
    );
}

#[test]
fn of_what_a_machine_says_the_last_is_kept() {
    let proofs = Proofs::new();
    assert_eq!(proofs.boot(&[], "chatty").code, 0);
    let list = proofs.list();
    let serial = list["boots"][0]["serial"].as_str().unwrap();
    assert_eq!(serial.len(), 65_536);
    assert!(serial.ends_with("xxlogin: "));
    assert_eq!(list["boots"][0]["said_bytes"], 100_007);
}

#[test]
fn a_damaged_record_is_named_by_all_who_read_it_and_hides_no_other() {
    let proofs = Proofs::new();
    for _ in 0..2 {
        assert_eq!(proofs.boot(&[], "boots").code, 0);
    }
    let newest = proofs.records().pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    bytes[200] ^= 1;
    fs::remove_file(&newest).unwrap();
    fs::write(&newest, bytes).unwrap();
    let listed = proofs.shell.run(&["verify", "latest", "--list", "--json"]);
    assert_eq!(listed.code, 3, "{listed:?}");
    let listed = json(&listed.stdout);
    assert_eq!(listed["boots"].as_array().unwrap().len(), 1);
    let name = listed["damaged"][0]["object"].as_str().unwrap();
    assert!(
        name.starts_with("boots/") && name.ends_with("-00000001"),
        "{name}"
    );
    let snapshots = proofs.shell.run(&["snapshots", "--json"]);
    assert_eq!(snapshots.code, 3);
    assert_eq!(
        json(&snapshots.stdout)["snapshots"][0]["last_boot"]["number"],
        0
    );
    assert_eq!(
        proofs.shell.run(&["verify", "latest", "--show", "1"]).code,
        1
    );
    let checked = proofs.shell.run(&["check"]);
    assert_eq!(checked.code, 4);
    assert!(checked.stdout.contains(name), "{checked:?}");
    let restored = proofs.shell.folder().join("restored");
    let to = restored.to_str().unwrap();
    let restored = proofs
        .shell
        .run(&["restore", "latest:disk0", "--target", to]);
    assert_eq!(restored.code, 0, "{restored:?}");
}

#[test]
fn records_go_with_their_snapshot_and_one_that_is_interrupted_is_none() {
    let proofs = Proofs::new();
    let mut command = proofs.shell.command(&proofs.words(&[], "silent"));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (mut said, mut stderr) = ([0; 8], child.stderr.take().unwrap());
    stderr.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"starting", "it runs, and signals are caught");
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(proofs.records().len(), 0);
    assert_eq!(proofs.boot(&[], "boots").code, 0);
    let forgotten = proofs.shell.run(&["forget", "latest", "--allow-empty"]);
    assert_eq!(forgotten.code, 0, "{forgotten:?}");
    assert_eq!(proofs.shell.run(&["prune"]).code, 0);
    assert_eq!(proofs.records().len(), 0);
}

#[test]
fn what_is_no_whole_disk_is_refused() {
    let proofs = Proofs::new();
    let list = proofs.shell.run(&["verify", "latest:disk0", "--list"]);
    assert_eq!(list.code, 2, "{list:?}");
    let none = proofs.shell.run(&["verify", "latest", "--show", "0"]);
    assert_eq!(none.code, 1, "{none:?}");
    let folder = proofs.shell.folder().join("machine");
    proofs.shell.run(&["snapshot", folder.to_str().unwrap()]);
    let refused = proofs.boot(&[], "boots");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("has no volume"), "{refused:?}");
}
