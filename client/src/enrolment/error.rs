//! Why a site cannot join, or cannot show that it has.

use std::borrow::Cow;
use std::path::PathBuf;

use protocol::enrolment::{InviteError, JoinReject};
use protocol::net::{CredentialError, NetError, PeerName, ProxyError};
use protocol::reject::Reject;
use protocol::store::FileFault;
use remedy::{Exit, Explained};

use crate::site_file::SiteFileError;
use crate::vault::{KeysError, VaultError};

/// Why a site cannot join, or cannot show that it has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// The pasted line.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// Too late.
    #[error("the invitation of {name} has expired, by this machine's clock")]
    Expired {
        /// The site.
        name: PeerName,
    },
    /// A member's folder.
    #[error("{}: this site is a member already", folder.display())]
    AlreadyJoined {
        /// The folder.
        folder: PathBuf,
    },
    /// Nobody has joined from this folder.
    #[error("{}: no site has joined from this folder", folder.display())]
    NotJoined {
        /// The folder.
        folder: PathBuf,
    },
    /// Not the name of an organisation.
    #[error("{given:?} cannot be shown as an organisation's name")]
    Organisation {
        /// As given, cut after 80 characters.
        given: String,
    },
    /// The invitation was used with another one.
    #[error("this invitation was used here for the organisation {earlier:?}")]
    OrganisationDiffers {
        /// As it was asked with.
        earlier: String,
    },
    /// The connection.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The coordinator refused.
    #[error("{0}")]
    Refused(JoinReject),
    /// The coordinator knows no such member.
    #[error("the coordinator does not count this site among its members, or does no longer")]
    NotMember,
    /// The coordinator refused a member's call.
    #[error("the coordinator refused: {0}")]
    RefusedMember(Reject),
    /// The coordinator's answer is none.
    #[error("the coordinator's answer cannot be read")]
    Answer,
    /// The coordinator answered the same request otherwise before.
    #[error("the coordinator answers this site's request otherwise than before")]
    OtherAnswer,
    /// A certificate or a key.
    #[error(transparent)]
    Certificate(CredentialError),
    /// The certificate's authority is not the invitation's.
    #[error("the coordinator shows another authority than the invitation")]
    OtherAuthority,
    /// The certificate's name is not the invitation's.
    #[error("the certificate that came is for {name}")]
    OtherName {
        /// Its name.
        name: PeerName,
    },
    /// No certificate that lasts longer than this site's.
    #[error("the coordinator has no certificate for this site that lasts longer than its own")]
    NotLonger {
        /// The end of this site's own, in seconds since 1970.
        until_s: u64,
    },
    /// A stored nonce is none.
    #[error("the vault's record {record} is no nonce")]
    Nonce {
        /// The record.
        record: String,
    },
    /// A stored membership is none.
    #[error("{}: {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The site file.
    #[error(transparent)]
    SiteFile(#[from] SiteFileError),
    /// Its proxy.
    #[error("site.toml [network]: {0}")]
    Proxy(#[from] ProxyError),
    /// The proxy of the environment.
    #[error("{name}: {source}")]
    ProxyVariable {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        source: ProxyError,
    },
    /// The system yields no randomness.
    #[error("the system yields no randomness")]
    Randomness,
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The site's keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileFault),
}

impl EnrolmentError {
    /// Whether waiting may cure it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Net(error) => error.is_transient(),
            Self::Refused(JoinReject::Storage) => true,
            _ => false,
        }
    }
}

