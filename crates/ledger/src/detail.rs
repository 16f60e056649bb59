//! Types first; the store follows.
use crate::resident::Resident;
use crate::vault::Vault;
use crate::writer::Published;
use parking_lot::RwLock;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use xinhub_domain::listing::{Content, Exemption, RelationContent, State};
use xinhub_domain::time::{Day, Timestamp};

/// One listing in detail.
#[derive(Clone, Debug)]
pub struct Detail {
    pub listing: u64,
    pub state: State,
    pub revision: u64,
    pub court: String,
    pub content: Content,
    pub relations: Vec<DetailRelation>,
    pub exemptions: Vec<DetailExemption>,
    pub until: Option<Day>,
    pub grace_until: Option<Day>,
    pub listed_on: Option<Day>,
    pub updated_at: Timestamp,
}
#[derive(Clone, Debug)]
pub struct DetailRelation {
    pub relation: u64,
    pub content: RelationContent,
    pub ended: bool,
}
#[derive(Clone, Debug)]
pub struct DetailExemption {
    pub exemption: u64,
    pub content: Exemption,
    pub ended: bool,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailError {
    #[error("the detail store is catching up; try again in a moment")]
    CatchingUp,
}
pub(crate) struct DetailStore;
impl DetailStore {
    pub(crate) fn open(
        _: &Path,
        _: [u8; 16],
        _: Vault,
        _: Arc<RwLock<Resident>>,
        _: watch::Receiver<Published>,
        _: u64,
    ) -> DetailStore {
        DetailStore
    }
    pub(crate) fn listing(&self, _: u64) -> Result<Option<Arc<Detail>>, DetailError> {
        Err(DetailError::CatchingUp)
    }
    pub(crate) fn applied_revision(&self) -> u64 {
        0
    }
    pub(crate) fn stop(&self) {}
}
