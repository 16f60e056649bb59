//! `xinhub subscribers`: the replicas that lifts wait for, and the end of one that is gone for good.

use clap::{Args, Subcommand};
use serde::Serialize;
use xinhub_client::v1;

use crate::args::{ConnectArgs, GlobalArgs};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::Session;
use crate::shapes;

/// Show the replicas that lifts wait for (operators, auditors)
#[derive(Debug, Args)]
pub(crate) struct SubscribersArgs {
    #[command(subcommand)]
    command: Option<SubscribersCommand>,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum SubscribersCommand {
    /// End the subscription of a replica that is gone for good: no lift waits for it beyond its lease (operators)
    End {
        /// The client whose replica it is
        client: String,
        /// What the replica calls itself, in hex
        instance: String,
    },
}

/// A replica that lifts wait for.
#[derive(Serialize)]
pub(crate) struct Subscriber {
    client: String,
    instance: String,
    audience: String,
    acknowledged: u64,
    lift_seq: u64,
    heard_time: Option<String>,
    lease_ms: u32,
    reported: u64,
}

impl Subscriber {
    /// Of a hub that has had so many lifts.
    pub(crate) fn of(one: v1::ReplicaSubscriber, lift_seq: u64) -> Subscriber {
        Subscriber {
            client: one.client,
            instance: one.instance,
            audience: one.audience,
            acknowledged: one.acknowledged,
            lift_seq,
            heard_time: shapes::time(one.heard_time),
            lease_ms: one.lease_ms,
            reported: one.reported,
        }
    }
}

/// A subscription that was ended.
#[derive(Serialize)]
pub(crate) struct Ended {
    pub(crate) client: String,
    pub(crate) instance: String,
}

pub(crate) async fn run(args: SubscribersArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let admin = Session::resolve(global, &args.connect)?.connect().await?.admin();
    match args.command {
        None => {
            let seen = admin.list_subscribers(v1::ListSubscribersRequest {}).await?;
            let subscribers = seen.subscribers.into_iter().map(|one| Subscriber::of(one, seen.lift_seq));
            list(subscribers, out)?;
        }
        Some(SubscribersCommand::End { client, instance }) => {
            let ended = Ended { client, instance };
            let (client, instance) = (ended.client.clone(), ended.instance.clone());
            admin.end_subscriber(v1::EndSubscriberRequest { client, instance }).await?;
            let lang = out.lang;
            out.record(&ended, || {
                vec![(lang.pick("ended", "已终止"), format!("{} {}", ended.client, ended.instance))]
            })?;
        }
    }
    Ok(Exit::Success)
}

fn list(subscribers: impl Iterator<Item = Subscriber>, out: &mut Out) -> Result<(), Failure> {
    if out.format == Format::Json {
        return subscribers.into_iter().try_for_each(|one| out.json(&one));
    }
    let header = match out.lang {
        Lang::En => ["client", "instance", "audience", "lifts confirmed", "last heard", "lease (ms)", "reported"],
        Lang::Zh => ["客户端", "副本", "受众", "已确认的解除", "最近确认时间", "租约（毫秒）", "已上报"],
    };
    let cells = subscribers.map(|one| {
        let confirmed = format!("{} / {}", one.acknowledged, one.lift_seq);
        let (heard, lease, reported) =
            (one.heard_time.unwrap_or_default(), one.lease_ms.to_string(), one.reported.to_string());
        vec![one.client, one.instance, one.audience, confirmed, heard, lease, reported]
    });
    out.table(&header, cells)
}
