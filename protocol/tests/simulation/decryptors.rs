//! Whoever helps with an answer evaluates the query itself. Undisturbed runs count that (`main.rs`), all runs hold it
//! against every share that leaves (`oracle.rs`); here stands what they say of a hospital that borrows.

use crate::lies::noticed;
use crate::schedule::{Crash, Schedule};

#[test]
fn the_oracle_fails_where_a_hospital_helps_with_a_result_that_it_took_from_another() {
    let message = noticed(Schedule { crashes: vec![Crash::Borrows { party: 2 }], ..Schedule::of(5) });
    assert!(message.contains("hospital-2 helps with query") && message.contains("it did not evaluate"), "{message}");
}
