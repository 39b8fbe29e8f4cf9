//! One entry inside a volume, as it is given to callers.

use crate::format::entry::{Content, Entry, Extent, ExtentKind, Metadata, Node};
use crate::serve::image::reader::{Found, ImageNode, Named};

/// One entry inside a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageEntry {
    /// One path component, raw bytes; empty for the root.
    pub name: Vec<u8>,
    pub(super) found: Found,
}

impl ImageEntry {
    /// Mode, owner, time of last modification and attributes, as far as the reader has them.
    pub fn metadata(&self) -> &Metadata {
        &self.found.metadata
    }

    /// What it is.
    pub fn node(&self) -> &ImageNode {
        &self.found.node
    }

    /// True for a folder.
    pub fn is_folder(&self) -> bool {
        self.found.node == ImageNode::Folder
    }

    /// As an entry of a tree, for whoever shows it. A file has its length and no bytes: in a tree
    /// it would be one that could not be read.
    pub fn shown(&self) -> Entry {
        Entry {
            name: self.name.clone(),
            metadata: self.found.metadata.clone(),
            node: self.found.node.shown(),
        }
    }

    pub(super) fn of(named: &Named) -> Self {
        Self {
            name: named.name.clone(),
            found: named.found.clone(),
        }
    }
}

impl ImageNode {
    fn shown(&self) -> Node {
        match self {
            Self::File { len: 0 } => Node::File(Content::Inline(Vec::new())),
            Self::File { len } => Node::File(Content::Inline(vec![Extent {
                len: *len,
                kind: ExtentKind::Unreadable,
            }])),
            Self::Folder => Node::Folder,
            Self::Symlink(target) => Node::Symlink(target.clone()),
            Self::Fifo => Node::Fifo,
            Self::Socket => Node::Socket,
            Self::CharDevice(number) => Node::CharDevice(*number),
            Self::BlockDevice(number) => Node::BlockDevice(*number),
        }
    }
}
