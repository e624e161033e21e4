//! What the pages look like: markup from what the routes found, and nothing else.

pub(crate) mod account;
pub(crate) mod archive;
pub(crate) mod case;
pub(crate) mod draft;
pub(crate) mod frame;
pub(crate) mod likeness;
pub(crate) mod models;
pub(crate) mod new_case;
pub(crate) mod quality;
pub(crate) mod sent;
pub(crate) mod sign_in;
pub(crate) mod worklist;
