//! How far a site has come on its way into the book and out of it.

/// How far a site has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has an invitation until then (seconds since 1970), or had one.
    Invited {
        /// When it expires.
        expires_s: u64,
    },
    /// It has asked; these words are to be heard from it.
    Asked {
        /// Who it says it is.
        organisation: String,
    },
    /// It is a member.
    Member {
        /// Who it is.
        organisation: String,
        /// The end of its certificate, in seconds since 1970.
        until_s: u64,
    },
    /// It was one.
    Revoked {
        /// Since when, in seconds since 1970.
        since_s: u64,
    },
}
