use std::fs::File;

use super::*;

fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

#[test]
fn descriptors_travel_with_a_message() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let file = null();
    send_frame(&ours, &"text".to_owned(), &[file.as_fd(), file.as_fd(), file.as_fd()]).unwrap();
    let (text, fds) = recv_frame::<String>(&theirs).unwrap().unwrap();
    assert_eq!((text.as_str(), fds.len()), ("text", 3));
    drop(ours);
    assert!(recv_frame::<String>(&theirs).unwrap().is_none());
}

#[test]
fn a_message_without_sense_does_not_spoil_the_next() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    send_frame(&ours, &[0xff_u8; 3], &[null().as_fd()]).unwrap();
    send_frame(&ours, &"next".to_owned(), &[]).unwrap();
    let error = recv_frame::<String>(&theirs).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(recv_frame::<String>(&theirs).unwrap().unwrap().0, "next");
}

/// In a process of its own, because the limit holds for all threads.
#[test]
fn a_message_arrives_when_its_descriptors_cannot() {
    const CHILD: &str = "CULLET_TEST_NO_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let test = "sandbox::frame::tests::a_message_arrives_when_its_descriptors_cannot";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args([test, "--exact", "--test-threads=1"]).env(CHILD, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let file = null();
    let free = file.try_clone().unwrap();
    let limit = free.as_raw_fd() as u64 + 1;
    drop(free);
    send_frame(&ours, &7_u32, &[file.as_fd(), file.as_fd(), file.as_fd()]).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, limit, limit).unwrap();
    let (number, fds) = recv_frame::<u32>(&theirs).unwrap().unwrap();
    assert_eq!((number, fds.len()), (7, 1));
    drop(fds);
    assert!(file.try_clone().is_ok(), "a descriptor that came was not closed");
}
