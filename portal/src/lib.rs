//! The pages that people inside a hospital see: a clinician asks about a scan and reads the answer, an officer sees
//! what left the building.
//!
//! [`Portal`] serves them. It is a process beside the hospital's service and asks at its counter like any other
//! program of the site: it holds no key, and what it knows of a case it keeps in the hospital's folder ([`Book`]).
//! [`dashboard`] is the other kind of pages, a coordinator's, behind the same doors.
//! Pages are made here and need nothing from elsewhere; without JavaScript they do the same with more clicks.

mod answer;
mod archive;
mod book;
mod clock;
mod connections;
mod corrections;
pub mod dashboard;
mod desk;
mod doors;
mod drafts;
mod error;
mod listening;
mod notice;
mod offer;
mod office;
mod pages;
mod quality;
mod report;
mod routes;
mod scan;
mod server;
mod sessions;
mod texts;
mod visitor;

pub use archive::archive_bounds;
pub use book::{Book, BookError, Role, Roles, User};
pub use corrections::{ClassImages, Corrected, CorrectedError, CorrectedModel, write_corrected};
pub use error::PortalError;
pub use listening::Certificate;
pub use offer::{Offer, Offers};
pub use server::{Decode, Portal, Settings};
