//! Taking up where the store leaves off, at any entry of the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::campaign::CampaignMachine;
use crate::codec::Wire;
use crate::drive::coordinator::inbox::{PhaseInput, PhaseStart, Tick, Told};
use crate::drive::coordinator::phase::{Effect, Phase, is_done};
use crate::drive::coordinator::serve::Held;
use crate::drive::coordinator::shown::Shown;
use crate::drive::coordinator::{CoordinatorConfig, CoordinatorDriver, CoordinatorJob, ResumeError, is_told};
use crate::drive::{Clock, CoordinatorNet, Crypto, Outside, Store, Stream};
use crate::ids::Digest;
use crate::lease::Leases;
use crate::log::{LogEntry, LogWriter};
use crate::message::LogMessage;
use crate::party_set::PartySet;

impl<S: Store, N: CoordinatorNet, C: Crypto<Job = CoordinatorJob>, K: Clock> CoordinatorDriver<S, N, C, K> {
    /// A coordinator over what is stored; a fresh store begins with the ceremony. Nothing happens before
    /// [`CoordinatorDriver::start`].
    ///
    /// # Errors
    /// [`ResumeError`] where the store cannot be read, is damaged or belongs to others.
    pub fn open(config: CoordinatorConfig, outside: Outside<S, N, C, K>) -> Result<Self, ResumeError> {
        let Outside { store, net, crypto, clock } = outside;
        let CoordinatorConfig { roster, terms, key, batch_max } = config;
        let entries = store.read(Stream::Log)?;
        let damaged = |index: usize| ResumeError::Damaged { what: "log", index: index as u64 };
        let mut writer = LogWriter::new(key);
        let (mut campaign, mut shown) = (CampaignMachine::new(terms.clone()), Shown::default());
        for (index, bytes) in entries.iter().enumerate() {
            let entry = LogEntry::from_bytes(bytes).map_err(|_| damaged(index))?;
            if !writer.follow(&entry) {
                return Err(damaged(index));
            }
            campaign.learn(&entry.message);
            shown.learn(&entry.message);
        }
        campaign.restart();
        if campaign.roster().is_some_and(|stored| *stored != roster) {
            return Err(ResumeError::OtherRoster);
        }
        let (parties, threshold) = (roster.parties(), roster.threshold());
        let leases = Leases::new(parties, PartySet::EMPTY, threshold, terms.patience_ms, clock.now_ms());
        Ok(Self {
            store,
            net,
            crypto,
            clock,
            roster,
            terms,
            batch_max,
            writer,
            entries,
            campaign,
            shown,
            phase: Phase::Waiting,
            phase_number: 0,
            inputs: VecDeque::new(),
            effects: VecDeque::new(),
            phase_ahead_ms: 0,
            wakes: BTreeSet::new(),
            awaited: BTreeMap::new(),
            heard: BTreeSet::new(),
            heard_of: BTreeMap::new(),
            leases,
            still_since_ms: None,
            polls: BTreeMap::new(),
            held: Held::default(),
            jobs_started: 0,
            again: Vec::new(),
            tick_ms: 0,
            is_faulty: false,
            full: None,
            stopped: false,
            notes: Vec::new(),
        })
    }

    /// Goes on from where the stored phase stood, or begins.
    ///
    /// # Errors
    /// [`ResumeError`] where what was stored of the phase is damaged.
    pub fn start(&mut self) -> Result<(), ResumeError> {
        let phases = self.store.read(Stream::Phases)?;
        match phases.last() {
            None => self.effects.push_back(Effect::Reconsider),
            Some(last) => {
                let damaged = |_| ResumeError::Damaged { what: "phases", index: phases.len() as u64 - 1 };
                self.replay(&PhaseStart::from_bytes(last).map_err(damaged)?)?;
            }
        }
        self.go();
        self.stay_awake();
        Ok(())
    }

    /// Tells the machine of the newest phase once more what it was told.
    fn replay(&mut self, start: &PhaseStart) -> Result<(), ResumeError> {
        let messages = self.messages()?;
        let begun = usize::try_from(start.entries).unwrap_or(usize::MAX);
        let before = messages.get(..begun).ok_or(ResumeError::Damaged { what: "phases", index: start.number })?;
        // It began, so nothing had paused it.
        let next = CampaignMachine::resume(self.terms.clone(), before).next();
        if !is_told(&next) {
            return Err(ResumeError::Damaged { what: "phases", index: start.number });
        }
        self.phase_number = start.number;
        self.phase = self.phase_of(&next, start.live);
        let mut lapsed = self.roster.parties().minus(start.live);
        let mut written = messages[begun..].iter().filter(|message| !is_ordered(message));
        let (mut jobs, mut end) = (Vec::<CoordinatorJob>::new(), None);
        let inbox = self.store.read(Stream::Inbox(start.number))?;
        let mut last_ms = 0;
        for (index, record) in (0..).zip(&inbox) {
            let told = Told::from_bytes(record).map_err(|_| ResumeError::Damaged { what: "inbox", index })?;
            last_ms = told.now_ms;
            match &told.input {
                PhaseInput::Message(message) => {
                    self.heard.insert(Digest::of("consilium heard message", message));
                    *self.heard_of.entry(message.author).or_default() += 1;
                }
                PhaseInput::Complete(list) => {
                    self.awaited.remove(list);
                }
                PhaseInput::Lapsed(party) => lapsed.insert(*party),
                PhaseInput::Returned(party) => lapsed.remove(*party),
                _ => {}
            }
            jobs.retain(|job| !is_done(job, &told.input));
            self.tell_machine(told);
            while let Some(effect) = self.effects.pop_front() {
                match effect {
                    Effect::Append(message) => match written.next() {
                        Some(stored) if *stored == message => {}
                        // The store has another entry where the same inputs make this one.
                        Some(_) => return Err(ResumeError::Damaged { what: "inbox", index }),
                        None => self.append(&message)?,
                    },
                    Effect::Expect(list, root) => {
                        self.awaited.insert(list, root);
                    }
                    Effect::Start(job) => jobs.push(job),
                    Effect::Forget(list) => self.store.forget(list)?,
                    Effect::End(ended) => end = Some(ended),
                    Effect::Reconsider | Effect::Stop => {}
                }
            }
        }
        let now_ms = self.clock.now_ms();
        self.phase_ahead_ms = last_ms.saturating_sub(now_ms);
        let (parties, threshold) = (self.roster.parties(), self.roster.threshold());
        self.leases = Leases::new(parties, lapsed, threshold, self.terms.patience_ms, now_ms);
        match end {
            Some(end) => self.effects.push_back(Effect::End(end)),
            None if inbox.is_empty() => self.inputs.push_back(PhaseInput::Start(Tick {})),
            None => {
                self.effects.extend(jobs.into_iter().map(Effect::Start));
                let awaited: Vec<_> = self.awaited.keys().copied().collect();
                awaited.into_iter().for_each(|list| self.look_at(list));
            }
        }
        Ok(())
    }

    fn messages(&self) -> Result<Vec<LogMessage>, ResumeError> {
        let read = |(index, bytes): (u64, &bytes::Bytes)| {
            let entry = LogEntry::from_bytes(bytes).map_err(|_| ResumeError::Damaged { what: "log", index })?;
            Ok(entry.message)
        };
        (0..).zip(&self.entries).map(read).collect()
    }
}

/// Entries that no machine made.
fn is_ordered(message: &LogMessage) -> bool {
    matches!(message, LogMessage::Order(_) | LogMessage::Stop(_))
}
