//! Plots as SVG: bars with their spread. They read on a light page and on a dark one, and carry every number as text.

use std::fmt::Write;

use crate::compare::{Compared, Row, Spread};
use crate::load::Measured;
use crate::report::Run;

const WIDTH: f64 = 860.0;
const LABEL_WIDTH: f64 = 270.0;
const VALUE_WIDTH: f64 = 210.0;
const BAR_HEIGHT: f64 = 18.0;
const ROW_HEIGHT: f64 = 28.0;
const TOP: f64 = 44.0;

/// The plots of a run: a name, what it shows, the file.
pub(crate) fn all(run: &Run) -> Vec<(String, String, String)> {
    let mut plots = Vec::new();
    let mut add = |name: &str, title: String, rows: &[(String, Spread)], decimals| {
        if !rows.is_empty() {
            plots.push((name.to_owned(), title.clone(), bars(&title, rows, decimals)));
        }
    };
    if let Some(lookup) = &run.lookup {
        for compared in &lookup.closed {
            let shape = compared.shape;
            let name = |what| format!("{what}-{}x{}", shape.connections, shape.in_flight);
            let of = format!("{} connections × in flight", shape.text());
            add(&name("calls"), format!("Calls a second, {of}"), &each(compared, Row::calls_per_s), 0);
            let cpu = each(compared, |row| row.spread(|one| one.server_cpu_us));
            add(&name("cpu"), format!("Server CPU time of a call, µs, {of}"), &cpu, 1);
            add(&name("p99"), format!("99th percentile, µs, {of}"), &each(compared, |row| row.spread(p99)), 0);
        }
    }
    if let Some(batch) = &run.batch {
        let rows = each(&batch.compared, Row::asked_per_cpu_s);
        add(
            "batch",
            "Identities, or keys, that a server core answers in a second, a thousand at a time".to_owned(),
            &rows,
            0,
        );
    }
    if let Some(stream) = &run.stream {
        add("stream", "Checks a second".to_owned(), &each(&stream.compared, Row::calls_per_s), 0);
    }
    if let Some(mixed) = &run.mixed {
        let rows = each(&mixed.compared, |row| row.spread(p99));
        add("mixed", "99th percentile of a clear answer, µs".to_owned(), &rows, 0);
    }
    plots
}

fn p99(one: &Measured) -> f64 {
    one.main.or(one.other).map_or(f64::NAN, |latency| latency.p99_us)
}

fn each(compared: &Compared, value: impl Fn(&Row) -> Spread) -> Vec<(String, Spread)> {
    compared.rows.iter().map(|row| (row.what.clone(), value(row))).collect()
}

/// A bar for each median, and a line from the smallest to the largest.
fn bars(title: &str, rows: &[(String, Spread)], decimals: usize) -> String {
    let most = rows.iter().map(|(_, spread)| spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most;
    let height = TOP + ROW_HEIGHT * rows.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text {{ fill: #24292f }} .spread {{ stroke: #24292f }} @media (prefers-color-scheme: dark) \
         {{ text {{ fill: #d0d7de }} .spread {{ stroke: #d0d7de }} }}</style>\n\
         <text x=\"8\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    for (at, (label, spread)) in rows.iter().enumerate() {
        let y = TOP + ROW_HEIGHT * at as f64;
        let [bar, from, to] = [spread.median, spread.min, spread.max].map(|value| value.max(0.0) * scale);
        let (middle, text) = (y + BAR_HEIGHT / 2.0, y + BAR_HEIGHT - 4.0);
        // Writing to a string can't fail.
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL_WIDTH}\" y=\"{y:.0}\" width=\"{bar:.1}\" height=\"{BAR_HEIGHT}\" fill=\"#3b82c4\"/>\
             <path class=\"spread\" d=\"M{:.1} {middle:.1}H{:.1}\"/>\
             <text x=\"{:.0}\" y=\"{text:.0}\">{}</text>",
            LABEL_WIDTH - 8.0,
            escaped(label),
            LABEL_WIDTH + from,
            LABEL_WIDTH + to,
            LABEL_WIDTH + bar.max(to) + 8.0,
            spread.text(decimals),
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_plot_and_text_is_escaped() {
        let spread = |median| Spread { median, min: median, max: median };
        let svg = bars("a < b", &[("one & two".to_owned(), spread(10.0)), ("half".to_owned(), spread(5.0))], 1);
        assert!(svg.contains("a &lt; b") && svg.contains("one &amp; two") && svg.contains("10.0 (10.0–10.0)"), "{svg}");
        let whole = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
        assert!(svg.contains(&format!("width=\"{whole:.1}\"")), "{svg}");
        assert!(svg.contains(&format!("width=\"{:.1}\"", whole / 2.0)), "{svg}");
    }
}
