//! Working days against PyPI's `chinesecalendar`, an implementation by others: every day from 2004 to 2026.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::path::PathBuf;
use std::process::Command;

use xinhub_domain::deadline::Calendar;
use xinhub_domain::time::Day;

/// After so many further working days. Fifteen and more cross Spring Festival and both of its make-up days from any start near it.
const COUNTS: [usize; 6] = [1, 2, 3, 10, 15, 60];

/// Prints, for each day, `1` for worked and `0` for not; then, for each count given and each day, the day after so many further
/// working days.
const SCRIPT: &str = "
import datetime, sys, chinese_calendar as calendar
day, last = datetime.date(2004, 1, 1), datetime.date(2026, 12, 31)
one = datetime.timedelta(days=1)
days = []
while day <= last:
    days.append(day)
    day += one
worked = [calendar.is_workday(day) for day in days]
print(''.join('1' if work else '0' for work in worked))
for count in map(int, sys.argv[1:]):
    for at, day in enumerate(days):
        left, to = count, at
        while left and to + 1 < len(days):
            to += 1
            left -= worked[to]
        print(days[to].isoformat() if not left else '-')
";

#[test]
fn agrees_with_chinesecalendar() {
    let calendar = Calendar::shipped();
    let (first, last) = (Day::parse("2004-01-01").unwrap(), Day::parse("2026-12-31").unwrap());
    let told = ask();
    let mut lines = told.lines();
    let worked = lines.next().unwrap();
    assert_eq!(worked.len() as u32, last.0 - first.0 + 1, "one letter a day");
    let mut moved = 0;
    for (day, theirs) in (first.0..).map(Day).zip(worked.chars()) {
        assert_eq!(calendar.is_working(day), theirs == '1', "{day}");
        moved += u32::from(calendar.is_working(day) == matches!((day.0 + 3) % 7, 5 | 6));
    }
    // A comparison of plain weeks alone would prove nothing.
    assert!(moved > 500, "{moved} days differ from Monday to Friday");
    for count in COUNTS {
        let mut compared = 0;
        for (day, theirs) in (first.0..=last.0).map(Day).zip(lines.by_ref()) {
            if theirs != "-" {
                let ours = calendar.plus_working_days(day, count as u32).to_string();
                assert_eq!(ours, theirs, "{count} working days after {day}");
                compared += 1;
            }
        }
        // All but the last days of 2026, from which the count leads into a year without a notice.
        assert!(compared > 8_300, "{compared} days compared");
    }
    assert_eq!(lines.next(), None, "every line was compared");
}

fn ask() -> String {
    let venv = std::env::var_os("XINHUB_TEST_VENV")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv"), PathBuf::from);
    let python = venv.join("bin/python");
    let out = Command::new(&python).args(["-c", SCRIPT]).args(COUNTS.map(|count| count.to_string())).output();
    let out = out.unwrap_or_else(|error| panic!("{}: {error}; run `make test-setup` first", python.display()));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
