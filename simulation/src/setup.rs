//! Turns an experiment into what the coordinator and each hospital have to know of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::hospital::{Asker, Fault, Hospital, HospitalEnd, HospitalError, HospitalPlan, HospitalSetup, Moment};
use client::train::TrainDevice;
use coordinator::compute::Compute;
use coordinator::{Coordinator, CoordinatorPlan, CoordinatorSetup};
use datasets::Samples;
use experiment::Experiment;
use he_agg::aggregation::Flooding;
use he_agg::multiparty::DecryptPolicy;
use he_infer::Program;
use protocol::ids::{Digest, Epoch, RoundId};
use protocol::net::{Backoff, Dialer, Limits, PeerName, Traffic};
use tokio::task::JoinHandle;

use super::enrolment::{self, COORDINATOR, Enrolled, Enrolment};
use super::error::FederationError;
use super::watch::Watch;
use crate::dropout::{self, DropOut};
use crate::event::EventSender;

/// Time for hospitals to hear that a run or a service ends.
pub(super) const GOODBYE: Duration = Duration::from_secs(10);
/// Longest wait for a query's bodies, and for the shares of its release.
const QUERY_DEADLINE: Duration = Duration::from_secs(120);
/// Longest wait for an answer: both of the above, and a full queue before it.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// What both roles take from the experiment, and hospitals from their machine.
pub(super) struct Common<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) program: Arc<Program>,
    pub(super) plan: Digest,
    pub(super) epoch: Epoch,
    pub(super) rounds_done: u32,
    pub(super) sample_cap: u64,
    pub(super) flooding: Flooding,
    /// Where hospitals train.
    pub(super) device: TrainDevice,
}

impl<'a> Common<'a> {
    pub(super) fn new(
        experiment: &'a Experiment,
        epoch: u32,
        rounds_done: u32,
        sample_cap: u64,
    ) -> Result<Self, FederationError> {
        let flooding = match experiment.publish().policy {
            DecryptPolicy::Flooded(flooding) => flooding,
            // A trusted holder has no place among several decryptors; the experiment file refuses it.
            DecryptPolicy::TrustedHolder => return Err(FederationError::TrustedHolder),
        };
        Ok(Self {
            experiment,
            program: Arc::new(experiment.program().clone()),
            plan: Digest(experiment.digest()),
            epoch: Epoch(epoch),
            rounds_done,
            sample_cap,
            flooding,
            device: TrainDevice::cpu(),
        })
    }

    pub(super) fn enrol(&self, out: &Path) -> Result<Enrolment, FederationError> {
        let federation = self.experiment.federation();
        enrolment::enrol(out, federation.hospitals, federation.threshold, self.epoch, self.parameters())
    }

    /// The federation of an earlier invocation, in the same key epoch.
    pub(super) fn recall(&self, out: &Path) -> Result<Enrolment, FederationError> {
        let federation = self.experiment.federation();
        enrolment::recall(out, federation.hospitals, federation.threshold, self.epoch, self.parameters())
    }

    /// Digest of both parameter sets and of the lanes.
    fn parameters(&self) -> Digest {
        let mut bytes = self.experiment.layout().digest().to_vec();
        bytes.extend_from_slice(&self.program.params().digest());
        Digest::of_bytes(&bytes)
    }

    fn queries_per_asker_max(&self) -> u64 {
        self.experiment.publish().quota
    }

