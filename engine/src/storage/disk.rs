//! The seam between the durability protocol and a file system.
//!
//! `local` spells the protocol once, in these calls; `os_disk` makes them of the operating system,
//! `testing::sim_disk` on a simulated disk that loses power. Each call is one system call in
//! spirit and promises no more than POSIX does: writes may be short, calls may be interrupted,
//! names are durable only after a flush of their folder. Deliberately absent: overwriting a name,
//! writing anywhere but at the end, retries of any kind.

use std::fmt::Debug;
use std::io;
use std::time::SystemTime;

/// A file system below one root folder. Paths are relative to it, with slashes; the empty path is
/// the root itself.
pub trait Disk: Debug + Send + Sync {
    /// An open file.
    type File: Send;

    /// Makes a file for writing; `AlreadyExists` if there is anything of that name.
    fn create_exclusive(&self, path: &str) -> io::Result<Self::File>;
    /// Appends some of `data`, at least one byte of it unless it is empty; how much is returned.
    fn write(&self, file: &Self::File, data: &[u8]) -> io::Result<usize>;
    /// Makes the file's bytes and length durable, but not its name. Once it failed, bytes written
    /// before may be lost though a later flush succeeds.
    fn flush_file(&self, file: &Self::File) -> io::Result<()>;

    /// Opens a regular file for reading.
    fn open(&self, path: &str) -> io::Result<Self::File>;
    /// Present length of an open file, bytes.
    fn len(&self, file: &Self::File) -> io::Result<u64>;
    /// Reads some bytes at `offset`; 0 only at or after the end.
    fn read_at(&self, file: &Self::File, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Gives a file its final name at once, or fails with `AlreadyExists` if that is taken.
    fn rename_noreplace(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes the name of a file.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Makes one folder; its parent must exist.
    fn make_folder(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Makes all names in a folder, and all removals from it, durable.
    fn flush_folder(&self, path: &str) -> io::Result<()>;
    /// Names in a folder, in any order, without `.` and `..`. A name that is no UTF-8 is not ours
    /// and may be left out.
    fn list_folder(&self, path: &str) -> io::Result<Vec<String>>;
    /// What a name stands for; symbolic links are not followed.
    fn stat(&self, path: &str) -> io::Result<FileStat>;
    /// How large the file system is, and how much of it is free.
    fn space(&self) -> io::Result<Space>;

    /// A number that no other writer of this disk draws.
    fn draw(&self) -> io::Result<u64>;
}

/// Answer of [`Disk::stat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Length, bytes.
    pub len: u64,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Last modification, by the clock of the file system.
    pub modified: SystemTime,
}

/// Answer of [`Disk::space`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system, bytes; 0 if it does not tell.
    pub total: u64,
    /// Bytes that this user may still write.
    pub free: u64,
}
