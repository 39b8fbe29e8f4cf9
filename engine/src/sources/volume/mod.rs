//! Volumes: disks and their images, as bytes at offsets.
//!
//! Deliberately absent: files and folders inside a volume; they are a matter of who browses it.

pub mod layout;
