//! Who learns what, filled with the numbers of one run.

use super::schema::Report;

/// One line of the trust table.
pub(super) struct Trust {
    pub(super) who: String,
    pub(super) holds: String,
    pub(super) learns: String,
    pub(super) never: String,
}

/// The table for one run.
pub(super) fn table(report: &Report) -> Vec<Trust> {
    let experiment = &report.experiment;
    let (n, t) = (experiment.hospitals, experiment.threshold);
    let row = |who: String, holds: String, learns: &str, never: &str| Trust {
        who,
        holds,
        learns: learns.to_owned(),
        never: never.to_owned(),
    };
    vec![
        row(
            "Each hospital".to_owned(),
            "Its images, its own key, one share of every other key.".to_owned(),
            "The sum of all updates of a round; the answers to its own queries.",
            "Another hospital's images, update or sample count; the answers to others' queries.",
        ),
        row(
            "Coordinator".to_owned(),
            "Ciphertexts, the encrypted model, public evaluation keys.".to_owned(),
            "Who takes part, when, and how many bytes.",
            "Any update, any sum, the model, an image, an answer. It holds nothing that decrypts.",
        ),
        row(
            format!("Up to {} hospitals together", t.saturating_sub(1)),
            format!("Fewer than the {t} shares that a decryption takes."),
            "The sum of the others' updates; if only one other contributed, that update.",
            "The keys, or a single update while two others are in the sum.",
        ),
        row(
            format!("{t} or more of the {n} hospitals together"),
            "Enough shares to decrypt.".to_owned(),
            "Everything that was encrypted in this key epoch, if they break the rules together.",
            "Images and keys of the others.",
        ),
        row(
            "Somebody on the wire".to_owned(),
            "Records of mutual TLS 1.3.".to_owned(),
            "Addresses, times and sizes.",
            "Any content.",
        ),
    ]
}
