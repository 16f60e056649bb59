//! What clients are told of, and what they report.

use xinhub_domain::deadline::Clock;
use xinhub_domain::listing::State;

use super::{Done, Kept, Reference, Verdict, Why, Whys};
use crate::steps::{Try, What};
use crate::world::{BUREAU, PARTIES};

impl Reference {
    /// A client was answered adversely on a listing, or would have been a moment ago.
    pub(crate) fn tell(&mut self, client: usize, number: u64) {
        let Some(at) = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)) else { return };
        let Some(listing) = self.listings.get_mut(at) else { return };
        if listing.told.insert(client) && listing.state != State::Listed {
            self.open_duty(at, client, Clock::LiftMeasures);
        }
    }

    /// A client's report.
    pub(super) fn report(&mut self, one: &Try) -> Verdict {
        let (number, client) = (self.find(one.on), one.by);
        let Some(listing) = self.listing(number) else { return Err(Whys::from([Why::NotFound])) };
        let duties = listing.duties.iter().filter(|duty| duty.client == PARTIES[client]);
        let knows = listing.told.contains(&client)
            || listing.facts.own_unit && client == BUREAU
            || listing.imposed.iter().any(|one| one.0 == client)
            || duties.clone().next().is_some();
        let owes = |clock| duties.clone().any(|duty| duty.clock == clock && duty.closed.is_none());
        let imposed = listing.imposed.contains(&(client, false))
            || listing.kept.iter().any(|one| one.client == client && !one.ended);
        if !knows {
            // Whoever was never told of it learns nothing of it.
            return Err(Whys::from([Why::NotFound]));
        }
        let state = listing.state;
        let fits = match &one.what {
            What::Imposed if listing.imposed.contains(&(client, false)) => Err(Why::Faults),
            What::Imposed => Ok(()),
            What::Lifted if imposed || owes(Clock::LiftMeasures) => Ok(()),
            What::Acknowledged if imposed => Err(Why::Faults),
            What::Acknowledged if owes(Clock::LiftMeasures) => Ok(()),
            What::Retained { .. } if state == State::Listed => Err(Why::Faults),
            What::Retained { .. } if owes(Clock::LiftMeasures) => Ok(()),
            What::Handled if owes(Clock::HandleNotice) => Ok(()),
            _ => Err(Why::NotFound),
        };
        fits.map_err(|why| Whys::from([why]))?;
        self.note_report(number as usize - 1, client, &one.what);
        let (listing, record, petition) = (number, 0, None);
        Ok(Done { listing, record, state, petition, stale: false, reason_owed: false, late: false })
    }

    fn note_report(&mut self, at: usize, client: usize, what: &What) {
        let today = self.today();
        let listing = &mut self.listings[at];
        match what {
            What::Imposed => {
                listing.imposed.push((client, false));
                if listing.state != State::Listed {
                    self.open_duty(at, client, Clock::LiftMeasures);
                }
            }
            What::Lifted => {
                listing.imposed.iter_mut().filter(|one| one.0 == client).for_each(|one| one.1 = true);
                listing.kept.iter_mut().filter(|one| one.client == client).for_each(|one| one.ended = true);
                self.close_duty(at, client, Clock::LiftMeasures, "lifted");
            }
            What::Acknowledged => self.close_duty(at, client, Clock::LiftMeasures, "acknowledged"),
            What::Retained { days } => {
                listing.kept.push(Kept { client, until: today.plus_days(*days), ended: false });
                self.close_duty(at, client, Clock::LiftMeasures, "retained");
            }
            What::Handled => self.close_duty(at, client, Clock::HandleNotice, "handled"),
            _ => {}
        }
    }
}
