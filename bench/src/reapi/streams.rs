//! Large blobs as streams, one client at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cullet_digest::{Digest, DigestFunction, Hasher};
use cullet_proto::bytestream::service::byte_stream_client::ByteStreamClient;
use cullet_proto::bytestream::{ReadRequest, ReadResponse, WriteRequest};
use futures_util::stream;
use prost::bytes::Bytes;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::Result;
use crate::check::{Report, Target, throughput};
use crate::measure::{mib, resident};

/// A stream that is verified, over one whose bytes go nowhere.
const STREAM: f64 = 0.7;

/// How large blobs are, and how many of each.
const BLOBS: [(u64, u64); 2] = [(64 << 20, 8), (1 << 30, 1)];

/// Bytes of one message.
const PIECE: usize = 256 << 10;

/// Between two looks at how much memory a process has.
const LOOK: Duration = Duration::from_millis(10);

/// `process`: the coordinator, whose memory is looked at.
pub(super) async fn run(report: &mut Report, here: &Channel, there: &Channel, process: u32) -> Result<()> {
    report.heading("ByteStream, one client, verified, against a stream of the same bytes into nowhere");
    let before = resident(process);
    let watched = Watched::start(process);
    for (size, count) in BLOBS {
        let blobs: Vec<Blob> = (0..count).map(|number| Blob::new(size, size + number)).collect();
        let bytes = (size * count) as f64;
        let (mut times, name) = ([0.0; 4], format!("{} MiB", size >> 20));
        for blob in &blobs {
            for (time, channel) in times.iter_mut().zip([here, there]) {
                *time += timed(blob.write(channel.clone())).await?;
            }
        }
        for blob in &blobs {
            for (time, channel) in times[2..].iter_mut().zip([here, there]) {
                *time += timed(blob.read(channel.clone())).await?;
            }
        }
        let [written, sent, read, got] = times.map(|time| bytes / time);
        report.compare(&format!("Write of {name}"), written, sent, Target::AtLeast(STREAM), throughput);
        report.compare(&format!("Read of {name}"), read, got, Target::AtLeast(STREAM), throughput);
    }
    let most = watched.most();
    report.note(&format!(
        "memory of the coordinator: {:.0} MiB before, at most {:.0} MiB",
        mib(before),
        mib(most)
    ));
    Ok(())
}

async fn timed(work: impl Future<Output = Result<()>>) -> Result<f64> {
    let begin = Instant::now();
    work.await?;
    Ok(begin.elapsed().as_secs_f64())
}

/// A blob that repeats itself but for a number in each piece.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    piece: Arc<Vec<u8>>,
    size: u64,
    seed: u64,
    digest: Digest,
}

impl Blob {
    pub(super) fn new(size: u64, seed: u64) -> Self {
        let mut piece = vec![0; PIECE];
        fastrand::Rng::with_seed(seed).fill(&mut piece);
        let mut this =
            Self { piece: Arc::new(piece), size, seed, digest: DigestFunction::Sha256.digest(b"") };
        let mut hasher = Hasher::new(DigestFunction::Sha256);
        (0..this.pieces()).for_each(|number| hasher.update(&this.nth(number)));
        this.digest = hasher.finish();
        this
    }

    fn pieces(&self) -> u64 {
        self.size / PIECE as u64
    }

    fn nth(&self, number: u64) -> Bytes {
        let mut piece = self.piece.to_vec();
        piece[..8].copy_from_slice(&number.to_le_bytes());
        piece.into()
    }

    pub(super) async fn write(&self, channel: Channel) -> Result<()> {
        let (hash, size) = (self.digest.hash_hex(), self.size);
        let name = format!("uploads/00000000-0000-4000-8000-{:012x}/blobs/{hash}/{size}", self.seed);
        let blob = self.clone();
        let requests = (0..self.pieces()).map(move |number| WriteRequest {
            resource_name: if number == 0 { name.clone() } else { String::new() },
            write_offset: (number * PIECE as u64) as i64,
            finish_write: number + 1 == blob.pieces(),
            data: blob.nth(number),
        });
        let answer = ByteStreamClient::new(channel).write(stream::iter(requests)).await?;
        if answer.get_ref().committed_size == size as i64 {
            Ok(())
        } else {
            Err("not all was written".into())
        }
    }

    /// Begins to read it.
    pub(super) async fn begin(&self, channel: Channel) -> Result<Streaming<ReadResponse>> {
        let resource_name = format!("blobs/{}/{}", self.digest.hash_hex(), self.size);
        let request = ReadRequest { resource_name, read_offset: 0, read_limit: 0 };
        let mut client = ByteStreamClient::new(channel).max_decoding_message_size(8 << 20);
        Ok(client.read(request).await?.into_inner())
    }

    async fn read(&self, channel: Channel) -> Result<()> {
        let (mut pieces, mut read) = (self.begin(channel).await?, 0);
        while let Some(piece) = pieces.message().await? {
            read += piece.data.len() as u64;
        }
        if read == self.size { Ok(()) } else { Err("not all was read".into()) }
    }
}

/// The most memory that a process had.
struct Watched {
    over: Arc<AtomicBool>,
    looking: std::thread::JoinHandle<u64>,
}

impl Watched {
    fn start(process: u32) -> Self {
        let over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&over);
        let looking = std::thread::spawn(move || {
            let mut most = 0;
            while !ends.load(Ordering::Relaxed) {
                most = most.max(resident(process));
                std::thread::sleep(LOOK);
            }
            most
        });
        Self { over, looking }
    }

    fn most(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.looking.join().unwrap_or_default()
    }
}
