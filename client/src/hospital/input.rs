//! What reaches a hospital's loop: from its line, its worker, whoever asks, and from outside.

use protocol::drive::hospital::HospitalEvent;

use super::error::HospitalError;
use super::worker::Ticket;

/// What happens to the process.
pub(super) enum Input {
    Event(HospitalEvent),
    Question(Ticket),
    /// The site or its line cannot go on.
    Failed(HospitalError),
    /// It ends at once, as by a power cut.
    Kill,
}
