//! Every maximum and every default on one page, with the sum behind each.
//!
//! A limit protects a reader from hostile bytes and a writer from itself: a decoder checks it
//! before it allocates, a writer before it stores. Nothing here is read from a repository.
//! Lowest floor: it names no other module.

/// 1 KiB.
pub const KIB: usize = 1 << 10;
/// 1 MiB.
pub const MIB: usize = 1 << 20;

// --- chunks -------------------------------------------------------------------------------

/// Smallest chunk the chunker cuts before the end of its input, by default.
pub const CHUNK_LEN_MIN_DEFAULT: u32 = 8 * 1024;
/// Where the chunker's test becomes easier, by default: about the mean chunk.
pub const CHUNK_LEN_AVG_DEFAULT: u32 = 32 * 1024;
/// Longest chunk, by default.
pub const CHUNK_LEN_MAX_DEFAULT: u32 = 128 * 1024;
/// No repository may ask for longer chunks: one must fit a frame, and a frame fits memory.
pub const CHUNK_LEN_LIMIT: u32 = 16 * 1024 * 1024;

// --- frames -------------------------------------------------------------------------------

/// A frame of data is closed once its plaintext reaches this. Larger frames compress better,
/// smaller ones make a random read cheaper; `benches/TUNING.md` has the measurement.
pub const FRAME_LEN_TARGET: usize = MIB;
/// The same of contents that are too long to be read at once, volumes above all: of these a few
/// bytes are wanted somewhere in the middle, and half of a frame is decoded for them.
pub const LONG_FRAME_LEN_TARGET: usize = 640 * KIB;
/// The same of pages: they hardly compress, and are looked up one by one.
pub const META_FRAME_LEN_TARGET: usize = 256 * KIB;
/// Longest plaintext of a frame that a reader accepts: part of the format, whatever the targets.
pub const FRAME_LEN_LIMIT: usize = CHUNK_LEN_LIMIT as usize + 512 * KIB;
/// Most chunks in one frame: the table counts them in 24 bits, and one byte each is enough.
pub const FRAME_CHUNKS_LIMIT: usize = 65_536;

/// zstd level of frames.
pub const ZSTD_LEVEL_DEFAULT: i32 = 3;

// --- objects ------------------------------------------------------------------------------

/// Unit of keyless verification: one hash in the trailer for each.
pub const BLOCK_LEN: usize = 64 * KIB;
/// A pack is finished once it reaches this: one flush, one key, one request.
pub const PACK_LEN_TARGET: usize = 32 * MIB;
/// Longest object that a reader opens. Packs stay below target + one frame + table.
pub const OBJECT_LEN_LIMIT: u64 = 256 * MIB as u64;
/// What is kept in a repository's file `reserve`, for a forget or prune on a full disk: a plan and a
/// seal of 65,536 packs, 2 TiB, are 3 MiB; tombstones, and what a file system takes to write them.
pub const RESERVE_LEN: u64 = 4 * MIB as u64;
/// A shorter reserve is not worth its name: a tombstone and the seal of a small prune.
pub const RESERVE_LEN_MIN: u64 = 64 * KIB as u64;
/// The reserve takes at most this part of what is free: making it fills no disk.
pub const RESERVE_SHARE: u64 = 2;
/// No pack is stored that leaves less than this free. What else is written then has its place: the
/// last index run of a session that stops, of 16 packs and 1.4 MiB by default; tombstones; plan
/// and seal of a prune, 3 MiB as above. The rest is for several of them at once.
pub const LOW_WATER_LEN: u64 = 16 * MIB as u64;
/// But at most this part of the file system is kept free, so that small ones can be used.
pub const LOW_WATER_SHARE: u64 = 8;
/// Longest clear record (config, key slot).
pub const RECORD_LEN_LIMIT: u64 = 64 * KIB as u64;
/// Longest sealed table: 2^20 chunks at 36 bytes plus frames and padding.
pub const TABLE_LEN_LIMIT: usize = 64 * MIB;
/// Most entries in one index run: 44 bytes each keep a run near 45 MiB.
pub const INDEX_RUN_ENTRIES_MAX: usize = 1 << 20;
/// An index run is written after this many packs, so that an interrupted session loses little.
pub const INDEX_EVERY_PACKS: u32 = 16;
/// Or after this many chunks, if they are small: what waits for a run, and its encoding, take memory,
/// about 400 bytes a chunk at the peak.
pub const INDEX_RUN_ENTRIES_TARGET: usize = 1 << 16;
/// Sessions that one snapshot tries to commit by, where prunes end one after the other.
pub const COMMIT_ATTEMPTS_MAX: u32 = 16;
/// How often a snapshot is made again because a prune condemned part of what it had stored.
pub const SNAPSHOT_ATTEMPTS_MAX: u32 = 3;
/// Share of the remaining packs that a prune leaves unused, thousandths: copying the rest would
/// write twenty times what it frees.
pub const PRUNE_UNUSED_PERMILLE: u32 = 50;
/// How long a prune leaves the packs of a writer alone that it ended, seconds: a week.
pub const PRUNE_GRACE_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Longest snapshot object payload: roots, tags and the list of problems.
pub const SNAPSHOT_LEN_LIMIT: usize = 16 * MIB;
/// Problems a snapshot object spells out; the rest is counted.
pub const SNAPSHOT_PROBLEMS_MAX: usize = 10_000;
/// Serial output of a machine that is kept in a boot: the end of what Linux says at a start.
pub const BOOT_SERIAL_LEN_MAX: usize = 64 * KIB;

