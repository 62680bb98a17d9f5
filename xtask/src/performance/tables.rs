//! Measurements as Markdown.

use super::measured::{Clicks, Layers, Plain, Step};

/// A table: a heading, columns, rows.
fn table(heading: &str, columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = line(columns.iter().map(|column| (*column).to_owned()).collect());
    let rule = format!("|{}\n", columns.iter().map(|_| "---|").collect::<String>());
    let body: String = rows.into_iter().map(line).collect();
    format!("### {heading}\n\n{head}{rule}{body}")
}

/// Seconds with three significant digits.
fn seconds(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.digits$} s")
}

fn gib(mib: Option<u64>) -> String {
    mib.map_or_else(|| "unknown".to_owned(), |mib| format!("{:.2} GiB", mib as f64 / 1024.0))
}

fn times(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0} x") } else { format!("{ratio:.2} x") }
}

/// What the tables were measured on.
pub(super) fn machine(cpu: Option<&str>, cores: usize) -> String {
    format!("Machine: {}, {cores} cores.\n", cpu.unwrap_or("unknown processor"))
}

/// sam3d and plain PyTorch, which takes as long for every click.
pub(super) fn comparison(ours: &Clicks, plain: &Plain) -> String {
    let forward = plain.forward_seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let row = |what: &str, plain: f64, ours: f64| {
        vec![what.to_owned(), seconds(plain), seconds(ours), times(plain / ours)]
    };
    let memory =
        ours.peak_mib.map_or_else(|| "unknown".into(), |mib| times(plain.peak_mib as f64 / mib as f64));
    table(
        &format!("{}, crop {}, {} threads, float32", ours.model, ours.crop, ours.threads),
        &["", &plain.implementation, "sam3d", "ratio"],
        [
            row("first click", forward, ours.first_seconds),
            row("further click", forward, ours.further_seconds()),
            vec!["largest memory".to_owned(), gib(Some(plain.peak_mib)), gib(ours.peak_mib), memory],
        ],
    )
}

/// Where the time of a first click goes.
pub(super) fn layers(measured: &Layers) -> String {
    let peak = measured.matrix_product_gflops.max(measured.convolution_gflops);
    let cold =
        measured.layers.iter().find(|layer| layer.name == "cold_forward").map_or(f64::NAN, |l| l.seconds);
    let rows = measured.layers.iter().map(|layer| {
        let speed = layer.gflop / layer.seconds;
        let share = 100.0 * layer.times as f64 * layer.seconds / cold;
        vec![
            layer.name.clone(),
            if layer.times > 0 { layer.times.to_string() } else { String::new() },
            format!("{:.1}", layer.gflop),
            seconds(layer.seconds),
            format!("{speed:.0}"),
            format!("{:.0} %", 100.0 * speed / peak),
            if layer.times > 0 { format!("{share:.1} %") } else { String::new() },
        ]
    });
    let heading = format!(
        "{}, crop {}: layers (matrix product {:.0} GFLOP/s, as 1 x 1 convolution {:.0})",
        measured.model, measured.crop, measured.matrix_product_gflops, measured.convolution_gflops
    );
    let columns = ["layer", "runs", "GFLOP", "time", "GFLOP/s", "of the faster", "of a first click"];
    table(&heading, &columns, rows)
}

/// Points of a click.
pub(super) fn points(measured: &[Clicks]) -> String {
    let rows = measured.iter().map(|row| {
        vec![
            row.further.first().map_or_else(String::new, |further| further.points.to_string()),
            seconds(row.further_seconds()),
            gib(row.peak_mib),
        ]
    });
    table("Points", &["points", "further click", "largest memory"], rows)
}

/// Sides of the crop.
pub(super) fn crops(measured: &[Clicks]) -> String {
    let rows = measured.iter().map(|row| {
        vec![
            row.crop.to_string(),
            seconds(row.first_seconds),
            seconds(row.further_seconds()),
            gib(row.peak_mib),
            format!("{} MiB", row.embedding_mib),
        ]
    });
    let columns = ["crop side", "first click", "further click", "largest memory", "kept between clicks"];
    table("Side of the crop", &columns, rows)
}

