//! Corrective evaluation: what was typed, and its results as text.

use std::fmt;

use anyhow::bail;
use sam3d_eval::{
    CorrectionConfig, CorrectionSummary, FirstPrompt, Timings,
    correction_summary::{AreaSummary, ClickCounts, Estimate, Share},
};
use sam3d_metrics::ClickRule;

use super::table::{CELL, NAME};
use crate::args::{EvalArgs, FirstArg, MethodName, ProtocolArg};

/// The corrections that were asked for; `None` for the published protocol.
///
/// # Errors
/// If options do not go together.
pub(super) fn config(args: &EvalArgs) -> anyhow::Result<Option<CorrectionConfig>> {
    let first = match args.first {
        None => None,
        Some(FirstArg::Click) => Some(FirstPrompt::Click),
        Some(FirstArg::Centre) => Some(FirstPrompt::Centre),
        Some(FirstArg::None) => Some(FirstPrompt::None),
        Some(FirstArg::Box) => Some(FirstPrompt::Box),
    };
    let config = match (args.protocol, args.corrections) {
        (Some(ProtocolArg::Imed3d), _) => match first {
            None => CorrectionConfig::imed3d(FirstPrompt::None),
            Some(first @ (FirstPrompt::None | FirstPrompt::Box)) => CorrectionConfig::imed3d(first),
            Some(first) => {
                bail!(
                    "--protocol imed3d begins with a box or without a prompt, not with --first {}",
                    first.name()
                )
            }
        },
        (None, 0) if first.is_some() => bail!("--first needs --corrections N or --protocol imed3d"),
        (None, 0) if args.click_rule.is_some() => bail!("--click-rule needs --corrections N"),
        (None, 0) => return Ok(None),
        (None, clicks) => CorrectionConfig {
            rule: args.click_rule.unwrap_or_default(),
            ..CorrectionConfig::new(clicks, first.unwrap_or(FirstPrompt::Click))
        },
    };
    if args.method != MethodName::Sam3d {
        bail!("corrections need --method sam3d: other methods do not answer clicks one after another");
    }
    if config.first != FirstPrompt::Click && args.clicks.get() > 1 {
        bail!("--clicks {} needs --first click: no other first prompt is drawn at random", args.clicks);
    }
    Ok(Some(config))
}

/// The summary of corrections as text.
pub(super) struct Lines<'a> {
    pub(super) config: CorrectionConfig,
    pub(super) summary: &'a CorrectionSummary,
    pub(super) timings: &'a Timings,
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clicks = self.config.clicks;
        if self.summary.dice_area.is_some() {
            let steps = clicks - 1;
            self.areas(
                f,
                &format!("AUC, clicks 1 to {clicks} (at most {steps})"),
                &|AreaSummary { area, .. }| number(area, 1.0),
            )?;
            self.areas(f, "AUC per step, in %", &|AreaSummary { mean, .. }| number(mean, 100.0))?;
        }
        writeln!(f)?;
        for to in &self.summary.clicks_to_dice {
            writeln!(
                f,
                "clicks to Dice {:.2}: {:.2} [{:.2}, {:.2}]; never in {} of {}, which count as {}",
                to.dice,
                to.clicks.mean,
                to.interval.low,
                to.interval.high,
                to.clicks.failures,
                to.clicks.cases,
                clicks + 1
            )?;
        }
        let ClickCounts { given, obeyed, held, dice_fell, without_error, only_excess } = self.summary.clicks;
        writeln!(
            f,
            "of {given} corrective clicks{} {obeyed}{} lie in the new mask, or outside it, as they say (the network alone contradicted {held}); Dice fell after {dice_fell}{}",
            match self.config.rule {
                ClickRule::Largest => String::new(),
                rule => format!(" by the rule {rule}"),
            },
            percent(self.summary.obeyed),
            percent(self.summary.dice_fell)
        )?;
        writeln!(
            f,
            "carried forward: {without_error} times without an error left, {only_excess} times because these weights take no clicks outside the target"
        )?;
        for timing in &self.timings.summary {
            let name = match timing.corrections {
                0 => "first prompt".to_owned(),
                number => format!("correction {number}"),
            };
            writeln!(
                f,
                "seconds of {name}: {:.3} encoder, {:.3} rest (mean of {})",
                timing.encoder_seconds, timing.other_seconds, timing.prompts
            )?;
        }
        Ok(())
    }
}

impl Lines<'_> {
    fn areas(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        cell: &dyn Fn(&AreaSummary) -> String,
    ) -> fmt::Result {
        write!(f, "{name:<NAME$}")?;
        for area in self.summary.dice_area.iter().chain(&self.summary.nsd_area) {
            write!(f, "{:>CELL$}", cell(area))?;
        }
        writeln!(f)
    }
}

/// A share with its interval, in parentheses; nothing if there is none.
fn percent(share: Option<Share>) -> String {
    let Some(Share { share, interval }) = share else { return String::new() };
    let [share, low, high] = [share, interval.low, interval.high].map(|share| 100.0 * share);
    format!(" ({share:.1} % [{low:.1}, {high:.1}])")
}

fn number(Estimate { cases, interval }: &Estimate, scale: f64) -> String {
    let [mean, std, low, high] =
        [cases.mean, cases.std, interval.low, interval.high].map(|value| scale * value);
    format!("{mean:.2} +- {std:.2} [{low:.2}, {high:.2}]")
}