// --- pages --------------------------------------------------------------------------------

/// No page boundary before this many bytes of entries.
pub const PAGE_LEN_MIN: usize = 2 * KIB;
/// A page ends at the latest after the entry that reaches this.
pub const PAGE_LEN_MAX: usize = 64 * KIB;
/// One in this many entries of a leaf of a tree or scan may end it: a change rewrites its page, so
/// short ones make increments small.
pub const TREE_PAGE_ENTRIES_MEAN: u32 = 16;
/// One in this many children of an inner page may end it.
pub const INNER_PAGE_CHILDREN_MEAN: u32 = 64;
/// One in this many entries of an extents page may end it: they are short and alike.
pub const EXTENTS_PAGE_ENTRIES_MEAN: u32 = 256;
/// One in this many cuts of a page may end it: two or three bytes each.
pub const CUTS_PAGE_ENTRIES_MEAN: u32 = 2_048;
/// Longest page that a reader accepts: `PAGE_LEN_MAX` plus one entry with all its attributes.
pub const PAGE_LEN_LIMIT: usize = 4 * MIB;
/// Most entries or children of one page: one byte each at least, of at most `PAGE_LEN_MAX`.
pub const PAGE_ENTRIES_LIMIT: usize = 65_536;
/// Most items of one list in a CBOR record: problems and tags of a snapshot.
pub const RECORD_ITEMS_LIMIT: usize = 65_536;
/// Deepest tree of pages: at two entries a page, 2^40 entries.
pub const PAGE_LEVEL_LIMIT: u8 = 40;
/// A content of more extents than this is an extents tree instead of a list in its entry.
pub const EXTENTS_INLINE_MAX: usize = 16;

// --- volumes ------------------------------------------------------------------------------

/// Grain of a volume: one that is all zeros is never chunked.
pub const VOLUME_GRAIN_LEN: u64 = 64 * KIB as u64;
/// A chunk ends at every multiple of this: what a change can move ends there, and threads take
/// such pieces of a volume each on its own.
pub const VOLUME_ANCHOR_LEN: u64 = 8 * MIB as u64;
/// Of the hints in a cell of this length one is a cut. Short, so that a file that fills no block
/// of its file system is shared too: half of the files of a system disk do not.
pub const VOLUME_CUT_CELL_LEN: u64 = 64;
/// Most hints of a volume that are used: 2 million files, 32 MiB of memory. With more, none is.
pub const VOLUME_CUTS_MAX: usize = 4 << 20;
/// Longest label of a part of a machine, bytes.
pub const LABEL_LEN_MAX: usize = 64;
/// Shortest fixed chunk that a volume may ask for.
pub const VOLUME_FIXED_LEN_MIN: u32 = 4 * 1024;

