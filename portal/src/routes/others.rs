//! Pages that only show: models, quality, what left the building.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State as Shared};
use client::sent_log::{Sent, SentLog};
use maud::Markup;
use serde::Deserialize;

use crate::book::{Filter, JUDGED_MAX, Role};
use crate::clock::utc;
use crate::notice::Notice;
use crate::pages;
use crate::quality::Quality;
use crate::server::State;
use crate::visitor::Visitor;

/// Lines of a page.
const LINES_MAX: usize = 500;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SentFilter {
    what: String,
    since: String,
}

pub(super) async fn models(Shared(state): Shared<Arc<State>>, visitor: Visitor) -> Result<Markup, Notice> {
    visitor.must_be(Role::Clinician)?;
    let offers = state.offered(visitor.language).await?;
    Ok(pages::models::render(&visitor, &offers))
}

pub(super) async fn quality(Shared(state): Shared<Arc<State>>, visitor: Visitor) -> Result<Markup, Notice> {
    visitor.must_be(Role::Clinician)?;
    let language = visitor.language;
    let offers = state.offered(language).await?;
    let keeps = state.keep_images;
    let judged = tokio::task::spawn_blocking(move || {
        let judge = |offer: crate::offer::Offer| {
            let filter = Filter { labelled: Some(offer.id.clone()), ..Filter::default() };
            let (cases, _) = state.book.cases(&filter, 0, JUDGED_MAX)?;
            let judged = state.book.judged(&offer.id, &offer.digest, offer.asked.classes.len())?;
            let trainable = judged.iter().filter(|case| case.has_picture).count();
            Ok(pages::quality::OfModel { offer, quality: Quality::of(&cases), trainable })
        };
        offers.into_iter().map(judge).collect::<Result<Vec<_>, crate::book::BookError>>()
    });
    let judged = judged.await.map_err(|_| Notice::Broken(language))?.map_err(Notice::book(language))?;
    Ok(pages::quality::render(&visitor, &judged, keeps))
}

pub(super) async fn sent(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Query(filter): Query<SentFilter>,
) -> Result<Markup, Notice> {
    visitor.must_be(Role::Officer)?;
    let language = visitor.language;
    let read = tokio::task::spawn_blocking(move || SentLog::of(&state.hospital).read()).await;
    let lines = read.map_err(|_| Notice::Broken(language))?.map_err(|error| {
        tracing::error!(%error, "what was sent cannot be read");
        Notice::Broken(language)
    })?;
    let (lines, totals) = filtered(lines, &filter);
    let newest: Vec<Sent> = lines.iter().rev().take(LINES_MAX).cloned().collect();
    let SentFilter { what, since } = &filter;
    let shown = pages::sent::Shown { lines: &newest, found: lines.len(), totals: &totals, what, since };
    Ok(pages::sent::render(&visitor, &shown))
}

/// Lines that fit, oldest first, and times and bytes of each kind.
fn filtered(mut lines: Vec<Sent>, filter: &SentFilter) -> (Vec<Sent>, BTreeMap<String, (u64, u64)>) {
    lines.retain(|sent| {
        let at = utc(i64::try_from(sent.at_s).unwrap_or(0));
        sent.what.contains(filter.what.trim()) && at.as_str() >= filter.since.as_str()
    });
    let mut totals: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for sent in &lines {
        let total = totals.entry(sent.what.clone()).or_default();
        *total = (total.0 + 1, total.1.saturating_add(sent.bytes));
    }
    (lines, totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_lines_that_fit() {
        let sent = |at_s, what: &str, bytes| Sent { at_s, epoch: 1, what: what.into(), detail: String::new(), bytes };
        let lines = vec![sent(0, "share", 5), sent(1_795_183_387, "share", 7), sent(1_795_183_388, "query", 2)];
        let of = |what: &str, since: &str| {
            let (lines, totals) = filtered(lines.clone(), &SentFilter { what: what.into(), since: since.into() });
            (lines.len(), totals.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(of("", "").0, 3);
        assert_eq!(of(" shar", ""), (2, vec![("share".to_owned(), (2, 12))]));
        assert_eq!(of("share", "2026-11-20"), (1, vec![("share".to_owned(), (1, 7))]));
        assert_eq!(of("", "2026-11-21"), (0, vec![]));
    }
}
