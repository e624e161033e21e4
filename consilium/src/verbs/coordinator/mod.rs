//! `consilium coordinator`: the operator's side of a consortium.

mod authority;
mod backup;
mod campaigns;
mod certificate;
mod dashboard;
mod figures;
mod office;
mod plan;
mod status;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use coordinator::compute::Compute;
use coordinator::members::{Invitation, Standing};
use coordinator::welcome::{Desks, Welcome};
use experiment::DeviceChoice;
use protocol::enrolment::{HostPort, Words, seconds};
use protocol::net::{Limits, PeerName, Server, Sparing};
use protocol::text::shown;
use protocol::weight::WeightClass;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::output::{Done, Format};
use crate::{control::Control, error::Error, exit::Exit, signals};
use campaigns::Campaigns;
use office::{AuthorityPlace, Office, Settings};
use plan::Order;

pub use office::OfficeError;

/// Flags of `coordinator`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../../help/coordinator.txt"))]
pub struct CoordinatorArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
    /// The coordinator's folder: settings, keys, members.
    #[arg(long, global = true, value_name = "DIR", default_value = "coordinator")]
    pub folder: PathBuf,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Set a coordinator up: its authority, its keys, its settings.
    #[command(after_help = include_str!("../../help/coordinator-init.txt"))]
    Init {
        /// Where sites will dial it.
        #[arg(long, value_name = "HOST:PORT")]
        address: HostPort,
        /// Where it listens; all interfaces with the port of --address if absent.
        #[arg(long, value_name = "IP:PORT")]
        listen: Option<SocketAddr>,
        /// The certificate of an authority that is kept on another machine; one is made here if absent.
        #[arg(long, value_name = "FILE")]
        authority: Option<PathBuf>,
    },
    /// Make an authority that is kept on a machine without a network.
    #[command(after_help = include_str!("../../help/coordinator-authority.txt"))]
    Authority,
    /// Write what waits for a signature of an authority that is kept on another machine.
    #[command(after_help = include_str!("../../help/coordinator-requests.txt"))]
    Requests {
        /// The file to write.
        to: PathBuf,
    },
    /// Sign requests on the authority's machine, after hearing six words of each new site by telephone.
    #[command(after_help = include_str!("../../help/coordinator-sign.txt"))]
    Sign {
        /// The file of requests.
        requests: PathBuf,
        /// The file of certificates to write.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Let sites in with the certificates that the authority signed, and show the coordinator's own.
    #[command(after_help = include_str!("../../help/coordinator-admit.txt"))]
    Admit {
        /// The file of certificates.
        certificates: PathBuf,
    },
    /// Answer sites until stopped.
    #[command(after_help = include_str!("../../help/coordinator-serve.txt"))]
    Serve,
    /// Make an invitation for one site: one line, to be passed on like a password.
    #[command(after_help = include_str!("../../help/coordinator-invite.txt"))]
    Invite {
        /// The site's name: a-z, 0-9 and hyphens, at most 40.
        name: PeerName,
        /// What its updates count for in plans with weights = "declared": 1, 1/2, 1/4, 1/8 or 1/16; what it was before
        /// if absent, 1 for a new site.
        #[arg(long, value_name = "CLASS")]
        weight: Option<WeightClass>,
        /// A member is meant that has lost its certificate, say in a backup; it joins with the keys that it has.
        #[arg(long)]
        back: bool,
        /// How long it can be used.
        #[arg(long, value_name = "DURATION", default_value = "48h", value_parser = duration)]
        valid: Duration,
    },
    /// Let a site in after hearing its six words by telephone.
    #[command(after_help = include_str!("../../help/coordinator-approve.txt"))]
    Approve {
        /// The site's name.
        name: PeerName,
        /// The words as they were heard from the site; asked for if absent.
        #[arg(long, value_name = "SIX WORDS")]
        words: Option<Words>,
    },
    /// Declare what a member's updates count for, in every membership that is proposed from now on.
    #[command(after_help = include_str!("../../help/coordinator-weigh.txt"))]
    Weigh {
        /// The member's name.
        name: PeerName,
        /// 1, 1/2, 1/4, 1/8 or 1/16.
        weight: WeightClass,
    },
    /// Propose an experiment to all members: a new key epoch, which begins when their officers have approved it.
    #[command(after_help = include_str!("../../help/coordinator-run.txt"))]
    Run {
        /// The experiment file.
        plan: PathBuf,
        /// A member that is not to take part. Repeatable.
        #[arg(long, value_name = "NAME")]
        without: Vec<PeerName>,
        /// Go on from the model that was trained in this key epoch; who was not there has to be given it.
        #[arg(long, value_name = "EPOCH")]
        from: Option<u32>,
        /// A member that was not there, and to which another hands the model over. Repeatable.
        #[arg(long, value_name = "NAME", requires = "from")]
        given: Vec<PeerName>,
    },
    /// Say what is under way, who is awaited, what each does, and how long its lease still runs.
    #[command(after_help = include_str!("../../help/coordinator-status.txt"))]
    Status {
        /// Say it again every two seconds, to programs in a line each, until stopped.
        #[arg(long)]
        watch: bool,
    },
    /// Begin nothing new until resumed, also after a restart; with --end, end a key epoch for ever.
    #[command(after_help = include_str!("../../help/coordinator-stop.txt"))]
    Stop {
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
        /// End it for all its members, with one sentence that they read.
        #[arg(long, value_name = "REASON")]
        end: Option<String>,
    },
    /// Go on after a stop or a pause.
    #[command(after_help = include_str!("../../help/coordinator-resume.txt"))]
    Resume {
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
    /// Publish what is trained so far, without the remaining rounds.
    #[command(after_help = include_str!("../../help/coordinator-publish.txt"))]
    Publish {
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
    /// Go on without a member that is lost: ends the key epoch and proposes its plan to the others.
    #[command(after_help = include_str!("../../help/coordinator-exclude.txt"))]
    Exclude {
        /// The member's name.
        name: PeerName,
        /// The key epoch; the newest if absent.
        #[arg(long)]
        epoch: Option<u32>,
    },
    /// List the models that were published.
    #[command(after_help = include_str!("../../help/coordinator-models.txt"))]
    Models,
    /// Copy the folder, while it is served or not.
    #[command(after_help = include_str!("../../help/coordinator-backup.txt"))]
    Backup {
        /// A folder that does not exist.
        to: PathBuf,
    },
    /// Say who may sign in to the dashboard.
    #[command(after_help = include_str!("../../help/coordinator-user.txt"))]
    User {
        /// What to do.
        #[command(subcommand)]
        what: dashboard::UserWhat,
    },
    /// List sites and how far each has come.
    #[command(after_help = include_str!("../../help/coordinator-sites.txt"))]
    Sites,
    /// Put a site out for ever; its next call is refused.
    #[command(after_help = include_str!("../../help/coordinator-revoke.txt"))]
    Revoke {
        /// The site's name.
        name: PeerName,
        /// Do not ask back.
        #[arg(long)]
        yes: bool,
    },
}

impl CoordinatorArgs {
    /// The verb for programs.
    pub fn name(&self) -> &'static str {
        match self.what {
            What::Init { .. } => "coordinator init",
            What::Authority => "coordinator authority",
            What::Requests { .. } => "coordinator requests",
            What::Sign { .. } => "coordinator sign",
            What::Admit { .. } => "coordinator admit",
            What::Serve => "coordinator serve",
            What::Invite { .. } => "coordinator invite",
            What::Approve { .. } => "coordinator approve",
            What::Weigh { .. } => "coordinator weigh",
            What::Run { .. } => "coordinator run",
            What::Status { .. } => "coordinator status",
            What::Stop { .. } => "coordinator stop",
            What::Resume { .. } => "coordinator resume",
            What::Publish { .. } => "coordinator publish",
            What::Exclude { .. } => "coordinator exclude",
            What::Models => "coordinator models",
            What::Backup { .. } => "coordinator backup",
            What::User { .. } => "coordinator user",
            What::Sites => "coordinator sites",
            What::Revoke { .. } => "coordinator revoke",
        }
    }
}

/// Does it.
///
/// # Errors
/// A folder that is none, a name that is taken, words that differ; nothing is changed then.
pub fn run(arguments: &CoordinatorArgs, format: Format) -> Result<Done, Error> {
    let folder = &arguments.folder;
    match &arguments.what {
        What::Init { address, listen, authority } => init(folder, address, *listen, authority.as_deref()),
        What::Authority => authority::make(folder),
        What::Requests { to } => authority::requests(&Office::open(folder)?, to),
        What::Sign { requests, to } => authority::sign(folder, requests, to),
        What::Admit { certificates } => authority::admit(&Office::open(folder)?, certificates),
        What::Serve => serve(Office::open(folder)?),
        What::Invite { name, weight, back, valid } => {
            let invitation = Invitation { name, weight: *weight, is_back: *back, valid: *valid };
            invite(&Office::open(folder)?, invitation)
        }
        What::Approve { name, words } => approve(&Office::open(folder)?, name, *words),
        What::Weigh { name, weight } => weigh(&Office::open(folder)?, name, *weight),
        What::Run { plan, without, from, given } => {
            plan::propose(&Office::open(folder)?, plan, without, (*from, given))
        }
        What::Status { watch: false } => plan::status(&Office::open(folder)?),
        What::Status { watch: true } => plan::watch(&Office::open(folder)?, format),
        What::Stop { epoch, end: Some(reason) } => plan::end(&Office::open(folder)?, *epoch, reason),
        What::Stop { epoch, end: None } => plan::order(&Office::open(folder)?, *epoch, Order::Stop),
        What::Resume { epoch } => plan::order(&Office::open(folder)?, *epoch, Order::Resume),
        What::Publish { epoch } => plan::order(&Office::open(folder)?, *epoch, Order::Publish),
        What::Exclude { name, epoch } => plan::exclude(&Office::open(folder)?, name, *epoch),
        What::Models => backup::models(&Office::open(folder)?),
        What::Backup { to } => backup::backup(&Office::open(folder)?, to),
        What::User { what } => dashboard::user(&Office::open(folder)?, what),
        What::Sites => sites(&Office::open(folder)?),
        What::Revoke { name, yes } => revoke(&Office::open(folder)?, name, *yes),
    }
}

fn init(
    folder: &Path,
    address: &HostPort,
    listen: Option<SocketAddr>,
    elsewhere: Option<&Path>,
) -> Result<Done, Error> {
    let listen = listen.unwrap_or_else(|| SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, address.port())));
    let elsewhere = elsewhere.map(authority::certificate).transpose()?;
    let (authority, first) = match elsewhere {
        Some(_) => (AuthorityPlace::Offline, "`consilium coordinator requests FILE` for the authority to sign, then "),
        None => (AuthorityPlace::Vault, ""),
    };
    let settings = Settings {
        address: address.to_string(),
        listen,
        authority,
        device: DeviceChoice::Auto,
        metrics: None,
        dashboard: None,
    };
    Office::create(folder, &settings, elsewhere.as_ref())?;
    let authority = Office::open(folder)?.host.authority_key.to_string();
    Ok(Done {
        text: format!(
            "{}: a coordinator for sites that dial {address}, listening on {listen}\nauthority {authority}\n\
             next: {first}`consilium coordinator serve`, and `consilium coordinator invite NAME` for each site",
            folder.display()
        ),
        data: json!({"folder": folder, "address": address.to_string(), "listen": listen, "authority": authority}),
        exit: Exit::Done,
    })
}

