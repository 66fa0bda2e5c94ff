//! Values of fields, likely and unlikely ones.

use bytes::Bytes;
use cullet_proto::reapi::Digest;
use fastrand::Rng;

use super::super::blobs::{BLAKE3, Blob, SHA256};

/// A digest that is there, is not, or is none.
pub(super) fn digest(rng: &mut Rng, there: &Blob) -> Digest {
    let missing = SHA256.digest(&rng.u64(..).to_le_bytes());
    match rng.u8(..12) {
        0..3 => there.digest.clone(),
        3..6 => missing,
        6 => there.sized(number(rng)),
        7 => Digest { size_bytes: number(rng), ..missing },
        8 => Digest { hash: missing.hash.to_uppercase(), ..missing },
        9 => Digest { hash: text(rng), size_bytes: number(rng) },
        10 => BLAKE3.digest(b"something else"),
        _ => SHA256.digest(b""),
    }
}

pub(super) fn digests(rng: &mut Rng, there: &Blob) -> Vec<Digest> {
    (0..rng.usize(..5)).map(|_| digest(rng, there)).collect()
}

pub(super) fn number(rng: &mut Rng) -> i64 {
    let all = [0, 1, -1, i64::MIN, i64::MAX, 23, 1 << 31, 1 << 32, 4 << 20, 1 << 40, (64 << 30) + 1];
    if rng.bool() { all[rng.usize(..all.len())] } else { rng.i64(..) >> rng.u32(..64) }
}

/// A value of an enumeration, mostly one of the first.
pub(super) fn value(rng: &mut Rng) -> i32 {
    if rng.u8(..4) > 0 { rng.i32(0..3) } else { rng.i32(..) }
}

pub(super) fn text(rng: &mut Rng) -> String {
    let all = ["", "x", "/", "..", "a/b/c", "branch/main", "\0", "é\u{202e}", "operations/", "%00", "blobs"];
    match rng.u8(..4) {
        0 => "y".repeat(rng.usize(..5000)),
        _ => all[rng.usize(..all.len())].to_owned(),
    }
}

/// The name of an instance: mostly that of one.
pub(super) fn instance(rng: &mut Rng) -> String {
    if rng.u8(..4) > 0 { String::new() } else { text(rng) }
}

/// The name of an operation, which is none, or none that is there.
pub(super) fn operation(rng: &mut Rng) -> String {
    let run = format!("{:032x}", rng.u128(..));
    match rng.u8(..4) {
        0 => text(rng),
        1 => format!("{}operations/{run}", text(rng)),
        2 => format!("operations/{}", &run[..rng.usize(..32)]),
        _ => format!("operations/{run}"),
    }
}

/// The name of a resource: parts of such names, in an order that may be theirs.
pub(super) fn resource(rng: &mut Rng, there: &Blob) -> String {
    let Digest { hash, size_bytes } = digest(rng, there);
    let upload = format!("{:x}", rng.u128(..));
    match rng.u8(..8) {
        0 => format!("blobs/{hash}/{size_bytes}"),
        1 => format!("uploads/{upload}/blobs/{hash}/{size_bytes}"),
        2 => format!("uploads/{upload}/compressed-blobs/zstd/{hash}/{size_bytes}"),
        3 => format!("logstreams/{:032x}-{}-stdout", rng.u128(..), number(rng)),
        _ => {
            let size = size_bytes.to_string();
            let log = format!("{upload}-1-stderr");
            let parts = [
                "blobs",
                "uploads",
                "compressed-blobs",
                "zstd",
                "blake3",
                "sha256",
                "logstreams",
                "operations",
                "main",
                "",
                "..",
                &hash,
                &size,
                &upload,
                &log,
            ];
            let count = rng.usize(..8);
            (0..count).map(|_| parts[rng.usize(..parts.len())]).collect::<Vec<_>>().join("/")
        }
    }
}

/// Bytes that are none of what is there.
pub(super) fn data(rng: &mut Rng) -> Bytes {
    super::bytes::random(rng, 300).into()
}
