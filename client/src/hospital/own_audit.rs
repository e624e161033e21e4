//! What this hospital sent, made once more from its vault, and compared with what it signed for.
//!
//! Nothing proves to others that a share, an update or a contribution is what the protocol makes of seeds and inputs:
//! it is in the log by digest, under its maker's name. Whoever sits at the site can have it made again, by the program
//! that everybody has, and see whether the digest is that one. Everything runs on a copy of the journal and writes
//! bodies elsewhere, so that it changes nothing here and may run beside the service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasets::Samples;
use protocol::blob::BodyRoot;
use protocol::codec::Wire;
use protocol::drive::{Store, Stream};
use protocol::facts::{Fact, Released, Revealed};
use protocol::hospital::{HospitalInput, ShareBinding};
use protocol::ids::{Attempt, PartyId, QueryId, RoundId, StepId};
use protocol::message::{HospitalMessage, Key, KeySet, KeyStep, ShareHead, SignedMessage};

use super::error::{HospitalError, Step};
use super::holdings::Holdings;
use super::images::{SiteImages, SiteRows};
use super::key_sums::relin_sums;
use super::observer::{Activity, Observer, Timed};
use super::plan::HospitalPlan;
use super::planes::planes;
use super::relin_proof::masks;
use super::sealed;
use super::site::Site;
use crate::vault::Vault;

/// Something that was sent, as its head names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The sealed boxes of its own keys.
    Dealings,
    /// A share of a serving key.
    KeyShare(KeyStep),
    /// An encrypted update.
    Update(RoundId, Attempt),
    /// Decryption shares of a round.
    Shares(RoundId, Attempt),
    /// A part of the published model.
    Contribution(Attempt),
    /// A question of its own.
    Question(QueryId),
    /// A share of the answer to a question.
    SwitchShare(QueryId),
    /// Encrypted features and labels of a head.
    Features,
    /// Zeros for another attempt at a refresh.
    Zeros(StepId, Attempt),
    /// Shares in a refresh.
    RefreshShares(StepId, Attempt),
    /// Masks of a refresh.
    RefreshMasks(StepId, Attempt),
    /// What was opened in a refresh.
    Opening(StepId, Attempt),
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dealings => f.write_str("dealt keys"),
            Self::KeyShare(step) => {
                let of = if step.set() == KeySet::Training { "training: " } else { "" };
                let what = match step.key() {
                    Key::Gate => "shares of all gates",
                    Key::GateKey => "gate key",
                    Key::Planes => "planes for questions",
                    Key::PlaneOpenings => "seeds of opened planes",
                    Key::RelinRoundOne => "relinearisation share, first round",
                    Key::RelinRoundTwo => "relinearisation share, second round",
                    Key::RelinMasks => "masks of the relinearisation shares' proof",
                    Key::RelinAnswers => "openings of the relinearisation shares' proof",
                    Key::Galois => "shares of the rotation keys",
                };
                write!(f, "{of}{what}")
            }
            Self::Update(round, attempt) => write!(f, "update of round {round}, attempt {attempt}"),
            Self::Shares(round, attempt) => write!(f, "decryption shares of round {round}, attempt {attempt}"),
            Self::Contribution(attempt) => write!(f, "part of the published model, attempt {attempt}"),
            Self::Question(query) => write!(f, "question {query}"),
            Self::SwitchShare(query) => write!(f, "share of the answer to question {query}"),
            Self::Features => f.write_str("features and labels"),
            Self::Zeros(step, attempt) => write!(f, "zeros of step {step}, attempt {attempt}"),
            Self::RefreshShares(step, attempt) => write!(f, "refresh shares of step {step}, attempt {attempt}"),
            Self::RefreshMasks(step, attempt) => write!(f, "refresh masks of step {step}, attempt {attempt}"),
            Self::Opening(step, attempt) => write!(f, "opening of step {step}, attempt {attempt}"),
        }
    }
}

impl Object {
    /// What a message is the head of, and the bodies that it names of each; nothing where it is no head.
    #[must_use]
    pub fn of(message: &HospitalMessage) -> Vec<(Self, BodyRoot)> {
        let one = match message {
            HospitalMessage::DealingsSent(it) => (Self::Dealings, it.body()),
            HospitalMessage::ServingShareHead(it) => (Self::KeyShare(it.step), it.body),
            HospitalMessage::UpdateHead(it) => (Self::Update(it.round, it.attempt), it.body),
            HospitalMessage::ShareHead(it) => (Self::Shares(it.round, it.attempt), it.body),
            HospitalMessage::PublishHead(it) => (Self::Contribution(it.attempt), it.body),
            HospitalMessage::QueryHead(it) => (Self::Question(it.query), it.body),
            HospitalMessage::SwitchShareHead(it) => (Self::SwitchShare(it.query), it.body),
            HospitalMessage::FeaturesHead(it) => (Self::Features, it.body),
            HospitalMessage::ZeroHead(it) => (Self::Zeros(it.step, it.attempt), it.body),
            HospitalMessage::OpeningHead(it) => (Self::Opening(it.step, it.attempt), it.body),
            HospitalMessage::RefreshHead(it) => {
                let masks = (Self::RefreshMasks(it.step, it.attempt), it.masks);
                return vec![(Self::RefreshShares(it.step, it.attempt), it.shares), masks];
            }
            _ => return Vec::new(),
        };
        vec![one]
    }
}

