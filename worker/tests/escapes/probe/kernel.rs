//! Parts of the kernel that steps have no business with.

use super::attempt::{Attempt, Outcome, whether};
use super::call::{HERE, NONE, call, into, text, to};

pub(crate) const ALL: &[Attempt] = &[
    ("bpf", || {
        let attributes = [1_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        call(libc::SYS_bpf, [0, to(&attributes), 64]).into()
    }),
    ("perf_event_open", || {
        let mut attributes = [0_u32; 32];
        attributes[1] = 128;
        call(libc::SYS_perf_event_open, [to(&attributes), 0, NONE, NONE, 0]).into()
    }),
    ("userfaultfd", || call(libc::SYS_userfaultfd, [1]).into()),
    ("io_uring", || {
        let mut parameters = [0_u32; 64];
        call(libc::SYS_io_uring_setup, [4, into(&mut parameters)]).into()
    }),
    ("keyctl", || call(libc::SYS_keyctl, [0, (-3_isize).cast_unsigned(), 1]).into()),
    ("add_key", || {
        call(libc::SYS_add_key, [text(c"user"), text(c"canary"), text(c"x"), 1, (-3_isize).cast_unsigned()])
            .into()
    }),
    ("request_key", || call(libc::SYS_request_key, [text(c"user"), text(c"canary"), 0, 0]).into()),
    ("init_module", || call(libc::SYS_init_module, [text(c"x"), 1, text(c"")]).into()),
    ("finit_module", || call(libc::SYS_finit_module, [0, text(c""), 0]).into()),
    ("delete_module", || call(libc::SYS_delete_module, [text(c"canary"), 0]).into()),
    ("kexec_load", || call(libc::SYS_kexec_load, [0, 0, 0, 0]).into()),
    // What it asks for is that Ctrl-Alt-Del is told to process 1.
    ("reboot", || call(libc::SYS_reboot, [0xFEE1_DEAD, 0x2812_1969, 0, 0]).into()),
    ("swapon", || call(libc::SYS_swapon, [text(c"/workspace/none"), 0]).into()),
    ("swapoff", || call(libc::SYS_swapoff, [text(c"/workspace/none")]).into()),
    ("settimeofday", || call(libc::SYS_settimeofday, [1, 0]).into()),
    ("clock_settime", || call(libc::SYS_clock_settime, [0, 1]).into()),
    ("adjtimex", || {
        // ADJ_TICK with the usual tick.
        let mut time = [0_u64; 26];
        (time[0], time[11]) = (0x4000, 10_000);
        call(libc::SYS_adjtimex, [into(&mut time)]).into()
    }),
    ("sethostname", || call(libc::SYS_sethostname, [text(c"canary"), 6]).into()),
    ("setdomainname", || call(libc::SYS_setdomainname, [text(c"canary"), 6]).into()),
    ("quotactl", || call(libc::SYS_quotactl, [0x8000_0700, text(c"/dev/vda"), 0, 1]).into()),
    ("acct", || call(libc::SYS_acct, [text(c"/workspace/accounts")]).into()),
    ("syslog", || call(libc::SYS_syslog, [10, 0, 0]).into()),
    ("fanotify", || call(libc::SYS_fanotify_init, [0, 0]).into()),
    ("lookup_dcookie", || call(libc::SYS_lookup_dcookie, [1, 1, 1]).into()),
    ("personality without randomisation", || call(libc::SYS_personality, [0x004_0000]).into()),
    ("set_mempolicy", || call(libc::SYS_set_mempolicy, [0, 0, 0]).into()),
    ("vhangup", || call(libc::SYS_vhangup, []).into()),
    ("open_by_handle_at", || {
        // The root of the filesystem that the workspace is on, as in the oldest escape from Docker.
        let handle = [8_u32, 1, 2, 0];
        call(libc::SYS_open_by_handle_at, [HERE, to(&handle), 0]).into()
    }),
    #[cfg(target_arch = "x86_64")]
    ("iopl", || call(libc::SYS_iopl, [3]).into()),
    #[cfg(target_arch = "x86_64")]
    ("ioperm", || call(libc::SYS_ioperm, [0x80, 1, 1]).into()),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", || call(libc::SYS_modify_ldt, [1, 1, 1]).into()),
    #[cfg(target_arch = "x86_64")]
    ("a call of x32", || call(0x4000_0000 + 39, []).into()),
    ("a call that is newer than the filter", || call(1000, []).into()),
    ("type at a terminal", || {
        let file = std::fs::File::options().read(true).write(true).open("/dev/ptmx");
        let Ok(file) = file else { return whether(false, "there is no terminal") };
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file).cast_unsigned() as usize;
        Outcome::from(call(libc::SYS_ioctl, [descriptor, 0x5412, text(c"x")]))
    }),
];
