//! `--drop hospital-2@2:after-upload`: a hospital that is lost on purpose, to see that the others go on.

use std::{borrow::Cow, fmt, str::FromStr};

use remedy::{Exit, Explained};

/// One hospital lost in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropOut {
    /// Which hospital, from 1.
    pub hospital: u16,
    /// In which round, from 1.
    pub round: u32,
    /// When in that round.
    pub moment: Moment,
}

/// When in a round a hospital is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// It never sends its update: the round goes on without it.
    BeforeUpload,
    /// Its update is in the sum, and it is gone before anyone is chosen to decrypt.
    AfterUpload,
    /// It was chosen to decrypt and never sends its share: the attempt is lost.
    BeforeShare,
}

/// Why a `--drop` was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DropOutError {
    /// No `@` or no `:`.
    #[error("{text:?} is no drop-out; write hospital-2@2:after-upload, that is hospital, round, moment")]
    Form {
        /// As given.
        text: String,
    },
    /// Before the `@`.
    #[error("{found:?} is no hospital; write hospital-1 to hospital-64")]
    Hospital {
        /// As given.
        found: String,
    },
    /// Between `@` and `:`.
    #[error("{found:?} is no round; rounds are numbered from 1")]
    Round {
        /// As given.
        found: String,
    },
    /// After the `:`.
    #[error("{found:?} is no moment; write before-upload, after-upload or before-share")]
    Moment {
        /// As given.
        found: String,
    },
    /// Not in this experiment.
    #[error("--drop {drop}: the experiment has {hospitals} hospitals")]
    NoSuchHospital {
        /// As given.
        drop: DropOut,
        /// Hospitals of the experiment.
        hospitals: u16,
    },
    /// Not in this experiment.
    #[error("--drop {drop}: the experiment has {rounds} rounds")]
    NoSuchRound {
        /// As given.
        drop: DropOut,
        /// Rounds of the experiment.
        rounds: u32,
    },
    /// Not in this head's training.
    #[error("--drop {drop}: the training of this head has {steps} steps")]
    NoSuchStep {
        /// As given.
        drop: DropOut,
        /// Steps of the recipe.
        steps: u32,
    },
    /// A head loses nobody while it uploads.
    #[error("--drop {drop}: the training of a head can lose a hospital before its share in a step alone")]
    NotOfAHead {
        /// As given.
        drop: DropOut,
    },
}

impl Explained for DropOutError {
    fn code(&self) -> &'static str {
        "drop_invalid"
    }

    fn place(&self) -> Option<String> {
        Some("--drop".to_owned())
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::NoSuchStep { .. } | Self::NotOfAHead { .. } => "for example --drop hospital-2@2:before-share",
            _ => "for example --drop hospital-2@2:after-upload",
        }
        .into()
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}

impl DropOut {
    /// Refuses what the experiment does not have.
    ///
    /// # Errors
    /// [`DropOutError::NoSuchHospital`], [`DropOutError::NoSuchRound`].
    pub fn check(self, hospitals: u16, rounds: u32) -> Result<(), DropOutError> {
        if self.hospital > hospitals {
            return Err(DropOutError::NoSuchHospital { drop: self, hospitals });
        }
        if self.round > rounds {
            return Err(DropOutError::NoSuchRound { drop: self, rounds });
        }
        Ok(())
    }

    /// Refuses what the training of a head does not have, whose steps take the rounds' place.
    ///
    /// # Errors
    /// [`DropOutError::NoSuchHospital`], [`DropOutError::NoSuchStep`], [`DropOutError::NotOfAHead`].
    pub fn check_head(self, hospitals: u16, steps: u32) -> Result<(), DropOutError> {
        if self.moment != Moment::BeforeShare {
            return Err(DropOutError::NotOfAHead { drop: self });
        }
        self.check(hospitals, u32::MAX)?;
        if self.round > steps { Err(DropOutError::NoSuchStep { drop: self, steps }) } else { Ok(()) }
    }
}

