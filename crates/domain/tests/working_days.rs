//! Working days against PyPI's `chinesecalendar`, an implementation by others: every day from 2004 to 2026.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::path::PathBuf;
use std::process::Command;

use xinhub_domain::deadline::Calendar;
use xinhub_domain::time::Day;

/// Prints, for each day, `1` for worked and `0` for not; then, for each day, the day after three further working days.
const SCRIPT: &str = "
import datetime, chinese_calendar as calendar
day, last = datetime.date(2004, 1, 1), datetime.date(2026, 12, 31)
one = datetime.timedelta(days=1)
days = []
while day <= last:
    days.append(day)
    day += one
worked = [calendar.is_workday(day) for day in days]
print(''.join('1' if work else '0' for work in worked))
for at, day in enumerate(days):
    left, to = 3, at
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
    let mut compared = 0;
    for (day, theirs) in (first.0..).map(Day).zip(lines) {
        if theirs != "-" {
            assert_eq!(calendar.plus_working_days(day, 3).to_string(), theirs, "three working days after {day}");
            compared += 1;
        }
    }
    assert!(compared > 8_000, "{compared} days compared");
}

fn ask() -> String {
    let venv = std::env::var_os("XINHUB_TEST_VENV")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv"), PathBuf::from);
    let python = venv.join("bin/python");
    let out = Command::new(&python).args(["-c", SCRIPT]).output();
    let out = out.unwrap_or_else(|error| panic!("{}: {error}; run `make test-setup` first", python.display()));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
