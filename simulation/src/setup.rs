//! Turns an experiment into what the coordinator and each hospital have to know of it, and starts their processes.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use client::hospital::{
    Asker, Hospital, HospitalEnd, HospitalError, HospitalSetup, Killer, OwnPatients, SiteImages, Slots, Transport,
};
use client::plan::Plan;
use client::privacy_ledger::LEDGER_FILE;
use client::train::TrainDevice;
use coordinator::compute::Compute;
use coordinator::{Coordinator, CoordinatorPlan, CoordinatorSetup};
use datasets::Samples;
use protocol::ids::{Digest, Epoch};
use protocol::net::{Backoff, Dialer, Limits, PeerName, Server, Traffic};
use protocol::terms::Terms;
use protocol::weight::WeightClass;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::dropping::Dropping;
use super::enrolment::{self, COORDINATOR, Enrolled, Enrolment};
use super::error::FederationError;
use super::tap::Tapped;
use super::watch::Watch;
use crate::dropout::DropOut;

/// Time for hospitals to hear that a run or a service ends.
pub(super) const GOODBYE: Duration = Duration::from_secs(10);

/// What both roles take from the experiment, and hospitals from their machine.
pub(super) struct Common {
    pub(super) plan: Plan,
    pub(super) epoch: Epoch,
    /// Where hospitals train.
    pub(super) device: TrainDevice,
    /// Hospitals of one machine share its cores.
    pub(super) slots: Slots,
}

impl Common {
    pub(super) fn new(plan: Plan, epoch: u32) -> Self {
        let slots = Slots::new(std::thread::available_parallelism().map_or(1, usize::from));
        Self { plan, epoch: Epoch(epoch), device: TrainDevice::cpu(), slots }
    }

    /// Enrols a hospital for each of these weights.
    pub(super) fn enrol(&self, out: &Path, weights: &[WeightClass]) -> Result<Enrolment, FederationError> {
        let threshold = self.plan.threshold();
        enrolment::enrol(out, (weights, threshold), self.epoch, self.plan.parameters(), SystemTime::now())
    }

    /// The federation of an earlier invocation, in the same key epoch.
    pub(super) fn recall(&self, out: &Path, weights: &[WeightClass]) -> Result<Enrolment, FederationError> {
        let threshold = self.plan.threshold();
        enrolment::recall(out, (weights, threshold), self.epoch, self.plan.parameters(), SystemTime::now())
    }

    /// Starts the coordinator on a free port of the loopback device.
    pub(super) fn coordinator(
        &self,
        folder: &Path,
        enrolment: &mut Enrolment,
        terms: &Terms,
        compute: &Compute,
        watch: &Arc<Watch>,
    ) -> Result<Host, FederationError> {
        let plan = CoordinatorPlan {
            roster: enrolment.roster.clone(),
            terms: terms.clone(),
            layout: self.plan.layout().clone(),
            program: Arc::clone(self.plan.program()),
            head: self.plan.head().cloned(),
        };
        let key = enrolment.coordinator_key.take().ok_or(FederationError::Abandoned)?;
        let observer = Arc::clone(watch) as _;
        let setup = CoordinatorSetup { folder, key, plan, compute: compute.clone(), observer };
        let coordinator = Coordinator::start(setup)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(address, &enrolment.coordinator, &enrolment.authority, Limits::loopback())?;
        let (address, traffic) = (server.local_addr(), server.traffic());
        let handler =
            Arc::new(Tapped { tap: Arc::clone(watch), inner: coordinator.handler(), roster: enrolment.roster.clone() });
        let (shutdown, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            // A dropped sender means the same as a sent word.
            let stop = async { drop(stopped.await) };
            server.run(handler, stop).await;
        });
        Ok(Host { coordinator, address, traffic, shutdown, server })
    }

    /// Starts one hospital's process as a task.
    pub(super) fn hospital(
        &self,
        enrolled: Enrolled,
        data: Option<SiteImages>,
        (enrolment, terms): (&Enrolment, &Terms),
        address: SocketAddr,
        watch: &Arc<Watch>,
        drops: &[DropOut],
    ) -> Result<Running, FederationError> {
        let number = enrolled.party.number();
        let dialer = Dialer::new(
            address,
            PeerName::new(COORDINATOR)?,
            Arc::clone(&enrolled.identity),
            enrolment.authority.clone(),
            Limits::loopback(),
            Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(2), attempts: 5 },
        );
        let traffic = Arc::clone(dialer.traffic());
        let who = (enrolled.party, self.epoch);
        let mut plan = self.plan.hospital(who, &enrolment.roster.membership(), terms, self.device.clone());
        plan.patients = data.as_ref().filter(|_| plan.privacy.is_some()).map(|data| OwnPatients {
            declared: declared(&data.train),
            ledger: enrolled.root.join(LEDGER_FILE),
            budget: None,
        });
        let killer: Arc<Mutex<Option<Killer>>> = Arc::default();
        let mut transport: Arc<dyn Transport> = Arc::new(dialer);
        if let Some(drop) = drops.iter().find(|drop| drop.hospital == number) {
            let (round, moment, killer) = (drop.round, drop.moment, Arc::clone(&killer));
            let is_step = matches!(self.plan, Plan::Head(_));
            transport = Arc::new(Dropping { inner: transport, round, moment, is_step, killer });
        }
        let setup = HospitalSetup {
            root: &enrolled.root,
            vault: Arc::clone(&enrolled.vault),
            plan,
            data,
            transport,
            tls_key: Digest(*enrolled.identity.key_fingerprint().bytes()),
            signing: enrolled.signing,
            opening: enrolled.opening,
            slots: self.slots.clone(),
            hours: None,
            models: Vec::new(),
            observer: Arc::clone(watch) as _,
        };
        let (hospital, asker) =
            Hospital::open(setup).map_err(|source| FederationError::Hospital { hospital: number, source })?;
        *killer.lock().unwrap_or_else(PoisonError::into_inner) = Some(hospital.killer());
        let (events, kill) = (watch.events().clone(), hospital.killer());
        let task = tokio::spawn(async move {
            let end = hospital.run().await;
            if let Err(error) = &end {
                events.warn(format!("hospital-{number} stopped: {error}"));
            }
            end
        });
        Ok(Running { number, asker, traffic, task, kill })
    }
}