/// What came of making it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// These bodies.
    Made(BodyRoot),
    /// It cannot be: this site's own records forbid it, as they forbade to send it.
    Impossible(String),
    /// What it was made of is not here any more.
    NotKept(&'static str),
}

const ERASED: &str = "the ceremony's secret was erased when all keys existed, or by this site's [audit] keep = false";

/// Hears nothing.
struct Deaf;

impl Observer for Deaf {
    fn activity(&self, _: PartyId, _: Activity) {}
    fn timed(&self, _: PartyId, _: RoundId, _: Timed, _: Duration) {}
    fn switched(&self, _: PartyId, _: QueryId, _: Duration) {}
    fn trained(&self, _: PartyId, _: RoundId, _: f64, _: usize) {}
    fn refused(&self, _: PartyId, _: &str) {}
}

/// A site whose journal is a copy, whose bodies go to a folder of their own, and which signs nothing.
pub(crate) struct AuditedSite {
    site: Site,
    facts: Vec<Fact>,
}

impl AuditedSite {
    /// The key epoch in the folder `root`; `scratch` has a copy of its journal, and takes what is made. `rows` are a
    /// head's, where they can be read.
    ///
    /// # Errors
    /// [`HospitalError`].
    pub(crate) fn open(
        root: &Path,
        scratch: &Path,
        vault: Arc<Vault>,
        plan: HospitalPlan,
        rows: Option<SiteRows>,
    ) -> Result<Self, HospitalError> {
        let shape = plan.program.network().image();
        let nothing = SiteImages::to_train_on(Samples::empty(shape.channels, shape.height, shape.width));
        let images = rows.map_or(nothing, SiteImages::of_rows);
        let mut site = Site::open(scratch, vault, plan, images, Arc::new(Deaf))?;
        site.holdings = Holdings::open(&root.join("sums"), Arc::clone(&site.journal), site.plan.epoch)?;
        if let Some(seed) = site.dealt_for()? {
            match site.restore_keys(seed) {
                Ok(()) => {}
                // Its ceremony has not come so far.
                Err(HospitalError::Vault(crate::vault::VaultError::NoRecord { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let facts = site.store().read(Stream::Facts).map_err(HospitalError::Fault)?;
        let facts = facts.iter().map(|bytes| Fact::from_bytes(bytes)).collect::<Result<_, _>>();
        Ok(Self { site, facts: facts.step("reading the stored facts")? })
    }

    /// Everything that this site signed in this key epoch, by its own journal.
    pub(crate) fn signed(&self) -> impl Iterator<Item = &SignedMessage> {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::Sent(message) => Some(message),
            _ => None,
        })
    }

    /// Makes one of the things that a head of this site's is the head of once more.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(crate) fn again(&mut self, object: &Object, head: &HospitalMessage) -> Result<Again, HospitalError> {
        let made = self.make(object, head);
        let of = |error: &HospitalError| error.to_string();
        match made {
            Err(
                error @ (HospitalError::Crypto { .. }
                | HospitalError::BodyDiffers { .. }
                | HospitalError::NotCharged { .. }
                | HospitalError::OtherCeremony { .. }),
            ) => Ok(Again::Impossible(of(&error))),
            made => made,
        }
    }

    fn make(&mut self, object: &Object, head: &HospitalMessage) -> Result<Again, HospitalError> {
        if self.site.keys.is_none() {
            return Ok(Again::NotKept("this site holds no keys of the epoch that an audit could begin with"));
        }
        let (vault, epoch) = (Arc::clone(&self.site.vault), self.site.plan.epoch);
        match (object, head) {
            (Object::KeyShare(step), _) => self.key_share(*step),
            (Object::Update(round, attempt), _) => match sealed::has_values(&vault, epoch, *round) {
                true => self.site.encrypt(*round, *attempt).map(Again::Made),
                false => Ok(Again::NotKept("a round's values are kept until four more have closed")),
            },
            (Object::Shares(..), HospitalMessage::ShareHead(head)) => match self.binding_of(head) {
                Some(binding) => self.site.release_shares(&binding).map(Again::Made),
                None => Ok(Again::Impossible("nothing that this site signed binds it to this".to_owned())),
            },
            (Object::Contribution(attempt), _) => {
                if !sealed::has_contribution(&vault, epoch, *attempt) {
                    return Ok(Again::NotKept("it is kept until another key epoch trains in this vault"));
                }
                let part = sealed::contribution(&vault, epoch, *attempt)?;
                if part.model != self.site.current.digest() {
                    return Ok(Again::NotKept("this site holds another model by now"));
                }
                self.site.check_contribution_charged(&part)?;
                self.site.encrypt_contribution(*attempt, part.cohort).map(Again::Made)
            }
            (Object::Dealings, _) => {
                Ok(Again::NotKept("sealing is random, and the boxes are erased when all have opened theirs"))
            }
            (Object::Question(_), _) if self.site.plan.program.planes().is_some() => {
                Ok(Again::NotKept("images that were asked about are not kept; whatever turned its planes is in range"))
            }
            (Object::Question(_), _) => Ok(Again::NotKept("images that were asked about are not kept")),
            (Object::SwitchShare(_), _) => {
                Ok(Again::NotKept("evaluated questions are not kept; `consilium audit recompute` evaluates them again"))
            }
            (Object::Shares(..), _) => Ok(Again::NotKept("it is no head of shares")),
            (Object::Features, _) => self.features(),
            (Object::Zeros(..) | Object::RefreshShares(..) | Object::RefreshMasks(..) | Object::Opening(..), _) => {
                Ok(Again::NotKept("what a step left is not kept; every decryptor took the step before it shared"))
            }
        }
    }

    /// Of the images that the site has now.
    fn features(&mut self) -> Result<Again, HospitalError> {
        if self.site.rows.is_none() {
            return Ok(Again::NotKept("the images that they were made of cannot be read here"));
        }
        match self.site.encrypt_features() {
            Ok(HospitalInput::FeaturesMade(head)) => Ok(Again::Made(head.body)),
            // The records know what was encrypted, and forbid another thing under the same numbers.
            Ok(_) | Err(HospitalError::Crypto { .. }) => {
                Ok(Again::NotKept("the site's images are others by now than those that they were made of"))
            }
            Err(error) => Err(error),
        }
    }

    fn key_share(&mut self, step: KeyStep) -> Result<Again, HospitalError> {
        let site = &mut self.site;
        if !site.vault.contains(&site.record(super::ceremony_secret::RECORD)) {
            return Ok(Again::NotKept(ERASED));
        }
        match step.key() {
            Key::Gate | Key::RelinRoundOne | Key::Galois | Key::Planes => {}
            Key::PlaneOpenings if site.holdings.digests(planes())?.is_empty() => {
                return Ok(Again::NotKept("the coins that say what was opened are not here"));
            }
            Key::PlaneOpenings => {}
            Key::GateKey if site.holdings.digests(super::key_sums::own_gate(step.set()))?.is_empty() => {
                return Ok(Again::NotKept("this site's gate was not kept when all keys existed"));
            }
            Key::GateKey => {}
            Key::RelinAnswers if site.holdings.digests(masks(step.set()))?.is_empty() => {
                return Ok(Again::NotKept("the coins that say what was opened were not kept"));
            }
            Key::RelinRoundTwo | Key::RelinMasks | Key::RelinAnswers => {
                match site.holdings.digests(relin_sums(step.set()))?.first() {
                    Some(sums) => {
                        let sums = site.holdings.read(*sums)?;
                        let first = KeyStep::of(step.set(), Key::RelinRoundOne).unwrap_or(KeyStep::RelinRoundOne);
                        site.take_sum(first, &sums)?;
                    }
                    None => return Ok(Again::NotKept("the sums that it was made of were not kept")),
                }
            }
        }
        let made = site.serving_share(step)?;
        site.outbox.delivered(step.list(Some(site.plan.party)));
        Ok(Again::Made(made))
    }

    /// What this site's shares of an attempt are bound to, from its own words and facts.
    fn binding_of(&self, head: &ShareHead) -> Option<ShareBinding> {
        let (round, attempt) = (head.round, head.attempt);
        let (decryptors, manifest) = self.signed().find_map(|message| match &message.body {
            HospitalMessage::Acceptance(it) if (it.round, it.attempt) == (round, attempt) => {
                Some((it.decryptors, it.manifest))
            }
            _ => None,
        })?;
        let cohort = self.facts.iter().find_map(|fact| match fact {
            Fact::Revealed(Revealed { round: of, cohort, .. })
            | Fact::RevealedFigures(Revealed { round: of, cohort, .. })
            | Fact::RevealedMoments(Revealed { round: of, cohort, .. })
                if *of == round =>
            {
                Some(*cohort)
            }
            _ => None,
        })?;
        let chunks = self.facts.iter().find_map(|fact| match fact {
            Fact::Released(Released { round: of, attempt: at, chunks, .. }) if (*of, *at) == (round, attempt) => {
                Some(*chunks)
            }
            _ => None,
        })?;
        let binding =
            ShareBinding { epoch: self.site.plan.epoch, round, attempt, cohort, decryptors, manifest, chunks };
        (binding.digest() == head.binding).then_some(binding)
    }
}
