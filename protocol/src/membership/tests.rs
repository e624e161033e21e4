//! How members are named and numbered, and what lists of them are bounded by.

use super::*;
use crate::signature::SigningKey;

fn key() -> VerifyingKey {
    SigningKey::generate().unwrap().verifying_key()
}

fn membership() -> Membership {
    let seat = |name: &str| Seat {
        name: name.to_owned(),
        organisation: format!("Clinic of {name}"),
        weight: WeightClass::ONE,
        verifying: key(),
        tls_key: Digest::of_bytes(name.as_bytes()),
    };
    Membership { threshold: 2, coordinator: key(), seats: ["north", "east", "south"].map(seat).to_vec() }
}

fn set(numbers: &[u16]) -> PartySet {
    numbers.iter().filter_map(|number| PartyId::new(*number)).collect()
}

#[test]
fn members_are_named_in_order_of_their_numbers_and_strangers_are_not() {
    let membership = membership();
    assert_eq!(membership.names(set(&[1, 2, 3])), ["north", "east", "south"]);
    assert_eq!(membership.names(set(&[9, 3, 1])), ["north", "south"]);
    assert!(membership.names(PartySet::EMPTY).is_empty());
}

#[test]
fn a_name_leads_to_its_number_and_a_number_to_its_place() {
    let membership = membership();
    let number = |name| membership.party(name).map(PartyId::number);
    assert_eq!([number("north"), number("east"), number("south"), number("west")], [Some(1), Some(2), Some(3), None]);
    assert_eq!(membership.parties(), set(&[1, 2, 3]));
    let name = |number| membership.seat(PartyId::new(number).unwrap()).map(|seat| seat.name.as_str());
    assert_eq!([name(1), name(3), name(4)], [Some("north"), Some("south"), None]);
}

#[test]
fn lists_are_bounded_by_the_shortest_encoding_that_there_is() {
    for seat in membership().seats {
        assert_eq!(seat.to_bytes().len(), Seat::BYTES_MIN + seat.name.len() + seat.organisation.len());
    }
}
