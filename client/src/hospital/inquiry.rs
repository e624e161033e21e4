//! A hospital's own questions on their way, and its part in answering others'.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::Reject;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::hospital::{HospitalInput, SwitchBinding};
use protocol::ids::QueryId;
use protocol::net::NetError;
use tokio::sync::oneshot;

use super::error::HospitalError;
use super::query::{Answered, Question};
use super::runtime::{Hospital, compute};
use super::site::Site;

/// A question whose answer is awaited.
pub(super) struct Pending {
    pub(super) started: Instant,
    encrypt: Duration,
    images: usize,
    query_bytes: u64,
    reply: oneshot::Sender<Result<Answered, HospitalError>>,
}

impl Hospital {
    /// Encrypts a question under a fresh number.
    pub(super) async fn ask(&mut self, question: Question) -> Result<Option<HospitalInput>, HospitalError> {
        let Some((model, program)) = self.published else { return Ok(None) };
        let started = Instant::now();
        let query = next_query(&self.site)?;
        let prepared = match compute(|| self.site.prepare_query(query, &question.images)) {
            Ok(prepared) => prepared,
            Err(error) => {
                // The asker may have gone; then nobody waits for the error.
                let _ = question.reply.send(Err(error));
                return Ok(None);
            }
        };
        let encrypt = started.elapsed();
        let (query_bytes, images, reply) = (prepared.query_bytes, question.images.len(), question.reply);
        self.pending.insert(query, Pending { started, encrypt, images, query_bytes, reply });
        let (asker_key, query_key, body) = (prepared.asker_key, prepared.query_key, prepared.body);
        Ok(Some(HospitalInput::Ask { query, program, model, asker_key, query_key, body }))
    }

    /// Decrypts the answer and hands it to whoever asked.
    pub(super) fn answered(&mut self, query: QueryId, bytes: &Bytes) {
        let Some(pending) = self.pending.remove(&query) else { return };
        let arrived = Instant::now();
        let answer = compute(|| self.site.read_answer(bytes, pending.images)).map(|logits| Answered {
            query,
            logits,
            latency: pending.started.elapsed(),
            encrypt: pending.encrypt,
            decrypt: arrived.elapsed(),
            query_bytes: pending.query_bytes,
            reply_bytes: bytes.len() as u64,
        });
        // The asker may have gone; the answer is then forgotten.
        let _ = pending.reply.send(answer);
    }

    /// Ends one question without an answer.
    pub(super) fn no_answer(&mut self, query: QueryId, error: HospitalError) {
        if let Some(pending) = self.pending.remove(&query) {
            // The asker may have gone; then nobody waits for the refusal.
            let _ = pending.reply.send(Err(error));
        }
    }

    /// Ends the wait for answers that are overdue, for example because the coordinator restarted meanwhile.
    pub(super) fn give_up(&mut self, within: Duration) {
        let overdue: Vec<QueryId> =
            self.pending.iter().filter(|(_, it)| it.started.elapsed() >= within).map(|(query, _)| *query).collect();
        for query in overdue {
            self.no_answer(query, HospitalError::Unanswered { query, seconds: within.as_secs() });
        }
    }

    /// Sends the encrypted image and the key to which the answer is to be switched; nothing of a refused query.
    pub(super) async fn upload_query(&mut self, query: QueryId, body: BodyRoot) -> Result<(), HospitalError> {
        let party = Some(self.site.plan.party);
        let key = BlobId::query(BlobKind::AskerKey, query, party, 0);
        if !self.pending.contains_key(&query) {
            self.site.outbox.delivered(&key);
            (0..body.count)
                .for_each(|part| self.site.outbox.delivered(&BlobId::query(BlobKind::Query, query, party, part)));
            return Ok(());
        }
        self.link.put(key, self.site.outbox.get(&key)?).await?;
        self.site.outbox.delivered(&key);
        if let Some((id, bytes)) = self.site.query_key_to_send() {
            self.link.put(id, bytes).await?;
            self.site.query_key_sent();
        }
        self.upload(BlobKind::Query, query.0, 0, body).await
    }

    /// Fetches result and asker's key, and makes this hospital's share of the switch.
    pub(super) async fn release_switch(&mut self, binding: &SwitchBinding) -> Result<HospitalInput, HospitalError> {
        let (party, query) = (self.site.plan.party, binding.query);
        let result = BlobId::query(BlobKind::QueryResult, query, None, 0);
        let asker = BlobId::query(BlobKind::AskerKey, query, Some(binding.asker), 0);
        let fetched = match self.fetch_single(result, binding.result).await {
            Ok(result) => self.fetch(asker, binding.asker_key).await.map(|asker| (result, asker)),
            Err(error) => Err(error),
        };
        let (error, reject) = match fetched {
            Ok((result, asker)) => {
                let started = Instant::now();
                match compute(|| self.site.release_switch(binding, &result, &asker)) {
                    Ok(body) => {
                        self.site.observer.switched(party, query, started.elapsed());
                        return Ok(HospitalInput::SwitchMade { query, body });
                    }
                    Err(error) => (error, Reject::AlreadyReleased),
                }
            }
            // The coordinator keeps the bodies of a query only while it is under way.
            Err(
                error @ (HospitalError::Net(NetError::Rejected { .. })
                | HospitalError::BodyDiffers { .. }
                | HospitalError::AnswerKind { .. }),
            ) => (error, Reject::BodyDiffers),
            Err(error) => return Err(error),
        };
        self.site.observer.refused(party, &error.to_string());
        Ok(HospitalInput::SwitchRefused { query, reject })
    }
}

/// The next query number of this hospital; on disk before it is used, so that it is never used again.
fn next_query(site: &Site) -> Result<QueryId, HospitalError> {
    let counter = site.journal.append("queries", &[])?;
    Ok(QueryId::new(site.plan.party, counter + 1))
}
