//! Which file systems tell of changes, by the numbers of statfs(2) (linux/magic.h).

use std::os::fd::AsFd;

use rustix::fs::fstatfs;

/// What a file system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// Each change is told.
    Tells,
    /// Others change it unseen, over a network or in a program.
    Silent,
    /// Its files are made up by the kernel while they are read.
    Made,
}

/// NFS, SMB, CIFS, SMB2, FUSE (also virtiofs), 9p, Ceph, AFS (two), Coda, OCFS2, GFS2, Lustre, `VirtualBox`.
const SILENT: [u32; 14] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x6b41_4653,
    0x7375_7245,
    0x7461_636f,
    0x0116_1970,
    0x0bd0_0bd0,
    0x786f_4256,
];

/// proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, bpf, pstore, configfs, fusectl, efivarfs, binfmt, selinux.
const MADE: [u32; 14] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
    0x6165_676c,
    0x6265_6570,
    0x6573_5543,
    0xde5e_81e4,
    0x4249_4e4d,
    0xf97c_ff8c,
];

/// Of an opened directory of the machine. One that does not say counts as telling.
pub(super) fn medium(directory: impl AsFd) -> Medium {
    let Ok(found) = fstatfs(directory) else {
        return Medium::Tells;
    };
    // The numbers have 32 bits; the field is wider, and signed.
    let number = u32::try_from(found.f_type & 0xffff_ffff).unwrap_or_default();
    if SILENT.contains(&number) {
        Medium::Silent
    } else if MADE.contains(&number) {
        Medium::Made
    } else {
        Medium::Tells
    }
}
