//! What the refreshes of a training are bound to, and how all who follow it join their results.

use std::sync::Arc;

use he_agg::aggregation::Flooding;
use he_agg::backend::{Backend, Cpu};
use he_agg::ckks::{Ciphertext, Evaluator, GatedCiphertext};
use he_agg::multiparty::{
    Crs, GateKey, Quorum, REFRESH_MESSAGE_LOG2, RefreshContext, RefreshEmbedding, RefreshRequest, RefreshShare,
    RefreshSum, RefreshTarget, RefreshZeros, Refreshed,
};

use super::error::{HeadError, check_count};
use super::program::HeadProgram;
use super::transfer::HeadTransfer;

/// What does not change from one refresh to the next.
#[derive(Clone)]
pub struct RefreshTerms {
    /// Of the key that is trained under.
    pub crs: Crs,
    /// Its hospitals.
    pub quorum: Quorum,
    /// What hides the weights from whoever opens, for how many refreshes.
    pub flooding: Flooding,
    /// [`HeadProgram::digest`].
    pub program: [u8; 32],
}

/// What the coordinator asks hospitals for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshOrder {
    /// Whose packages, counted from 0.
    pub step: u32,
    /// Of this step, counted from 0.
    pub attempt: u32,
    /// Who opens what is flooded.
    pub opener: u16,
    /// Who shares.
    pub decryptors: Vec<u16>,
    /// After the first attempt, of every decryptor in their order: its encryptions of zero, one for every package.
    pub zeros: Vec<(u16, Vec<Vec<u8>>)>,
}

impl RefreshOrder {
    /// Of a step and an attempt counted from 1, as a log counts them, before anybody is asked for anything.
    pub fn before_asking(step: u32, attempt: u32) -> Self {
        let (step, attempt) = (step.saturating_sub(1), attempt.saturating_sub(1));
        Self { step, attempt, opener: 0, decryptors: Vec::new(), zeros: Vec::new() }
    }
}

impl RefreshTerms {
    /// What the refresh of every package is bound to.
    ///
    /// # Errors
    /// [`HeadError::Ceremony`] for hospitals that are none, or too few; for packages that are not at the base primes.
    pub fn contexts<B: Backend>(
        &self,
        order: &RefreshOrder,
        packages: &[Ciphertext],
        goal: &RefreshGoal<B>,
    ) -> Result<Vec<RefreshContext>, HeadError> {
        let RefreshOrder { step, attempt, opener, ref decryptors, .. } = *order;
        let context = |(part, package): (u32, &Ciphertext)| {
            let (program, flooding, message_log2) = (self.program, self.flooding, REFRESH_MESSAGE_LOG2);
            let request = RefreshRequest { program, step, attempt, part, opener, flooding, message_log2 };
            let target = RefreshTarget::new(&goal.crs, goal.limbs, goal.embedding)?;
            Ok(RefreshContext::new(&self.crs, self.quorum, request, package.clone(), target, decryptors)?)
        };
        (0..).zip(packages).map(context).collect()
    }
}

/// The key under which a refresh encrypts, and everybody's gate of it.
#[derive(Clone)]
pub struct RefreshGoal<B: Backend> {
    /// Of that key.
    pub crs: Crs,
    /// Primes of what is fresh.
    pub limbs: usize,
    /// Into its ring.
    pub embedding: RefreshEmbedding,
    /// Of hospital 1, 2, ...
    pub gates: Arc<[GateKey<B>]>,
    /// Of its ring.
    pub evaluator: Evaluator<B>,
}

/// Whether these are a hospital's shares of these refreshes: what is none cannot be added.
pub fn are_shares(contexts: &[RefreshContext], party: u16, shares: &[Vec<u8>]) -> bool {
    let is_one = |(context, bytes): (&RefreshContext, &Vec<u8>)| {
        RefreshShare::from_bytes(bytes, context).is_ok_and(|share| share.sender() == party)
    };
    contexts.len() == shares.len() && contexts.iter().zip(shares).all(is_one)
}

impl<B: Backend> RefreshGoal<B> {
    /// The key of the training itself, for its next step.
    pub fn next_step(program: &HeadProgram, crs: Crs, (gates, evaluator): (Arc<[GateKey<B>]>, Evaluator<B>)) -> Self {
        Self { crs, limbs: program.top_limbs(), embedding: RefreshEmbedding::SameRing, gates, evaluator }
    }

    /// The key that the finished head is served under.
    pub fn serving(transfer: &HeadTransfer, crs: Crs, (gates, evaluator): (Arc<[GateKey<B>]>, Evaluator<B>)) -> Self {
        Self { crs, limbs: transfer.package_limbs(), embedding: transfer.embedding(), gates, evaluator }
    }

    fn gate(&self, party: u16) -> Result<&GateKey<B>, HeadError> {
        let gate = usize::from(party).checked_sub(1).and_then(|place| self.gates.get(place));
        gate.ok_or(HeadError::Hospital { party, hospitals: self.gates.len() })
    }

    /// Whether these are masks of a hospital, or the opening, of these refreshes, as far as shape and scale tell: what
    /// is none cannot be joined.
    pub fn are_parts(&self, contexts: &[RefreshContext], parts: &[Vec<u8>]) -> bool {
        let shapes = contexts.iter().map(|context| (self.limbs, context.fresh_scale()));
        self.have_shapes(shapes.collect(), parts)
    }

