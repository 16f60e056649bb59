//! Redis, in memory alone: nothing is written to disk.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use super::wire::{Protocol, Wire};
use super::{Key, Keys, REDIS, REDIS_MGET, command, free_address, start};
use crate::compare::Contender;
use crate::load::Line;
use crate::process::Server;
use crate::world::World;
use crate::{Result, note, tls};

/// Keys that one command sets.
const SET_TOGETHER: usize = 1_000;

pub(super) struct Redis {
    pub(super) server: Server,
    tls: Arc<ClientConfig>,
    keys: Keys,
}

impl Redis {
    pub(super) async fn start(world: &World, program: PathBuf, keys: Keys) -> Result<Self> {
        let address = free_address()?;
        let mut redis = command(&program);
        redis.current_dir(world.path("."));
        redis.args(["--port", "0", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        redis.args(["--tls-port", &address.port().to_string(), "--tls-auth-clients", "yes"]);
        for (name, file) in
            [("--tls-cert-file", "server.pem"), ("--tls-key-file", "server.key"), ("--tls-ca-cert-file", "ca.pem")]
        {
            redis.arg(name).arg(world.path("pki").join(file));
        }
        let server = start(redis, &world.path("redis.log"), address).await?;
        let redis = Self { server, tls: tls::client(world, None)?, keys };
        redis.load().await?;
        Ok(redis)
    }

    async fn load(&self) -> Result<()> {
        note(format_args!("setting {} keys in Redis", self.keys.rows));
        let mut wire = Wire::connect(&self.tls, self.server.address).await?;
        let all: Vec<Key> = self.keys.all().collect();
        for some in all.chunks(SET_TOGETHER) {
            let mut set = Vec::new();
            let pairs = some.iter().flat_map(|key| [&key[..], &key[..]]);
            encode(&mut set, 1 + 2 * some.len(), [&b"MSET"[..]].into_iter().chain(pairs));
            wire.send(&set).await?;
            let answer = wire.receive(|from| Ok(line(from))).await?;
            if answer != b"+OK\r\n" {
                return Err(format!("Redis: {}", String::from_utf8_lossy(&answer)).into());
            }
        }
        Ok(())
    }

    /// So many keys at a time.
    pub(super) fn contender(&self, together: u32) -> Contender<'_> {
        let what = if together == 1 { REDIS } else { REDIS_MGET };
        let protocol = Gets { keys: self.keys, together: together as usize };
        let connect = move || async move {
            let wire = Wire::connect(&self.tls, self.server.address).await?;
            Ok(Line::Pipe(Box::new(move |burst| Box::pin(wire.pump(protocol, burst)))))
        };
        Contender::new(what, &self.server, connect).per_call(together)
    }
}

/// GET, or MGET of several.
#[derive(Clone, Copy)]
struct Gets {
    keys: Keys,
    together: usize,
}

impl Protocol for Gets {
    fn ask(&self, at: usize, to: &mut Vec<u8>) {
        let asked: Vec<Key> = (0..self.together).map(|place| self.keys.asked(at * self.together + place).0).collect();
        let command = if self.together == 1 { &b"GET"[..] } else { b"MGET" };
        encode(to, 1 + self.together, [command].into_iter().chain(asked.iter().map(|key| &key[..])));
    }

    fn answer(&self, at: usize, from: &[u8]) -> Result<Option<usize>> {
        let mut length = 0;
        if self.together > 1 {
            let Some(header) = line(from) else { return Ok(None) };
            if from[..header] != *format!("*{}\r\n", self.together).as_bytes() {
                return Err(format!("Redis: {}", String::from_utf8_lossy(&from[..header])).into());
            }
            length = header;
        }
        for place in 0..self.together {
            let (key, listed) = self.keys.asked(at * self.together + place);
            let rest = &from[length..];
            let expected = if listed { [b"$16\r\n", &key[..], b"\r\n"].concat() } else { b"$-1\r\n".to_vec() };
            if rest.len() < expected.len() {
                return Ok(None);
            }
            if !rest.starts_with(&expected) {
                return Err(format!("Redis answers {:?}", String::from_utf8_lossy(&rest[..expected.len()])).into());
            }
            length += expected.len();
        }
        Ok(Some(length))
    }
}

/// A command as an array of bulk strings (Redis serialization protocol, RESP2).
fn encode<'a>(to: &mut Vec<u8>, count: usize, parts: impl Iterator<Item = &'a [u8]>) {
    to.extend_from_slice(format!("*{count}\r\n").as_bytes());
    for part in parts {
        to.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        to.extend_from_slice(part);
        to.extend_from_slice(b"\r\n");
    }
}

/// The length of the first line, its end included.
fn line(from: &[u8]) -> Option<usize> {
    from.windows(2).position(|two| two == b"\r\n").map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole_and_right() {
        let gets = Gets { keys: Keys { rows: 1_000 }, together: 2 };
        let (listed, _) = gets.keys.asked(99);
        // The questions 98 and 99: a miss and a hit.
        let right = [&b"*2\r\n$-1\r\n$16\r\n"[..], &listed, b"\r\n"].concat();
        assert_eq!(gets.answer(49, &right).unwrap(), Some(right.len()));
        assert_eq!(gets.answer(49, &[&right[..], b"*2\r\n"].concat()).unwrap(), Some(right.len()));
        for cut in 0..right.len() {
            assert_eq!(gets.answer(49, &right[..cut]).unwrap(), None, "{cut}");
        }
        let mut wrong = right;
        wrong[20] ^= 1;
        assert!(gets.answer(49, &wrong).is_err());
        assert!(gets.answer(49, b"-ERR\r\n").is_err());
    }
}
