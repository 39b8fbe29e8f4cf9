//! CBOR, and the payloads of snapshots, intents, tombstones, protections, boots, index runs and steps
//! of prunes.

use blockstore_format_spec::vectors::SESSION;

#[derive(Clone)]
pub(crate) enum Cbor {
    Uint(u64),
    Negative(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Cbor>),
    Map(Vec<(u64, Cbor)>),
    Raw(Vec<u8>),
}

fn head(major: u8, argument: u64) -> Vec<u8> {
    let le = argument.to_le_bytes();
    let (additional, width) = match argument {
        0..24 => return vec![major << 5 | le[0]],
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    let mut out = vec![major << 5 | additional];
    out.extend(le[..width].iter().rev());
    out
}

impl Cbor {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Cbor::Uint(value) => head(0, *value),
            Cbor::Negative(argument) => head(1, *argument),
            Cbor::Bytes(value) => [head(2, value.len() as u64), value.clone()].concat(),
            Cbor::Text(value) => [head(3, value.len() as u64), value.clone().into()].concat(),
            Cbor::Array(items) => {
                let items = items.iter().flat_map(Cbor::encode);
                head(4, self.len()).into_iter().chain(items).collect()
            }
            Cbor::Map(fields) => {
                let fields = fields
                    .iter()
                    .flat_map(|(k, v)| [head(0, *k), v.encode()].concat());
                head(5, self.len()).into_iter().chain(fields).collect()
            }
            Cbor::Raw(bytes) => bytes.clone(),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Cbor::Array(items) => items.len() as u64,
            Cbor::Map(fields) => fields.len() as u64,
            _ => 0,
        }
    }
}

/// Replaces, adds in order, or (by `None`) removes a field.
pub(crate) fn with(
    mut fields: Vec<(u64, Cbor)>,
    key: u64,
    value: Option<Cbor>,
) -> Vec<(u64, Cbor)> {
    fields.retain(|(found, _)| *found != key);
    if let Some(value) = value {
        fields.push((key, value));
    }
    fields.sort_by_key(|(key, _)| *key);
    fields
}

pub(crate) fn text(value: &str) -> Cbor {
    Cbor::Text(value.into())
}

fn time(seconds: Cbor, nanoseconds: u64) -> Cbor {
    Cbor::Map(vec![(0, seconds), (1, Cbor::Uint(nanoseconds))])
}

pub(crate) struct RootFields {
    pub name: Vec<u8>,
    pub page_type: u64,
    pub page: [u8; 32],
    pub level: u64,
    pub entries: u64,
    pub bytes: u64,
}

pub(crate) fn root(fields: &RootFields) -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Bytes(fields.name.clone())),
        (1, Cbor::Uint(fields.page_type)),
        (2, Cbor::Bytes(fields.page.to_vec())),
        (3, Cbor::Uint(fields.level)),
        (4, Cbor::Uint(fields.entries)),
        (5, Cbor::Uint(fields.bytes)),
    ]
}

pub(crate) fn vector_root() -> Vec<(u64, Cbor)> {
    let name = b"/home/ana".to_vec();
    root(&RootFields {
        name,
        page_type: 1,
        page: [7; 32],
        level: 0,
        entries: 3,
        bytes: 12,
    })
}

/// A disk with a partition table, a partition of it, and the file system there.
pub(crate) fn volume() -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Uint(1)),
        (1, Cbor::Uint(0)),
        (2, Cbor::Bytes(vec![9; 32])),
        (3, Cbor::Uint(0)),
        (4, Cbor::Uint(3)),
        (5, text("list")),
        (6, Cbor::Uint(512)),
        (7, Cbor::Map(medium())),
        (8, Cbor::Map(layout(partition()))),
    ]
}

pub(crate) fn medium() -> Vec<(u64, Cbor)> {
    vec![
        (0, text("device")),
        (1, text("QEMU")),
        (4, Cbor::Uint(512)),
        (5, Cbor::Uint(4096)),
        (6, Cbor::Uint(0)),
    ]
}

pub(crate) fn layout(partition: Vec<(u64, Cbor)>) -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Uint(512)),
        (1, text("mbr")),
        (2, text("1a2b3c4d")),
        (3, Cbor::Array(vec![Cbor::Map(partition)])),
        (5, Cbor::Array(vec![])),
    ]
}