    /// Whether these are zeros for what a step left, where this is the key of the training, as far as shape and scale
    /// tell: what is none cannot be added.
    pub fn are_zeros(&self, left: &[Ciphertext], zeros: &[Vec<u8>]) -> bool {
        self.have_shapes(left.iter().map(|of| (of.limbs(), of.scale())).collect(), zeros)
    }

    fn have_shapes(&self, shapes: Vec<(usize, f64)>, gated: &[Vec<u8>]) -> bool {
        let has = |((limbs, scale), bytes): (&(usize, f64), &Vec<u8>)| {
            let read = GatedCiphertext::from_bytes(bytes, self.crs.preset());
            read.is_ok_and(|it| (it.limbs(), it.scale().to_bits()) == (*limbs, scale.to_bits()))
        };
        shapes.len() == gated.len() && shapes.iter().zip(gated).all(has)
    }

    /// The fresh ciphertexts: of what the opener gated, and of every decryptor's masks, as bytes. Everybody makes the
    /// same of the same bytes.
    ///
    /// # Errors
    /// [`HeadError::Count`]; [`HeadError::Bytes`]; [`HeadError::Hospital`]; [`HeadError::Ceremony`] for masks of others
    /// than the decryptors, twice, or missing. A mask under another's name joins to noise.
    pub fn join(
        &self,
        contexts: &[RefreshContext],
        masks: &[(u16, Vec<Vec<u8>>)],
        opened: &[Vec<u8>],
    ) -> Result<Vec<Ciphertext<B>>, HeadError>
    where
        B: Clone,
    {
        check_count("opened packages", opened.len(), contexts.len())?;
        for (_, masks) in masks {
            check_count("masks of a hospital", masks.len(), contexts.len())?;
        }
        let preset = self.crs.preset();
        let one = |(part, context): (usize, &RefreshContext)| -> Result<Ciphertext<B>, HeadError> {
            let mut fresh = Refreshed::new(self.evaluator.clone(), context)?;
            for (party, masks) in masks {
                let mask = GatedCiphertext::from_bytes(&masks[part], preset)?;
                fresh.absorb_mask(&mask, self.gate(*party)?)?;
            }
            let opened = GatedCiphertext::from_bytes(&opened[part], preset)?;
            fresh.absorb_opening(&opened, self.gate(context.opener())?)?;
            Ok(fresh.finish()?)
        };
        contexts.iter().enumerate().map(one).collect()
    }
}

impl RefreshGoal<Cpu> {
    /// The packages that an order is about, where `left` is what its step left, and this is the key of the training: in
    /// the first attempt those, in another one with all decryptors' zeros added.
    ///
    /// # Errors
    /// [`HeadError::Zeros`] for zeros of others than the decryptors, or in a first attempt; [`HeadError::Count`];
    /// [`HeadError::Bytes`]; [`HeadError::Hospital`]; [`HeadError::Ceremony`] for those of other ciphertexts. Something
    /// else than zero is not noticed here: it changes what is trained.
    pub fn asked(&self, order: &RefreshOrder, left: &[Ciphertext]) -> Result<Vec<Ciphertext>, HeadError> {
        let RefreshOrder { step, attempt, ref decryptors, ref zeros, .. } = *order;
        if attempt == 0 && zeros.is_empty() {
            return Ok(left.to_vec());
        }
        if attempt == 0 || !zeros.iter().map(|(party, _)| party).eq(decryptors) {
            return Err(HeadError::Zeros { step, attempt, of: zeros.len(), decryptors: decryptors.len() });
        }
        for (_, zeros) in zeros {
            check_count("zeros of a hospital", zeros.len(), left.len())?;
        }
        let preset = self.crs.preset();
        let one = |(part, package): (u32, &Ciphertext)| -> Result<Ciphertext, HeadError> {
            let mut sum = RefreshZeros::new(self.evaluator, &self.crs, (step, attempt, part), package)?;
            for (party, zeros) in zeros {
                let zero = GatedCiphertext::from_bytes(&zeros[part as usize], preset)?;
                sum.absorb(&zero, self.gate(*party)?)?;
            }
            Ok(sum.finish()?)
        };
        (0..).zip(left).map(one).collect()
    }
}

/// The coordinator's sums of all decryptors' shares, blinded from itself: what the opener gets.
///
/// # Errors
/// [`HeadError::Count`]; [`HeadError::Ceremony`] for bytes that are no share of a decryptor, or one twice, or missing.
pub fn blinded_sums(contexts: &[RefreshContext], shares: &[Vec<Vec<u8>>]) -> Result<Vec<Vec<u8>>, HeadError> {
    for shares in shares {
        check_count("shares of a hospital", shares.len(), contexts.len())?;
    }
    let one = |(part, context): (usize, &RefreshContext)| -> Result<Vec<u8>, HeadError> {
        let mut sum = RefreshSum::new(context);
        for shares in shares {
            sum.absorb(&RefreshShare::from_bytes(&shares[part], context)?)?;
        }
        Ok(sum.finish()?.to_bytes())
    };
    contexts.iter().enumerate().map(one).collect()
}
