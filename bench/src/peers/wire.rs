//! One socket with TLS on which questions queue: so many are under way, and answers come in the order of the questions.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::load::{Burst, Class, Tally};
use crate::{Result, tls};

const READ_BYTES: usize = 64 * 1024;

/// How questions and answers look.
pub(crate) trait Protocol: Clone + Send + 'static {
    /// Appends the question of this number.
    fn ask(&self, at: usize, to: &mut Vec<u8>);

    /// The length of the answer to it that `from` begins with; `None` if it isn't whole yet. An error if it is wrong.
    fn answer(&self, at: usize, from: &[u8]) -> Result<Option<usize>>;
}

pub(crate) struct Wire {
    stream: TlsStream<TcpStream>,
    /// What was read and not yet understood: from `read_to` on.
    input: Vec<u8>,
    read_to: usize,
}

impl Wire {
    pub(crate) async fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<Self> {
        Self::over(config, TcpStream::connect(address).await?).await
    }

    /// On a connection on which TLS begins now.
    pub(crate) async fn over(config: &Arc<ClientConfig>, tcp: TcpStream) -> Result<Self> {
        let stream = tls::connect(config, tcp).await?;
        Ok(Self { stream, input: Vec::new(), read_to: 0 })
    }

    /// Sends this.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Waits until `whole` finds an answer at the head of what has come, and takes that away.
    pub(crate) async fn receive(&mut self, whole: impl Fn(&[u8]) -> Result<Option<usize>>) -> Result<Vec<u8>> {
        loop {
            if let Some(length) = whole(&self.input[self.read_to..])? {
                let answer = self.input[self.read_to..self.read_to + length].to_vec();
                self.read_to += length;
                return Ok(answer);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        self.input.drain(..self.read_to);
        self.read_to = 0;
        self.input.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err("the server has closed the connection".into());
        }
        Ok(())
    }

    /// Keeps as many questions under way as the burst wants, until its time is over and all are answered.
    pub(crate) async fn pump(mut self, protocol: impl Protocol, burst: Burst) -> Result<Tally> {
        let mut tally = Tally::new()?;
        let mut under_way = VecDeque::with_capacity(burst.in_flight);
        let (mut output, mut next) = (Vec::new(), burst.first);
        loop {
            let now = Instant::now();
            if now < burst.end {
                while under_way.len() < burst.in_flight {
                    protocol.ask(next, &mut output);
                    under_way.push_back((next, now));
                    next += 1;
                }
            } else if under_way.is_empty() {
                return Ok(tally);
            }
            if !output.is_empty() {
                self.send(&output).await?;
                output.clear();
            }
            self.read().await?;
            while let Some((at, began)) = under_way.front() {
                let Some(length) = protocol.answer(*at, &self.input[self.read_to..])? else { break };
                self.read_to += length;
                tally.record(Class::Main, began.elapsed())?;
                under_way.pop_front();
            }
        }
    }
}
