//! What somebody might ask instead of a hub: etcd, PostgreSQL, Redis, each over TLS with client certificates on loopback, with
//! as many digest-like keys. They run in the world's own directory, and end with the value; one that isn't installed is left out.
//!
//! They get the best of it: the clients here are lean and queue their questions on one socket, nothing is authorised or put on
//! record, and keys are asked for as they are, where the hub parses an identity, checks it and digests it.

mod etcd;
mod postgres;
mod redis;
mod wire;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compare::Contender;
use crate::process::{On, Server};
use crate::world::World;
use crate::{Result, note};

pub(crate) use etcd::{Etcd, put, watch};
pub(crate) use postgres::Postgres;

pub(crate) const ETCD: &str = "etcd, serializable Range";
pub(crate) const POSTGRES: &str = "PostgreSQL, prepared select";
pub(crate) const REDIS: &str = "Redis, GET";
pub(crate) const REDIS_MGET: &str = "Redis, MGET of 1,000";
/// Keys of those whose loading would take longer than all else; fewer favour them.
const MOST_KEYS: u64 = 1_000_000;
/// Below the project's root, where `make bench-setup` unpacks Debian's packages.
const UNPACKED: &str = "target/bench-peers";

/// Those that are there.
pub(crate) struct Peers {
    etcd: Option<Etcd>,
    postgres: Option<Postgres>,
    redis: Option<redis::Redis>,
}

impl Peers {
    pub(crate) fn none() -> Self {
        Self { etcd: None, postgres: None, redis: None }
    }

    /// Starts all that are installed, with so many keys.
    pub(crate) async fn start(world: &World, rows: u64) -> Result<Self> {
        let few = Keys { rows: rows.min(MOST_KEYS) };
        let etcd = match program("etcd") {
            Some(program) => Some(Etcd::start(world, program, few).await?),
            None => left_out("etcd"),
        };
        let postgres = match program("postgres") {
            Some(program) => Some(Postgres::start(world, &program, few, On::Servers).await?),
            None => left_out("PostgreSQL"),
        };
        Ok(Self { etcd, postgres, redis: Self::redis(world, rows).await? })
    }

    /// Starts PostgreSQL alone, if it is installed, without a key; with all processors.
    pub(crate) async fn only_postgres(world: &World) -> Result<Option<Postgres>> {
        Ok(match program("postgres") {
            Some(program) => Some(Postgres::start(world, &program, Keys { rows: 0 }, On::All).await?),
            None => left_out("PostgreSQL"),
        })
    }

    /// Starts Redis alone, if it is installed.
    pub(crate) async fn only_redis(world: &World, rows: u64) -> Result<Self> {
        Ok(Self { redis: Self::redis(world, rows).await?, ..Self::none() })
    }

    async fn redis(world: &World, rows: u64) -> Result<Option<redis::Redis>> {
        Ok(match program("redis-server") {
            Some(program) => Some(redis::Redis::start(world, program, Keys { rows }).await?),
            None => left_out("Redis"),
        })
    }

    /// One key at a time.
    pub(crate) fn single_keys(&self) -> Vec<Contender<'_>> {
        let etcd = self.etcd.iter().map(Etcd::contender);
        let postgres = self.postgres.iter().map(Postgres::contender);
        let redis = self.redis.iter().map(|redis| redis.contender(1));
        etcd.chain(postgres).chain(redis).collect()
    }

    /// A thousand keys at a time: Redis alone does that.
    pub(crate) fn thousand_keys(&self) -> Vec<Contender<'_>> {
        self.redis.iter().map(|redis| redis.contender(1_000)).collect()
    }

    pub(crate) async fn stop(self) -> Result<()> {
        // Nothing that these two hold is needed any more. The third shares memory, and gives it back.
        self.etcd.into_iter().for_each(|etcd| etcd.server.kill());
        self.redis.into_iter().for_each(|redis| redis.server.kill());
        if let Some(postgres) = self.postgres {
            postgres.server.stop().await?;
        }
        Ok(())
    }
}

fn left_out<T>(name: &str) -> Option<T> {
    note(format_args!("{name} isn't installed (make bench-setup): left out"));
    None
}

/// Where a program is: unpacked, or installed.
fn program(name: &str) -> Option<PathBuf> {
    let unpacked = Path::new(UNPACKED).canonicalize().ok();
    let mut dirs: Vec<PathBuf> = unpacked.iter().map(|root| root.join("usr/bin")).collect();
    // Debian keeps a PostgreSQL of each version out of the path.
    for root in unpacked.into_iter().chain([PathBuf::from("/")]) {
        let versions = fs::read_dir(root.join("usr/lib/postgresql")).into_iter().flatten().flatten();
        dirs.extend(versions.map(|version| version.path().join("bin")));
    }
    dirs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    dirs.into_iter().map(|dir| dir.join(name)).find(|path| path.exists())
}

/// With the libraries that were unpacked beside it.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    let libraries = fs::read_dir(Path::new(UNPACKED).join("usr/lib")).into_iter().flatten().flatten();
    let libraries = libraries.filter_map(|dir| dir.path().canonicalize().ok());
    if let Ok(path) = std::env::join_paths(libraries) {
        command.env("LD_LIBRARY_PATH", path);
    }
    command
}

/// A port that nothing listens on. Some of these programs can't choose one by themselves.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Starts it, and waits until it takes connections at `address`.
async fn start(command: Command, log: &Path, address: SocketAddr) -> Result<Server> {
    let reached = async |_: &str| Ok(tokio::net::TcpStream::connect(address).await.is_ok().then_some(address));
    Server::start_when(command, log, crate::process::On::Servers, reached).await
}

/// Keys as an index has them: 16 bytes without a pattern.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    rows: u64,
}

pub(crate) type Key = [u8; 16];

impl Keys {
    fn all(self) -> impl Iterator<Item = Key> {
        (0..self.rows).map(key)
    }

    /// The key that the question of this number is about, and whether there is a value under it: one in a hundred has.
    fn asked(self, at: usize) -> (Key, bool) {
        let at = at as u64;
        let (place, listed) = (mixed(at) % self.rows, at % 100 == 99);
        (key(if listed { place } else { self.rows + place }), listed)
    }
}

fn key(number: u64) -> Key {
    (u128::from(mixed(2 * number)) << 64 | u128::from(mixed(2 * number + 1))).to_be_bytes()
}

/// SplitMix64's finaliser: every bit of the number moves half of the result's.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_key_in_a_hundred_has_a_value() {
        let keys = Keys { rows: 1_000 };
        let all: HashSet<Key> = keys.all().collect();
        assert_eq!(all.len(), 1_000);
        let asked: Vec<(Key, bool)> = (0..10_000).map(|at| keys.asked(at)).collect();
        assert_eq!(asked.iter().filter(|(_, listed)| *listed).count(), 100);
        for (key, listed) in asked {
            assert_eq!(all.contains(&key), listed);
        }
    }
}
