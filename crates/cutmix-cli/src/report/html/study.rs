//! The report of a study.

use std::collections::BTreeSet;

use cutmix_vision::measures::Occlusion;
use maud::{Markup, html};

use super::svg::{Axis, Band, Chart, Series, Shape};
use super::{document, short};
use crate::digest;
use crate::error::Error;
use crate::run_folder::write_whole;
use crate::study::table::{Measure, MeasuredRow, needed};
use crate::study::{Plan, RunResult, Seeds, StudyFolder, Table};
use crate::terminal::{clock, count, grouped, quoted};

/// The most rows that are drawn over an axis.
const CURVES: usize = 8;
/// The ends of the line of dots in a row of a table.
const DOTS: [f64; 2] = [8.0, 212.0];

/// Writes the report of a study.
pub fn write(
    folder: &StudyFolder,
    plan: &Plan,
    table: &Table,
    results: &[RunResult],
) -> Result<(), Error> {
    let page = page(folder, plan, table, results);
    write_whole(&folder.report(), page.into_string().as_bytes())
}

fn page(folder: &StudyFolder, plan: &Plan, table: &Table, results: &[RunResult]) -> Markup {
    let title = format!("Comparison of {}", count(plan.rows.len(), "row"));
    let body = html! {
        header {
            h1 { (title) }
            p.path { (folder.path().display()) }
            (summary(folder, plan, results))
        }
        main {
            @if !results.is_empty() {
                section {
                    h2 { "Result" }
                    (explanation())
                    @for measure in table.main() { (measure_table(measure)) }
                }
                (curves(plan, results))
                (occlusion(plan, results))
                (details(table))
            }
            (settings(plan, results))
        }
    };
    document(&title, body)
}

/// What was run.
fn summary(folder: &StudyFolder, plan: &Plan, results: &[RunResult]) -> Markup {
    let all = plan.runs().count();
    let seconds: f64 = results.iter().map(|result| result.seconds).sum();
    let devices: BTreeSet<_> = results
        .iter()
        .filter_map(|result| result.device.as_deref())
        .collect();
    let devices = Vec::from_iter(devices);
    html! {
        div.result {
            dl {
                dt { "Runs" }
                dd {
                    (grouped(results.len())) " of " (grouped(all)) " finished: "
                    (count(plan.rows.len(), "row")) " with " (count(plan.seeds.len(), "seed"))
                    " (" (Seeds(plan.seeds.clone()).to_string()) ")"
                    @if results.len() < all {
                        "; go on with " code { "cutmix compare --resume " (quoted(folder.path())) }
                    }
                }
                dt { "Time" } dd { (clock(seconds)) " of training, with the evaluations on the way" }
                @if let Some(first) = results.first() {
                    dt { "Measured on" }
                    dd { "the " (first.set.to_string()) " set, " (images(results)) " images, once at the end of each run" }
                }
                @if !devices.is_empty() { dt { "Device" } dd { (devices.join(", ")) } }
                dt { "Data" } dd { "digest " code { (digest::short(&plan.data)) } }
            }
        }
    }
}

/// The number of images that a run was measured on: that of all runs, or the least and the most.
fn images(results: &[RunResult]) -> String {
    let counts = BTreeSet::from_iter(results.iter().map(|result| result.images));
    match Vec::from_iter(counts)[..] {
        [] => String::new(),
        [count] => grouped(count),
        [least, .., most] => format!("{} to {}", grouped(least), grouped(most)),
    }
}

fn explanation() -> Markup {
    html! {
        p.faint {
            "A dot is a run, and the line its mean. Numbers are means over the seeds ± their standard error. A row is \
            compared with the first one seed by seed: the difference has a 95 % interval (Student's t over the seeds), \
            in bold where it leaves out zero. “Seeds needed” is the number with which such an interval would leave out \
            zero in 80 of 100 studies, were the difference and its spread what they seem to be here. Occlusion and FGSM \
            are means over all shares and levels."
        }
    }
}