/// Crops encoded at once.
pub(super) fn batches(measured: &[Clicks]) -> String {
    let rows = measured.iter().map(|row| {
        vec![
            row.batch.to_string(),
            seconds(row.first_seconds),
            seconds(row.first_seconds / row.batch as f64),
            seconds(row.further_seconds()),
            gib(row.peak_mib),
        ]
    });
    let columns = ["crops", "first clicks", "each", "further clicks", "largest memory"];
    table("Batch", &columns, rows)
}

/// Threads.
pub(super) fn threads(measured: &[Clicks]) -> String {
    let rows = measured.iter().map(|row| {
        vec![
            row.threads.to_string(),
            seconds(row.first_seconds),
            seconds(row.further_seconds()),
            gib(row.peak_mib),
        ]
    });
    table("Threads", &["threads", "first click", "further click", "largest memory"], rows)
}

/// Training steps.
pub(super) fn training(measured: &[Step]) -> String {
    let rows = measured.iter().map(|row| {
        vec![
            row.model.clone(),
            row.crop.to_string(),
            row.recompute.clone(),
            seconds(row.seconds),
            gib(row.peak_mib),
        ]
    });
    table("Training step, float32", &["model", "crop side", "recompute", "time", "largest memory"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clicks() -> Clicks {
        let json = r#"{"model": "tiny", "crop": 64, "batch": 2, "threads": 1, "first_seconds": 4.0,
            "further": [{"points": 1, "seconds": 0.05}, {"points": 3, "seconds": 0.06}], "embedding_mib": 5,
            "peak_mib": 1024}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn ratios_are_plain_over_ours() {
        let plain = Plain { implementation: "plain".into(), forward_seconds: vec![9.0, 8.0], peak_mib: 3072 };
        let text = comparison(&clicks(), &plain);
        assert!(text.contains("| first click | 8.00 s | 4.00 s | 2.00 x |"), "{text}");
        assert!(text.contains("| further click | 8.00 s | 0.050 s | 160 x |"), "{text}");
        assert!(text.contains("| largest memory | 3.00 GiB | 1.00 GiB | 3.00 x |"), "{text}");
    }

    #[test]
    fn speed_is_measured_against_the_faster_product() {
        let json = r#"{"model": "tiny", "crop": 64, "matrix_product_gflops": 50.0, "convolution_gflops": 100.0,
            "layers": [{"name": "mlp", "times": 2, "gflop": 40.0, "seconds": 0.5},
                       {"name": "cold_forward", "times": 0, "gflop": 100.0, "seconds": 2.0}]}"#;
        let text = layers(&serde_json::from_str(json).unwrap());
        assert!(text.contains("| mlp | 2 | 40.0 | 0.500 s | 80 | 80 % | 50.0 % |"), "{text}");
        assert!(text.contains("| cold_forward |  | 100.0 | 2.00 s | 50 | 50 % |  |"), "{text}");
    }

    #[test]
    fn every_row_has_the_columns_of_its_table() {
        let steps = serde_json::from_str::<Vec<Step>>(
            r#"[{"model": "tiny", "crop": 64, "recompute": "blocks", "seconds": 1.0, "peak_mib": null}]"#,
        );
        let all = [
            points(&[clicks()]),
            crops(&[clicks()]),
            batches(&[clicks()]),
            threads(&[clicks()]),
            training(&steps.unwrap()),
        ];
        for text in all {
            let lines: Vec<&str> = text.lines().skip(2).collect();
            let columns = |line: &&str| line.matches('|').count();
            assert!(
                lines.len() >= 3 && lines.iter().all(|line| columns(line) == columns(&lines[0])),
                "{text}"
            );
        }
    }
}
