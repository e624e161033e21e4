//! The officer's pages.

use std::fs::{self, File};
use std::io::Read;
use std::sync::Arc;

use axum::Form;
use axum::body::Body;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use client::bundle::{BundleError, write_file};
use maud::Markup;
use protocol::ids::Epoch;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::approving::{Refusal, Word, approve};
use super::page::{self, Said};
use super::{Matter, Office, data_sets};
use crate::book::Role;
use crate::notice::Notice;
use crate::server::State;
use crate::visitor::Visitor;

/// Bytes that are read of a file at a time.
const BLOCK_BYTES: usize = 64 << 10;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Look {
    /// Whether this officer reads the words aloud.
    aloud: Option<String>,
    /// What was approved a moment ago.
    done: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct MembersForm {
    csrf: String,
    password: String,
    #[serde(default)]
    words: String,
    #[serde(default)]
    aloud: String,
    #[serde(default)]
    all_match: String,
}

#[derive(Deserialize)]
pub(crate) struct TermsForm {
    csrf: String,
    password: String,
    digest: String,
    #[serde(default)]
    data: String,
}

/// Work on the hospital's files, one at a time: plans are derived, images read, logs copied.
async fn on_files<T: Send + 'static>(
    state: &Arc<State>,
    visitor: &Visitor,
    work: impl FnOnce(&State) -> T + Send + 'static,
) -> Result<T, Notice> {
    let place = Arc::clone(&state.office).acquire_owned().await.map_err(|error| broken(visitor, &error))?;
    let state = Arc::clone(state);
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work(&state)
    });
    done.await.map_err(|error| broken(visitor, &error))
}

fn broken(visitor: &Visitor, error: &dyn std::fmt::Display) -> Notice {
    tracing::error!(%error, "the officer's page cannot be made");
    Notice::Broken(visitor.language)
}

fn epoch(visitor: &Visitor, text: &str) -> Result<Epoch, Notice> {
    text.parse().map(Epoch).map_err(|_| Notice::NotFound(visitor.language))
}

pub(crate) async fn office(Shared(state): Shared<Arc<State>>, visitor: Visitor) -> Result<Markup, Notice> {
    visitor.must_be(Role::Officer)?;
    let office = on_files(&state, &visitor, |state| Office::of(&state.hospital)).await?;
    let office = office.map_err(|error| broken(&visitor, &error))?;
    Ok(page::office(&visitor, &office))
}

pub(crate) async fn matter(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(number): Path<String>,
    Query(look): Query<Look>,
) -> Result<Markup, Notice> {
    visitor.must_be(Role::Officer)?;
    let said = match look.done.as_deref() {
        Some("members") => Said::Members,
        Some("terms") => Said::Terms,
        _ => Said::Nothing,
    };
    shown(&state, &visitor, &number, look.aloud.is_some(), &said).await
}

async fn shown(
    state: &Arc<State>,
    visitor: &Visitor,
    number: &str,
    reads_aloud: bool,
    said: &Said,
) -> Result<Markup, Notice> {
    let epoch = epoch(visitor, number)?;
    let read = move |state: &State| Ok((Matter::of(&state.hospital, epoch)?, data_sets(&state.hospital)?));
    let (matter, sets) =
        on_files(state, visitor, read).await?.map_err(|error: super::Unreadable| broken(visitor, &error))?;
    let matter = matter.ok_or(Notice::NotFound(visitor.language))?;
    Ok(page::matter(visitor, &matter, &sets, reads_aloud, said))
}

pub(crate) async fn approve_members(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(number): Path<String>,
    Form(form): Form<MembersForm>,
) -> Result<Response, Notice> {
    visitor.must_know(&form.csrf)?;
    visitor.must_be(Role::Officer)?;
    let reads_aloud = !form.aloud.is_empty();
    let word = match reads_aloud {
        true => Word::ReadAloud { all_match: !form.all_match.is_empty() },
        false => Word::Heard(form.words),
    };
    given(&state, &visitor, &number, (form.password, word), (reads_aloud, "members")).await
}

pub(crate) async fn approve_terms(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(number): Path<String>,
    Form(form): Form<TermsForm>,
) -> Result<Response, Notice> {
    visitor.must_know(&form.csrf)?;
    visitor.must_be(Role::Officer)?;
    let word = Word::Terms { digest: form.digest, data: form.data };
    given(&state, &visitor, &number, (form.password, word), (false, "terms")).await
}

async fn given(
    state: &Arc<State>,
    visitor: &Visitor,
    number: &str,
    (password, word): (String, Word),
    (reads_aloud, what): (bool, &str),
) -> Result<Response, Notice> {
    let (officer, of) = (visitor.visit.user.name.clone(), epoch(visitor, number)?);
    let approved = on_files(state, visitor, move |state| approve(state, &officer, &password, of, &word)).await?;
    match approved {
        Ok(()) => Ok(Redirect::to(&format!("/office/{of}?done={what}")).into_response()),
        Err(Refusal::Broken(error)) => Err(broken(visitor, &error)),
        Err(refusal) => {
            let status = match refusal {
                Refusal::Password => StatusCode::UNAUTHORIZED,
                Refusal::Locked { .. } => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let said = Said::No(refusal);
            Ok((status, shown(state, visitor, number, reads_aloud, &said).await?).into_response())
        }
    }
}

/// The file for an auditor. It is made on the disk, since a log may be long, and goes with the answer.
pub(crate) async fn bundle(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(number): Path<String>,
) -> Result<Response, Notice> {
    visitor.must_be(Role::Officer)?;
    let of = epoch(&visitor, &number)?;
    let made = on_files(&state, &visitor, move |state| {
        let path = state.hospital.join(crate::book::FOLDER).join("bundle.zip");
        let written = write_file(&state.hospital, of, &path)?;
        let file = File::open(&path).map_err(BundleError::Write)?;
        // Whoever reads it has it open.
        fs::remove_file(&path).map_err(BundleError::Write)?;
        Ok((written, file))
    });
    let (written, file) = made.await?.map_err(|error| match error {
        BundleError::NoEpoch { .. } => Notice::NotFound(visitor.language),
        error => broken(&visitor, &error),
    })?;
    let headers = [
        (CONTENT_TYPE, "application/zip".to_owned()),
        (CONTENT_LENGTH, written.bytes.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"key-epoch-{of}.zip\"")),
    ];
    Ok((headers, Body::from_stream(streamed(file))).into_response())
}

/// A file, block by block, as fast as it is taken.
fn streamed(mut file: File) -> ReceiverStream<std::io::Result<Vec<u8>>> {
    let (sender, blocks) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut block = vec![0; BLOCK_BYTES];
            let sent = match file.read(&mut block) {
                Ok(0) => return,
                Ok(read) => {
                    block.truncate(read);
                    sender.blocking_send(Ok(block))
                }
                Err(error) => {
                    // Whoever reads sees that the file is not whole.
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            };
            // Whoever asked may have gone.
            if sent.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(blocks)
}
