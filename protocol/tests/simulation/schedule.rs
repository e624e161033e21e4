//! What goes wrong in one simulated federation, and when. One seed is one schedule.

use protocol::PartyId;
use protocol::blob::BlobKind;
use protocol::message::KeyStep;

use crate::rng::Rng;

/// A moment of a round, seen from one hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeUpload,
    AfterUpload,
    BeforeAcceptance,
    BeforeShare,
}

/// Who breaks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// A hospital dies at a named moment, and comes back or not.
    At { party: u16, round: u32, moment: Moment, back_after_ms: Option<u64> },
    /// A hospital dies at its n-th write, before or after it is durable, and comes back or not.
    AtWrite { party: u16, write: u64, is_written: bool, back_after_ms: Option<u64> },
    /// The coordinator dies at its n-th write, and comes back.
    Coordinator { write: u64, is_written: bool, back_after_ms: u64 },
    /// What a hospital sends in a round's first attempt is no ciphertext, or no share.
    Garbles { party: u16, round: u32, what: BlobKind },
    /// A hospital's training never ends, while it goes on calling.
    Hangs { party: u16, round: u32 },
    /// What a hospital deals to one receiver lies not on the polynomial of what it deals to the others.
    Misdeals { dealer: u16, receiver: u16 },
    /// A hospital takes another's result of a query for its own, where there is one.
    Borrows { party: u16 },
    /// A hospital takes other steps of a head than the others.
    Strays { party: u16 },
    /// What a hospital sends to the first attempt at every refresh of a head is no part of it.
    GarblesHead { party: u16, what: BlobKind },
    /// Outside its hours until this time, a hospital does not train.
    Rests { party: u16, until_ms: u64 },
}

/// What the network does to calls and answers, and the disks to writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    pub(crate) delay_ms_max: u64,
    /// Of the coordinator's writes.
    pub(crate) disk_percent: u64,
}

/// One schedule.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) parties: u16,
    pub(crate) rounds: u32,
    /// Rounds of figures after them.
    pub(crate) figure_rounds: u32,
    pub(crate) attempts_ahead: u32,
    pub(crate) patience_ms: u64,
    pub(crate) faults: Faults,
    pub(crate) crashes: Vec<Crash>,
    /// What an oracle that works must find.
    pub(crate) planted: Option<Planted>,
    /// Hospitals take the coordinator's word for what a round's sum is made of, and dealers' for what they dealt: what
    /// would be if they did.
    pub(crate) trusting: bool,
    /// Whether a pause that may end by itself does not end the world.
    pub(crate) outlives_cut_off: bool,
    /// Questions are made of planes.
    pub(crate) planes: bool,
    /// A head is trained on ciphertexts, and no rounds.
    pub(crate) head: bool,
    /// So many bodies of the ceremony arrive as something else.
    pub(crate) garbled_ceremony_bodies: u32,
}

/// A bug between the coordinator's driver and the bytes it has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// One member's update is left out.
    Drops,
    /// One member's update is added twice, another's not at all.
    Doubles,
    /// One member's update is taken from another round's attempt.
    Swaps,
    /// To the sum of a round is added what nobody sent, so that it passes every check of an opened sum: whoever holds
    /// the group's key can.
    Steers,
    /// What the sum was made of is shown as something else than one member signed for.
    Alters,
    /// The sum of a serving key is one of the coordinator's own: no bug, but a lie.
    Names(KeyStep),
    /// The published model is one hospital's contribution alone.
    Singles,
    /// The result of every query is one of the coordinator's own.
    Results,
    /// What it says that the steps of a head leave is something else.
    Strays,
}

impl Default for Schedule {
    fn default() -> Self {
        let faults = Faults { loss_percent: 0, duplicate_percent: 0, delay_ms_max: 20, disk_percent: 0 };
        Self {
            parties: 5,
            rounds: 3,
            figure_rounds: 1,
            attempts_ahead: 1,
            outlives_cut_off: false,
            planes: false,
            head: false,
            garbled_ceremony_bodies: 0,
            patience_ms: 2_000,
            faults,
            crashes: Vec::new(),
            planted: None,
            trusting: false,
        }
    }
}

