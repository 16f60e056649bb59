//! `xinhub certificate`: statements that no listing in force reaches somebody, issued by a hub, and checked without one.

mod verify;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use xinhub_client::v1;

use crate::args::{ConnectArgs, GlobalArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Out};
use crate::session::Session;
use crate::shapes;
use crate::subject::CheckedArgs;

use verify::VerifyArgs;
#[cfg(test)]
pub(crate) use verify::sample;

/// Issue and verify certificates that no listing in force reaches somebody
#[derive(Debug, Args)]
pub(crate) struct CertificateArgs {
    #[command(subcommand)]
    command: CertificateCommand,
}

#[derive(Debug, Subcommand)]
enum CertificateCommand {
    /// Issue a certificate for a subject whose document was checked: a signed note, valid for a short time
    Issue(Box<IssueArgs>),
    /// Verify a certificate without a hub: who signed it, that nothing was changed, and whether its time is over
    ///
    /// The answer is the exit code: 0 valid, 13 not genuine, 14 genuine, and no longer valid. Compare the name and the number in
    /// it with the person's document.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// Where the certificate goes, which holds the number and the name; standard output if not given. A file that is there stays
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    subject: CheckedArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: CertificateArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    match args.command {
        CertificateCommand::Issue(args) => issue(*args, global, out).await,
        CertificateCommand::Verify(args) => verify::run(&args, out),
    }
}

async fn issue(args: IssueArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let session = Session::resolve(global, &args.connect)?;
    let subject = Some(args.subject.read(&session)?);
    let request = v1::IssueCertificateRequest { subject };
    let issued = shapes::Certificate::from(session.connect().await?.audit().issue_certificate(request).await?);
    if let Some(path) = &args.out {
        write_new(path, &issued.certificate).map_err(Failure::io(path.display().to_string()))?;
    }
    let lang = out.lang;
    match (out.format, &args.out) {
        (Format::Table, None) => {
            // Byte for byte what was signed, so that it can be sent into a file.
            out.text(issued.certificate.strip_suffix('\n').unwrap_or(&issued.certificate))?;
            eprintln!("{}: {}", lang.pick("verifier key", "验签公钥"), issued.verifier_key);
        }
        (Format::Json | Format::Csv | Format::Table, _) => out.record(&issued, || {
            vec![
                (lang.pick("valid until", "有效至"), issued.expire_time.clone().unwrap_or_default()),
                (lang.pick("verifier key", "验签公钥"), issued.verifier_key.clone()),
            ]
        })?,
    }
    Ok(Exit::Success)
}

/// For its owner alone: it names somebody.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
}
