//! Where the password or key file comes from: exactly one source, else the terminal.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use blockstore::repository::keys::UnlockSecret;
use zeroize::Zeroizing;

use crate::args::SecretArgs;
use crate::env::Environment;
use crate::exit::Failure;

/// Whether a password that is typed has to be typed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// It opens a repository.
    Once,
    /// It makes one: a slip of the finger would lock everybody out.
    Twice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Text(std::ffi::OsString),
    File(PathBuf),
    Command(std::ffi::OsString),
    KeyFile(PathBuf),
}

/// Gets the secret.
pub(crate) fn read(
    args: &SecretArgs,
    environment: &Environment,
    prompt: Prompt,
) -> Result<UnlockSecret, Failure> {
    match choose(args, environment)? {
        Some(Source::Text(text)) => Ok(UnlockSecret::password(text.into_vec())),
        Some(Source::File(path)) => Ok(UnlockSecret::Password(strip_line_end(read_file(&path)?))),
        Some(Source::Command(command)) => Ok(UnlockSecret::Password(run(&command)?)),
        Some(Source::KeyFile(path)) => Ok(UnlockSecret::KeyFile(read_file(&path)?)),
        None if std::io::stdin().is_terminal() => ask(prompt),
        None => Err(Failure::Usage(
            "no password and no key file: give --password-file, --password-command or --key-file, \
             or set BLOCKSTORE_PASSWORD"
                .to_owned(),
        )),
    }
}

/// The one source that was given. An option counts more than its own variable; two different
/// sources are one too many, because a guess at the wrong one reads as a wrong password.
fn choose(args: &SecretArgs, environment: &Environment) -> Result<Option<Source>, Failure> {
    let file = pick(
        &args.password_file,
        &environment.password_file,
        Source::File,
    );
    let command = pick(
        &args.password_command,
        &environment.password_command,
        Source::Command,
    );
    let key_file = pick(&args.key_file, &environment.key_file, Source::KeyFile);
    let text = pick(&None, &environment.password, Source::Text);
    let named = [
        ("--password-file", "BLOCKSTORE_PASSWORD_FILE", file),
        ("--password-command", "BLOCKSTORE_PASSWORD_COMMAND", command),
        ("--key-file", "BLOCKSTORE_KEY_FILE", key_file),
        ("", "BLOCKSTORE_PASSWORD", text),
    ];
    let given = named.into_iter().filter_map(|(option, variable, source)| {
        source.map(|(source, by_option)| (if by_option { option } else { variable }, source))
    });
    let (names, mut sources): (Vec<_>, Vec<_>) = given.unzip();
    if sources.len() > 1 {
        let detail = format!(
            "secrets come from {}: leave one of them",
            names.join(" and ")
        );
        return Err(Failure::Usage(detail));
    }
    Ok(sources.pop())
}

/// The option's value or else the variable's, and whether it was the option's.
fn pick<T: Clone>(
    option: &Option<T>,
    variable: &Option<T>,
    source: impl Fn(T) -> Source,
) -> Option<(Source, bool)> {
    let by_option = option.is_some();
    option
        .as_ref()
        .or(variable.as_ref())
        .map(|value| (source(value.clone()), by_option))
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error| Failure::Local(format!("{}: cannot be read", path.display()), error);
    std::fs::read(path).map(Zeroizing::new).map_err(failed)
}

/// Standard error stays the command's own, so that it can ask or complain.
fn run(command: &std::ffi::OsStr) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error| Failure::Local("--password-command: cannot be run".to_owned(), error);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(command)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit());
    let output = shell.output().map_err(failed)?;
    let printed = Zeroizing::new(output.stdout);
    if !output.status.success() {
        let detail = format!("--password-command: ended with {}", output.status);
        return Err(Failure::Local(detail, std::io::ErrorKind::Other.into()));
    }
    Ok(strip_line_end(printed))
}

/// Drops one `\n` or `\r\n`, which editors and `echo` put behind a password.
fn strip_line_end(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

fn ask(prompt: Prompt) -> Result<UnlockSecret, Failure> {
    let failed = |error| Failure::Local("password: cannot be asked for".to_owned(), error);
    let ask = |text: &str| {
        rpassword::prompt_password(text)
            .map(Zeroizing::new)
            .map_err(failed)
    };
    let password = ask("password: ")?;
    if prompt == Prompt::Twice && ask("the same again: ")? != password {
        return Err(Failure::Usage("the two passwords differ".to_owned()));
    }
    Ok(UnlockSecret::password(password.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file() -> SecretArgs {
        SecretArgs {
            password_file: Some("/option".into()),
            ..SecretArgs::default()
        }
    }

    #[test]
    fn an_option_counts_more_than_its_own_variable() {
        let environment = Environment {
            password_file: Some("/variable".into()),
            ..Environment::default()
        };
        let chosen = choose(&with_file(), &environment).ok().flatten();
        assert_eq!(chosen, Some(Source::File("/option".into())));
    }

    #[test]
    fn two_different_sources_are_refused_by_their_names() {
        let environment = Environment {
            password: Some("x".into()),
            ..Environment::default()
        };
        let refused = choose(&with_file(), &environment);
        let Err(Failure::Usage(detail)) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            detail.contains("--password-file and BLOCKSTORE_PASSWORD:"),
            "{detail}"
        );
    }

    #[test]
    fn exactly_one_line_end_is_dropped() {
        let strip = |text: &[u8]| strip_line_end(Zeroizing::new(text.to_vec())).to_vec();
        assert_eq!(strip(b"a"), b"a");
        assert_eq!(strip(b"a\n"), b"a");
        assert_eq!(strip(b"a\r\n"), b"a");
        assert_eq!(strip(b"a\n\n"), b"a\n");
        assert_eq!(strip(b"a\r"), b"a\r");
        assert_eq!(strip(b"\n"), b"");
    }
}
