//! The picture of the floors is true, and every source file keeps the habits of this project.
//!
//! A floor imports from lower floors only; imports stand there by full path, so that this test can
//! read them. Checks lines of text, not syntax: rustfmt makes that reliable enough.

use std::path::Path;
use std::path::PathBuf;

/// The floors of the engine, lowest first; those of one line may know each other.
const FLOORS: [&[&str]; 11] = [
    &["limits", "mutants"],
    &["format"],
    &["transform"],
    &["error", "observe"],
    &["system"],
    &["storage"],
    &["repository"],
    &["pipeline"],
    &["sources", "targets"],
    &["operations"],
    &["serve"],
];

/// Pairs on one floor that ignore each other all the same.
const STRANGERS: [(&str, &str); 2] = [("sources", "targets"), ("targets", "sources")];

/// Who touches files. Of `serve` it is what makes the file of its socket and replaces a stale one,
/// and what keeps writes over a snapshot.
const FILES: [&str; 6] = [
    "system",
    "storage",
    "sources",
    "targets",
    "serve/nbd/listener.rs",
    "serve/overlay",
];

/// What only some floors may touch, or some folders of one.
const RESERVED: [(&str, &[&str]); 9] = [
    ("std::fs", &FILES),
    ("rustix::fs", &FILES),
    ("thread::spawn", &["pipeline"]),
    ("thread::scope", &["pipeline"]),
    ("thread::Builder", &["pipeline"]),
    ("std::env::", &[]),
    ("process::exit", &[]),
    ("SystemTime::now", &[]),
    // Deadlines of servers, how long a prune copies, what a bench measures; nothing that is stored.
    (
        "Instant::now",
        &["sources", "operations/bench", "operations/prune"],
    ),
];

/// Imports that hide where a name comes from.
const HIDING: [&str; 3] = ["use crate::*", "use crate::{", "use std::{"];

const LINE_LEN_MAX: usize = 120;

#[test]
fn no_floor_of_the_engine_imports_from_a_higher_one() {
    let engine = root().join("engine/src");
    let mut findings = Vec::new();
    for path in rust_files(&engine) {
        let inner = path.strip_prefix(&engine).expect("it was found there");
        if !is_exempt(inner) {
            findings.extend(floor_findings(inner, &read(&path)));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is_and_keeps_the_habits() {
    let mut findings = Vec::new();
    for folder in ["engine", "format-spec", "cli", "tests", "benches", "fuzz"] {
        for path in rust_files(&root().join(folder)) {
            let inner = path.strip_prefix(root()).expect("it was found there");
            findings.extend(habit_findings(inner, &read(&path)));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("tests lies in the workspace")
        .to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("source files are text")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Tests and what they are made of may know everything; so may the list of modules.
fn is_exempt(inner: &Path) -> bool {
    let is_test = |name: &str| name == "tests" || name == "tests.rs" || name.ends_with("_tests.rs");
    inner == Path::new("lib.rs")
        || inner.starts_with("testing")
        || inner.iter().any(|part| part.to_str().is_some_and(is_test))
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn floor_findings(inner: &Path, text: &str) -> Vec<String> {
    let module = module_of(inner);
    let Some(floor) = floor_of(&module) else {
        return vec![format!("{}: {module} is on no floor", inner.display())];
    };
    let depth = inner.iter().count() - usize::from(inner.ends_with("mod.rs"));
    let mut findings = Vec::new();
    for (number, line) in production_lines(text) {
        let mut find = |what: String| {
            findings.push(format!("engine/src/{}:{number}: {what}", inner.display()));
        };
        for other in crate_paths(line) {
            match floor_of(other) {
                Some(other_floor) if other_floor > floor => {
                    find(format!("{module} knows {other}, which is above it"));
                }
                Some(_) if STRANGERS.contains(&(module.as_str(), other)) => {
                    find(format!("{module} knows {other}"));
                }
                Some(_) => {}
                None => find(format!("crate::{other} is on no floor")),
            }
        }
        for (name, _) in reserved_for_others(&module, inner, line) {
            find(format!("{module} touches {name}"));
        }
        for hiding in HIDING.iter().filter(|hiding| line.contains(*hiding)) {
            find(format!("`{hiding}` hides where names come from"));
        }
        if line.contains(&"super::".repeat(depth)) {
            find("reaches the root by `super`: write `crate::`".to_owned());
        }
    }
    findings
}

fn module_of(inner: &Path) -> String {
    let first = inner.iter().next().unwrap_or_default().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn reserved_for_others<'a>(
    module: &str,
    inner: &Path,
    line: &str,
) -> impl Iterator<Item = &'a (&'static str, &'static [&'static str])> {
    let owns = move |owner: &&str| *owner == module || inner.starts_with(owner);
    RESERVED
        .iter()
        .filter(move |(name, owners)| line.contains(name) && !owners.iter().any(owns))
}

/// The module behind each `crate::` of a line.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    let behind = line.split("crate::").skip(1);
    let end = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    let names = behind.map(move |rest| &rest[..end(rest).unwrap_or(rest.len())]);
    names.filter(|name| !name.is_empty())
}

/// Lines by number, without comments and without items under `#[cfg(test)]`.
fn production_lines(text: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let indent = line.len() - line.trim_start().len();
            // rustfmt closes an item with a line that is indented as its attribute is.
            lines.find(|(line, _)| is_end_of_item(line, indent));
        } else {
            let code = line.split("//").next().unwrap_or_default();
            kept.push((number, code));
        }
    }
    kept
}

fn is_end_of_item(line: &str, indent: usize) -> bool {
    let is_level = line.len() - line.trim_start().len() == indent;
    let begins_or_goes_on = line.ends_with('{') || line.trim_start().starts_with("#[");
    is_level && !begins_or_goes_on && (line.ends_with(';') || line.ends_with('}'))
}

fn habit_findings(inner: &Path, text: &str) -> Vec<String> {
    let shown = inner.display();
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!("{shown}:1: does not begin with a `//!` header"));
    }
    // In pieces, so that this file passes itself.
    let unfinished = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("db", "g!("),
    ];
    for (line, number) in text.lines().zip(1..) {
        let mut find = |what: &str| findings.push(format!("{shown}:{number}: {what}"));
        if line.chars().count() > LINE_LEN_MAX {
            find("is longer than 120 characters");
        }
        if line.ends_with(char::is_whitespace) {
            find("ends with a space");
        }
        if line.contains('\t') {
            find("has a tab");
        }
        for word in unfinished.iter().filter(|word| line.contains(*word)) {
            find(word);
        }
    }
    findings
}