// --- names and attributes -----------------------------------------------------------------

/// Longest single name, as on every file system in use.
pub const NAME_LEN_LIMIT: usize = 255;
/// Longest folder path inside a tree.
pub const PATH_LEN_LIMIT: usize = 64 * KIB;
/// Deepest folder.
pub const PATH_DEPTH_LIMIT: usize = 4_096;
/// Longest symbolic link target.
pub const SYMLINK_LEN_LIMIT: usize = 64 * KIB;
/// Longest extended attribute value (the kernel's own limit).
pub const XATTR_LEN_LIMIT: usize = 64 * KIB;
/// All extended attributes of one entry together.
pub const XATTRS_LEN_LIMIT: usize = MIB;
/// Longest file: one extent must be able to say it in 62 bits.
pub const FILE_LEN_LIMIT: u64 = (1 << 62) - 1;

// --- what is inside a volume --------------------------------------------------------------

/// Most entries of a GPT that a reader looks at; tools make 128.
pub const GPT_ENTRIES_LIMIT: u32 = 16_384;
/// Longest entry of a GPT; tools make 128 bytes.
pub const GPT_ENTRY_LEN_LIMIT: usize = 4 * KIB;
/// Most logical partitions of an MBR.
pub const EBR_LINKS_LIMIT: usize = 128;
/// Warnings about the partitions of one disk that are spelled out; the rest is counted.
pub const LAYOUT_WARNINGS_MAX: usize = 64;
/// Memory for the offsets of layout hints by default: 4 Mi of them.
pub const HINT_MEMORY_DEFAULT: usize = 32 * MIB;
/// Most bytes of metadata that are read for the hints of one file system by default: the inodes of
/// 256 million files.
pub const HINT_METADATA_DEFAULT: u64 = 64 << 30;
/// Metadata of a file system is at most as long as the file system, and this much read twice.
pub const HINT_METADATA_SLACK: u64 = 16 * MIB as u64;
/// Deepest folder in a FAT file system: paths have at most 260 characters.
pub const FAT_DEPTH_LIMIT: usize = 260;

// --- files inside a volume ----------------------------------------------------------------

/// Reads that one question to a file system inside a volume may take: a folder of a million files
/// takes fewer. Whoever needs more goes round in circles.
pub const IMAGE_STEPS_MAX: u64 = 4 << 20;
/// Deepest folder inside a volume.
pub const IMAGE_DEPTH_LIMIT: usize = 512;
/// Most entries of one folder inside a volume.
pub const IMAGE_FOLDER_ENTRIES_MAX: usize = 1 << 20;
/// All names and link targets of one folder inside a volume, bytes.
pub const IMAGE_FOLDER_NAMES_LEN_MAX: usize = 64 * MIB;
/// Most folders that one walk through a file system inside a volume enters.
pub const IMAGE_FOLDERS_MAX: usize = 4 << 20;
/// Most file systems inside volumes that one mount has open, each with a thread and 4 MiB of blocks.
pub const IMAGES_OPEN_MAX: usize = 8;
/// What one mount remembers of folders inside volumes that somebody entered, bytes: about 600,000 folders.
pub const IMAGE_ROWS_LEN_MAX: usize = 128 * MIB;
/// Most blocks of a journal inside a volume: 4 GiB of the usual length.
pub const IMAGE_JOURNAL_BLOCKS_MAX: u64 = 1 << 20;
/// Most sectors that a log inside a volume, which keeps parts of blocks, may have newer bytes of: 128 MiB.
pub const IMAGE_LOG_SECTORS_MAX: usize = 1 << 18;
/// What such a log may have of transactions that are not committed yet, bytes; a writer commits after 32 MiB.
pub const IMAGE_LOG_PENDING_LEN_MAX: usize = 64 * MIB;

// --- volume groups inside a volume --------------------------------------------------------

/// Longest metadata of a volume group of LVM2, bytes: tools set aside 1 MiB.
pub const LVM_TEXT_LEN_MAX: u64 = 8 * MIB as u64;
/// Deepest section of it; tools write 4.
pub const LVM_DEPTH_LIMIT: usize = 8;
/// Most names and values in it.
pub const LVM_VALUES_MAX: usize = 1 << 18;
/// Longest name of a volume group of LVM2 or a volume in it, bytes.
pub const LVM_NAME_LEN_MAX: usize = 127;
/// Most logical volumes of one group that a mount shows.
pub const LVM_VOLUMES_SHOWN_MAX: usize = 4_096;

