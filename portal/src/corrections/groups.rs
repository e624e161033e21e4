//! Which pictures belong together: those of one patient, as far as the book knows. A split that tears them apart would
//! test on what was trained on, so where little is known too many are kept together rather than too few.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Pictured;
use crate::book::Judged;

/// What two pictures of one group have in common.
#[derive(PartialEq, Eq, Hash)]
enum Tie<'a> {
    Picture([u8; 32]),
    Source(&'a str),
    Study(&'a str),
    Batch(i64),
    Reference(&'a str),
    File(&'a str),
}

/// Whether the file itself said whom it shows, or of which study it is.
pub(super) fn is_named(case: &Judged) -> bool {
    case.source.is_some() || !case.study.is_empty()
}

fn ties(Pictured { case, digest }: &Pictured) -> Vec<Tie<'_>> {
    let mut ties = vec![Tie::Picture(*digest)];
    ties.extend(case.source.as_deref().map(Tie::Source));
    ties.extend(Some(case.study.as_str()).filter(|study| !study.is_empty()).map(Tie::Study));
    if !is_named(case) {
        // What was handed in together may be slices of one series, and a reference one patient's.
        ties.extend(case.batch.map(Tie::Batch));
        let text = |text| Some(str::trim(text)).filter(|text| !text.is_empty());
        ties.extend(text(&case.reference).map(Tie::Reference));
        ties.extend(text(&case.file).map(Tie::File));
    }
    ties
}

/// For each picture the first case of its group.
pub(super) fn leaders(all: &[Pictured]) -> Vec<i64> {
    let mut parents: Vec<usize> = (0..all.len()).collect();
    let mut first: HashMap<Tie<'_>, usize> = HashMap::new();
    for (place, pictured) in all.iter().enumerate() {
        for tie in ties(pictured) {
            match first.entry(tie) {
                Entry::Vacant(free) => {
                    free.insert(place);
                }
                Entry::Occupied(known) => {
                    let (one, other) = (root(&mut parents, *known.get()), root(&mut parents, place));
                    parents[one.max(other)] = one.min(other);
                }
            }
        }
    }
    (0..all.len()).map(|place| all[root(&mut parents, place)].case.id).collect()
}

/// The first of a group, and a shorter way to it for whoever asks next.
fn root(parents: &mut [usize], mut place: usize) -> usize {
    while parents[place] != place {
        parents[place] = parents[parents[place]];
        place = parents[place];
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictured(id: i64) -> Pictured {
        let case = Judged {
            id,
            class: 0,
            batch: None,
            reference: String::new(),
            file: String::new(),
            source: None,
            study: String::new(),
            has_picture: true,
        };
        Pictured { case, digest: [id as u8; 32] }
    }

    fn of(id: i64, change: impl FnOnce(&mut Judged)) -> Pictured {
        let mut pictured = pictured(id);
        change(&mut pictured.case);
        pictured
    }

    #[test]
    fn each_thing_in_common_keeps_two_together_and_nothing_in_common_keeps_them_apart() {
        let changes: [fn(&mut Judged); 5] = [
            |case| case.source = Some("word".into()),
            |case| case.study = "1.2".into(),
            |case| case.batch = Some(7),
            |case| case.reference = " bed 7".into(),
            |case| case.file = "ct.dcm".into(),
        ];
        for change in changes {
            assert_eq!(leaders(&[pictured(1), of(2, change), of(3, change), pictured(4)]), [1, 2, 2, 4]);
        }
        let same = Pictured { digest: [1; 32], ..pictured(2) };
        assert_eq!(leaders(&[pictured(1), same, pictured(3)]), [1, 1, 3], "the same picture under another name");
        assert!(leaders(&[]).is_empty());
    }

    #[test]
    fn what_is_tied_to_either_of_two_groups_joins_them() {
        let file = |id, file: &str| of(id, |case| case.file = file.into());
        let bridge = of(4, |case| (case.file, case.reference) = ("a".into(), "bed 7".into()));
        let bed = of(3, |case| (case.file, case.reference) = ("b".into(), "bed 7".into()));
        assert_eq!(leaders(&[file(1, "a"), file(2, "b"), bed, file(5, "c")]), [1, 2, 2, 5]);
        let bed = of(3, |case| (case.file, case.reference) = ("b".into(), "bed 7".into()));
        assert_eq!(leaders(&[file(1, "a"), file(2, "b"), bed, bridge, file(5, "c")]), [1, 1, 1, 1, 5]);
    }

    #[test]
    fn patients_that_files_name_are_told_apart_though_they_were_handed_in_together() {
        let named = |id, word: &str| {
            of(id, |case| {
                (case.source, case.batch, case.file) = (Some(word.into()), Some(7), "IM1".into());
                case.reference = "ward 3".into();
            })
        };
        assert_eq!(leaders(&[named(1, "a"), named(2, "b"), named(3, "a")]), [1, 2, 1]);
    }
}