fn serve(office: Office) -> Result<Done, Error> {
    let compute = Compute::choose(office.device)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Start)?;
    let served = runtime.block_on(async {
        let control = Control::open(&office.folder)?;
        let office = Arc::new(office);
        let (identity, authority) = office.identity()?;
        let desks = Desks::default();
        let welcome = Arc::new(Welcome {
            members: Arc::clone(&office.members),
            proposals: Arc::clone(&office.proposals),
            desks: desks.clone(),
            issuing: office.issuing()?,
            host: office.host.clone(),
            lines: Sparing::default(),
        });
        let (listen, open) = (office.listen, Arc::clone(&welcome) as _);
        let server = Server::bind_open(listen, &identity, authority, Limits::default(), open);
        let server = server.map_err(OfficeError::Net)?;
        let listening = server.local_addr();
        say(&format!("listening on {listening} for {}; Ctrl-C or SIGTERM stops", office.address));
        say(&compute.to_string());
        let (stopping, stopped) = watch::channel(false);
        let (telling, mut full) = mpsc::channel(1);
        let of = (Arc::clone(&office), server.traffic());
        let campaigns = Arc::new(Campaigns::new(of, compute, desks, telling));
        let showing = match office.metrics {
            Some(address) => Some(figures::show(address, &campaigns, server.traffic()).await?),
            None => None,
        };
        let paging = match &office.dashboard {
            Some(place) => Some(dashboard::beside(&office.folder, place, &campaigns).await?),
            None => None,
        };
        let looking = tokio::spawn(Arc::clone(&campaigns).run(server.handle(), stopped));
        let answering = tokio::spawn(async move {
            control.run(move |request| Arc::clone(&campaigns).answer(request)).await;
        });
        let mut ended = Ok(Exit::Done);
        let stop = async {
            ended = tokio::select! {
                exit = signals::stop() => Ok(exit),
                Some(error) = full.recv() => Err(error),
            };
            // Hospitals that wait for news are let go first, so that nobody holds the socket up.
            stopping.send_replace(true);
            let _ = looking.await;
        };
        server.run(welcome, stop).await;
        answering.abort();
        let _ = answering.await;
        showing.into_iter().chain(paging).for_each(|pages| pages.abort());
        let exit = ended?;
        let data = json!({"listened": listening, "address": office.address.to_string()});
        Ok(Done { text: "stopped".to_owned(), data, exit })
    });
    runtime.shutdown_background();
    served
}

