//! What the machine is: processor, memory, kernel, and the file system that a path lies on.
//!
//! Facts for a report, and nothing that anything depends on: what cannot be found out is empty.

use std::path::Path;

use crate::system::{DeviceId, System, mount_of};

/// The machine we run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Model of the processor; empty if the kernel does not tell.
    pub processor: String,
    /// Processors that the kernel counts.
    pub processors: usize,
    /// Memory, bytes.
    pub memory: u64,
    /// Name and release of the kernel.
    pub kernel: String,
}

/// What a path lies on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystemFacts {
    /// Kind of file system, `ext4` for example; empty if the kernel does not tell.
    pub kind: String,
    /// What is mounted there: usually the path of a device.
    pub device: String,
    /// Number by which it is told from others.
    pub(crate) number: Option<DeviceId>,
}

impl FileSystemFacts {
    /// True for file systems whose files are nowhere but in the page cache.
    pub fn is_memory(&self) -> bool {
        ["tmpfs", "ramfs", "devtmpfs"].contains(&self.kind.as_str())
    }
}

impl System {
    pub(crate) fn machine(&self) -> Machine {
        let processors = self.read("proc/cpuinfo").unwrap_or_default();
        let memory = self.read("proc/meminfo").unwrap_or_default();
        let name = rustix::system::uname();
        let (kind, release) = (name.sysname(), name.release());
        Machine {
            processor: fields(&processors, "model name").next().unwrap_or_default(),
            processors: fields(&processors, "processor").count(),
            memory: fields(&memory, "MemTotal")
                .next()
                .map_or(0, |kib| bytes_of(&kib)),
            kernel: format!("{} {}", kind.to_string_lossy(), release.to_string_lossy()),
        }
    }

    /// What the kernel calls this start of the machine; nothing if it does not tell.
    pub(crate) fn boot_id(&self) -> Option<String> {
        let read = self.read("proc/sys/kernel/random/boot_id").ok()?;
        let name = String::from_utf8(read).ok()?.trim().to_owned();
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        (is_plain && !name.is_empty()).then_some(name)
    }

    pub(crate) fn file_system_of(&self, path: &Path) -> FileSystemFacts {
        let mounts = self.mounts().unwrap_or_default();
        let found = mount_of(&mounts, path).ok().flatten();
        found.map_or_else(FileSystemFacts::default, |mount| FileSystemFacts {
            kind: mount.kind.clone(),
            device: mount.source.to_string_lossy().into_owned(),
            number: Some(mount.device),
        })
    }
}

/// The values of lines `name : value`.
pub(super) fn fields<'t>(text: &'t [u8], name: &'t str) -> impl Iterator<Item = String> + 't {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(move |line| {
        let line = String::from_utf8_lossy(line);
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// `1024 kB`
pub(super) fn bytes_of(text: &str) -> u64 {
    let number = text.split_whitespace().next().unwrap_or_default();
    number
        .parse()
        .map_or(0, |kib: u64| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_what_the_kernel_writes() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(root.path().join("proc").join(name), text).unwrap();
        };
        write(
            "cpuinfo",
            "processor\t: 0\nmodel name\t: A: B\n\nprocessor\t: 1\nmodel name\t: A: B\n",
        );
        write("meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
        let machine = System(root.path().to_owned()).machine();
        assert_eq!(
            (machine.processor.as_str(), machine.processors),
            ("A: B", 2)
        );
        assert_eq!(machine.memory, 2 << 20);
        assert!(!machine.kernel.is_empty());
    }

    #[test]
    fn a_start_of_the_machine_has_a_name_if_the_kernel_says_so() {
        let root = tempfile::tempdir().unwrap();
        let system = System(root.path().to_owned());
        assert_eq!(system.boot_id(), None);
        let folder = root.path().join("proc/sys/kernel/random");
        std::fs::create_dir_all(&folder).unwrap();
        for (text, name) in [("8d-0e\n", Some("8d-0e")), ("\n", None), ("a b", None)] {
            std::fs::write(folder.join("boot_id"), text).unwrap();
            assert_eq!(system.boot_id().as_deref(), name);
        }
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_empty() {
        let root = tempfile::tempdir().unwrap();
        let system = System(root.path().to_owned());
        assert_eq!(
            (system.machine().memory, system.machine().processors),
            (0, 0)
        );
        assert_eq!(
            system.file_system_of(root.path()),
            FileSystemFacts::default()
        );
    }
}
