//! `ContentAddressableStorage.GetTree`.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use cullet_digest::{Digest, Directory};
use cullet_proto::reapi::storage::{GetTreeRequest, GetTreeResponse};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::StorageServices;
use super::services::{digest, function};
use crate::StoreError;
use crate::grpc::{BATCH, wire};
use crate::whole::read_whole;

/// What is sent.
pub(super) type Directories = BoxStream<'static, Result<GetTreeResponse, Status>>;

/// Directories in one answer, where the client does not say how many it wants, and the most it gets.
const PAGE: usize = 1000;

/// Bytes of directories after which an answer is sent.
const PAGE_BYTES: usize = 1 << 20;

/// Directories in one tree.
const MOST: usize = 1 << 20;

/// A walk through a tree, parents before what is below them, each directory once.
struct Walk {
    server: StorageServices,
    waiting: VecDeque<Digest>,
    seen: HashSet<Digest>,
    /// Directories that were met.
    met: usize,
    /// Those that the client has already.
    skipped: usize,
    page: usize,
    /// Held as long as the stream.
    _permit: OwnedSemaphorePermit,
}

impl StorageServices {
    /// Starts sending a tree. What is missing below the root is left out, as REAPI wants it.
    pub(super) async fn begin_tree(&self, request: GetTreeRequest) -> Result<Directories, Status> {
        self.check_instance(&request.instance_name)?;
        let function = function(request.digest_function)?;
        let root = request.root_digest.ok_or_else(|| Status::invalid_argument("there is no root_digest"))?;
        let root = digest(function, &root)?;
        let skipped = match &*request.page_token {
            "" => 0,
            token => {
                token.parse().map_err(|_| Status::invalid_argument("this page_token is none of ours"))?
            }
        };
        let page = match usize::try_from(request.page_size) {
            Ok(0) => PAGE,
            Ok(page) => page.min(PAGE),
            Err(_) => return Err(Status::invalid_argument("the page_size is negative")),
        };
        let permit = self.begin_read()?;
        let mut walk = Walk {
            server: self.clone(),
            waiting: VecDeque::from([root]),
            seen: HashSet::from([root]),
            met: 0,
            skipped,
            page,
            _permit: permit,
        };
        let first = walk.next().await?.ok_or_else(|| Status::not_found(format!("{root} is not there")))?;
        let rest = stream::try_unfold(walk, |mut walk| async move {
            Ok(walk.next().await?.map(|answer| (answer, walk)))
        });
        Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
    }
}

impl Walk {
    /// The next answer; none behind the last one.
    async fn next(&mut self) -> Result<Option<GetTreeResponse>, Status> {
        let (mut directories, mut bytes) = (Vec::new(), 0);
        let begins = self.met == 0;
        while directories.len() < self.page
            && bytes < PAGE_BYTES
            && let Some(next) = self.waiting.pop_front()
        {
            let Some((directory, encoded)) = self.read(next).await? else { continue };
            for child in directory.directories() {
                if self.seen.len() < MOST && self.seen.insert(child.digest) {
                    self.waiting.push_back(child.digest);
                }
            }
            self.met += 1;
            if self.met > self.skipped {
                bytes += encoded.len();
                directories.push(encoded);
            }
        }
        // One page of a tree of which the client has all is empty; of one that is not there, there is none.
        if directories.is_empty() && (!begins || self.met == 0) {
            return Ok(None);
        }
        let next_page_token = if self.waiting.is_empty() { String::new() } else { self.met.to_string() };
        Ok(Some(GetTreeResponse { directories, next_page_token }))
    }

    /// A directory, if it is there and is one.
    async fn read(&self, digest: Digest) -> Result<Option<(Directory, Bytes)>, Status> {
        if digest.is_empty() {
            return Ok(Some((Directory::default(), Bytes::new())));
        }
        if digest.size() > BATCH {
            let what = format!("{digest} is no Directory that fits into a message of {BATCH} bytes");
            return Err(Status::failed_precondition(what));
        }
        let blob = match self.server.store.get(&digest).await {
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => return Ok(None),
            found => found.map_err(|error| wire::status(&error))?,
        };
        let bytes = read_whole(blob).await.map_err(|error| wire::status(&error))?;
        let directory = Directory::decode(digest.function(), &bytes);
        let what = |error| Status::failed_precondition(format!("{digest} is no Directory: {error}"));
        Ok(Some((directory.map_err(what)?, bytes)))
    }
}
