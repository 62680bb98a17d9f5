//! Reports as text and as CSV.

use std::fmt;

use super::report::{BatchReport, Report};
use crate::output::MetricValue;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, mask) in [("truth", &self.truth), ("prediction", &self.prediction)] {
            let millilitres = mask.volume_mm3 / 1000.0;
            writeln!(f, "{name:<34}{} ({} voxels, {millilitres:.2} ml)", mask.path.display(), mask.voxels)?;
        }
        let mut row = |name: &str, value: String| writeln!(f, "{name:<34}{value}");
        row("dice", self.dice.text(4, ""))?;
        row("iou", self.iou.text(4, ""))?;
        let percent = MetricValue(self.relative_volume_error.0.map(|share| 100.0 * share)).text(1, " %");
        row("volume error", format!("{:+.2} ml ({percent})", self.volume_error_mm3 / 1000.0))?;
        for at in &self.surface_dice {
            row(&format!("surface dice at {} mm", at.tolerance_mm), at.value.text(4, ""))?;
        }
        row("hausdorff distance, 95 %", self.hausdorff_95_mm.text(2, " mm"))?;
        row("hausdorff distance", self.hausdorff_mm.text(2, " mm"))?;
        row("average distance, symmetric", self.average_symmetric_distance_mm.text(3, " mm"))?;
        row("average distance, truth to pred.", self.average_distance_truth_to_prediction_mm.text(3, " mm"))?;
        row("average distance, pred. to truth", self.average_distance_prediction_to_truth_mm.text(3, " mm"))
    }
}

impl fmt::Display for BatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.results.iter().map(|report| report.name.chars().count());
        let width = names.max().unwrap_or(0).max(4) + 2;
        let label = |label: Option<u16>| label.map_or("any".to_owned(), |label| label.to_string());
        write!(f, "{:<width$}{:>6}{:>10}", "", "label", "dice")?;
        for at in self.results.first().iter().flat_map(|report| &report.surface_dice) {
            write!(f, "{:>12}", format!("nsd {} mm", at.tolerance_mm))?;
        }
        writeln!(f, "{:>14}{:>16}", "hd95, mm", "avg. dist., mm")?;
        for report in &self.results {
            write!(f, "{:<width$}{:>6}{:>10}", report.name, label(report.label), report.dice.text(4, ""))?;
            for at in &report.surface_dice {
                write!(f, "{:>12}", at.value.text(4, ""))?;
            }
            let average = report.average_symmetric_distance_mm;
            writeln!(f, "{:>14}{:>16}", report.hausdorff_95_mm.text(2, ""), average.text(3, ""))?;
        }
        for means in &self.means {
            write!(f, "{:<width$}{:>6}{:>10}", "mean", label(means.label), means.dice.mean.text(4, ""))?;
            for at in &means.surface_dice {
                write!(f, "{:>12}", at.mean.mean.text(4, ""))?;
            }
            let average = means.average_symmetric_distance_mm.mean;
            writeln!(f, "{:>14}{:>16}", means.hausdorff_95_mm.mean.text(2, ""), average.text(3, ""))?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {}: {}", failure.name, failure.error)?;
        }
        Ok(())
    }
}

impl BatchReport {
    /// One line per pair and label. Undefined values are empty, infinite ones are `inf`.
    pub(super) fn csv(&self, tolerances_mm: &[f64]) -> String {
        let mut text = "name,label,truth_mm3,prediction_mm3,dice,iou,relative_volume_error".to_owned();
        for mm in tolerances_mm {
            text.push_str(&format!(",nsd_{mm}mm"));
        }
        text.push_str(",hausdorff_95_mm,hausdorff_mm,average_symmetric_distance_mm\n");
        for report in &self.results {
            let name = if report.name.contains([',', '"', '\n']) {
                format!("\"{}\"", report.name.replace('"', "\"\""))
            } else {
                report.name.clone()
            };
            let label = report.label.map_or_else(String::new, |label| label.to_string());
            let volumes =
                [report.truth.volume_mm3, report.prediction.volume_mm3].map(|mm3| MetricValue(Some(mm3)));
            let values = volumes
                .into_iter()
                .chain([report.dice, report.iou, report.relative_volume_error])
                .chain(report.surface_dice.iter().map(|at| at.value))
                .chain([report.hausdorff_95_mm, report.hausdorff_mm, report.average_symmetric_distance_mm]);
            text.push_str(&format!("{name},{label}"));
            for value in values {
                text.push(',');
                text.extend(value.0.map(|value| value.to_string()));
            }
            text.push('\n');
        }
        text
    }
}