impl Explained for EnrolmentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invite(_) => "invite_invalid",
            Self::Expired { .. } | Self::Refused(JoinReject::InviteExpired) => "invite_expired",
            Self::Refused(JoinReject::InviteUsed) => "invite_used",
            Self::SiteFile(_) | Self::Proxy(_) | Self::Vault(VaultError::Passphrase { .. }) => "site_file",
            Self::ProxyVariable { .. } => "proxy_variable",
            Self::AlreadyJoined { .. } => "already_joined",
            Self::NotJoined { .. } => "not_joined",
            Self::Net(_) => "not_connected",
            Self::Refused(_) | Self::RefusedMember(_) | Self::NotMember => "not_admitted",
            Self::NotLonger { .. } => "not_renewed",
            _ => "enrolment_failed",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::AlreadyJoined { folder } | Self::NotJoined { folder } => Some(folder.display().to_string()),
            Self::Organisation { .. } | Self::OrganisationDiffers { .. } => Some("--organisation".to_owned()),
            Self::ProxyVariable { name, .. } => Some((*name).to_owned()),
            Self::Net(NetError::Unresolved { host, .. }) => Some(host.to_string()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Invite(_) => "paste the whole line that begins with con1, or ask the operator for another".into(),
            Self::Expired { .. } => "set the clock if it is wrong, else ask the operator for another invitation".into(),
            Self::SiteFile(error) => error.remedy(),
            Self::Proxy(_) => "correct site.toml in this site's folder".into(),
            Self::ProxyVariable { .. } => {
                "correct the variable, or write proxy = \"none\" under [network] of site.toml, which then needs none"
                    .into()
            }
            Self::AlreadyJoined { .. } => "`consilium hospital status` shows it; choose another --folder".into(),
            Self::NotJoined { .. } => "name the folder with --folder, or join with `consilium hospital join`".into(),
            Self::Organisation { .. } => "give 1 to 64 bytes of text on one line".into(),
            Self::OrganisationDiffers { .. } => "give the same name again, or ask for another invitation".into(),
            Self::Net(NetError::Unresolved { .. }) => {
                "check the name with the operator, and this machine's name server".into()
            }
            Self::Net(NetError::UntrustedPeer { .. }) => {
                "set the clock if it is wrong; else tell the operator: the coordinator is not the invitation's".into()
            }
            Self::Net(NetError::Intercepted { .. }) => {
                "have the coordinator's host exempted from TLS inspection, then try again".into()
            }
            Self::Net(NetError::Version { .. }) => "upgrade the older side, then try again".into(),
            Self::Net(NetError::Unrecorded { .. }) => {
                "free space on the disk of this site's folder, then try again: nothing was lost".into()
            }
            Self::Net(_) => "let this machine reach the coordinator's address by UDP or TCP, then try again".into(),
            Self::Refused(JoinReject::InviteUsed) => "call the operator by telephone, not by mail".into(),
            Self::RefusedMember(reject) if reject.is_repeatable() => "wait a while, then try again".into(),
            Self::Refused(_) | Self::NotMember => "call the operator".into(),
            Self::Answer | Self::RefusedMember(Reject::WrongVersion) => "bring both sides to one release".into(),
            Self::RefusedMember(_) => "call the operator".into(),
            Self::NotLonger { .. } => {
                "tell the operator, who has next certificates signed where the authority is kept offline: `consilium \
                 coordinator requests`"
                    .into()
            }
            Self::OtherAuthority | Self::OtherName { .. } | Self::OtherAnswer => {
                "do not join; call the operator by telephone".into()
            }
            Self::Randomness => "check the system's random generator".into(),
            Self::Vault(VaultError::Passphrase { .. }) => {
                "correct [vault] of site.toml, or the file that it names".into()
            }
            Self::Nonce { .. } | Self::Damaged { .. } | Self::Vault(_) | Self::Keys(_) | Self::Certificate(_) => {
                "restore this site's folder from its backup, or join from an empty folder".into()
            }
            Self::File(_) => "make space or correct the permissions of the folder, then try again".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Invite(_)
            | Self::SiteFile(_)
            | Self::Proxy(_)
            | Self::ProxyVariable { .. }
            | Self::Vault(VaultError::Passphrase { .. })
            | Self::Expired { .. }
            | Self::AlreadyJoined { .. }
            | Self::NotJoined { .. }
            | Self::Organisation { .. }
            | Self::OrganisationDiffers { .. } => Exit::BadInput,
            Self::Net(NetError::Unrecorded { source }) => Exit::of_io(source),
            Self::Net(_) => Exit::Connection,
            Self::Refused(_) | Self::RefusedMember(_) | Self::NotMember | Self::NotLonger { .. } => Exit::Refused,
            Self::OtherAuthority | Self::OtherName { .. } | Self::OtherAnswer => Exit::Verification,
            Self::File(fault) => Exit::of_io(&fault.source),
            Self::Vault(error) | Self::Keys(KeysError::Vault(error)) if error.no_space_left() => Exit::StorageFull,
            _ => Exit::Failed,
        }
    }
}
