//! The binary as a shell sees it: what it prints, where, and its exit code.

mod shell;
mod verify;

use std::fs;

use serde_json::Value;

use shell::{PASSWORD, Shell, json};

#[test]
fn a_new_repository_has_no_snapshots() {
    let shell = Shell::with_repository();
    let listed = shell.run(&["snapshots", "--json"]);
    assert_eq!(listed.code, 0);
    assert_eq!(
        json(&listed.stdout),
        serde_json::json!({"snapshots": [], "damaged": []})
    );
    let listed = shell.run(&["snapshots"]);
    assert_eq!((listed.code, listed.stdout.as_str()), (0, ""));
    assert_eq!(listed.stderr, "no snapshots\n");
}

#[test]
fn init_says_in_json_what_it_made() {
    let shell = Shell::new();
    let made = shell.init(&["--json", "--chunk-size", "128K"]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    let report = json(&made.stdout);
    assert_eq!(report["repository"].as_str().map(str::len), Some(32));
    let lengths = ["chunk_len_min", "chunk_len_avg", "chunk_len_max"].map(|name| &report[name]);
    assert_eq!(lengths, [32 << 10, 128 << 10, 512 << 10]);
    let document = include_str!("../JSON.md");
    for field in report.as_object().expect("a report is an object").keys() {
        assert!(document.contains(&format!("| `{field}` |")), "{field}");
    }
}

#[test]
fn a_second_init_is_refused_and_changes_nothing() {
    let shell = Shell::with_repository();
    let again = shell.init(&[]);
    assert_eq!(again.code, 1);
    assert!(
        again
            .stderr
            .starts_with("blockstore: repository: there is one already"),
        "{again:?}"
    );
    assert_eq!(shell.run(&["snapshots"]).code, 0);
}

#[test]
fn init_leaves_a_folder_of_somebody_else_alone() {
    let shell = Shell::new();
    fs::create_dir(shell.repository()).unwrap();
    fs::write(shell.repository().join("letter.txt"), "dear").unwrap();
    assert_eq!(shell.init(&[]).code, 1);
    assert_eq!(fs::read_dir(shell.repository()).unwrap().count(), 1);
}

#[test]
fn where_no_repository_is_the_code_is_10() {
    let shell = Shell::new();
    let missing = shell.run(&["snapshots"]);
    assert_eq!(missing.code, 10);
    assert!(missing.stderr.contains("make one with init"), "{missing:?}");
    fs::create_dir(shell.repository()).unwrap();
    assert_eq!(shell.run(&["stats"]).code, 10);
}

#[test]
fn a_wrong_password_has_the_code_12() {
    let shell = Shell::with_repository();
    let mut command = shell.command(&["snapshots"]);
    let refused = shell::run(command.env("BLOCKSTORE_PASSWORD", "guess"));
    assert_eq!((refused.code, refused.stdout.as_str()), (12, ""));
    let text = "blockstore: repository: this password opens none of 1 key slots";
    assert!(refused.stderr.starts_with(text), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1);
}

#[test]
fn failures_are_json_on_standard_error_if_json_is_asked_for() {
    let shell = Shell::new();
    let missing = shell.run(&["snapshots", "--json"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (10, ""));
    let failure = json(&missing.stderr);
    assert_eq!(failure["kind"], "not_found");
    assert_eq!(failure["exit_code"], 10);
    let wrong = shell.run(&["snapshots", "--json", "--nonsense"]);
    let failure = json(&wrong.stderr);
    assert_eq!((wrong.code, &failure["kind"]), (2, &Value::from("usage")));
    let error = failure["error"].as_str().unwrap_or_default();
    assert!(error.contains("--nonsense"), "{error}");
}

#[test]
fn wrong_usage_has_the_code_2() {
    let shell = Shell::with_repository();
    let lines: [&[&str]; 7] = [
        &[],
        &["nonsense"],
        &["snapshot"],
        &["restore", "latest"],
        &["init", "--chunk-size", "65K"],
        &["check", "--memory", "1M"],
        &["snapshots", "--key-file", "/k"],
    ];
    for line in lines {
        assert_eq!(shell.run(line).code, 2, "{line:?}");
    }
    let mut nowhere = shell.command(&["snapshots"]);
    assert_eq!(shell::run(nowhere.env_remove("BLOCKSTORE_REPO")).code, 2);
}

#[test]
fn without_any_secret_and_terminal_nobody_is_asked() {
    let shell = Shell::with_repository();
    let mut command = shell.command(&["snapshots"]);
    let refused = shell::run(command.env_remove("BLOCKSTORE_PASSWORD"));
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--password-file"), "{refused:?}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let shell = Shell::with_repository();
    let mut command = shell.command(&["snapshots"]);
    assert_eq!(shell::run(command.env("BLOCKSTORE_KEY_FILE", "")).code, 0);
}

#[test]
fn a_password_file_and_a_password_command_lose_one_line_end() {
    let shell = Shell::with_repository();
    let file = shell.folder().join("password");
    fs::write(&file, format!("{PASSWORD}\r\n")).unwrap();
    let file = file.to_str().expect("temporary folders have plain names");
    let echo = format!("printf '%s\\n' '{PASSWORD}'");
    let open = |option, value: &str| {
        let mut command = shell.command(&["snapshots", option, value]);
        shell::run(command.env_remove("BLOCKSTORE_PASSWORD")).code
    };
    assert_eq!(open("--password-file", file), 0);
    assert_eq!(open("--password-command", &echo), 0);
    assert_eq!(open("--password-command", &format!("{echo}; echo")), 12);
    assert_eq!(open("--password-command", "exit 3"), 1);
    assert_eq!(open("--password-file", "/nowhere"), 1);
}

#[test]
fn a_repository_opens_with_its_key_file_and_no_other() {
    let shell = Shell::new();
    let key = |name, byte| {
        let path = shell.folder().join(name);
        fs::write(&path, [byte; 32]).unwrap();
        path
    };
    let (right, wrong) = (key("right", 1), key("wrong", 2));
    let run = |words: &[&str], key: &std::path::Path| {
        let mut command = shell.command(words);
        shell::run(
            command
                .env_remove("BLOCKSTORE_PASSWORD")
                .env("BLOCKSTORE_KEY_FILE", key),
        )
    };
    assert_eq!(run(&["init"], &right).code, 0);
    assert_eq!(run(&["snapshots"], &right).code, 0);
    assert_eq!(run(&["snapshots"], &wrong).code, 12);
    assert_eq!(shell.run(&["snapshots"]).code, 12); // by password
}

#[test]
fn a_snapshot_that_is_not_there_is_named() {
    let shell = Shell::with_repository();
    let lines: [&[&str]; 3] = [
        &["ls", "latest"],
        &["restore", "latest", "--target", "/nowhere/at/all"],
        &["diff", "latest", "latest~1"],
    ];
    for line in lines {
        let refused = shell.run(line);
        assert_eq!(refused.code, 1);
        assert!(
            refused.stderr.contains("latest: there are 0 snapshots"),
            "{refused:?}"
        );
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let shell = Shell::with_repository();
    let mut command = shell.command(&["completions", "bash"]);
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn help_goes_to_standard_output_and_explains_the_words() {
    let shell = Shell::new();
    let help = shell.run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for word in [
        "repository",
        "chunk",
        "manifest",
        "BLOCKSTORE_REPO",
        "latest~N",
    ] {
        assert!(help.stdout.contains(word), "{word}");
    }
}

#[test]
fn man_pages_are_written_for_every_command() {
    let shell = Shell::new();
    let folder = shell
        .folder()
        .to_str()
        .expect("temporary folders have plain names");
    assert_eq!(shell.run(&["man", folder]).code, 0);
    assert!(shell.folder().join("blockstore-snapshot.1").exists());
}

#[test]
fn a_snapshot_and_its_restore_are_reported_in_json() {
    let shell = Shell::with_repository();
    let source = shell.folder().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), "hello").unwrap();
    let (source, target) = (source.display().to_string(), shell.folder().join("target"));
    let made = shell.run(&["snapshot", "--json", &source]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    let made = json(&made.stdout);
    assert_eq!((&made["files"], &made["bytes"]), (&1.into(), &5.into()));
    assert_eq!(made["root"], made["roots"][0]["root"]);
    assert_eq!(made["roots"][0]["path"], source.as_str());
    let target_text = target.display().to_string();
    let restored = shell.run(&["restore", "latest", "--target", &target_text, "--json"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert_eq!(json(&restored.stdout)["snapshot"], made["snapshot"]);
    assert_eq!(fs::read(target.join("a")).unwrap(), b"hello");
    let again = shell.run(&["restore", "latest", "--target", &target_text]);
    assert_eq!(again.code, 1); // it is not empty
    let skipped = shell.run(&[
        "restore",
        "latest",
        "--target",
        &target_text,
        "--on-conflict",
        "skip",
    ]);
    assert_eq!(skipped.code, 0, "{skipped:?}");
}

#[test]
fn ls_and_diff_end_with_a_summary_and_names_are_escaped_unless_raw() {
    let shell = Shell::with_repository();
    let source = shell.folder().join("source");
    fs::create_dir(&source).unwrap();
    let text = source.display().to_string();
    assert_eq!(shell.run(&["snapshot", &text]).code, 0);
    fs::write(source.join("a\nb"), "x").unwrap();
    assert_eq!(shell.run(&["snapshot", &text]).code, 0);
    let location = format!("latest:{text}");
    let escaped = format!("{text}\n{text}/a\\nb\n");
    assert_eq!(shell.run(&["ls", &location]).stdout, escaped);
    let raw = format!("{text}\0{text}/a\nb\0");
    assert_eq!(shell.run(&["ls", &location, "--null"]).stdout, raw);
    let listed = shell.run(&["ls", &location, "--json"]).stdout;
    let types: Vec<_> = listed
        .lines()
        .map(|line| json(line)["type"].clone())
        .collect();
    assert_eq!(types, ["entry", "entry", "summary"]);
    let differences = shell.run(&["diff", "latest~1", "latest", "--json"]).stdout;
    let last = differences.lines().last().map(json).unwrap_or_default();
    assert_eq!(
        (&last["type"], &last["added"]),
        (&"summary".into(), &1.into())
    );
}

#[test]
fn a_source_that_holds_the_repository_is_refused() {
    let shell = Shell::with_repository();
    let everything = shell.folder().display().to_string();
    let refused = shell.run(&["snapshot", &everything]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("is the repository itself"),
        "{refused:?}"
    );
}