fn invite(office: &Office, invitation: Invitation<'_>) -> Result<Done, Error> {
    let (name, to) = (invitation.name, (office.address.clone(), &office.host));
    let invite = office.members.invite(invitation, to, SystemTime::now())?;
    let weight = office.members.weight(name)?.to_string();
    let line = invite.to_line();
    let until = date(invite.expires_s);
    say(&format!("for {name} alone, with weight {weight}, until {until}; whoever has the line first can use it, once"));
    let data = json!({"name": name.as_str(), "invite": line, "weight": weight, "expires": until});
    Ok(Done { data, text: line, exit: Exit::Done })
}

fn approve(office: &Office, name: &PeerName, words: Option<Words>) -> Result<Done, Error> {
    let heard = match words {
        Some(words) => words,
        None => ask(&format!("the six words that {name} reads aloud: "))?.parse().map_err(Error::Words)?,
    };
    let authority = office.authority()?;
    let until_s = office.members.approve(name, heard, (&authority, &office.host), SystemTime::now())?;
    let members = office.members.sites()?.sites.len();
    let (until, weight) = (date(until_s), office.members.weight(name)?.to_string());
    Ok(Done {
        text: format!(
            "{name} is a member with weight {weight}, its certificate is valid until {until}; {members} in all"
        ),
        data: json!({"name": name.as_str(), "weight": weight, "certificate_until": until, "members": members}),
        exit: Exit::Done,
    })
}