impl FromStr for DropOut {
    type Err = DropOutError;

    fn from_str(text: &str) -> Result<Self, DropOutError> {
        let form = || DropOutError::Form { text: text.to_owned() };
        let (party, rest) = text.split_once('@').ok_or_else(form)?;
        let (round, moment) = rest.split_once(':').ok_or_else(form)?;
        let hospital = party
            .strip_prefix("hospital-")
            .and_then(|number| number.parse().ok())
            .filter(|number| (1..=64).contains(number))
            .ok_or_else(|| DropOutError::Hospital { found: party.to_owned() })?;
        let round = round
            .parse()
            .ok()
            .filter(|round| *round > 0)
            .ok_or_else(|| DropOutError::Round { found: round.to_owned() })?;
        let moment = match moment {
            "before-upload" => Moment::BeforeUpload,
            "after-upload" => Moment::AfterUpload,
            "before-share" => Moment::BeforeShare,
            other => return Err(DropOutError::Moment { found: other.to_owned() }),
        };
        Ok(Self { hospital, round, moment })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeUpload => "before-upload",
            Self::AfterUpload => "after-upload",
            Self::BeforeShare => "before-share",
        })
    }
}

impl fmt::Display for DropOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hospital-{}@{}:{}", self.hospital, self.round, self.moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_read_and_written_alike() {
        for text in ["hospital-2@2:after-upload", "hospital-64@1:before-upload", "hospital-1@10000:before-share"] {
            assert_eq!(text.parse::<DropOut>().expect("valid").to_string(), text);
        }
    }

    #[test]
    fn faults_name_the_wrong_part() {
        let error = |text: &str| text.parse::<DropOut>().expect_err("refused").to_string();
        assert_eq!(
            error("hospital-2"),
            "\"hospital-2\" is no drop-out; write hospital-2@2:after-upload, that is hospital, round, moment"
        );
        assert_eq!(error("site-2@2:after-upload"), "\"site-2\" is no hospital; write hospital-1 to hospital-64");
        assert_eq!(
            error("hospital-0@2:after-upload"),
            "\"hospital-0\" is no hospital; write hospital-1 to hospital-64"
        );
        assert_eq!(error("hospital-2@0:after-upload"), "\"0\" is no round; rounds are numbered from 1");
        assert_eq!(
            error("hospital-2@1:later"),
            "\"later\" is no moment; write before-upload, after-upload or before-share"
        );
    }

    #[test]
    fn a_head_loses_a_hospital_before_its_share_in_one_of_its_steps() {
        let drop = |text: &str| text.parse::<DropOut>().unwrap();
        let at = drop("hospital-2@3:before-share");
        assert_eq!(at.check_head(2, 3), Ok(()));
        assert_eq!(at.check_head(2, 2), Err(DropOutError::NoSuchStep { drop: at, steps: 2 }));
        assert_eq!(at.check_head(1, 3), Err(DropOutError::NoSuchHospital { drop: at, hospitals: 1 }));
        for text in ["hospital-2@3:before-upload", "hospital-2@3:after-upload"] {
            let refused = drop(text).check_head(2, 3).unwrap_err();
            assert_eq!(refused, DropOutError::NotOfAHead { drop: drop(text) });
            assert!(refused.remedy().contains("before-share"));
        }
    }

    #[test]
    fn a_hospital_outside_the_federation_is_refused() {
        let drop: DropOut = "hospital-9@3:before-share".parse().expect("valid");
        let error = drop.check(5, 10).expect_err("refused");
        assert_eq!(error.to_string(), "--drop hospital-9@3:before-share: the experiment has 5 hospitals");
        assert!(matches!(drop.check(9, 2), Err(DropOutError::NoSuchRound { .. })));
        assert_eq!(drop.check(9, 3), Ok(()));
    }
}