pub(crate) fn partition() -> Vec<(u64, Cbor)> {
    let file_system = vec![
        (0, text("ext4")),
        (2, text("root")),
        (3, Cbor::Uint(4096)),
        (4, Cbor::Uint(1 << 20)),
    ];
    vec![
        (0, Cbor::Uint(1)),
        (1, Cbor::Uint(1 << 20)),
        (2, Cbor::Uint(1 << 30)),
        (3, text("0x83")),
        (5, text("")),
        (6, Cbor::Uint(128)),
        (7, Cbor::Uint(1)),
        (8, Cbor::Map(file_system)),
    ]
}

/// A volume as the only root.
pub(crate) fn vector_volume(volume: Vec<(u64, Cbor)>) -> Vec<(u64, Cbor)> {
    let root = root(&RootFields {
        name: b"disk0".to_vec(),
        page_type: 3,
        page: [7; 32],
        level: 0,
        entries: 1,
        bytes: 2 << 30,
    });
    let root = with(root, 8, Some(Cbor::Bytes(b"/dev/sda".to_vec())));
    with(root, 9, Some(Cbor::Map(volume)))
}

pub(crate) fn commit(root: Vec<(u64, Cbor)>) -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Bytes(SESSION.to_vec())),
        (1, Cbor::Uint(1)),
        (2, Cbor::Array(vec![Cbor::Map(root)])),
        (3, time(Cbor::Uint(1_700_000_000), 5)),
        (4, time(Cbor::Negative(9), 999_999_999)),
        (5, text("host")),
        (6, text("ana")),
        (7, Cbor::Array(vec![text("a"), text("b")])),
        (8, text("vectors 1")),
        (10, Cbor::Uint(1)),
        (11, text("first")),
        (12, Cbor::Uint(1)),
        (
            13,
            Cbor::Array(vec![Cbor::Map(vec![
                (0, Cbor::Uint(1)),
                (1, Cbor::Bytes(b"/home/ana/x".to_vec())),
                (2, text("permission denied")),
            ])]),
        ),
        (14, Cbor::Uint(1)),
        (
            15,
            Cbor::Map((0..9).map(|key| (key, Cbor::Uint(key * 1000))).collect()),
        ),
        (16, Cbor::Uint(0)),
        (17, Cbor::Uint(3)),
    ]
}

pub(crate) fn intent() -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Bytes(SESSION.to_vec())),
        (1, time(Cbor::Uint(1_700_000_000), 0)),
        (2, text("host")),
        (3, text("ana")),
        (4, Cbor::Uint(4711)),
        (5, Cbor::Uint(0)),
    ]
}

pub(crate) fn tombstone() -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Bytes(SESSION.to_vec())),
        (1, time(Cbor::Uint(1_700_000_000), 0)),
        (2, text("host")),
        (3, text("ana")),
    ]
}

pub(crate) fn protection() -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Bytes(SESSION.to_vec())),
        (1, time(Cbor::Uint(1_800_000_000), 0)),
        (2, time(Cbor::Uint(1_700_000_000), 0)),
        (3, text("host")),
        (4, text("ana")),
    ]
}

pub(crate) fn boot() -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Bytes(SESSION.to_vec())),
        (1, time(Cbor::Uint(1_700_000_000), 0)),
        (2, time(Cbor::Uint(1_700_000_012), 0)),
        (3, Cbor::Uint(1)),
        (4, text("")),
        (5, text("login:")),
        (6, Cbor::Uint(11_500)),
        (7, Cbor::Uint(120_000)),
        (8, Cbor::Uint(2)),
        (9, text("kvm")),
        (10, text("virtio")),
        (11, Cbor::Uint(1 << 30)),
        (12, text("qemu 10.0.2")),
        (13, Cbor::Array(vec![Cbor::Bytes(b"disk0".to_vec())])),
        (14, Cbor::Bytes(b"host login:".to_vec())),
        (15, Cbor::Uint(70_000)),
        (16, Cbor::Uint(0)),
        (17, text("host")),
        (18, text("ana")),
        (19, text("vectors 1")),
    ]
}

