//! Named contexts: which hub, with whose certificate, on whose behalf. A file of paths and names; it holds no secret.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use crate::args::{ActorArgs, ConnectArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Out};

/// The file of contexts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use where `--context` names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// One context. What is missing has to come from arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `https://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// PEM of the CAs that the hub's certificate may chain to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM of the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    /// PEM of its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// The name that the hub's certificate carries, where it isn't the endpoint's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
    /// The staff id behind mutations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    /// The post held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) post: Option<String>,
}

/// Manages contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List the contexts
    List,
    /// Use a context from now on
    Use {
        /// Its name
        name: String,
    },
    /// Make a context, or change what is given of it; the first one made is used from then on
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        connect: ConnectArgs,
        #[command(flatten)]
        actor: ActorArgs,
    },
    /// Remove a context; its files stay
    Remove {
        /// Its name
        name: String,
    },
}

/// `$XINHUB_CONFIG`, or `xinhub/contexts.toml` in the user's configuration directory (XDG Base Directory Specification).
pub(crate) fn path() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_xdg = || set("XDG_CONFIG_HOME").map(|dir| dir.join("xinhub/contexts.toml"));
    let in_home = || set("HOME").map(|dir| dir.join(".config/xinhub/contexts.toml"));
    let path = set("XINHUB_CONFIG").or_else(in_xdg).or_else(in_home);
    path.ok_or_else(|| Failure::Config("no home directory; set XINHUB_CONFIG to the file of contexts".to_owned()))
}

impl Contexts {
    /// Reads a file; one that isn't there has no contexts. Relative paths in it are relative to it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::Config(format!("{}: {error}", path.display()))),
        };
        let mut contexts: Self =
            toml::from_str(&text).map_err(|error| Failure::Config(format!("{}: {error}", path.display())))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        for context in contexts.contexts.values_mut() {
            for file in [&mut context.ca, &mut context.cert, &mut context.key].into_iter().flatten() {
                *file = dir.join(&file);
            }
        }
        Ok(contexts)
    }

    /// The context of this name, or the current one, or an empty one where nothing is named at all.
    pub(crate) fn select(&self, name: Option<&str>) -> Result<Context, Failure> {
        let Some(name) = name.or(self.current.as_deref()) else { return Ok(Context::default()) };
        self.contexts.get(name).cloned().ok_or_else(|| unknown(name))
    }

    /// Replaces the file at once, so that a break leaves the old or the new one.
    fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = || Failure::io(path.display().to_string());
        let text = toml::to_string_pretty(self).map_err(|error| Failure::Config(error.to_string()))?;
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::create_dir_all(dir).map_err(failed())?;
        }
        let new = path.with_extension("toml.new");
        fs::write(&new, text).map_err(failed())?;
        fs::rename(&new, path).map_err(failed())
    }
}

fn unknown(name: &str) -> Failure {
    Failure::Config(format!("context {name}: there is none of this name; see `xinhub context list`"))
}

/// Runs `xinhub context …`.
pub(crate) fn run(command: ContextCommand, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let path = path()?;
    let mut contexts = Contexts::read(&path)?;
    match command {
        ContextCommand::List => {
            list(&contexts, out)?;
            return Ok(Exit::Success);
        }
        ContextCommand::Use { name } => {
            contexts.select(Some(&name))?;
            contexts.current = Some(name);
        }
        ContextCommand::Set { name, connect, actor } => {
            change(contexts.contexts.entry(name.clone()).or_default(), connect, actor)?;
            contexts.current.get_or_insert(name);
        }
        ContextCommand::Remove { name } => {
            contexts.contexts.remove(&name).ok_or_else(|| unknown(&name))?;
            contexts.current.take_if(|current| *current == name);
        }
    }
    contexts.write(&path)?;
    Ok(Exit::Success)
}

/// Paths are kept absolute: the next command may run elsewhere.
fn change(context: &mut Context, connect: ConnectArgs, actor: ActorArgs) -> Result<(), Failure> {
    let absolute = |path: Option<PathBuf>| match path {
        Some(path) => std::path::absolute(&path).map(Some).map_err(Failure::io(path.display().to_string())),
        None => Ok(None),
    };
    let given = Context {
        endpoint: connect.endpoint,
        ca: absolute(connect.ca)?,
        cert: absolute(connect.cert)?,
        key: absolute(connect.key)?,
        server_name: connect.server_name,
        actor: actor.actor,
        post: actor.post,
    };
    *context = given.or(std::mem::take(context));
    Ok(())
}

impl Context {
    /// Each part of this context, or else of the other.
    pub(crate) fn or(self, other: Context) -> Context {
        Context {
            endpoint: self.endpoint.or(other.endpoint),
            ca: self.ca.or(other.ca),
            cert: self.cert.or(other.cert),
            key: self.key.or(other.key),
            server_name: self.server_name.or(other.server_name),
            actor: self.actor.or(other.actor),
            post: self.post.or(other.post),
        }
    }
}

/// A context as JSON shows it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    current: bool,
    endpoint: &'a Option<String>,
    ca: &'a Option<PathBuf>,
    cert: &'a Option<PathBuf>,
    key: &'a Option<PathBuf>,
    server_name: &'a Option<String>,
    actor: &'a Option<String>,
    post: &'a Option<String>,
}

fn list(contexts: &Contexts, out: &mut Out) -> Result<(), Failure> {
    let is_current = |name: &str| contexts.current.as_deref() == Some(name);
    if out.format == Format::Json {
        for (name, context) in &contexts.contexts {
            let Context { endpoint, ca, cert, key, server_name, actor, post } = context;
            let current = is_current(name);
            out.json(&Shown { name, current, endpoint, ca, cert, key, server_name, actor, post })?;
        }
        return Ok(());
    }
    let rows = contexts.contexts.iter().map(|(name, context)| {
        vec![
            if is_current(name) { "*".to_owned() } else { String::new() },
            name.clone(),
            context.endpoint.clone().unwrap_or_default(),
            context.cert.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            context.actor.clone().unwrap_or_default(),
        ]
    });
    out.table(&["", "name", "endpoint", "cert", "actor"], rows)
}
