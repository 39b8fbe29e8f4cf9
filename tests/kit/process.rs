//! What the kernel counts of a process that runs.

/// Bytes (`rchar`, `wchar`) or calls (`syscr`, `syscw`) by which a process has read or written until
/// now; nothing if it has ended.
pub fn traffic(process: u32, key: &str) -> Option<u64> {
    number(process, "io", key)
}

/// Most memory that a process had until now, KiB; nothing if it has ended.
pub fn peak_memory_kib(process: u32) -> Option<u64> {
    number(process, "status", "VmHWM")
}

/// The number behind `key` in a file that the kernel has of a process.
fn number(process: u32, file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| *name == key)?;
    value.split_whitespace().next()?.parse().ok()
}
