//! NBD URLs, as <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md> has them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::NBD_NAME_LEN_LIMIT;

use super::stream::Address;

/// Port of NBD, where the URL has none.
const PORT_DEFAULT: u16 = 10_809;

/// What an NBD URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// Where the server listens.
    pub address: Address,
    /// Name of the export; the empty name is the server's default.
    pub export: String,
}

impl Url {
    /// Parses `nbd://HOST[:PORT][/EXPORT]` or `nbd+unix:///[EXPORT]?socket=PATH`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = |kind, detail: &str| Err(Error::new(kind, Place::Path(text.into()), detail));
        let invalid = |detail: &str| refuse(ErrorKind::InvalidInput, detail);
        let Some((scheme, rest)) = text.split_once("://") else {
            return invalid(
                "is not a URL: write nbd://HOST/EXPORT or nbd+unix:///EXPORT?socket=PATH",
            );
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, export) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(Ok(export)) = decode(export).map(String::from_utf8) else {
            return invalid("has an export name that is not percent-encoded UTF-8");
        };
        if export.len() > NBD_NAME_LEN_LIMIT {
            return refuse(
                ErrorKind::LimitExceeded,
                "has an export name of over 4096 bytes",
            );
        }
        let address = match scheme {
            "nbd" if query.is_empty() => host_and_port(authority),
            "nbd" => return invalid("has parameters, and nbd:// takes none"),
            "nbd+unix" if authority.is_empty() => socket_of(query),
            "nbd+unix" => return invalid("has a host: write nbd+unix:///EXPORT?socket=PATH"),
            "nbds" | "nbds+unix" => {
                return refuse(
                    ErrorKind::Unsupported,
                    "asks for TLS, which is not supported: use a tunnel and a unix socket",
                );
            }
            _ => return invalid("has another scheme than nbd or nbd+unix"),
        };
        match address {
            Some(address) => Ok(Self { address, export }),
            None if scheme == "nbd" => invalid("has no valid host and port"),
            None => invalid("has no ?socket=PATH, or more than that"),
        }
    }
}

fn host_and_port(authority: &str) -> Option<Address> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let port = match port? {
        "" => PORT_DEFAULT,
        port => port.parse().ok()?,
    };
    let is_plain = !host.is_empty() && !host.contains(['@', ']', '[', '%']);
    is_plain.then(|| Address::Tcp(host.to_owned(), port))
}

fn socket_of(query: &str) -> Option<Address> {
    let path = decode(query.strip_prefix("socket=")?)?;
    let is_plain = !path.is_empty() && !query.contains('&') && !path.contains(&0);
    is_plain.then(|| Address::Unix(PathBuf::from(OsString::from_vec(path))))
}

/// Bytes of a percent-encoded text; nothing if it is not one.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            other => other,
        });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Address, String) {
        let url = Url::parse(text).expect("a URL");
        (url.address, url.export)
    }

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp(host.to_owned(), port)
    }

    #[test]
    fn hosts_ports_sockets_and_exports_are_found() {
        let unix = |path: &str| Address::Unix(path.into());
        let cases = [
            ("nbd://host", tcp("host", 10_809), ""),
            ("nbd://host:99/disk%20a/b", tcp("host", 99), "disk a/b"),
            ("nbd://[::1]:7/", tcp("::1", 7), ""),
            ("nbd://[::1]", tcp("::1", 10_809), ""),
            ("nbd+unix:///?socket=/run/s", unix("/run/s"), ""),
            ("nbd+unix:///disk?socket=/a%3fb", unix("/a?b"), "disk"),
        ];
        for (text, address, export) in cases {
            assert_eq!(parsed(text), (address, export.to_owned()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "/dev/sda",
            "http://host/x",
            "nbd://",
            "nbd://:99",
            "nbd://user@host",
            "nbd://host:x",
            "nbd://host:70000",
            "nbd://[::1",
            "nbd://[::1]9",
            "nbd://host/%f",
            "nbd://host/%ff",
            "nbd://host/?socket=/x",
            "nbd+unix:///x",
            "nbd+unix://host/x?socket=/y",
            "nbd+unix:///x?socket=",
            "nbd+unix:///x?socket=/y%00",
            "nbd+unix:///x?socket=/y&tls=1",
            "nbds://host/x",
        ] {
            let error = Url::parse(text).expect_err(text);
            assert!(error.to_string().starts_with(text), "{error}");
        }
        let long = format!("nbd://host/{}", "x".repeat(5000));
        assert!(Url::parse(&long).is_err());
    }
}
