#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

const LEIZHOU: &str = "leizhou";
const STATUTE: &str = "spc-2017";

/// Profile, clock, the day on which it starts, and the last day in time; `-` is no limit. Worked out by hand from the notices.
const TABLE: &[(&str, Clock, &str, &str)] = &[
    // Three working days in plain weeks: the starting day doesn't count, Saturday and Sunday neither.
    (STATUTE, Clock::Remove, "2026-03-02", "2026-03-05"),
    (STATUTE, Clock::Remove, "2026-03-05", "2026-03-10"),
    (STATUTE, Clock::Remove, "2026-03-06", "2026-03-11"),
    (STATUTE, Clock::Remove, "2026-03-07", "2026-03-11"),
    (STATUTE, Clock::GiveReason, "2026-05-29", "2026-06-03"),
    // Spring Festival 2026: Sunday 15 to Monday 23 February off, Saturdays 14 and 28 worked.
    (STATUTE, Clock::Remove, "2026-02-11", "2026-02-14"),
    (STATUTE, Clock::Remove, "2026-02-12", "2026-02-24"),
    (STATUTE, Clock::Remove, "2026-02-13", "2026-02-25"),
    (STATUTE, Clock::Remove, "2026-02-14", "2026-02-26"),
    (STATUTE, Clock::Remove, "2026-02-25", "2026-02-28"),
    (STATUTE, Clock::LiftMeasures, "2026-02-26", "2026-03-02"),
    // Spring Festival 2025: 28 January to 4 February off, Sunday 26 January and Saturday 8 February worked.
    (STATUTE, Clock::Remove, "2025-01-23", "2025-01-27"),
    (STATUTE, Clock::Remove, "2025-01-24", "2025-02-05"),
    (STATUTE, Clock::Remove, "2025-02-06", "2025-02-10"),
    // Spring Festival 2024: 10 to 17 February off, Sundays 4 and 18 worked; New Year's Eve, the 9th, too.
    (STATUTE, Clock::Remove, "2024-02-02", "2024-02-06"),
    (STATUTE, Clock::Remove, "2024-02-07", "2024-02-18"),
    (STATUTE, Clock::Remove, "2024-02-08", "2024-02-19"),
    // Mid-Autumn and National Day 2026: Friday 25 September and 1 to 7 October off, Sunday 20 September and Saturday 10 October worked.
    (STATUTE, Clock::Remove, "2026-09-17", "2026-09-21"),
    (STATUTE, Clock::Remove, "2026-09-23", "2026-09-29"),
    (STATUTE, Clock::Remove, "2026-09-29", "2026-10-09"),
    (STATUTE, Clock::Remove, "2026-09-30", "2026-10-10"),
    (STATUTE, Clock::Remove, "2026-10-08", "2026-10-12"),
    // Labour Day 2025: 1 to 5 May off, Sunday 27 April worked. Dragon Boat 2026: Friday 19 June off.
    (STATUTE, Clock::Remove, "2025-04-25", "2025-04-29"),
    (STATUTE, Clock::Remove, "2025-04-30", "2025-05-08"),
    (STATUTE, Clock::AnswerComplaint, "2026-06-17", "2026-06-23"),
    // The turn of the year: 1 to 3 January 2026 off, Sunday the 4th worked. For 2027 there is no notice: Friday the 1st counts.
    (STATUTE, Clock::Remove, "2025-12-30", "2026-01-05"),
    (STATUTE, Clock::Remove, "2025-12-31", "2026-01-06"),
    (STATUTE, Clock::Remove, "2026-12-30", "2027-01-04"),
    // Leap days, worked and counted.
    (STATUTE, Clock::Remove, "2024-02-28", "2024-03-04"),
    (STATUTE, Clock::Remove, "2023-02-27", "2023-03-02"),
    (LEIZHOU, Clock::LiftMeasures, "2024-02-27", "2024-03-01"),
    (LEIZHOU, Clock::LiftMeasures, "2023-02-27", "2023-03-02"),
    (STATUTE, Clock::DecideApplication, "2024-02-20", "2024-03-06"),
    (STATUTE, Clock::DecideApplication, "2023-02-20", "2023-03-07"),
    (STATUTE, Clock::AskReconsideration, "2024-02-19", "2024-02-29"),
    // Calendar days that bind a court or a unit end on whatever day they end.
    (LEIZHOU, Clock::Review, "2026-02-13", "2026-02-16"),
    (LEIZHOU, Clock::Remove, "2026-09-30", "2026-10-03"),
    (LEIZHOU, Clock::LiftMeasures, "2025-12-31", "2026-01-03"),
    (STATUTE, Clock::Review, "2026-01-31", "2026-02-15"),
    (STATUTE, Clock::Review, "2025-12-25", "2026-01-09"),
    (STATUTE, Clock::Release, "2026-02-10", "2026-02-20"),
    (STATUTE, Clock::HandleNotice, "2026-09-18", "2026-10-03"),
    (LEIZHOU, Clock::DecideReconsideration, "2026-12-20", "2027-01-04"),
    // A party's last day that is no working day is followed by the next one that is.
    (LEIZHOU, Clock::Object, "2026-03-04", "2026-03-16"),
    (LEIZHOU, Clock::Object, "2026-02-04", "2026-02-14"),
    (LEIZHOU, Clock::Object, "2026-02-05", "2026-02-24"),
    (LEIZHOU, Clock::Object, "2026-02-06", "2026-02-24"),
    (LEIZHOU, Clock::AskReconsideration, "2024-02-02", "2024-02-18"),
    (STATUTE, Clock::AskReconsideration, "2026-09-21", "2026-10-08"),
    (STATUTE, Clock::AskReconsideration, "2026-09-30", "2026-10-10"),
    (STATUTE, Clock::AskReconsideration, "2025-12-22", "2026-01-04"),
    // The statute sets no period for the objection.
    (STATUTE, Clock::Object, "2026-03-04", "-"),
];