/// A measure, a row for each row of the study.
fn measure_table(measure: &Measure) -> Markup {
    let values = measure.rows.iter().flat_map(|row| &row.values);
    let axis = Axis::new(values.map(|(_, value)| *value), None, DOTS, 4);
    let title = measure.title();
    html! {
        h3 { (title) @if !measure.higher_is_better { ", lower is better" } }
        div.scroll tabindex="0" role="region" aria-label=(title) {
            table.names {
                thead {
                    tr {
                        th scope="col" { "Row" }
                        th.n scope="col" { "Mean" }
                        th.n scope="col" { "Difference to the first row, 95 %" }
                        th.n scope="col" { "Seeds needed" }
                        th scope="col" { "Runs, on an axis from " (short(axis.low())) " to " (short(axis.high())) }
                    }
                }
                tbody {
                    @for row in &measure.rows {
                        tr {
                            th scope="row" { (row.row) }
                            td.n { (row.mean_text()) }
                            td.n { (difference(row)) }
                            td.n { @if let Some(found) = &row.difference { (needed(found)) } }
                            td { (dots(row, &axis)) }
                        }
                    }
                }
            }
        }
    }
}

fn difference(row: &MeasuredRow) -> Markup {
    let is_clear = row
        .difference
        .is_some_and(|difference| difference.is_clear());
    html! {
        @if is_clear { strong { (row.difference_text()) } } @else { (row.difference_text()) }
    }
}

/// The runs of a row as dots, with their mean.
fn dots(row: &MeasuredRow, axis: &Axis) -> Markup {
    let [left, right] = DOTS;
    let values: Vec<_> = row.values.iter().map(|(_, value)| *value).collect();
    let texts: Vec<_> = values.iter().map(|value| short(*value)).collect();
    html! {
        svg.row viewBox="0 0 220 24" role="img" aria-label={ "Runs: " (texts.join(", ")) } {
            path.grid d=(format!("M{left} 12H{right}")) {}
            @if let Some(mean) = &row.mean {
                path.axis d=(format!("M{:.1} 3v18", axis.place(mean.mean))) {}
            }
            @for value in values {
                path.dots.s0 d=(format!("M{:.1} 12h0", axis.place(value))) {}
            }
        }
    }
}

/// Scores over the epochs, the mean of each row with the range of its seeds.
fn curves(plan: &Plan, results: &[RunResult]) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    let reports = results.iter().flat_map(|result| &result.history);
    for name in reports.flat_map(|report| report.scores.keys()) {
        if name.starts_with("val/") && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return html! {};
    }
    let over_epochs = |name: &str, result: &RunResult| -> Vec<[f64; 2]> {
        let reports = result.history.iter();
        let points =
            reports.filter_map(|report| Some([report.epoch, (*report.scores.get(name)?)?]));
        points.collect()
    };
    html! {
        section {
            h2 { "Curves" }
            div.charts {
                @for name in names {
                    @let title = format!("Validation, {}", name.trim_start_matches("val/"));
                    (chart(&title, "epoch", plan, results, |result| over_epochs(name, result)))
                }
            }
            p.faint { "A line is the mean over the seeds, and its band reaches from the lowest to the highest." (limit(plan)) }
        }
    }
}

/// The accuracies of one place of the black box.
type Accuracies = fn(&Occlusion) -> &Vec<f64>;

/// Accuracy over the share that is black.
fn occlusion(plan: &Plan, results: &[RunResult]) -> Markup {
    let places: [(&str, Accuracies); 3] = [
        ("at a random place", |found| &found.random),
        ("in the centre", |found| &found.centre),
        ("around the border", |found| &found.border),
    ];
    let has_any = results
        .iter()
        .any(|result| result.measures.occlusion.is_some());
    let points = |result: &RunResult, of: Accuracies| -> Vec<[f64; 2]> {
        let Some(found) = &result.measures.occlusion else {
            return Vec::new();
        };
        let accuracy = result.scores.get("accuracy").copied().flatten();
        let whole = accuracy.map(|accuracy| [0.0, accuracy]);
        let others = found.shares.iter().zip(of(found));
        whole
            .into_iter()
            .chain(others.map(|(share, accuracy)| [100.0 * share, 100.0 * accuracy]))
            .collect()
    };
    html! {
        @if has_any {
            section {
                h2 { "Occlusion" }
                div.charts {
                    @for (place, of) in places {
                        @let title = format!("Accuracy (%), black {place}");
                        (chart(&title, "black share of the images (%)", plan, results, |result| points(result, of)))
                    }
                }
                p.faint { "A part of each image is black." (limit(plan)) }
            }
        }
    }
}

