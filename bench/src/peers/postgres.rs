//! PostgreSQL: a table with a primary key, asked by a prepared statement.
//!
//! Its protocol, version 3.0, is spoken here as far as that goes: a client crate would bring a second generation of a
//! dozen cryptographic ones, for logins that nobody makes here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::wire::{Protocol, Wire};
use super::{Keys, POSTGRES, command, free_address};
use crate::compare::Contender;
use crate::import::Way;
use crate::load::Line;
use crate::process::{On, Server, spawn};
use crate::world::World;
use crate::{Result, note, tls};

/// It refuses to run as root: as `nobody` then.
const NOBODY: u32 = 65_534;
/// What the protocol calls version 3.0, and the request for TLS before it.
const VERSION: i32 = 196_608;
const SSL_REQUEST: i32 = 80_877_103;
/// The type of `bytea`.
const BYTEA: i32 = 17;

const CONFIG: &str = "listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = '512MB'
fsync = off
ssl = on
ssl_cert_file = 'server.pem'
ssl_key_file = 'server.key'
ssl_ca_file = 'ca.pem'
ssl_min_protocol_version = 'TLSv1.3'
";

pub(crate) struct Postgres {
    pub(crate) server: Server,
    tls: Arc<ClientConfig>,
    keys: Keys,
    /// Apart from the world: its user has no way into that.
    dir: TempDir,
}

