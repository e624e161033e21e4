//! The figures of a site in service, in the OpenMetrics text format.

use std::collections::BTreeMap;

use client::service::Stand;
use protocol::ids::Epoch;
use protocol::net::Traffic;

use crate::metrics::Page;

/// What a site can be in a key epoch: its word, and whether it is so.
type State = (&'static str, fn(&Stand) -> bool);

const STATES: [State; 6] = [
    ("awaits-members", |stand| matches!(stand, Stand::AwaitsMembers(_))),
    ("awaits-officer", |stand| matches!(stand, Stand::AwaitsOfficer)),
    ("awaits-approvals", |stand| matches!(stand, Stand::AwaitsApprovals(_))),
    ("takes-part", |stand| matches!(stand, Stand::TakesPart)),
    ("hindered", |stand| matches!(stand, Stand::Hindered(_))),
    ("over", |stand| matches!(stand, Stand::Over(_))),
];

/// All figures of now.
pub(super) fn text(stands: &BTreeMap<Epoch, Stand>, certificate_until_s: u64, traffic: &Traffic) -> String {
    let mut page = Page::default();
    page.gauge("consilium_site_state", "1 for what the site is in the key epoch, 0 for what it is not");
    for (epoch, stand) in stands {
        for (state, is_so) in STATES {
            let labels = format!("epoch=\"{epoch}\",state=\"{state}\"");
            page.sample("consilium_site_state", &labels, u8::from(is_so(stand)));
        }
    }
    let name = "consilium_certificate_end_seconds";
    page.gauge(name, "When the site's certificate ends, in seconds since 1970");
    page.sample(name, "", certificate_until_s);
    page.counter("consilium_sent_bytes", "Bytes of requests to the coordinator", traffic.up());
    page.counter("consilium_received_bytes", "Bytes of its answers", traffic.down());
    page.end()
}

#[cfg(test)]
mod tests {
    use protocol::party_set::PartySet;

    use super::*;

    #[test]
    fn each_epoch_is_in_one_state() {
        let all = [
            Stand::AwaitsMembers(PartySet::default()),
            Stand::AwaitsOfficer,
            Stand::AwaitsApprovals(PartySet::default()),
            Stand::TakesPart,
            Stand::Hindered("why".to_owned()),
            Stand::Over("why".to_owned()),
        ];
        let stands: BTreeMap<_, _> = (1..).map(Epoch).zip(all).collect();
        let text = text(&stands, 1_800_000_000, &Traffic::default());
        for (epoch, (state, _)) in (1..).zip(STATES) {
            let of_epoch = text.lines().filter(|line| line.contains(&format!("epoch=\"{epoch}\"")));
            let ones: Vec<_> = of_epoch.filter(|line| line.ends_with(" 1")).collect();
            assert_eq!(ones, [format!("consilium_site_state{{epoch=\"{epoch}\",state=\"{state}\"}} 1")]);
        }
        for line in [
            "consilium_certificate_end_seconds 1800000000",
            "consilium_sent_bytes_total 0",
            "consilium_received_bytes_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("why"));
    }
}