fn weigh(office: &Office, name: &PeerName, weight: WeightClass) -> Result<Done, Error> {
    office.members.weigh(name, weight)?;
    let weight = weight.to_string();
    let text =
        format!("{name} has weight {weight} in every membership proposed from now on; its officers approve that");
    Ok(Done { text, data: json!({"name": name.as_str(), "weight": weight}), exit: Exit::Done })
}

fn sites(office: &Office) -> Result<Done, Error> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    let now_s = seconds(SystemTime::now());
    let lets_in = |name: &PeerName| match office.authority_place {
        AuthorityPlace::Vault => format!("approve {name}"),
        AuthorityPlace::Offline => "requests FILE".to_owned(),
    };
    for (name, standing) in office.members.standings()? {
        let (word, text, organisation) = match standing {
            Standing::Invited { expires_s } if expires_s <= now_s => {
                ("invitation-expired", format!("its invitation expired {}", date(expires_s)), None)
            }
            Standing::Invited { expires_s } => ("invited", format!("invited until {}", date(expires_s)), None),
            Standing::Asked { organisation } => {
                let next = lets_in(&name);
                let text = format!("has asked as {organisation:?}: telephone, then `consilium coordinator {next}`");
                ("asked", text, Some(organisation))
            }
            Standing::Member { organisation, until_s } => {
                ("member", format!("member, {organisation}, certificate until {}", date(until_s)), Some(organisation))
            }
            Standing::Revoked { since_s } => ("revoked", format!("revoked {}", date(since_s)), None),
        };
        let weight = office.members.weight(&name)?;
        lines.push(format!("{:<20} weight {weight:<4}  {text}", name.as_str()));
        let (name, weight) = (name.as_str(), weight.to_string());
        rows.push(json!({"name": name, "standing": word, "organisation": organisation, "weight": weight}));
    }
    let found = office.members.sites()?;
    lines.push(format!("{} members, digest {}", found.sites.len(), found.digest()));
    let digest = found.digest().to_string();
    Ok(Done { text: lines.join("\n"), data: json!({"sites": rows, "digest": digest}), exit: Exit::Done })
}

