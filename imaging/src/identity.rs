//! Whom an image shows, apart from the image: a worklist needs it, and nothing else may see it.

use std::fmt;

/// What an archive or a worklist finds an image by. It is not printed: `Debug` says its name alone, so that it reaches
/// no log by way of what holds it. Elements that a file lacks are empty.
#[derive(Default, PartialEq, Eq)]
pub struct Identity {
    /// The patient's number at the site.
    pub patient_id: String,
    /// The patient's name, parts separated by `^` as in the file.
    pub patient_name: String,
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UID.
    pub series_uid: String,
    /// SOP Instance UID.
    pub instance_uid: String,
    /// The number of the request at the site.
    pub accession: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_is_printed() {
        let identity = Identity { patient_name: "Doe^Jane".to_owned(), ..Identity::default() };
        assert_eq!(format!("{identity:?}"), "Identity(..)");
    }
}
