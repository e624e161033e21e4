//! A scan before it is asked about: how it looks, in which window, and which slice of it is meant.

use imaging::{Kind, Scan};
use maud::{Markup, html};
use metrics::Likeness;

use super::frame::{Frame, Place, page};
use super::likeness;
use crate::drafts::Draft;
use crate::offer::Offer;
use crate::scan::Look;
use crate::visitor::Visitor;

/// What a draft's page knows beside the draft.
pub(crate) struct Asking<'a> {
    pub(crate) offer: &'a Offer,
    pub(crate) reference: &'a str,
    pub(crate) look: Look,
    pub(crate) levels: Option<Levels>,
    pub(crate) likeness: Option<Likeness>,
}

/// What a frame's values reach, in whole units of the modality, and the window in which it is shown if nobody chooses.
#[derive(Clone, Copy)]
pub(crate) struct Levels {
    least: f64,
    most: f64,
    centre: f64,
    width: f64,
}

impl Levels {
    /// Of a grey DICOM frame; `None` for what has no window.
    pub(crate) fn of(scan: &Scan, frame: u32) -> Option<Self> {
        if scan.kind() != Kind::Dicom {
            return None;
        }
        let imaging::Frame::Grey(values) = scan.frame(frame)? else { return None };
        let fold = |(least, most): (f32, f32), value: &f32| (least.min(*value), most.max(*value));
        let (least, most) = values.iter().fold((f32::MAX, f32::MIN), fold);
        let (least, most) = (f64::from(least).floor(), f64::from(most).ceil());
        let named = scan.windows(frame).first();
        let named = named.map(|named| (named.window.centre().round(), named.window.width().round().max(1.0)));
        let (centre, width) = named.unwrap_or((((least + most) / 2.0).round(), (most - least).max(2.0)));
        (least < most).then_some(Self { least, most, centre, width })
    }
}

/// The path of a draft's picture.
pub(crate) fn picture_path(id: &str, look: Look) -> String {
    let window = look.window.map_or_else(String::new, |(centre, width)| format!("&centre={centre}&width={width}"));
    format!("/drafts/{id}/picture.png?frame={}{window}", look.frame + 1)
}

/// The page.
pub(crate) fn render(visitor: &Visitor, draft: &Draft, asking: &Asking<'_>) -> Markup {
    let language = visitor.language;
    let title = language.say("draft.title");
    let (scan, look) = (&draft.scan, asking.look);
    let [_, height, width] = asking.offer.asked.shape();
    let size = format!("{} × {}", scan.columns(), scan.rows());
    let taken = format!("{} × {}", width, height);
    let modality = match scan.facts().modality.as_str() {
        "" => String::new(),
        modality => format!(" · {modality}"),
    };
    let body = html! {
        h1 { (title) }
        div.columns {
            section.card {
                figure {
                    img.scan id="picture" src=(picture_path(&draft.id, look)) alt=(language.say("draft.picture"))
                        data-path=(format!("/drafts/{}/picture.png", draft.id));
                    figcaption { (draft.file) " · " (size) (modality) }
                }
                (controls(visitor, draft, asking))
            }
            div {
                (likeness::warning(language, asking.likeness.as_ref()))
                section.card {
                    @if scan.facts().burned_in != Some(false) && scan.kind() == Kind::Dicom {
                        p.warning { (language.say("draft.burned-in")) }
                    }
                    dl {
                        dt { (language.say("draft.model")) } dd { (asking.offer.name()) }
                        dt { (language.say("draft.taken")) } dd { (language.fill("draft.taken.as", &[&taken])) }
                        @if !asking.reference.is_empty() {
                            dt { (language.say("draft.reference")) } dd { (asking.reference) }
                        }
                    }
                    form id="ask" method="post" action=(format!("/drafts/{}/ask", draft.id)) {
                        input type="hidden" name="csrf" value=(visitor.visit.csrf);
                        input type="hidden" name="model" value=(asking.offer.id);
                        input type="hidden" name="reference" value=(asking.reference);
                        input type="hidden" name="frame" value=(look.frame + 1);
                        @if let Some((centre, width)) = look.window {
                            input type="hidden" name="centre" value=(centre);
                            input type="hidden" name="width" value=(width);
                        }
                        button type="submit" { (language.say("draft.ask")) }
                    }
                    p.soft { (language.say("new.private")) }
                }
            }
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::NewCase }, title, &body)
}

/// Slice and window, where the scan has several slices or is grey with more levels than a screen.
fn controls(visitor: &Visitor, draft: &Draft, asking: &Asking<'_>) -> Markup {
    let (language, scan, look) = (visitor.language, &draft.scan, asking.look);
    if scan.frames() < 2 && asking.levels.is_none() {
        return html! {};
    }
    html! {
        form.look method="get" action=(format!("/drafts/{}", draft.id)) data-look {
            input type="hidden" name="model" value=(asking.offer.id);
            input type="hidden" name="reference" value=(asking.reference);
            @if scan.frames() > 1 {
                label for="frame" { (language.say("draft.slice")) " (1–" (scan.frames()) ")" }
                input id="frame" name="frame" type="range" min="1" max=(scan.frames()) value=(look.frame + 1);
                output for="frame" { (look.frame + 1) }
            }
            @if let Some(Levels { least, most, centre, width }) = asking.levels {
                @let (centre, width) = look.window.unwrap_or((centre, width));
                label for="centre" { (language.say("draft.centre")) }
                input id="centre" name="centre" type="range" min=(least) max=(most) step="1" value=(centre);
                output for="centre" { (centre) }
                label for="width" { (language.say("draft.width")) }
                input id="width" name="width" type="range" min="1" max=((most - least).max(2.0)) step="1" value=(width);
                output for="width" { (width) }
            }
            button.plain type="submit" { (language.say("draft.show")) }
        }
    }
}
