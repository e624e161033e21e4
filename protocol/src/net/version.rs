//! The versions of the protocol that this program speaks, as they are named inside the handshake, and what is said to a
//! peer that speaks none of them.

use rustls::server::ClientHello;

/// Versions on either side of ours for which a peer is asked that speaks none of ours.
const ASKED_FOR: u16 = 32;

/// A protocol, by the names of its versions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    name: &'static str,
    newest: u16,
    /// Below it nobody is heard.
    oldest: u16,
}

/// Of members.
pub(super) const MEMBER: Protocol = Protocol { name: "consilium/", newest: crate::VERSION, oldest: crate::VERSION_MIN };
/// Of sites that have no certificate yet.
pub(super) const JOIN: Protocol = Protocol { name: "consilium-join/", newest: 2, oldest: 2 };

impl Protocol {
    /// All versions that are spoken here, the newest first: both sides take the first that they have in common.
    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        (self.oldest..=self.newest).rev().map(|version| self.named(version)).collect()
    }

    /// Whether a name is one of them.
    pub(super) fn speaks(&self, name: &[u8]) -> bool {
        self.version(name).is_some_and(|version| (self.oldest..=self.newest).contains(&version))
    }

    fn named(&self, version: u16) -> Vec<u8> {
        format!("{}{version}", self.name).into_bytes()
    }

    /// The version of a name, spoken here or not.
    fn version(&self, name: &[u8]) -> Option<u16> {
        let digits = std::str::from_utf8(name).ok()?.strip_prefix(self.name)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    }
}

/// What a program offered that found no common version, and what a peer may speak instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unlike {
    /// The newest that was offered.
    pub(super) ours: u16,
    pub(super) newer: Vec<Vec<u8>>,
    pub(super) older: Vec<Vec<u8>>,
}

impl Unlike {
    /// Of names that are one of ours; `None` for those of another service.
    pub(super) fn to(offered: &[Vec<u8>]) -> Option<Self> {
        let of = |protocol: Protocol| {
            let versions: Option<Vec<u16>> = offered.iter().map(|name| protocol.version(name)).collect();
            let (newest, oldest) = versions.and_then(|all| Some((*all.iter().max()?, *all.iter().min()?)))?;
            let names = |versions: std::ops::Range<u16>| versions.rev().map(|it| protocol.named(it)).collect();
            let newer = names(newest.saturating_add(1)..newest.saturating_add(1 + ASKED_FOR));
            let older = names(oldest.saturating_sub(ASKED_FOR).max(1)..oldest);
            Some(Self { ours: newest, newer, older })
        };
        of(MEMBER).or_else(|| of(JOIN))
    }
}

/// Which side has to be brought to a newer release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// This one.
    Us,
    /// The other one.
    Peer,
}

/// What a client offers that speaks no version of ours, though our protocol: its newest version, and who is older.
pub(super) fn turned_away(hello: &ClientHello<'_>) -> Option<(u16, Older)> {
    judged(hello.alpn()?)
}

fn judged<'a>(offered: impl Iterator<Item = &'a [u8]>) -> Option<(u16, Older)> {
    let mut newest = None;
    for name in offered {
        for protocol in [MEMBER, JOIN] {
            let Some(version) = protocol.version(name) else { continue };
            if protocol.speaks(name) {
                return None;
            }
            let older = if version > protocol.newest { Older::Us } else { Older::Peer };
            if newest.is_none_or(|(known, _)| known < version) {
                newest = Some((version, older));
            }
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Protocol = Protocol { name: "test/", newest: 7, oldest: 6 };

    #[test]
    fn versions_are_offered_newest_first_and_no_other_is_spoken() {
        assert_eq!(TWO.names(), [b"test/7".to_vec(), b"test/6".to_vec()]);
        let speaks = |name: &str| TWO.speaks(name.as_bytes());
        assert!(speaks("test/7") && speaks("test/6"));
        for other in ["test/5", "test/8", "test/", "test/+7", "test/77777", "tes/7", "test/7 ", "consilium/7", ""] {
            assert!(!speaks(other), "{other}");
        }
        assert_eq!(MEMBER.names()[0], format!("consilium/{}", crate::VERSION).into_bytes());
        assert!(JOIN.speaks(b"consilium-join/2") && !MEMBER.speaks(b"consilium-join/2"));
    }

    #[test]
    fn a_peer_is_asked_for_versions_on_either_side_of_what_was_offered() {
        let unlike = Unlike::to(&[b"consilium/9".to_vec(), b"consilium/8".to_vec()]).unwrap();
        assert_eq!((unlike.ours, unlike.newer.len(), unlike.older.len()), (9, 32, 7));
        assert!(unlike.newer.contains(&b"consilium/10".to_vec()) && unlike.newer.contains(&b"consilium/41".to_vec()));
        assert!(unlike.older.contains(&b"consilium/7".to_vec()) && unlike.older.contains(&b"consilium/1".to_vec()));
        assert!(Unlike::to(&[b"consilium-join/1".to_vec()]).unwrap().older.is_empty());
        for foreign in [vec![b"h2".to_vec()], vec![b"consilium/9".to_vec(), b"h2".to_vec()], Vec::new()] {
            assert_eq!(Unlike::to(&foreign), None);
        }
    }

    #[test]
    fn who_is_older_is_told_of_those_who_speak_our_protocol_alone() {
        let judged = |offered: &[&str]| judged(offered.iter().map(|name| name.as_bytes()));
        let (ours, newer) = (format!("consilium/{}", crate::VERSION), format!("consilium/{}", crate::VERSION + 1));
        let older = crate::VERSION_MIN - 1;
        assert_eq!(judged(&[&ours]), None);
        assert_eq!(judged(&[&newer, &ours]), None, "one is enough");
        assert_eq!(judged(&[&newer]), Some((crate::VERSION + 1, Older::Us)));
        assert_eq!(judged(&[&format!("consilium/{older}"), "consilium/1"]), Some((older, Older::Peer)));
        assert_eq!(judged(&["consilium-join/1"]), Some((1, Older::Peer)));
        assert_eq!((judged(&["h2"]), judged(&[])), (None, None));
    }
}