impl Postgres {
    pub(super) async fn start(world: &World, program: &Path, keys: Keys, on: On) -> Result<Self> {
        let dir = TempDir::with_prefix("xinhub-bench-postgres-")?;
        let as_nobody = rustix::process::geteuid().is_root();
        let as_user = |mut command: Command| {
            command.current_dir(dir.path());
            if as_nobody {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        own(dir.path(), as_nobody)?;
        let data = dir.path().join("data");
        let mut init = as_user(command(&program.with_file_name("initdb")));
        init.arg("--pgdata").arg(&data).args([
            "--username=bench",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        let made = spawn(init.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()), On::All)?
            .wait_with_output()?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        for file in ["server.pem", "server.key", "ca.pem"] {
            fs::copy(world.path("pki").join(file), data.join(file))?;
            own(&data.join(file), as_nobody)?;
        }
        fs::write(data.join("postgresql.conf"), CONFIG)?;
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n")?;
        let rows = write_rows(dir.path(), keys)?;
        let address = free_address()?;
        let mut postgres = as_user(command(program));
        postgres.arg("-D").arg(&data).args(["-p", &address.port().to_string()]);
        // It takes connections before it lets anybody in.
        let listening = async |log: &str| Ok(log.contains("ready to accept connections").then_some(address));
        let server = Server::start_when(postgres, &world.path("postgres.log"), on, listening).await?;
        let postgres = Self { server, tls: tls::client(world, None)?, keys, dir };
        postgres.load(&rows).await?;
        Ok(postgres)
    }

    async fn load(&self, rows: &Path) -> Result<()> {
        note(format_args!("copying {} rows into PostgreSQL", self.keys.rows));
        self.execute(&[
            "CREATE TABLE listed (key bytea NOT NULL, value bytea NOT NULL)",
            &format!("COPY listed FROM '{}'", rows.display()),
            "ALTER TABLE listed ADD PRIMARY KEY (key)",
            "VACUUM ANALYZE listed",
        ])
        .await
    }

    async fn execute(&self, statements: &[&str]) -> Result<()> {
        let mut wire = self.connect().await?;
        for statement in statements {
            execute_on(&mut wire, statement).await?;
        }
        Ok(())
    }

    /// Copies a court's listings, below a header, into a table of texts with a primary key, of identity number and case. What prepares it
    /// doesn't count.
    pub(crate) async fn copy_listings(&self, rows: &str) -> Result<Way> {
        // Where its user finds them.
        let path = self.dir.path().join("listings.csv");
        fs::write(&path, rows)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        let header = rows.lines().next().unwrap_or_default().trim_end();
        let columns = header.split(',').map(|name| format!("\"{name}\" text")).collect::<Vec<_>>().join(", ");
        let key = "PRIMARY KEY (\"cardNum\", \"caseCode\")";
        self.execute(&[&format!("CREATE TABLE IF NOT EXISTS listings ({columns}, {key})")]).await?;
        let mut wire = self.connect().await?;
        // What works for this connection is a process, which counts as long as that is open.
        let (began, cpu_before) = (Instant::now(), self.server.usage()?.cpu_s);
        let copy = format!("COPY listings FROM '{}' WITH (FORMAT csv, HEADER true)", path.display());
        execute_on(&mut wire, &copy).await?;
        let (seconds, cpu_after) = (began.elapsed().as_secs_f64(), self.server.usage()?.cpu_s);
        Ok(Way { seconds, cpu_s: cpu_after - cpu_before })
    }

    /// A connection with the statement prepared on it.
    async fn connect(&self) -> Result<Wire> {
        let mut tcp = TcpStream::connect(self.server.address).await?;
        tcp.write_all(&[8i32.to_be_bytes(), SSL_REQUEST.to_be_bytes()].concat()).await?;
        if tcp.read_u8().await? != b'S' {
            return Err("PostgreSQL has no TLS".into());
        }
        let mut wire = Wire::over(&self.tls, tcp).await?;
        let hello = [&VERSION.to_be_bytes()[..], b"user\0bench\0database\0postgres\0\0"].concat();
        let length = i32::try_from(hello.len() + 4)?.to_be_bytes();
        wire.send(&[&length[..], &hello].concat()).await?;
        refused(&wire.receive(ready).await?)?;
        Ok(wire)
    }

    async fn prepared(&self) -> Result<Wire> {
        let mut wire = self.connect().await?;
        let select = b"listed\0SELECT value FROM listed WHERE key = $1\0";
        let parse = message(b'P', &[select, &1i16.to_be_bytes(), &BYTEA.to_be_bytes()]);
        wire.send(&[parse, message(b'S', &[])].concat()).await?;
        refused(&wire.receive(ready).await?)?;
        Ok(wire)
    }

    pub(super) fn contender(&self) -> Contender<'_> {
        let protocol = Selects { keys: self.keys };
        Contender::new(POSTGRES, &self.server, move || async move {
            let wire = self.prepared().await?;
            Ok(Line::Pipe(Box::new(move |burst| Box::pin(wire.pump(protocol, burst)))))
        })
    }
}

async fn execute_on(wire: &mut Wire, statement: &str) -> Result<()> {
    wire.send(&message(b'Q', &[statement.as_bytes(), b"\0"])).await?;
    refused(&wire.receive(ready).await?)
}

/// The whole table as `COPY` reads it.
fn write_rows(dir: &Path, keys: Keys) -> Result<PathBuf> {
    use std::io::Write;

    let path = dir.join("rows");
    let mut file = std::io::BufWriter::new(fs::File::create(&path)?);
    for key in keys.all() {
        let hex = format!("{:032x}", u128::from_be_bytes(key));
        writeln!(file, "\\\\x{hex}\t\\\\x{hex}")?;
    }
    file.flush()?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    Ok(path)
}

fn own(path: &Path, as_nobody: bool) -> Result<()> {
    if as_nobody {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Selects {
    keys: Keys,
}

impl Protocol for Selects {
    fn ask(&self, at: usize, to: &mut Vec<u8>) {
        let (key, _) = self.keys.asked(at);
        let one = 1i16.to_be_bytes();
        // No portal's name, the statement's; one parameter, binary; one column, binary.
        to.extend(message(b'B', &[b"\0listed\0", &one, &one, &one, &16i32.to_be_bytes(), &key, &one, &one]));
        to.extend(message(b'E', &[b"\0", &0i32.to_be_bytes()]));
        to.extend(message(b'S', &[]));
    }

    fn answer(&self, at: usize, from: &[u8]) -> Result<Option<usize>> {
        let Some(length) = ready(from)? else { return Ok(None) };
        let (key, listed) = self.keys.asked(at);
        let row = messages(&from[..length]).find(|(kind, _)| *kind == b'D').map(|(_, row)| row);
        let expected = listed.then(|| [&1i16.to_be_bytes()[..], &16i32.to_be_bytes(), &key].concat());
        if row != expected.as_deref() {
            refused(&from[..length])?;
            return Err("PostgreSQL answers with another row".into());
        }
        Ok(Some(length))
    }
}

/// A message: its kind, its length but for the kind, its parts.
fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = vec![kind];
    message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

/// Whole messages, each with its kind.
fn messages(mut from: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, rest) = from.split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let body = rest.get(4..length)?;
        from = &rest[length..];
        Some((*kind, body))
    })
}

/// Up to and with the message that says that the next question may come.
fn ready(from: &[u8]) -> Result<Option<usize>> {
    let mut length = 0;
    for (kind, body) in messages(from) {
        length += 5 + body.len();
        if kind == b'Z' {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

/// If one of the messages is an error, what it says.
fn refused(answer: &[u8]) -> Result<()> {
    match messages(answer).find(|(kind, _)| *kind == b'E') {
        Some((_, fields)) => Err(format!("PostgreSQL: {}", String::from_utf8_lossy(fields).replace('\0', " ")).into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole_and_right() {
        let selects = Selects { keys: Keys { rows: 1_000 } };
        let row = |at| {
            let (key, _) = selects.keys.asked(at);
            message(b'D', &[&1i16.to_be_bytes(), &16i32.to_be_bytes(), &key])
        };
        let (bound, done, idle) = (message(b'2', &[]), message(b'C', &[b"SELECT 1\0"]), message(b'Z', &[b"I"]));
        let hit = [&bound[..], &row(99), &done, &idle].concat();
        let miss = [&bound[..], &done, &idle].concat();
        assert_eq!(selects.answer(99, &hit).unwrap(), Some(hit.len()));
        assert_eq!(selects.answer(98, &miss).unwrap(), Some(miss.len()));
        for cut in 0..hit.len() {
            assert_eq!(selects.answer(99, &hit[..cut]).unwrap(), None, "{cut}");
        }
        assert!(selects.answer(98, &hit).is_err() && selects.answer(99, &miss).is_err());
        let error = [&message(b'E', &[b"Mno\0\0"])[..], &idle].concat();
        assert!(selects.answer(99, &error).unwrap_err().to_string().contains("no"));
    }
}
