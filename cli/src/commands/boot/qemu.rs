//! The command line of qemu.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::args::{Bus, Firmware, MachineArgs};
use crate::exit::Failure;

/// Longest version of the program that is kept, characters.
const VERSION_LEN_MAX: usize = 256;
/// Where distributions install OVMF: its code, and the variables that it starts with.
const OVMF: [(&str, &str); 4] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
];

/// A machine with the exports `disks` of the server at `socket`, whose serial port is a pipe if it
/// `is_watched`, else the terminal.
pub(super) fn command(
    args: &MachineArgs,
    is_watched: bool,
    socket: &Path,
    disks: &[String],
    temporary: &Path,
) -> Result<Command, Failure> {
    let mut command = Command::new(&args.qemu);
    command.args(["-accel", args.accel.word(), "-nodefaults"]);
    command.args(["-display", "none"]);
    command
        .arg("-m")
        .arg(format!("{}M", (args.memory_size.0 >> 20).max(1)));
    if args.firmware == Firmware::Uefi {
        add_uefi(&mut command, temporary)?;
    }
    if matches!(args.bus, Bus::Sata) {
        command.args(["-device", "ahci,id=sata"]);
    }
    for (number, name) in disks.iter().enumerate() {
        add_disk(&mut command, args.bus, socket, number, name);
    }
    match is_watched {
        true => {
            command.args(["-no-reboot", "-serial", "stdio"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
        }
        false => drop(command.args(["-serial", "mon:stdio"])),
    }
    command.args(&args.more);
    Ok(command)
}

/// As JSON: there a path and a name may hold any character.
fn add_disk(command: &mut Command, bus: Bus, socket: &Path, number: usize, name: &str) {
    let node = serde_json::json!({
        "driver": "raw",
        "node-name": format!("disk{number}"),
        "discard": "unmap",
        "file": {
            "driver": "nbd",
            "server": { "type": "unix", "path": socket.to_string_lossy() },
            "export": name,
        },
    });
    command.arg("-blockdev").arg(node.to_string());
    let first = if number == 0 { ",bootindex=0" } else { "" };
    let device = match bus {
        Bus::Virtio => format!("virtio-blk-pci,drive=disk{number}{first}"),
        Bus::Nvme => format!("nvme,serial=disk{number},drive=disk{number}{first}"),
        Bus::Sata => format!("ide-hd,bus=sata.{number},drive=disk{number}{first}"),
    };
    command.arg("-device").arg(device);
}

/// The variables are a copy: what the machine changes in them ends with it.
fn add_uefi(command: &mut Command, temporary: &Path) -> Result<(), Failure> {
    let there = |(code, _): &&(&str, &str)| Path::new(code).exists();
    let Some((code, variables)) = OVMF.iter().find(there) else {
        let detail = "--firmware uefi: OVMF is not installed (package ovmf, or edk2-ovmf)";
        return Err(Failure::Usage(detail.to_owned()));
    };
    let copy = temporary.join("variables");
    let copied = std::fs::copy(variables, &copy);
    copied.map_err(|error| Failure::Local((*variables).to_owned(), error))?;
    let flash = |file: &str, is_fixed: bool| {
        let file = file.replace(',', ",,");
        let fixed = if is_fixed { "on" } else { "off" };
        format!("if=pflash,format=raw,readonly={fixed},file={file}")
    };
    command.arg("-drive").arg(flash(code, true));
    command
        .arg("-drive")
        .arg(flash(&copy.to_string_lossy(), false));
    Ok(())
}

/// The first line that the program has to say of itself.
pub(in crate::commands) fn version(program: &Path) -> Result<String, Failure> {
    let asked = Command::new(program).arg("--version").output();
    let said = asked.map_err(|error| Failure::Local(cannot_start(program), error))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = said.lines().next().unwrap_or_default().trim();
    Ok(line.chars().take(VERSION_LEN_MAX).collect())
}

pub(super) fn cannot_start(program: &Path) -> String {
    let program = program.display();
    format!("{program} cannot be started (package qemu-system-x86; another with --qemu)")
}