fn revoke(office: &Office, name: &PeerName, yes: bool) -> Result<Done, Error> {
    if !yes && ask(&format!("puts {name} out for ever, its name included; type the name to do it: "))? != name.as_str()
    {
        return Err(Error::NotConfirmed {
            what: format!("revoking {name}"),
            instead: "type what is asked for, or add --yes",
        });
    }
    office.members.revoke(name, SystemTime::now())?;
    let members = office.members.sites()?.sites.len();
    Ok(Done {
        text: format!("{name} is no member any more; {members} are left"),
        data: json!({"name": name.as_str(), "members": members}),
        exit: Exit::Done,
    })
}

/// Words for people beside the result, which goes to standard output.
pub(super) fn say(text: &str) {
    // Nobody may be reading them.
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(text));
}

/// One line from standard input.
pub(super) fn ask(question: &str) -> Result<String, Error> {
    let _ = write!(std::io::stderr().lock(), "{question}").and_then(|()| std::io::stderr().lock().flush());
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Error::Input)?;
    Ok(line.trim().to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    experiment::parse_duration(text)
        .ok_or_else(|| format!("{text:?} is no duration such as \"90s\", \"10m\" or \"2h\""))
}

/// A time for people, in UTC.
pub(super) fn date(seconds: u64) -> String {
    let stamp = i64::try_from(seconds).ok().and_then(|it| time::OffsetDateTime::from_unix_timestamp(it).ok());
    stamp.map_or_else(
        || format!("{seconds} s since 1970"),
        |at| {
            format!(
                "{:04}-{:02}-{:02} {:02}:{:02} UTC",
                at.year(),
                u8::from(at.month()),
                at.day(),
                at.hour(),
                at.minute()
            )
        },
    )
}
