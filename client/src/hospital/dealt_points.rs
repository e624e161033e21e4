//! The opened dealings, until all keys exist: what is shown of them to check them can be made again after a restart.

use protocol::dealings::DealingCheck;
use protocol::hospital::HospitalInput;
use protocol::ids::{Digest, PartyId};

use super::dealing::{Dealing, check_of};
use super::error::HospitalError;
use super::site::Site;

impl Site {
    /// The record of what one hospital dealt to this one.
    fn dealt_by(&self, dealer: u16) -> String {
        self.record(&format!("dealt-by-{dealer}"))
    }

    /// Seals the opened dealings.
    ///
    /// # Errors
    /// [`HospitalError::Vault`].
    pub(super) fn keep_dealt(&self, dealings: &[(u16, Dealing)]) -> Result<(), HospitalError> {
        for (dealer, dealing) in dealings {
            self.vault.put(&self.dealt_by(*dealer), &dealing.to_bytes())?;
        }
        Ok(())
    }

    /// What this hospital shows of the points that it was dealt, combined with the factors of a seed: the same whenever
    /// it is asked.
    ///
    /// # Errors
    /// [`HospitalError::Vault`] where a dealing was not opened here, or the ceremony is over.
    pub(super) fn check_dealings(&self, factors: Digest) -> Result<HospitalInput, HospitalError> {
        let step = "checking dealings";
        let (crs, layout, party) = (self.key_crs(step)?, &self.plan.layout, self.plan.party.number());
        let check = check_of(layout, crs);
        let factors = check.factors(&factors.0);
        let mut values = Vec::new();
        for dealer in 1..=layout.parties() {
            let of = PartyId::new(dealer).ok_or(HospitalError::NoKeys { step })?;
            let sealed = self.vault.get(&self.dealt_by(dealer))?;
            let dealing = Dealing::from_bytes(&sealed, layout, crs, dealer, party)
                .map_err(|source| HospitalError::Dealing { dealer: of, source })?;
            let collective: Vec<_> = dealing.collective.iter().map(|point| &point.share).collect();
            values.push(factors.combine(&dealing.aggregation, &collective, &dealing.blinding));
        }
        Ok(HospitalInput::DealingsCombined { check: DealingCheck { moduli: check.moduli(), values } })
    }

    /// Forgets the opened dealings; a second call does nothing.
    ///
    /// # Errors
    /// [`HospitalError::Vault`].
    pub(super) fn forget_dealt(&self) -> Result<(), HospitalError> {
        for dealer in 1..=self.plan.layout.parties() {
            let record = self.dealt_by(dealer);
            if self.vault.contains(&record) {
                self.vault.remove(&record)?;
            }
        }
        Ok(())
    }
}
