//! `xinhub status`: how the hub is.

use clap::Args;
use xinhub_client::v1;

use crate::args::{ConnectArgs, GlobalArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Line, Out};
use crate::session::Session;
use crate::shapes::Status;

/// Show how the hub is (operators)
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: StatusArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let hub = Session::resolve(global, &args.connect)?.connect().await?;
    let status = Status::from(hub.admin().get_status(v1::GetStatusRequest {}).await?);
    let name = |en: &'static str, zh: &'static str| out.lang.pick(en, zh);
    let mut lines: Vec<Line> = vec![
        (name("version", "版本"), status.version.clone()),
        (name("epoch", "纪元"), status.epoch.clone()),
        (name("revision", "修订号"), status.revision.to_string()),
        (name("chain hash", "链哈希"), status.chain_hash.clone()),
        (name("started", "启动时间"), status.start_time.clone().unwrap_or_default()),
        (name("listings", "名单数"), status.listings.to_string()),
        (name("listing table", "名单表"), bytes(status.listing_table_bytes)),
        (name("index keys", "索引键数"), status.index_keys.to_string()),
        (name("index", "索引"), bytes(status.index_bytes)),
        (name("detail at revision", "明细修订号"), status.detail_revision.to_string()),
        (name("details in memory", "内存中的明细"), bytes(status.detail_cache_bytes)),
        (name("certificate ends in", "证书剩余"), format!("{} {}", status.certificate_days, name("days", "天"))),
        (name("CRL ends in", "吊销列表剩余"), format!("{} {}", status.crl_hours, name("hours", "小时"))),
        (name("clock", "时钟"), if status.clock_frozen { name("frozen", "冻结") } else { "" }.to_owned()),
        (name("draining", "正在停机"), if status.draining { name("yes", "是") } else { "" }.to_owned()),
        (name("verifier key", "验签公钥"), status.verifier_key.clone()),
    ];
    for alarm in &status.alarms {
        let since = alarm.since.as_deref().unwrap_or_default();
        lines.push((name("alarm", "告警"), format!("{}: {} ({since})", alarm.name, alarm.text)));
    }
    out.record(&status, || lines)?;
    Ok(Exit::Success)
}

fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}
