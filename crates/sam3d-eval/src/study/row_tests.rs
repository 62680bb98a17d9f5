use std::collections::BTreeMap;

use super::*;

#[test]
fn names_are_unique_and_one_training_is_one_thing() {
    let mut trainings: BTreeMap<&str, Training> = BTreeMap::new();
    for (number, row) in ROWS.iter().enumerate() {
        assert!(ROWS[..number].iter().all(|other| other.name != row.name), "{}", row.name);
        let known = trainings.entry(row.training.name()).or_insert(row.training);
        assert_eq!(*known, row.training, "{}", row.name);
    }
}

#[test]
fn rows_are_chosen_by_name_and_by_group_and_each_once() {
    let names = |typed: &[&str]| -> Vec<&str> {
        let typed: Vec<String> = typed.iter().map(|name| (*name).to_owned()).collect();
        StudyRow::named(&typed).unwrap().iter().map(|row| row.name).collect()
    };
    assert_eq!(names(&["nnunet", "ours", "nnunet"]), ["nnunet", "ours"]);
    assert_eq!(names(&["networks", "ux_net"]).len(), 6);
    assert_eq!((names(&["tuning"]).len(), names(&["all"]).len()), (5, ROWS.len()));
    let error = StudyRow::named(&["unet".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("rows is unet"), "{error}");
}

#[test]
fn published_scores_are_found_by_method_and_clicks() {
    // In hundredths of a percent, as the paper gives them.
    let percent = |share: f64| (10_000.0 * share).round() / 100.0;
    let score = |name: &str, points: usize| {
        let row = StudyRow::named(&[name.to_owned()]).unwrap()[0];
        row.published(&row.evaluations[0], points, KIDNEY).unwrap().map(|scores| scores.map(percent))
    };
    assert_eq!(score("ours-published", 10), Some([75.95, 84.92]));
    assert_eq!(score("nnunet", 0), Some([73.07, 77.47]));
    assert_eq!(score("prompts-levels-1-4", 1), Some([64.61, 71.33]));
    assert_eq!(score("positional", 1), None);
    for row in ROWS.iter().filter(|row| row.published_method.is_some()) {
        let first = row.evaluations[0];
        assert!(row.published(&first, first.points()[0], KIDNEY).unwrap().is_some(), "{}", row.name);
    }
    let ours = &ROWS[0];
    assert_eq!(ours.published(&ours.evaluations[1], 5, KIDNEY).unwrap(), None);
}
