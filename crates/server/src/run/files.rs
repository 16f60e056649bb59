//! The files that a hub starts from: policy and catalogue read together, and a fresh data directory made.

use std::fmt::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xinhub_domain::deadline::{Calendar, Profiles, SHIPPED_CALENDAR, SHIPPED_PROFILES};
use xinhub_domain::fault::{Fault, Faults};
use xinhub_domain::measure::{Catalogue, SHIPPED_MEASURES_TSV, SHIPPED_UNITS_TSV};
use xinhub_domain::policy::Policy;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Ledger;
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::seglog::LogError;

use super::StartError;
use crate::audit::{Audit, AuditError};
use crate::config::{ConfigError, Settings};
use crate::tls::TlsState;

/// Policy and catalogue, checked against each other.
#[derive(Debug)]
pub struct Rules {
    /// The policy, which carries the catalogue in force.
    pub policy: Policy,
    /// What the journal keeps of them, by name: enough to work an answer or a deadline out again, and nobody's grant.
    pub in_force: Vec<(&'static str, String)>,
}

impl Rules {
    /// Reads the policy, and catalogue, profiles and calendar where some are configured.
    ///
    /// # Errors
    /// A file that can't be read, or all faults of the catalogue, or all of the policy.
    pub fn load(settings: &Settings) -> Result<Rules, ConfigError> {
        let policy_text = read(&settings.policy)?;
        let (measures, units) = match &settings.catalogue_dir {
            Some(dir) => (read(&dir.join("measures.tsv"))?, read(&dir.join("units.tsv"))?),
            None => (SHIPPED_MEASURES_TSV.to_owned(), SHIPPED_UNITS_TSV.to_owned()),
        };
        let catalogue = Catalogue::parse(&measures, &units).map_err(faults)?;
        let own = |path: &Option<PathBuf>, shipped: &str| path.as_deref().map_or(Ok(shipped.to_owned()), read);
        let profiles_text = own(&settings.profiles, SHIPPED_PROFILES)?;
        let calendar_text = own(&settings.calendar, SHIPPED_CALENDAR)?;
        let profiles = Profiles::parse("profiles.toml", &profiles_text).map_err(faults)?;
        let calendar = Arc::new(Calendar::parse("calendar.toml", &calendar_text).map_err(faults)?);
        let policy = Policy::parse_with(&policy_text, &catalogue, &profiles, &calendar).map_err(faults)?;
        let catalogue = in_force(&measures, &units, &policy);
        let in_force = vec![("catalogue", catalogue), ("profiles", profiles_text), ("calendar", calendar_text)];
        Ok(Rules { policy, in_force })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn faults(faults: Faults) -> ConfigError {
    ConfigError::Faults(faults.iter().cloned().collect())
}

/// The tables as they stand, then what policy adds to them: rows switched on with their legal basis, and limits.
fn in_force(measures: &str, units: &str, policy: &Policy) -> String {
    let mut text = format!("#measures.tsv\n{measures}\n#units.tsv\n{units}\n#policy\n");
    for measure in policy.catalogue().measures() {
        // Writing to a string can't fail.
        if let Some(basis) = &measure.enabled_on {
            let _ = writeln!(text, "enabled\t{}\t{basis}", measure.code);
        }
        if let Some(fen) = policy.limit_fen(measure.id) {
            let _ = writeln!(text, "limit_fen\t{}\t{fen}", measure.code);
        }
    }
    text
}

/// Makes keys, audit log and ledger for a new hub. What an earlier, broken `init` has left is taken over; a hub that is
/// there already is never touched.
///
/// # Errors
/// Where there is a hub already, or what the system said.
pub fn init(settings: &Settings) -> Result<(), StartError> {
    if settings.ledger.data_dir.join("FORMAT").exists() {
        return Err(xinhub_ledger::OpenError::Exists.into());
    }
    let io = |what: &Path| super::io_error(what.display().to_string());
    if is_empty(&settings.keys_dir).map_err(io(&settings.keys_dir))? {
        Keyring::create(&settings.keys_dir)?;
    }
    // Nobody else's to list: file sizes and times tell something too.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&settings.ledger.data_dir);
    made.map_err(io(&settings.ledger.data_dir))?;
    match Audit::create(&settings.audit) {
        Ok(()) | Err(AuditError::Log(LogError::Exists)) => {}
        Err(error) => return Err(error.into()),
    }
    // Last: a directory with a ledger is complete.
    Ledger::create(&settings.ledger)?;
    Ok(())
}

fn is_empty(dir: &Path) -> std::io::Result<bool> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Everything that a start would read, but for the data: returns what deserves a look although it is lawful.
///
/// # Errors
/// Everything that would keep the hub from starting, one line each.
pub fn check_config(path: &Path, now: Timestamp) -> Result<Vec<Fault>, Vec<String>> {
    let settings = Settings::load(path).map_err(|error| lines(&error))?;
    let mut problems = Vec::new();
    if let Err(error) = crate::logging::check(&settings.log) {
        problems
            .push(format!("hub.toml: log: {error}; write a filter such as \"info\" or \"info,xinhub_server=debug\""));
    }
    let rules = Rules::load(&settings).map_err(|error| problems.extend(lines(&error))).ok();
    if let Err(error) = TlsState::load(settings.tls.clone(), Arc::new(|_: &str| false)) {
        problems.push(error.to_string());
    }
    // Before `init` there are none.
    if settings.keys_dir.exists()
        && let Err(error) = Keyring::load(&settings.keys_dir)
    {
        problems.push(error.to_string());
    }
    if let Some(dir) = not_a_directory(&settings) {
        problems.push(format!("{}: is a file; name a directory", dir.display()));
    }
    match (rules, problems.is_empty()) {
        (Some(rules), true) => Ok(rules.policy.warnings(now)),
        (_, _) => Err(problems),
    }
}

fn lines(error: &ConfigError) -> Vec<String> {
    error.to_string().lines().map(str::to_owned).collect()
}

fn not_a_directory(settings: &Settings) -> Option<PathBuf> {
    let dirs = [&settings.ledger.data_dir, &settings.keys_dir];
    dirs.into_iter().find(|dir| dir.is_file()).cloned()
}
