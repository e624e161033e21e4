//! One site's part in coming to a consent.

use protocol::consent::{
    Approval, ConsentAnswer, ConsentCall, EPOCHS_MAX, Nonce, NonceBinding, Stage, Standing, Step, check, next,
};
use protocol::enrolment::Words;
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::party_set::PartySet;
use protocol::sealed::SealingKey;
use protocol::terms::Terms;

use super::{ConsentBook, ConsentError};
use crate::enrolment::{EnrolmentError, Member};
use crate::plan::Plan;

/// A site that looks at proposals.
pub struct Council<'a> {
    /// Its way to the coordinator.
    pub member: &'a Member,
    /// What it consented to.
    pub book: &'a ConsentBook,
}

/// A proposal, checked, and how far it has come.
pub struct Seen {
    /// This site's number in it.
    pub party: PartyId,
    /// As the coordinator shows it.
    pub standing: Standing,
    /// The plan.
    pub plan: Plan,
    /// What follows from it.
    pub terms: Terms,
    /// Digest of the members.
    pub membership: Digest,
    /// What officers compare, once everybody's nonce is shown.
    pub words: Option<Words>,
    /// Whose promise or nonce is awaited.
    pub awaited: PartySet,
}

impl Council<'_> {
    /// Key epochs that name this site, ascending.
    ///
    /// # Errors
    /// [`ConsentError::Enrolment`].
    pub async fn epochs(&self) -> Result<Vec<Epoch>, ConsentError> {
        match self.member.consent(&ConsentCall::Epochs(())).await? {
            // Numbers without end would fill this site's books.
            ConsentAnswer::Epochs(epochs)
                if epochs.iter().all(|epoch| (1..=EPOCHS_MAX).contains(&(epoch.0 as usize))) =>
            {
                Ok(epochs)
            }
            _ => Err(EnrolmentError::Answer.into()),
        }
    }

    /// Looks at a proposal, checks it, and does this site's part towards the words: it promises its nonce, and shows
    /// it when everybody is bound.
    ///
    /// # Errors
    /// [`ConsentError`]; nothing was said on a proposal that is not to be believed.
    pub async fn look(&self, epoch: Epoch) -> Result<Seen, ConsentError> {
        let standing = self.standing(epoch).await?;
        let fault = |fault| ConsentError::Fault { epoch, fault };
        let party = check(&standing.proposal, &self.member.own()).map_err(fault)?;
        if standing.proposal.epoch != epoch {
            return Err(EnrolmentError::Answer.into());
        }
        if !self.book.saw(epoch, Digest::of("consilium proposal v1", &standing.proposal))? {
            return Err(ConsentError::OtherProposal { epoch });
        }
        let mut seen = Seen::of(party, standing)?;
        self.come_to_words(&mut seen).await?;
        Ok(seen)
    }

    /// How far the coordinator says that a key epoch has come; nothing is said or kept.
    ///
    /// # Errors
    /// [`ConsentError::Enrolment`].
    pub async fn stage(&self, epoch: Epoch) -> Result<Stage, ConsentError> {
        Ok(self.standing(epoch).await?.stage)
    }

    async fn standing(&self, epoch: Epoch) -> Result<Standing, ConsentError> {
        match self.member.consent(&ConsentCall::Ask(epoch)).await? {
            ConsentAnswer::Standing(standing) => Ok(*standing),
            _ => Err(EnrolmentError::Answer.into()),
        }
    }

    async fn come_to_words(&self, seen: &mut Seen) -> Result<(), ConsentError> {
        let (epoch, membership, party) = (seen.standing.proposal.epoch, seen.membership, seen.party);
        let bytes = self.book.nonce(membership)?;
        let own = NonceBinding::new(self.member.signing(), membership, party, &bytes);
        // Promise, show, compare: no honest coordinator needs more looks.
        for _ in 0..3 {
            match next(&seen.standing, party, &own).map_err(|fault| ConsentError::Fault { epoch, fault })? {
                Step::Bind => {
                    self.say(&ConsentCall::Bind(own.clone())).await?;
                }
                Step::AwaitBindings(awaited) => {
                    seen.awaited = awaited;
                    return Ok(());
                }
                Step::Reveal(promises) => {
                    self.pin(epoch, membership, &promises)?;
                    self.say(&ConsentCall::Reveal(Nonce { membership, party, bytes })).await?;
                }
                Step::AwaitNonces(promises, awaited) => {
                    self.pin(epoch, membership, &promises)?;
                    seen.awaited = awaited;
                    return Ok(());
                }
                Step::Compare(promises, words) => {
                    self.pin(epoch, membership, &promises)?;
                    seen.words = Some(words);
                    return Ok(());
                }
            }
            let standing = self.standing(epoch).await?;
            if standing.proposal != seen.standing.proposal {
                return Err(ConsentError::OtherProposal { epoch });
            }
            seen.standing = standing;
        }
        // Nobody would ever come to words.
        Err(ConsentError::PromiseNotKept { epoch })
    }

    /// Keeps the promises that were seen first, and takes no others for these members.
    fn pin(&self, epoch: Epoch, membership: Digest, promises: &Vec<NonceBinding>) -> Result<(), ConsentError> {
        match self.book.pin(membership, promises)? {
            true => Ok(()),
            false => Err(ConsentError::OtherPromises { epoch }),
        }
    }

    async fn say(&self, call: &ConsentCall) -> Result<(), ConsentError> {
        match self.member.consent(call).await? {
            ConsentAnswer::Accepted(()) => Ok(()),
            _ => Err(EnrolmentError::Answer.into()),
        }
    }

    /// Tells the coordinator, with this site's sealing key for the epoch. May be repeated with the same key.
    ///
    /// # Errors
    /// [`ConsentError::Enrolment`].
    pub async fn announce(&self, seen: &Seen, sealing: SealingKey) -> Result<(), ConsentError> {
        let who = (seen.standing.proposal.epoch, seen.party);
        let approval = Approval::new(self.member.signing(), who, seen.membership, seen.terms.digest(), sealing);
        self.say(&ConsentCall::Approve(Box::new(approval))).await
    }
}

impl Seen {
    /// What follows from a proposal that was checked, before anybody has come to words.
    ///
    /// # Errors
    /// [`ConsentError::Plan`], [`ConsentError::ThresholdsDiffer`].
    pub(crate) fn of(party: PartyId, standing: Standing) -> Result<Self, ConsentError> {
        let epoch = standing.proposal.epoch;
        let fault = |source| ConsentError::Plan { epoch, source };
        let members = standing.proposal.membership.seats.len();
        let name = format!("plan of key epoch {epoch}");
        let plan = Plan::of_consortium(&name, &standing.proposal.plan, members).map_err(fault)?;
        let (planned, proposed) = (plan.threshold(), standing.proposal.membership.threshold);
        if planned != proposed {
            return Err(ConsentError::ThresholdsDiffer { epoch, planned, proposed });
        }
        let terms = plan.terms_from(standing.proposal.base.map(|base| base.model)).map_err(fault)?;
        let membership = standing.proposal.membership.digest();
        Ok(Self { party, standing, plan, terms, membership, words: None, awaited: PartySet::EMPTY })
    }

    /// Whether the ceremony may begin, as the coordinator says.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.standing.stage == Stage::Open
    }
}
