//! Where scans are handed in.

use maud::{Markup, html};

use super::frame::{Frame, Place, page};
use crate::offer::Offer;
use crate::visitor::Visitor;

/// The page. `bytes_max` is what one request may have.
pub(crate) fn render(
    visitor: &Visitor,
    offers: &[Offer],
    (bytes_max, pictures_max): (u64, usize),
    has_archive: bool,
) -> Markup {
    let language = visitor.language;
    let title = language.say("new.title");
    let open: Vec<&Offer> = offers.iter().filter(|offer| offer.over.is_none()).collect();
    let too_large = language.fill("new.too-large", &[&language.bytes(bytes_max)]);
    let body = html! {
        h1 { (title) }
        @if has_archive { (super::archive::way(language)) }
        @if open.is_empty() {
            section.card.notice role="status" { p { (language.say("new.no-model")) } }
        } @else {
            form.card method="post" action="/drafts" enctype="multipart/form-data" data-drop
                data-bytes-max=(bytes_max) data-too-large=(too_large) {
                input type="hidden" name="csrf" value=(visitor.visit.csrf);
                label for="model" { (language.say("new.model")) }
                select id="model" name="model" {
                    @for offer in &open { option value=(offer.id) { (named(offer, language.say("new.version"))) } }
                }
                label for="reference" { (language.say("new.reference")) }
                input id="reference" name="reference" maxlength="200" autocomplete="off"
                    aria-describedby="reference-hint";
                p.hint id="reference-hint" { (language.say("new.reference.hint")) }
                div.drop {
                    label for="files" { (language.say("new.files")) }
                    input id="files" name="files" type="file" multiple required aria-describedby="files-hint"
                        accept=".png,.jpg,.jpeg,.dcm,.zip,image/png,image/jpeg,application/dicom,application/zip";
                    p.hint id="files-hint" { (language.fill("new.files.hint", &[&pictures_max.to_string()])) }
                    p.chosen aria-live="polite" {}
                }
                button type="submit" { (language.say("new.send")) }
                p.soft { (language.say("new.private")) }
            }
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::NewCase }, title, &body)
}

/// A model's name, and which of them where several have it.
pub(crate) fn named(offer: &Offer, version: &str) -> String {
    format!("{} · {version} {} · {}", offer.name(), offer.id, &offer.digest[..offer.digest.len().min(8)])
}
