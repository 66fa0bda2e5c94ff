//! The workspace: inputs that nothing can change, and what the step leaves behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use cullet_worker::sandbox::Sandbox;
use support::{Step, run_in, sandbox, step};

fn with_inputs(sandbox: &Sandbox, script: &str) -> Step {
    let owner = sandbox.owner();
    let made = step(script).input(owner, "file", "contents\n").input(owner, "dir/inner", "inner\n").input(
        owner,
        "dir/other",
        "other\n",
    );
    std::os::unix::fs::chown(&made.launch.inputs, owner, owner).unwrap();
    made
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0_u8; 64];
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: two C strings and a buffer with its length.
    let length =
        unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(length).ok().map(|length| value[..length].to_vec())
}

both_users! {
    fn no_change_reaches_an_input() {
        let sandbox = sandbox();
        let script = "set -e; chmod 000 file; chmod 644 file; touch -d 2001-01-01 file; echo more >> file; truncate -s 2 file; \
                      ln file link; setfattr -n user.a -v b file 2>/dev/null || true; \
                      mv file moved; rm -r dir; echo new > dir; python3 -c 'import mmap; f=open(\"moved\",\"r+b\"); m=mmap.mmap(f.fileno(),0); m[0]=88; m.flush()'; cat moved";
        let step = with_inputs(&sandbox, script);
        let file = step.launch.inputs.join("file");
        let before = std::fs::metadata(&file).unwrap();
        assert!(run_in(&sandbox, &step).ok().starts_with('X'));
        let after = std::fs::metadata(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "contents\n");
        assert_eq!(std::fs::read_to_string(step.launch.inputs.join("dir/inner")).unwrap(), "inner\n");
        for meta in [|m: &std::fs::Metadata| i64::from(m.mode()), |m: &std::fs::Metadata| m.mtime_nsec(), |m: &std::fs::Metadata| m.ctime_nsec(), |m: &std::fs::Metadata| m.nlink().cast_signed()] {
            assert_eq!(meta(&before), meta(&after));
        }
    }

    fn layers_tell_what_was_made_and_removed() {
        let sandbox = sandbox();
        let step = with_inputs(&sandbox, "rm file; rm -r dir; mkdir dir; echo x > dir/new; mkdir -p a/b; echo y > a/b/c; ln -s c a/b/l");
        let outcome = run_in(&sandbox, &step);
        outcome.ok();
        let upper = outcome.upper();
        assert_eq!(outcome.execution.workspace, [step.launch.scratch.join("upper"), step.launch.inputs.clone()]);
        let whiteout = std::fs::symlink_metadata(upper.join("file")).unwrap();
        assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
        assert_eq!(xattr(&upper.join("dir"), "user.overlay.opaque").as_deref(), Some(b"y".as_slice()));
        assert_eq!(xattr(&upper.join("a"), "user.overlay.opaque"), None);
        assert_eq!(std::fs::read_to_string(upper.join("a/b/c")).unwrap(), "y\n");
        assert_eq!(std::fs::read_link(upper.join("a/b/l")).unwrap(), Path::new("c"));
        assert_eq!(std::fs::metadata(upper.join("dir/new")).unwrap().uid(), sandbox.owner().unwrap_or_else(|| nix::unistd::geteuid().as_raw()));
    }

    fn inputs_may_lie_below_a_closed_directory_with_an_odd_name() {
        let sandbox = sandbox();
        let mut step = with_inputs(&sandbox, "cat file; echo out > out");
        let odd = step.dir.path().join("a,b:c\\d\"e\nf");
        std::fs::create_dir(&odd).unwrap();
        for (name, path) in [("inputs", &mut step.launch.inputs), ("scratch", &mut step.launch.scratch)] {
            std::fs::rename(&path, odd.join(name)).unwrap();
            *path = odd.join(name);
        }
        std::fs::set_permissions(step.dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let outcome = run_in(&sandbox, &step);
        assert_eq!(outcome.ok(), "contents");
        assert_eq!(std::fs::read_to_string(outcome.upper().join("out")).unwrap(), "out\n");
    }

    fn the_scratch_directory_can_be_removed_afterwards() {
        let sandbox = sandbox();
        let step = with_inputs(&sandbox, "rm file; mkdir -p x/y; touch x/y/z; mv dir moved 2>/dev/null || true");
        run_in(&sandbox, &step).ok();
        std::fs::remove_dir_all(&step.launch.scratch).unwrap();
    }

    fn the_scratch_directory_is_reported_when_it_is_used() {
        let sandbox = sandbox();
        let step = with_inputs(&sandbox, "true");
        std::fs::create_dir(step.launch.scratch.join("upper")).unwrap();
        let error = support::runtime().block_on(step.run_on(&sandbox)).unwrap_err();
        assert!(error.to_string().contains("prepare the scratch directory"), "{error}");
    }

    fn a_missing_input_directory_is_not_the_steps_fault() {
        let sandbox = sandbox();
        let mut step = with_inputs(&sandbox, "true");
        step.launch.inputs = step.dir.path().join("missing");
        let error = support::runtime().block_on(step.run_on(&sandbox)).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