// --- keys ---------------------------------------------------------------------------------

/// Most key slots: each costs one Argon2 run to try.
pub const KEY_SLOTS_LIMIT: usize = 32;
/// Argon2id memory of a new slot, KiB.
pub const ARGON2_MEMORY_KIB_DEFAULT: u32 = 64 * 1024;
/// Argon2id passes of a new slot.
pub const ARGON2_PASSES_DEFAULT: u32 = 3;
/// Argon2id lanes of a new slot.
pub const ARGON2_LANES_DEFAULT: u32 = 4;
/// Most Argon2id memory that a slot may ask of a reader, KiB: 2 GiB.
pub const ARGON2_MEMORY_KIB_LIMIT: u32 = 2 * 1024 * 1024;
/// Most Argon2id passes that a slot may ask of a reader.
pub const ARGON2_PASSES_LIMIT: u32 = 16;
/// Most Argon2id lanes that a slot may ask of a reader.
pub const ARGON2_LANES_LIMIT: u32 = 64;
/// Shortest key file: 256 bits, if they are random.
pub const KEY_FILE_LEN_MIN: usize = 32;
/// Longest key file.
pub const KEY_FILE_LEN_LIMIT: usize = MIB;

// --- work ---------------------------------------------------------------------------------

/// Memory for the whole process by default.
pub const MEMORY_DEFAULT: usize = 256 * MIB;
/// Piece of a large file that one thread takes: long enough that the overlap of one longest
/// chunk is a few percent.
pub const SEGMENT_LEN: usize = 8 * MIB;
/// How often a file that changes under the reader is read again before it is flagged.
pub const READ_ATTEMPTS: u32 = 3;

// --- volumes ------------------------------------------------------------------------------

/// Longest volume: as the longest file.
pub const VOLUME_LEN_LIMIT: u64 = FILE_LEN_LIMIT;
/// Most pieces of one answer about allocation, 24 bytes each; what lies behind them counts as data.
pub const ALLOCATION_PIECES_MAX: usize = 1 << 20;
/// Most ranges of a list of changes, 16 bytes each.
pub const CHANGED_RANGES_MAX: usize = 1 << 22;
/// Most entries that such a list is read with: whoever writes more than this is not a tool we know.
pub const CHANGED_ENTRIES_LIMIT: u64 = 1 << 26;
/// Failed reads after which a piece of an unreadable range is not divided any further: a dying disk
/// takes seconds for each.
pub const FAILED_READS_MAX: u32 = 1_024;
/// Most names in one folder of /sys, most mounts and most swap areas that are looked at.
pub const SYSTEM_ENTRIES_LIMIT: usize = 65_536;

/// One read request to an NBD server: below every server's maximum, long enough to stream.
pub const NBD_REQUEST_LEN: u32 = 512 * KIB as u32;
/// Requests under way on one NBD connection.
pub const NBD_IN_FLIGHT: usize = 16;
/// Connections to an NBD server that permits several.
pub const NBD_CONNECTIONS_MAX: usize = 4;
/// Range of one question about block status; the protocol has 32 bits for it.
pub const NBD_STATUS_LEN: u32 = 1 << 30;
/// Most questions about block status for one answer: 64 TiB at the full length; a server that
/// answers in crumbs is believed no further.
pub const NBD_STATUS_REQUESTS_MAX: u32 = 65_536;
/// Longest list of extents in one reply: 2^20 of them, the most that servers keep.
pub const NBD_STATUS_REPLY_LIMIT: u32 = 4 + (8 << 20);
/// Longest reply to an option, and longest error text.
pub const NBD_OPTION_REPLY_LIMIT: u32 = 64 * KIB as u32;
/// Most replies to one option.
pub const NBD_OPTION_REPLIES_LIMIT: u32 = 64;
/// Most pieces that the reply to one read may lie in apart from each other.
pub const NBD_READ_PIECES_LIMIT: usize = 1_024;
/// Longest name of an export or a bitmap: the protocol's own limit.
pub const NBD_NAME_LEN_LIMIT: usize = 4_096;
/// Seconds that an NBD server may take for one request by default.
pub const NBD_TIMEOUT_SECONDS_DEFAULT: u64 = 60;