/// How many patients a hospital of a simulation declares: as many as it has, to the first digit.
fn declared(train: &Samples) -> u32 {
    let patients = train.groups.iter().collect::<BTreeSet<_>>().len().max(1);
    let unit = 10usize.pow(patients.ilog10());
    u32::try_from(patients.div_ceil(unit) * unit).unwrap_or(u32::MAX)
}

/// The coordinator's process and its socket.
pub(super) struct Host {
    pub(super) coordinator: Coordinator,
    pub(super) address: SocketAddr,
    pub(super) traffic: Arc<Traffic>,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Host {
    /// Tells the hospitals that the participation ends, and closes the socket after they had time to hear it.
    ///
    /// # Errors
    /// [`FederationError::Coordinator`].
    pub(super) async fn stop(self, reason: &str) -> Result<(), FederationError> {
        // What kept it from being stored is what the process ended with.
        let _ = self.coordinator.end(reason).await;
        self.coordinator.ended().await?;
        // A server that ended by itself needs no word.
        let _ = self.shutdown.send(());
        self.server.await.map_err(|_| FederationError::Abandoned)
    }

    /// Ends the process as it stands: what is stored lets the next one go on.
    pub(super) async fn abandon(self) {
        self.coordinator.kill().await;
        let _ = self.coordinator.ended().await;
        self.server.abort();
    }
}

/// Waits for the hospitals' tasks; those lost on purpose have ended long ago.
pub(super) async fn dismiss(hospitals: Vec<Running>, events: &crate::event::EventSender) {
    for mut one in hospitals {
        match tokio::time::timeout(GOODBYE, &mut one.task).await {
            // A hospital that stopped with an error said so when it did.
            Ok(Ok(Ok(HospitalEnd::Finished(_) | HospitalEnd::Killed) | Err(_))) => {}
            Ok(Err(_)) | Err(_) => {
                one.kill.kill();
                events.warn(format!("hospital-{} did not end in time", one.number));
            }
        }
    }
}

/// A hospital's task, and how to ask it.
pub(super) struct Running {
    pub(super) number: u16,
    pub(super) asker: Asker,
    pub(super) traffic: Arc<Traffic>,
    pub(super) task: JoinHandle<Result<HospitalEnd, HospitalError>>,
    pub(super) kill: Killer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_hospital_declares_its_patients_to_the_first_digit() {
        let of = |patients: u32| {
            let images = Samples::empty(1, 1, 1);
            // Two images of each.
            declared(&Samples { groups: (0..patients).flat_map(|patient| [patient; 2]).collect(), ..images })
        };
        assert_eq!([0, 1, 9, 10, 11, 99, 100, 834, 1001].map(of), [1, 1, 9, 10, 20, 100, 100, 900, 2000]);
    }
}
