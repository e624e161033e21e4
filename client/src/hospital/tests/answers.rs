//! Answers are read from the boxes that their decryptors sealed, each for one asker and one query.

use he_agg::multiparty::{ReleaseContext, ReleaseRequest};
use he_agg::wire::{Header, Kind, packed_len};
use protocol::hospital::SwitchBinding;
use protocol::sealed::BoxContext;

use super::evaluation::{Serving, crs};
use super::*;

/// The share of a hospital that holds nothing, as bytes: what is in a box is its maker's word.
fn nothing_of(site: &Site, binding: &SwitchBinding, sender: u16) -> Vec<u8> {
    let params = Preset::Inf13.params();
    let quorum = site.plan.quorum();
    let request = ReleaseRequest { query: binding.query.narrow().unwrap(), asker: 2, digest: binding.digest().0 };
    let shape = site.plan.program.answer_shape();
    let context = ReleaseContext::new(&crs(), quorum, request, shape, &binding.decryptors.numbers()).unwrap();
    let plain = Header::new(Kind::ReleaseShare, Preset::Inf13, 0, params.base_limbs, 1);
    let mut bytes = Vec::new();
    Header { epoch: context.digest(), sender, ..plain }.write(&mut bytes);
    bytes.resize(bytes.len() + params.base_limbs * packed_len(shape.period), 0);
    bytes
}

#[test]
fn an_answer_is_the_sum_of_the_boxes_that_its_decryptors_sealed_for_this_asker_and_query() {
    let mut serving = Serving::new();
    let question = serving.ask(1);
    let binding = question.binding(serving.result(party(2), &question));
    let asker = serving.all.opening[1].sealing_key().clone();
    let sealed = |dealer: u16, receiver: u16, epoch: u32, plain: &[u8]| {
        let (dealer, receiver) = (party(dealer), party(receiver));
        let context = BoxContext { epoch: Epoch(epoch), dealer, receiver, label: "answer" };
        Bytes::from(asker.seal(&context, plain).unwrap())
    };
    let site = &serving.all.sites[1];
    let share = |number| nothing_of(site, &binding, number);
    let whole: Vec<(PartyId, Bytes)> =
        (1..=N).map(|number| (party(number), sealed(number, 2, 1, &share(number)))).collect();
    let read = |boxes: &[(PartyId, Bytes)], binding: &SwitchBinding| {
        site.read_answer(&serving.all.opening[1], binding, boxes, 1)
    };
    let classes = site.plan.program.classes();
    assert_eq!(read(&whole, &binding).unwrap(), [vec![0.0; classes]]);
    let with_third = |third: Bytes| [&whole[..2], &[(party(3), third)]].concat();
    let mut other = share(3);
    other[40] ^= 1;
    let wrong = [
        sealed(1, 2, 1, &share(3)),
        sealed(3, 1, 1, &share(3)),
        sealed(3, 2, 2, &share(3)),
        sealed(3, 2, 1, &share(3)[1..]),
        sealed(3, 2, 1, &other),
        sealed(3, 2, 1, &share(1)),
        whole[2].1.slice(1..),
    ];
    for (place, third) in wrong.into_iter().enumerate() {
        let refused = read(&with_third(third), &binding);
        assert!(matches!(refused, Err(HospitalError::AnswerBox { maker, .. }) if maker == party(3)), "{place}");
    }
    let twice = [&whole[..], &whole[..1]].concat();
    assert!(matches!(read(&twice, &binding), Err(HospitalError::AnswerBox { maker, .. }) if maker == party(1)));
    assert!(matches!(read(&whole[..2], &binding), Err(HospitalError::Crypto { .. })), "one is missing");
    // The same boxes under another result, another query or another T are of another answer.
    let other = [
        SwitchBinding { result: root_of(b"another"), ..binding.clone() },
        SwitchBinding { query: QueryId::new(party(2), 9), ..binding.clone() },
        SwitchBinding { input: Digest([9; 32]), ..binding.clone() },
    ];
    for other in other {
        assert!(matches!(read(&whole, &other), Err(HospitalError::AnswerBox { .. })));
    }
}