#[track_caller]
fn assert_found(inner: &str, text: &str, expected: &str) {
    let findings = floor_findings(Path::new(inner), text);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains(expected), "{findings:?}");
}

#[test]
fn planted_breaches_of_the_floors_are_found() {
    let upward = "use crate::operations::snapshot::snapshot;";
    assert_found(
        "repository/mod.rs",
        upward,
        "mod.rs:1: repository knows operations",
    );
    assert_found(
        "limits.rs",
        "use crate::format::id::PageId;",
        "limits knows format",
    );
    assert_found(
        "format/id.rs",
        "    crate::error::Error::new()",
        "format knows error",
    );
    assert_found(
        "sources/x.rs",
        "use crate::targets::x::X;",
        "sources knows targets",
    );
    assert_found("attic/x.rs", "", "attic is on no floor");
    assert_found(
        "format/x.rs",
        "use crate::Repository;",
        "crate::Repository is on no floor",
    );
    assert_found("format/x.rs", "use crate::{limits, error};", "hides");
    assert_found("format/x.rs", "use crate::*;", "hides");
    assert_found(
        "format/x.rs",
        "use super::super::error::Error;",
        "by `super`",
    );
    assert_found("format/mod.rs", "use super::error::Error;", "by `super`");
    assert_found(
        "repository/x.rs",
        "let _ = std::fs::read(path);",
        "touches std::fs",
    );
    assert_found(
        "operations/x.rs",
        "use rustix::fs::open;",
        "touches rustix::fs",
    );
    assert_found(
        "transform/x.rs",
        "std::thread::scope(|s| {",
        "touches thread::scope",
    );
    assert_found(
        "storage/x.rs",
        "std::env::var(\"HOME\")",
        "touches std::env::",
    );
    assert_found(
        "operations/x.rs",
        "let begun = Instant::now();",
        "touches Instant::now",
    );
    let behind_tests = format!("#[cfg(test)]\nmod tests;\n\n{upward}");
    assert_found(
        "format/x.rs",
        &behind_tests,
        "x.rs:4: format knows operations",
    );
    let behind_block = format!("#[cfg(test)]\nmod tests {{\n    use x;\n}}\n{upward}");
    assert_found(
        "format/x.rs",
        &behind_block,
        "x.rs:5: format knows operations",
    );
}

#[test]
fn what_is_allowed_is_not_found() {
    let allowed = [
        (
            "operations/x.rs",
            "use crate::sources::folder::{FolderSource, Found};",
        ),
        (
            "sources/x.rs",
            "use crate::error::{Error, Result};\nuse std::fs::File;",
        ),
        ("observe.rs", "use crate::error::Place;"),
        (
            "format/x/y.rs",
            "use super::super::id::PageId;\n// see crate::operations",
        ),
        ("pipeline/x.rs", "thread::scope(|scope| {"),
        ("operations/bench/x.rs", "let begun = Instant::now();"),
        (
            "format/x.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::operations::x;\n}\n",
        ),
        (
            "format/x.rs",
            "    #[cfg(test)]\n    pub(crate) use crate::operations::x;\n",
        ),
        (
            "format/x.rs",
            "pub(in crate::format) fn x() {}\nuse super::DecodeError;",
        ),
    ];
    for (inner, text) in allowed {
        let findings = floor_findings(Path::new(inner), text);
        assert!(findings.is_empty(), "{inner}: {findings:?}");
    }
    assert!(is_exempt(Path::new("storage/local/crash_tests.rs")));
    assert!(is_exempt(Path::new("testing/random.rs")));
    assert!(is_exempt(Path::new("sources/folder/tests/mod.rs")));
    assert!(!is_exempt(Path::new("storage/mod.rs")));
}

#[test]
fn planted_breaches_of_the_habits_are_found() {
    let path = Path::new("x.rs");
    let found = |line: &str| habit_findings(path, &format!("//! Header.\n{line}\n")).len();
    assert_eq!(found("fn x() {}"), 0);
    assert_eq!(found("fn x() {} "), 1);
    assert_eq!(found("\tfn x() {}"), 1);
    assert_eq!(found(&"x".repeat(LINE_LEN_MAX + 1)), 1);
    assert_eq!(found(&"x".repeat(LINE_LEN_MAX)), 0);
    assert_eq!(found(concat!("// TO", "DO: later")), 1);
    assert_eq!(habit_findings(path, "fn x() {}\n").len(), 1);
}