/// A plan or a seal: three packs and two snapshots.
#[derive(Clone)]
pub(crate) struct Step {
    pub number: u32,
    pub counts: Option<[u32; 2]>,
    pub reserved: [u8; 4],
    pub packs: Vec<StepPack>,
    pub snapshots: Vec<[u8; 16]>,
}

#[derive(Clone)]
pub(crate) struct StepPack {
    pub session: [u8; 16],
    pub number: u32,
    pub class: u8,
    pub reserved: [u8; 3],
}

impl StepPack {
    pub(crate) fn new(session: [u8; 16], number: u32, class: u8) -> StepPack {
        StepPack {
            session,
            number,
            class,
            reserved: [0; 3],
        }
    }
}

impl Step {
    pub(crate) fn new() -> Step {
        Step {
            number: 1,
            counts: None,
            reserved: [0; 4],
            packs: vec![
                StepPack::new(SESSION, 0, 1),
                StepPack::new(SESSION, 0, 2),
                StepPack::new([0x90; 16], 0, 1),
            ],
            snapshots: vec![SESSION, [0x91; 16]],
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let real = [self.packs.len() as u32, self.snapshots.len() as u32];
        let counts = self.counts.unwrap_or(real);
        let mut out = self.number.to_le_bytes().to_vec();
        out.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
        out.extend(self.reserved);
        for pack in &self.packs {
            out.extend(pack.session);
            out.extend(pack.number.to_le_bytes());
            out.push(pack.class);
            out.extend(pack.reserved);
        }
        out.extend(self.snapshots.iter().flatten());
        out
    }
}

/// An index run of one pack, one origin, one frame and two entries.
#[derive(Clone)]
pub(crate) struct Run {
    pub session: [u8; 16],
    pub number: u32,
    pub counts: Option<[u32; 5]>,
    pub reserved: [u8; 8],
    pub pack_class: u8,
    pub pack_reserved: [u8; 3],
    pub frame_pack: u32,
    pub frame_origin: u32,
    pub frame_plain_len: u32,
    pub frame_codec: u8,
    pub frame_reserved: [u8; 7],
    pub entries: Vec<([u8; 32], u32, u32, u32)>,
    pub replaced: Vec<([u8; 16], u32)>,
}

impl Run {
    pub(crate) fn new() -> Run {
        Run {
            session: SESSION,
            number: 1,
            counts: None,
            reserved: [0; 8],
            pack_class: 1,
            pack_reserved: [0; 3],
            frame_pack: 0,
            frame_origin: 0,
            frame_plain_len: 30,
            frame_codec: 0,
            frame_reserved: [0; 7],
            entries: vec![([1; 32], 0, 0, 10), ([2; 32], 0, 10, 20)],
            replaced: Vec::new(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let real = [
            1,
            1,
            1,
            self.entries.len() as u32,
            self.replaced.len() as u32,
        ];
        let mut out = [&self.session[..], &self.number.to_le_bytes()].concat();
        out.extend(
            self.counts
                .unwrap_or(real)
                .iter()
                .flat_map(|count| count.to_le_bytes()),
        );
        out.extend(self.reserved);
        out.extend([&SESSION[..], &0_u32.to_le_bytes(), &[self.pack_class]].concat());
        out.extend(self.pack_reserved);
        out.extend(1000_u64.to_le_bytes());
        out.extend([[3; 32], [4; 32]].concat());
        out.extend([&1_u32.to_le_bytes()[..], &[1, 0, 0, 0]].concat());
        out.extend(
            [
                self.frame_pack.to_le_bytes(),
                self.frame_origin.to_le_bytes(),
            ]
            .concat(),
        );
        out.extend([128_u64.to_le_bytes(), 0_u64.to_le_bytes()].concat());
        out.extend([46_u32.to_le_bytes(), self.frame_plain_len.to_le_bytes()].concat());
        out.push(self.frame_codec);
        out.extend(self.frame_reserved);
        for (id, frame, offset, len) in &self.entries {
            out.extend(id);
            out.extend(
                [frame, offset, len]
                    .into_iter()
                    .flat_map(|field| field.to_le_bytes()),
            );
        }
        for (session, number) in &self.replaced {
            out.extend([&session[..], &number.to_le_bytes()].concat());
        }
        out
    }
}
