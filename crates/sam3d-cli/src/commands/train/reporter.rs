//! Progress of a run on standard error.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sam3d_train::{
    fit::Event,
    run::{EpochRecord, StepRecord},
};

use crate::memory;

const STEPS: &str = "{wide_bar} {pos}/{len} steps, {eta} left, {msg}";
const SECONDS: &str = "{wide_bar} {pos}/{len} s, {msg}";

/// A progress bar over all steps of the run, or over its time if that is given, and a line per epoch. Processes other than the first report problems only.
pub(super) struct Reporter {
    bar: ProgressBar,
    speaks: bool,
    epochs: Option<u64>,
    /// Seconds of steps so far, if the run's length is a time.
    trained: Option<f64>,
    logged: Instant,
}

impl Reporter {
    pub(super) fn new(speaks: bool) -> Self {
        Self { bar: ProgressBar::hidden(), speaks, epochs: None, trained: None, logged: Instant::now() }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn report(&mut self, event: &Event<'_>) {
        if let Event::Skipped { cases, report } = event {
            self.bar.suspend(|| {
                tracing::warn!(
                    "step skipped: loss {}, gradient norms {:?}, not finite; cases {}",
                    report.loss,
                    report.grad_norms,
                    cases.join(", ")
                );
            });
        }
        if !self.speaks {
            return;
        }
        match event {
            Event::Started { .. } => self.start(event),
            Event::Step { record } => self.step(record),
            Event::Skipped { .. } => {}
            Event::Saved => tracing::debug!("saved within the epoch"),
            Event::Validated { done, of } => self.bar.set_message(format!("validation {done}/{of}")),
            Event::Epoch { record, is_best } => self.epoch(record, *is_best),
        }
    }

    fn start(&mut self, event: &Event<'_>) {
        let Event::Started {
            parameters,
            train_cases,
            validation_cases,
            first_epoch,
            first_step,
            epochs,
            seconds,
            steps_per_epoch,
        } = event
        else {
            return;
        };
        let until = match seconds {
            Some([all, done]) => format!("for {:.1} minutes of steps", (all - done).max(0.0) / 60.0),
            None => format!("to epoch {epochs}"),
        };
        tracing::info!(
            "training {} of {} parameters on {train_cases} cases, {validation_cases} for validation, from epoch {} step {} \
             {until}",
            parameters.trained,
            parameters.trained + parameters.frozen,
            first_epoch + 1,
            first_step + 1,
        );
        self.epochs = seconds.is_none().then_some(*epochs);
        self.trained = seconds.map(|[_, done]| done);
        let (template, length, position) = match seconds {
            Some([all, done]) => (SECONDS, all.ceil() as u64, *done as u64),
            None => (STEPS, epochs * steps_per_epoch, first_epoch * steps_per_epoch + first_step),
        };
        self.bar = ProgressBar::new(length);
        // With an invalid template the bar has its default style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_position(position);
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(500));
    }

    fn step(&mut self, record: &StepRecord) {
        let loss = record.loss.map_or_else(|| "none".to_owned(), |loss| format!("{loss:.3}"));
        let memory = memory::resident().map(|bytes| format!(", {:.1} GiB", memory::gib(bytes)));
        let text = format!(
            "loss {loss}, rate {:.1e}, {:.2} s/step{}",
            record.learning_rate,
            record.seconds,
            memory.unwrap_or_default()
        );
        // Without a terminal, a line every minute replaces the bar.
        if self.bar.is_hidden() && self.logged.elapsed() >= Duration::from_secs(60) {
            tracing::info!("epoch {} step {}: {text}", record.epoch + 1, record.step + 1);
            self.logged = Instant::now();
        }
        self.bar.set_message(text);
        match &mut self.trained {
            Some(trained) => {
                *trained += record.seconds;
                self.bar.set_position(*trained as u64);
            }
            None => self.bar.inc(1),
        }
    }

    fn epoch(&mut self, record: &EpochRecord, is_best: bool) {
        let validation = match record.validation_loss {
            Some(loss) => {
                let rounds = record.validation_rounds;
                let rounds = rounds.map(|[first, last]| format!(" (first click {first:.4}, last {last:.4})"));
                let best = if is_best { " (best)" } else { "" };
                format!(", validation {loss:.4}{}{best}", rounds.unwrap_or_default())
            }
            None => String::new(),
        };
        let loss = record.train_loss.map_or_else(|| "none".to_owned(), |loss| format!("{loss:.4}"));
        self.logged = Instant::now();
        self.bar.suspend(|| {
            let of = self.epochs.map_or_else(String::new, |epochs| format!("/{epochs}"));
            tracing::info!(
                "epoch {}{of}: loss {loss}{validation}, {:.1} s",
                record.epoch + 1,
                record.seconds
            );
        });
    }
}
