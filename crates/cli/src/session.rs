//! From raw arguments and the context to one checked way to the hub.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;
use xinhub_client::{Config, Hub, v1};

use crate::args::{ActorArgs, ApproverArgs, ConnectArgs, CountersignedArgs, GlobalArgs, MutationArgs, RequestArgs};
use crate::context::{self, Context, Contexts};
use crate::exit::Failure;

/// The hub gives no more at once.
pub(crate) const PAGE_ROWS: u64 = 500;

/// A hub to call, and who calls.
pub(crate) struct Session {
    config: Config,
    actor: Option<String>,
    post: Option<String>,
}

impl Session {
    /// Arguments go before the context.
    pub(crate) fn resolve(global: &GlobalArgs, connect: &ConnectArgs) -> Result<Self, Failure> {
        let given = Context {
            endpoint: connect.endpoint.clone(),
            ca: connect.ca.clone(),
            cert: connect.cert.clone(),
            key: connect.key.clone(),
            server_name: connect.server_name.clone(),
            actor: None,
            post: None,
        };
        // Where everything is given, a broken file of contexts is nobody's trouble.
        let is_whole = given.endpoint.is_some() && given.ca.is_some() && given.cert.is_some() && given.key.is_some();
        let context = match (&global.context, is_whole) {
            (None, true) => given,
            (name, _) => given.or(Contexts::read(&context::path()?)?.select(name.as_deref())?),
        };
        Self::of(context, connect.timeout)
    }

    fn of(context: Context, timeout_s: Option<u64>) -> Result<Self, Failure> {
        let missing: Vec<&str> = [
            ("--endpoint", context.endpoint.is_none()),
            ("--ca", context.ca.is_none()),
            ("--cert", context.cert.is_none()),
            ("--key", context.key.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, is_missing)| is_missing.then_some(name))
        .collect();
        if !missing.is_empty() {
            return Err(Failure::Config(format!(
                "no way to the hub: give {}, or make a context (`xinhub context set`)",
                missing.join(", ")
            )));
        }
        let path = |path: Option<PathBuf>| path.unwrap_or_default();
        let mut config =
            Config::new(context.endpoint.unwrap_or_default(), path(context.ca), path(context.cert), path(context.key));
        config.server_name = context.server_name;
        if let Some(timeout) = timeout_s.map(Duration::from_secs) {
            config.timeouts.connect = timeout;
            config.timeouts.lookup = timeout;
            config.timeouts.batch = timeout;
            config.timeouts.mutation = timeout;
        }
        Ok(Self { config, actor: context.actor, post: context.post })
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Hub, Failure> {
        Ok(Hub::connect(self.config.clone()).await?)
    }

    /// The head of a mutation of a listing.
    pub(crate) fn mutation(&self, args: &MutationArgs) -> Result<v1::Mutation, Failure> {
        self.head(&args.request, args.etag.as_deref())
    }

    /// The head of a mutation that may take a second person.
    pub(crate) fn countersigned(&self, args: &CountersignedArgs) -> Result<v1::Mutation, Failure> {
        Ok(v1::Mutation { approver: approver(&args.approver), ..self.mutation(&args.mutation)? })
    }

    /// The head of any mutation.
    pub(crate) fn head(&self, args: &RequestArgs, etag: Option<&str>) -> Result<v1::Mutation, Failure> {
        let actor = Some(self.actor(&args.actor)?);
        Ok(v1::Mutation {
            request_id: request_id(args)?,
            etag: etag.unwrap_or_default().to_owned(),
            actor,
            approver: None,
        })
    }

    /// The head of what a machine may say too: without an actor where neither argument nor context names one.
    pub(crate) fn machine_head(&self, args: &RequestArgs) -> Result<v1::Mutation, Failure> {
        let given = [&args.actor.actor, &args.actor.post, &self.actor, &self.post];
        if given.iter().any(|value| value.is_some()) {
            return self.head(args, None);
        }
        Ok(v1::Mutation { request_id: request_id(args)?, etag: String::new(), actor: None, approver: None })
    }

    /// Who stands behind a mutation.
    pub(crate) fn actor(&self, args: &ActorArgs) -> Result<v1::Actor, Failure> {
        let pick = |given: &Option<String>, kept: &Option<String>, name| {
            let value = given.as_ref().or(kept.as_ref()).cloned();
            value.ok_or_else(|| {
                Failure::Usage(format!("{name}: who stands behind this? Give it here or in the context"))
            })
        };
        Ok(v1::Actor {
            staff_id: pick(&args.actor, &self.actor, "--actor")?,
            post: pick(&args.post, &self.post, "--post")?,
        })
    }
}

/// The second person, if one is named.
pub(crate) fn approver(args: &ApproverArgs) -> Option<v1::Actor> {
    let post = args.approver_post.clone().unwrap_or_default();
    args.approver.clone().map(|staff_id| v1::Actor { staff_id, post })
}

/// A request id made here is told, so that an unclear outcome can be asked for again.
fn request_id(args: &RequestArgs) -> Result<String, Failure> {
    match &args.request_id {
        Some(id) => checked_uuid(id, "--request-id"),
        None => {
            let id = xinhub_client::request_id();
            eprintln!("request id: {id}");
            Ok(id)
        }
    }
}

/// Asks at the terminal; a script that can't be asked has to say `--yes`.
pub(crate) fn confirmed(question: &str) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    eprint!("{question}? [y/N] ");
    std::io::stderr().flush().map_err(Failure::io("standard error"))?;
    let mut answer = String::new();
    stdin.read_line(&mut answer).map_err(Failure::io("standard input"))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是"))
}

/// A UUIDv7 (RFC 9562), as the hub demands it.
pub(crate) fn checked_uuid(text: &str, name: &str) -> Result<String, Failure> {
    match Uuid::try_parse(text) {
        Ok(id) if id.get_version_num() == 7 => Ok(id.to_string()),
        Ok(_) | Err(_) => Err(Failure::Usage(format!("{name}: expected a UUIDv7 (RFC 9562)"))),
    }
}
