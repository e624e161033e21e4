//! The warning that an image does not look like those that a model was measured on.

use maud::{Markup, html};
use metrics::{Likeness, Statistic};

use crate::notice::key;
use crate::texts::Language;

/// The warning; nothing where the image looks like the others.
pub(crate) fn warning(language: Language, likeness: Option<&Likeness>) -> Markup {
    let Some(likeness) = likeness.filter(|likeness| likeness.is_unlike) else { return html! {} };
    let number = |value: f64| language.number(value, 2);
    html! {
        section.card.notice role="alert" {
            h2 { (language.say("unlike.title")) }
            p { (language.say("unlike.words")) }
            p.soft { (language.fill("unlike.by", &[
                &language.number(likeness.distance, 1),
                language.say(name(likeness.most)),
                &number(likeness.value),
                &number(likeness.usual),
                &number(likeness.spread),
            ])) }
        }
    }
}

fn name(statistic: Statistic) -> &'static str {
    match statistic {
        Statistic::Brightness => key!("statistic.brightness"),
        Statistic::Contrast => key!("statistic.contrast"),
        Statistic::EdgesAcross => key!("statistic.edges-across"),
        Statistic::EdgesDown => key!("statistic.edges-down"),
        Statistic::Border => key!("statistic.border"),
        Statistic::Centre => key!("statistic.centre"),
        Statistic::Dark => key!("statistic.dark"),
        Statistic::Dim => key!("statistic.dim"),
        Statistic::Lower => key!("statistic.lower"),
        Statistic::Subdued => key!("statistic.subdued"),
        Statistic::Light => key!("statistic.light"),
        Statistic::MirroredAcross => key!("statistic.mirrored-across"),
        Statistic::MirroredDown => key!("statistic.mirrored-down"),
        Statistic::LeftHalf => key!("statistic.left-half"),
        Statistic::UpperHalf => key!("statistic.upper-half"),
        Statistic::Roughness => key!("statistic.roughness"),
        Statistic::Red => key!("statistic.red"),
        Statistic::Blue => key!("statistic.blue"),
        Statistic::Colour => key!("statistic.colour"),
    }
}