fn limit(plan: &Plan) -> String {
    if plan.rows.len() <= CURVES {
        return String::new();
    }
    format!(" The first {CURVES} rows are drawn.")
}

/// The mean of the points of each row, where all its runs have one, with the range of its seeds.
fn chart(
    title: &str,
    x_label: &str,
    plan: &Plan,
    results: &[RunResult],
    points: impl Fn(&RunResult) -> Vec<[f64; 2]>,
) -> Markup {
    let series = plan.rows.iter().take(CURVES).map(|row| {
        let runs = results.iter().filter(|result| result.row == row.name);
        let runs: Vec<_> = runs.map(&points).collect();
        // Where all runs have a point.
        let first = runs.first().map(Vec::as_slice).unwrap_or_default();
        let shared = first.iter().filter_map(|[x, _]| {
            let of_run = |run: &Vec<[f64; 2]>| {
                let point = run.iter().find(|point| point[0] == *x)?;
                Some(point[1])
            };
            let values: Option<Vec<f64>> = runs.iter().map(of_run).collect();
            values.map(|values| (*x, values))
        });
        let shared: Vec<(f64, Vec<f64>)> = shared.collect();
        let band = shared.iter().map(|(x, values)| {
            let low = values.iter().copied().fold(f64::MAX, f64::min);
            let high = values.iter().copied().fold(f64::MIN, f64::max);
            [*x, low, high]
        });
        let means = shared
            .iter()
            .map(|(x, values)| [*x, values.iter().sum::<f64>() / values.len() as f64]);
        let series = Series {
            label: row.name.clone(),
            shape: Shape::Line,
            points: means.collect(),
        };
        (series, Band(band.collect()))
    });
    let (series, bands): (Vec<_>, Vec<_>) = series.unzip();
    let ends = series
        .iter()
        .filter_map(|one: &Series| Some(format!("{} {}", one.label, short(one.points.last()?[1]))));
    let ends: Vec<_> = ends.collect();
    Chart {
        title,
        description: format!("{title} over {x_label}, at the end: {}.", ends.join("; ")),
        x_label,
        y_range: None,
        series,
        bands,
    }
    .figure()
}

/// All measures that are not in the main tables.
fn details(table: &Table) -> Markup {
    let others: Vec<_> = table
        .measures
        .iter()
        .filter(|measure| !measure.is_main)
        .collect();
    html! {
        @if !others.is_empty() {
            section {
                h2 { "All that was measured" }
                div.scroll tabindex="0" role="region" aria-label="All that was measured" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Measure" }
                                @for row in &others[0].rows { th.n scope="col" { (row.row) } }
                            }
                        }
                        tbody {
                            @for measure in &others {
                                tr {
                                    th scope="row" { (measure.title()) }
                                    @for row in &measure.rows {
                                        td.n { (row.mean_text()) @if row.difference.is_some() { br; (difference(row)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The settings for all rows, and those of each.
fn settings(plan: &Plan, results: &[RunResult]) -> Markup {
    let text = |table: &toml::Table| {
        let settings = table
            .iter()
            .map(|(name, value)| format!("{name} = {value}"));
        settings.collect::<Vec<_>>().join("\n")
    };
    html! {
        section {
            h2 { "Settings" }
            h3 { "Given for all rows" }
            @if plan.settings.is_empty() { p.faint { "None." } } @else { pre { (text(&plan.settings)) } }
            h3 { "Of each row" }
            table.names {
                thead { tr { th scope="col" { "Row" } th scope="col" { "Settings" } th.n scope="col" { "Time of a run" } } }
                tbody {
                    @for row in &plan.rows {
                        tr {
                            th scope="row" { (row.name) }
                            td { code { (text(&row.settings)) } }
                            td.n { (time_of(row.name.as_str(), results)) }
                        }
                    }
                }
            }
            p.faint { "The folder results/ has all settings of each run; runs/ has its folder, with a report of its own." }
        }
    }
}

fn time_of(row: &str, results: &[RunResult]) -> String {
    let own = results.iter().filter(|result| result.row == row);
    let seconds: Vec<_> = own.map(|result| result.seconds).collect();
    match seconds.len() {
        0 => String::new(),
        runs => clock(seconds.iter().sum::<f64>() / runs as f64),
    }
}
