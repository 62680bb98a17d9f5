//! The report of an evaluation: one self-contained HTML file that works offline.

mod axis;
mod charts;
mod corrections;
mod pictures;
mod sections;
mod study;
mod tables;

use maud::{DOCTYPE, PreEscaped, html};

use crate::{ClickScore, EvalError, scores::Scores};

pub use pictures::draw;
pub use study::study_page;

const STYLE: &str = include_str!("style.css");

/// Pictures of one prediction.
pub struct Picture<'a> {
    /// The prediction.
    pub score: &'a ClickScore,
    /// The reason it is shown: `among the lowest Dice`, `the case in the middle`.
    pub reason: &'static str,
    /// Axial, coronal and sagittal slice, as PNG files.
    pub views: [Vec<u8>; 3],
}

/// The page for `scores` on the dataset called `title`.
///
/// # Errors
/// If the published table cannot be read.
pub fn page(scores: &Scores, title: &str, pictures: &[Picture<'_>]) -> Result<String, EvalError> {
    let published = tables::published(scores)?;
    let pictures_title = match scores.identity.config.corrections {
        Some(_) => "A case, click by click",
        None => "Best and worst cases",
    };
    let sections = [
        ("summary", "Summary", Some(tables::summary(scores))),
        ("published", "Published scores", published),
        ("corrections", "Corrections", corrections::section(scores)),
        ("distribution", "Distribution", sections::distribution(scores)),
        ("volume", "Dice against tumour volume", sections::volume(scores)),
        ("clicks", "Sensitivity to clicks", sections::clicks(scores)),
        ("pictures", pictures_title, sections::pictures(scores, pictures)),
        ("cases", "All cases", Some(tables::cases(scores))),
        ("failures", "Failed cases", tables::failures(scores)),
        ("configuration", "Configuration and provenance", Some(tables::configuration(scores))),
    ];
    let sections: Vec<_> =
        sections.into_iter().filter_map(|(id, name, content)| Some((id, name, content?))).collect();
    let heading = format!("{}: {}", title, scores.identity.method);
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Evaluation of " (heading) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "Skip to the results" }
                header {
                    h1 { "Evaluation of " (heading) }
                    p class="soft" {
                        (scores.cases.len()) " cases of the " (tables::part(scores)) " split. "
                        "Research software: nothing here is validated for clinical use."
                    }
                }
                nav aria-label="Sections" {
                    ul { @for (id, name, _) in &sections { li { a href=(format!("#{id}")) { (name) } } } }
                }
                main id="main" {
                    @for (id, name, content) in &sections {
                        section id=(id) aria-labelledby=(format!("{id}-heading")) {
                            h2 id=(format!("{id}-heading")) { (name) }
                            (content)
                        }
                    }
                }
                footer { p class="soft" { "Written by " (scores.program) "." } }
            }
        }
    }
    .into_string())
}