impl Schedule {
    pub(crate) fn of(parties: u16) -> Self {
        Self { parties, ..Self::default() }
    }

    /// For how many seconds from now a hospital is outside its hours.
    pub(crate) fn rests_s(&self, party: PartyId, now_ms: u64) -> Option<u64> {
        let of = |crash: &Crash| match *crash {
            Crash::Rests { party: whose, until_ms } if whose == party.number() => until_ms.checked_sub(now_ms),
            _ => None,
        };
        self.crashes.iter().find_map(of).filter(|left| *left > 0).map(|left| left.div_ceil(1_000))
    }

    /// To whom a hospital deals what it should not.
    pub(crate) fn misdealt_to(&self, of: PartyId) -> Vec<u16> {
        let receiver = |crash: &Crash| match *crash {
            Crash::Misdeals { dealer, receiver } if dealer == of.number() => Some(receiver),
            _ => None,
        };
        self.crashes.iter().filter_map(receiver).collect()
    }

    /// So many hospitals, who train a head.
    pub(crate) fn of_head(parties: u16) -> Self {
        Self { head: true, rounds: 0, figure_rounds: 0, ..Self::of(parties) }
    }

    /// The same of a random schedule.
    pub(crate) fn random_head(seed: u64) -> Self {
        let (mut all, mut rng) = (Self::random(seed), Rng::new(seed ^ 0x4ead));
        let party = 1 + u16::try_from(rng.below(all.parties.into())).unwrap();
        // After the ceremony, in which nobody can be lost for good.
        let (write, is_written) = (100 + rng.below(130), rng.percent(50));
        let back_after_ms = rng.percent(60).then(|| 200 + rng.below(6_000));
        all.crashes.push(match rng.below(5) {
            0 => Crash::Strays { party },
            1 => Crash::GarblesHead { party, what: BlobKind::RefreshMask },
            2 => Crash::GarblesHead { party, what: BlobKind::RefreshOpening },
            _ => Crash::AtWrite { party, write, is_written, back_after_ms },
        });
        Self { head: true, rounds: 0, figure_rounds: 0, planes: false, ..all }
    }

    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let parties = if rng.percent(10) { 7 } else { 3 + u16::try_from(rng.below(3)).unwrap() };
        let faults = Faults {
            loss_percent: rng.below(25),
            duplicate_percent: rng.below(25),
            delay_ms_max: 5 + rng.below(100),
            disk_percent: if rng.percent(25) { rng.below(20) } else { 0 },
        };
        let crashes = (0..rng.below(4)).map(|_| Self::random_crash(&mut rng, parties)).collect();
        let attempts_ahead = u32::try_from(rng.below(3)).unwrap();
        let planes = seed.is_multiple_of(3);
        Self { parties, rounds: 2, attempts_ahead, faults, crashes, planes, ..Self::default() }
    }

    fn random_crash(rng: &mut Rng, parties: u16) -> Crash {
        let party = 1 + u16::try_from(rng.below(u64::from(parties))).unwrap();
        let is_written = rng.percent(50);
        match rng.below(11) {
            0..3 => {
                let moments =
                    [Moment::BeforeUpload, Moment::AfterUpload, Moment::BeforeAcceptance, Moment::BeforeShare];
                let round = 1 + u32::try_from(rng.below(2)).unwrap();
                let moment = moments[usize::try_from(rng.below(4)).unwrap()];
                let back_after_ms = rng.percent(50).then(|| 50 + rng.below(8_000));
                Crash::At { party, round, moment, back_after_ms }
            }
            3..7 => {
                let back_after_ms = rng.percent(70).then(|| 50 + rng.below(4_000));
                Crash::AtWrite { party, write: rng.below(90), is_written, back_after_ms }
            }
            7..9 => Crash::Coordinator { write: rng.below(220), is_written, back_after_ms: 20 + rng.below(4_000) },
            9 => Crash::Hangs { party, round: 1 + u32::try_from(rng.below(2)).unwrap() },
            _ => {
                let what = if is_written { BlobKind::UpdateChunk } else { BlobKind::Share };
                Crash::Garbles { party, round: 1 + u32::try_from(rng.below(2)).unwrap(), what }
            }
        }
    }
}
