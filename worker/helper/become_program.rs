//! Becoming another program, with the contents of files as variables.

use core::ffi::{CStr, c_char};
use core::ptr;

use super::Given;
use super::system::{self, E2BIG, EACCES, ENOENT, ENOEXEC, ENOTDIR};

/// All secrets of a step have at most 256 KiB; this is more than that and their names.
const VALUES: usize = 320 << 10;
/// More variables than any system hands over.
const VARIABLES: usize = 32 << 10;
/// PATH_MAX.
const PATH: usize = 4096;

/// What a shell answers for a program that is not there, and for one that cannot be run.
const ABSENT: i32 = 127;
const UNUSABLE: i32 = 126;
/// What was to be read cannot be.
const NO_SECRET: i32 = 1;

static mut VALUE_BYTES: [u8; VALUES] = [0; VALUES];
static mut POINTERS: [*const c_char; VARIABLES] = [ptr::null(); VARIABLES];
static mut PROGRAM: [u8; PATH] = [0; PATH];
static mut SCRIPT: [*const c_char; VARIABLES] = [ptr::null(); VARIABLES];

/// Where secrets are.
const PLACE: &[u8] = b"/run/secrets/";

/// Comes back only where that was not possible, with the exit code; none where it makes no sense.
pub(crate) fn run(given: &Given) -> Option<i32> {
    let names = given.argument(2)?.to_bytes();
    let name = given.argument(3)?;
    // SAFETY: nothing else in this process, which has one thread, uses them.
    let (bytes, pointers) = unsafe { (&mut *(&raw mut VALUE_BYTES), &mut *(&raw mut POINTERS)) };
    let Some(count) = environment(given, names, bytes, pointers) else {
        say(&[b"cullet: the secrets of the step are not there\n"]);
        return Some(NO_SECRET);
    };
    let error = execute(given, name, pointers.get(..=count)?);
    // As the engine's init says it, with a number in place of words.
    let digits = [b'#', digit(error / 100), digit(error / 10), digit(error)];
    say(&[b"[FATAL tini (7)] exec ", name.to_bytes(), b" failed: ", &digits, b"\n"]);
    Some(if error == ENOENT { ABSENT } else { UNUSABLE })
}

fn digit(number: i32) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

fn say(parts: &[&[u8]]) {
    for part in parts {
        // There is nobody else to say it to.
        let _ = system::write(2, part);
    }
}

/// Puts the given variables, but for those that secrets take the place of, and the secrets one behind the other, and a null
/// pointer behind them; how many they are. Of two variables with one name, programs would find the first.
fn environment(
    given: &Given,
    names: &[u8],
    bytes: &'static mut [u8],
    pointers: &mut [*const c_char],
) -> Option<usize> {
    let mut count = 0;
    let mut add = |pointer: *const c_char| {
        *pointers.get_mut(count)? = pointer;
        count += 1;
        Some(())
    };
    let names = || names.split(|byte| *byte == b',').filter(|name| !name.is_empty());
    let is_of =
        |text: &[u8], name: &[u8]| text.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'='));
    for text in given.variables() {
        if !names().any(|name| is_of(text.to_bytes(), name)) {
            add(text.as_ptr())?;
        }
    }
    let mut rest = bytes;
    for name in names() {
        let length = variable(name, rest)?;
        let (variable, behind) = rest.split_at_mut_checked(length)?;
        add(variable.as_ptr().cast())?;
        rest = behind;
    }
    add(ptr::null())?;
    Some(count - 1)
}

/// Writes `NAME=VALUE` and a NUL; how many bytes that are. A line end at the end of a value is not in it.
fn variable(name: &[u8], to: &mut [u8]) -> Option<usize> {
    let mut path = [0; 256];
    let path = joined(&mut path, &[PLACE, name])?;
    let mut length = joined(to, &[name, b"="])?.count_bytes();
    let begin = length;
    let file = system::open(path).ok()?;
    loop {
        let room = to.get_mut(length..).filter(|room| room.len() > 1)?;
        match system::read(file, room).ok()? {
            0 => break,
            count => length += count,
        }
    }
    for end in [b'\n', b'\r'] {
        length -= usize::from(length > begin && to.get(length - 1) == Some(&end));
    }
    *to.get_mut(length)? = 0;
    Some(length + 1)
}

/// The parts as one string.
fn joined<'a>(to: &'a mut [u8], parts: &[&[u8]]) -> Option<&'a CStr> {
    let mut length = 0;
    for part in parts {
        to.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    *to.get_mut(length)? = 0;
    CStr::from_bytes_with_nul(to.get(..=length)?).ok()
}

/// Looks for the program as execvp(3) does, where `PATH` says that was given. The error that it failed with in the end.
fn execute(given: &Given, name: &CStr, environment: &[*const c_char]) -> i32 {
    let arguments = given.from(3);
    if name.to_bytes().contains(&b'/') {
        return start(name, arguments, environment);
    }
    if name.is_empty() {
        return ENOENT;
    }
    // SAFETY: nothing else in this process, which has one thread, uses it.
    let place = unsafe { &mut *(&raw mut PROGRAM) };
    let mut worst = ENOENT;
    let path = given.variables().find_map(|text| text.to_bytes().strip_prefix(b"PATH=")).unwrap_or_default();
    for dir in path.split(|byte| *byte == b':') {
        let parts: [&[u8]; 3] = [dir, if dir.is_empty() { b"" } else { b"/" }, name.to_bytes()];
        let Some(path) = joined(place, &parts) else { continue };
        match start(path, arguments, environment) {
            ENOENT | ENOTDIR => {}
            EACCES => worst = EACCES,
            error => return error,
        }
    }
    worst
}

fn start(path: &CStr, arguments: *const *const c_char, environment: &[*const c_char]) -> i32 {
    // SAFETY: both lists end with a null pointer.
    let error = unsafe { system::execve(path.as_ptr(), arguments, environment.as_ptr()) };
    if error != ENOEXEC {
        return error;
    }
    // A script without `#!` is the shell's.
    // SAFETY: nothing else in this process, which has one thread, uses it.
    let script = unsafe { &mut *(&raw mut SCRIPT) };
    (script[0], script[1]) = (c"/bin/sh".as_ptr(), path.as_ptr());
    for (index, place) in script[2..].iter_mut().enumerate() {
        // SAFETY: the list ends with a null pointer, and with it this does.
        *place = unsafe { *arguments.add(index + 1) };
        if place.is_null() {
            // SAFETY: as above.
            unsafe { system::execve(c"/bin/sh".as_ptr(), script.as_ptr(), environment.as_ptr()) };
            return ENOEXEC;
        }
    }
    E2BIG
}