    /// Starts the coordinator on a free port of the loopback device.
    pub(super) async fn coordinator(
        &self,
        folder: &Path,
        enrolment: &mut Enrolment,
        compute: &Compute,
        watch: &Arc<Watch>,
    ) -> Result<Coordinator, FederationError> {
        let federation = self.experiment.federation();
        let plan = CoordinatorPlan {
            roster: enrolment.roster.clone(),
            plan: self.plan,
            layout: self.experiment.layout().clone(),
            program: Arc::clone(&self.program),
            grace: federation.share_grace,
            deadline: federation.round_deadline,
            query_deadline: QUERY_DEADLINE,
            min_cohort: federation.min_cohort,
            attempts_max: federation.attempts_max,
            attempts_ahead: federation.attempts_ahead,
            releases_max: self.flooding.releases(),
            queries_per_asker_max: self.queries_per_asker_max(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let key = enrolment.coordinator_key.take().ok_or(FederationError::Abandoned)?;
        let setup = CoordinatorSetup {
            folder,
            address,
            identity: &enrolment.coordinator,
            authority: &enrolment.authority,
            key,
            plan,
            compute: compute.clone(),
            observer: Arc::clone(watch) as _,
            tap: Some(Arc::clone(watch) as _),
        };
        Ok(Coordinator::start(setup).await?)
    }

    /// Starts one hospital's process as a task.
    pub(super) fn hospital(
        &self,
        enrolled: Enrolled,
        data: Option<Samples>,
        enrolment: &Enrolment,
        address: SocketAddr,
        watch: &Arc<Watch>,
        drops: &[DropOut],
    ) -> Result<Running, FederationError> {
        let number = enrolled.party.number();
        let federation = self.experiment.federation();
        let limits = Limits::loopback();
        let dialer = Dialer::new(
            address,
            PeerName::new(COORDINATOR)?,
            Arc::clone(&enrolled.identity),
            enrolment.authority.clone(),
            limits,
            Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(2), attempts: 5 },
        );
        let traffic = Arc::clone(dialer.traffic());
        let plan = HospitalPlan {
            party: enrolled.party,
            epoch: self.epoch,
            coordinator: *enrolment.roster.coordinator(),
            plan: self.plan,
            parameters: self.parameters(),
            layout: self.experiment.layout().clone(),
            clip: self.experiment.encryption().clip as f32,
            sample_cap: self.sample_cap,
            program: Arc::clone(&self.program),
            serving_flooding: self.flooding,
            training: self.experiment.train().clone(),
            device: self.device.clone(),
            rounds: federation.rounds,
            rounds_done: self.rounds_done,
            local_epochs: self.experiment.local_epochs(),
            seed: self.experiment.seed(),
            min_cohort: federation.min_cohort,
            attempts_max: federation.attempts_max,
            own_key_queries: self.experiment.publish().own_key,
            answer_within: ANSWER_WITHIN,
            queries_per_asker_max: self.queries_per_asker_max(),
        };
        let drop = drops.iter().find(|drop| drop.hospital == number);
        let fault = drop.and_then(|drop| {
            let round = RoundId(drop.round.checked_sub(self.rounds_done)?);
            Some(Fault { round, moment: moment(drop.moment) })
        });
        let setup = HospitalSetup {
            root: &enrolled.root,
            vault: enrolled.vault,
            plan,
            data,
            dialer,
            certificate: Digest(*enrolled.identity.fingerprint().bytes()),
            signing: enrolled.signing,
            opening: enrolled.opening,
            observer: Arc::clone(watch) as _,
            witness: Some(Arc::clone(watch) as _),
            fault,
        };
        let (hospital, asker) =
            Hospital::open(setup).map_err(|source| FederationError::Hospital { hospital: number, source })?;
        let events = watch.events().clone();
        let task = tokio::spawn(async move {
            let end = hospital.run().await;
            if let Err(error) = &end {
                events.warn(format!("hospital-{number} stopped: {error}"));
            }
            end
        });
        Ok(Running { number, asker, traffic, task })
    }
}

/// Waits for the hospitals' tasks; those lost on purpose have ended long ago.
pub(super) async fn dismiss(hospitals: Vec<Running>, events: &EventSender) {
    for one in hospitals {
        match tokio::time::timeout(GOODBYE, one.task).await {
            // A hospital that stopped with an error said so when it did.
            Ok(Ok(Ok(HospitalEnd::Finished(_) | HospitalEnd::Lost) | Err(_))) => {}
            Ok(Err(_)) | Err(_) => events.warn(format!("hospital-{} did not end in time", one.number)),
        }
    }
}

/// A hospital's task, and how to ask it.
pub(super) struct Running {
    pub(super) number: u16,
    pub(super) asker: Asker,
    pub(super) traffic: Arc<Traffic>,
    pub(super) task: JoinHandle<Result<HospitalEnd, HospitalError>>,
}

fn moment(moment: dropout::Moment) -> Moment {
    match moment {
        dropout::Moment::BeforeUpload => Moment::BeforeUpload,
        dropout::Moment::AfterUpload => Moment::AfterUpload,
        dropout::Moment::BeforeShare => Moment::BeforeShare,
    }
}