fn deadlines(profile: &str) -> Deadlines {
    Deadlines::new(Arc::clone(Profiles::shipped().profile(profile).unwrap()), Calendar::shipped())
}

#[test]
fn days_worked_out_by_hand() {
    for (profile, clock, from, due) in TABLE {
        let found = deadlines(profile).due(*clock, Day::parse(from).unwrap());
        let found = found.map_or("-".to_owned(), |day| day.to_string());
        assert_eq!(found, *due, "{profile}, {clock:?} from {from}");
    }
}

#[test]
fn the_plan_inherits_the_statute_where_it_is_silent() {
    let (plan, statute) = (deadlines(LEIZHOU), deadlines(STATUTE));
    let own = [Clock::Object, Clock::Review, Clock::LiftMeasures, Clock::Remove];
    for clock in Clock::ALL {
        let same = plan.profile().period(clock) == statute.profile().period(clock);
        assert_eq!(same, !own.contains(&clock), "{clock:?}");
        assert_eq!(Clock::from_code(clock.code()), Some(clock));
    }
    assert_eq!(plan.profile().exemption_grounds, statute.profile().exemption_grounds);
}

#[test]
fn a_year_without_a_notice_is_told() {
    let calendar = Calendar::shipped();
    for (day, covered) in [("2003-12-31", false), ("2004-01-01", true), ("2026-12-31", true), ("2027-01-01", false)] {
        assert_eq!(calendar.covers(Day::parse(day).unwrap()), covered, "{day}");
    }
}

#[test]
fn every_fault_of_a_file_of_profiles_is_told_with_its_key() {
    let text = "format = 2\n[profile.a]\ninherits = \"spc\"\nreview = { days = 0, unit = \"weeks\" }\nremove = \"never\"\n\
                exemption_max_days = 400\nlift = 3\n";
    let faults = Profiles::parse("own.toml", text).unwrap_err();
    let keys: Vec<String> = faults.iter().map(|fault| fault.key.clone()).collect();
    let expected = [
        "format",
        "profile.a.inherits",
        "profile.a.review.days",
        "profile.a.review.unit",
        "profile.a.remove",
        "profile.a.exemption_max_days",
        "profile.a.lift",
    ];
    for key in expected {
        assert!(keys.iter().any(|found| found == key), "{key} is not among {keys:?}");
    }
    let empty = Profiles::parse("own.toml", "format = 1\n[profile.a]\n").unwrap_err();
    assert_eq!(empty.len(), Clock::ALL.len() + 6, "{empty}");
    // Whoever inherits from itself, or from what stands below it, is told that there is no such profile above.
    let round = "format = 1\n[profile.a]\ninherits = \"a\"\n";
    assert_eq!(Profiles::parse("own.toml", round).unwrap_err().len(), 1);
}

#[test]
fn a_calendar_lists_only_what_differs() {
    let check = |body: &str, key: &str| {
        let faults = Calendar::parse("own.toml", &format!("format = 1\n[year.2026]\n{body}\n")).unwrap_err();
        assert_eq!(faults.iter().next().unwrap().key, key, "{faults}");
    };
    check("holidays = [2026-01-03]", "year.2026.holidays[0]");
    check("workdays = [2026-01-02]", "year.2026.workdays[0]");
    check("holidays = [2027-01-01]", "year.2026.holidays[0]");
    check("holidays = [2026-01-01, 2026-01-01]", "year.2026.holidays[1]");
    check("holidays = [\"soon\"]", "year.2026.holidays[0]");
    check("feasts = []", "year.2026.feasts");
}

proptest! {
    #[test]
    fn a_later_start_is_never_due_earlier(from in 12_000u32..24_000, more in 0u32..60) {
        for profile in [LEIZHOU, STATUTE] {
            let deadlines = deadlines(profile);
            for clock in Clock::ALL {
                let (Some(one), Some(other)) = (deadlines.due(clock, Day(from)), deadlines.due(clock, Day(from + more)))
                else { continue };
                prop_assert!(Day(from) < one && one <= other, "{clock:?}");
            }
        }
    }

    #[test]
    fn working_days_are_counted_one_by_one(from in 12_000u32..24_000, count in 0u32..40) {
        let calendar = Calendar::shipped();
        let last = calendar.plus_working_days(Day(from), count);
        let worked = (from + 1..=last.0).filter(|day| calendar.is_working(Day(*day))).count();
        prop_assert_eq!(worked, count as usize);
        prop_assert!(count == 0 || calendar.is_working(last));
    }

    #[test]
    fn only_a_partys_last_day_is_moved(from in 12_000u32..20_700) {
        let deadlines = deadlines(LEIZHOU);
        for clock in Clock::ALL {
            let (Period::Days(days), Some(due)) = (deadlines.profile().period(clock), deadlines.due(clock, Day(from)))
            else { continue };
            let plain = Day(from + days);
            match clock.bearer() {
                Bearer::Party => prop_assert!(due >= plain && deadlines.calendar().is_working(due)),
                Bearer::Court | Bearer::CourtAbove | Bearer::Client => prop_assert_eq!(due, plain),
            }
        }
    }
}