/// Connections that the NBD server takes at a time; more are closed at once.
pub const NBD_SERVER_CONNECTIONS_MAX: usize = 64;
/// Requests of one connection that are worked on at a time, each by a thread of its own.
pub const NBD_SERVER_THREADS: usize = 4;
/// Requests are answered in pieces of this length: one buffer for each thread, so that all clients
/// together, at their worst, take 64 MiB.
pub const NBD_PIECE_LEN: usize = 256 * KIB;
/// Longest read or write of a client: what the protocol has servers take at least.
pub const NBD_SERVER_REQUEST_LIMIT: u32 = 32 * MIB as u32;
/// Longest option of a client: thirty names of the longest permitted length.
pub const NBD_OPTION_LEN_LIMIT: u32 = 128 * KIB as u32;
/// Most options before a client asks for an export.
pub const NBD_OPTIONS_LIMIT: usize = 1_024;
/// Most extents in the answer to one question about block status: 64 KiB.
pub const NBD_STATUS_EXTENTS_MAX: usize = 8_192;
/// Most dirty bitmaps of one export.
pub const NBD_BITMAPS_MAX: usize = 64;
/// Seconds that a client may take to go on within a message, or to take a reply. Between messages
/// it may take for ever.
pub const NBD_CLIENT_TIMEOUT_SECONDS: u64 = 30;
/// Failed reads that the NBD server tells of; the rest is counted, for a client may try for ever.
pub const NBD_PROBLEMS_TOLD_MAX: u64 = 1_000;

/// Unit in which an overlay is written: small enough to be copied up for a small write, large enough
/// that a terabyte has 2 MiB of bits.
pub const OVERLAY_GRAIN_LEN: u64 = 64 * KIB as u64;
/// Longest volume that is laid over: 128 MiB of bits in memory.
pub const OVERLAY_LEN_LIMIT: u64 = 64 << 40;

/// A restore of a volume flushes after so many bytes of work, and notes how far it is.
pub const CHECKPOINT_LEN_DEFAULT: u64 = 256 * MIB as u64;
/// It does so at least this many times where volumes are small, so that most of what was done
/// before an interruption is not done again.
pub const CHECKPOINTS_MIN: u64 = 8;
/// But not after less work than this, bytes: a flush costs more than it saves.
pub const CHECKPOINT_LEN_MIN: u64 = 32 * MIB as u64;
/// Ranges of a volume that a report lists; the rest is counted.
pub const REPORT_RANGES_MAX: usize = 10_000;

const _: () = assert!(CHUNK_LEN_MIN_DEFAULT < CHUNK_LEN_AVG_DEFAULT);
const _: () = assert!(CHUNK_LEN_AVG_DEFAULT < CHUNK_LEN_MAX_DEFAULT);
const _: () = assert!(CHUNK_LEN_MAX_DEFAULT <= CHUNK_LEN_LIMIT);
const _: () = assert!(FRAME_LEN_TARGET <= FRAME_LEN_LIMIT);
const _: () =
    assert!(PACK_LEN_TARGET + FRAME_LEN_LIMIT + TABLE_LEN_LIMIT <= OBJECT_LEN_LIMIT as usize);
const _: () = assert!(
    NBD_SERVER_CONNECTIONS_MAX * NBD_SERVER_THREADS * NBD_PIECE_LEN <= 64 * MIB
        && NBD_OPTION_LEN_LIMIT as usize >= 31 * NBD_NAME_LEN_LIMIT
);
const _: () = assert!(RESERVE_LEN_MIN < RESERVE_LEN && RESERVE_LEN < LOW_WATER_LEN);
const _: () = assert!(PAGE_LEN_MAX + XATTRS_LEN_LIMIT + PATH_LEN_LIMIT <= PAGE_LEN_LIMIT);
