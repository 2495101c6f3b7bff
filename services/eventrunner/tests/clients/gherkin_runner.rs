//! Runs scenarios of a feature file. The grammar is the `gherkin` crate's; the `cucumber` crate on top of it
//! would bring a runner, a writer and fifty dependencies for the five sentences there are.

use gherkin::{Feature, GherkinEnv, Scenario, Step};

/// One scenario, its placeholders filled in.
#[derive(Debug)]
pub(crate) struct Runnable {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// Every scenario of a feature, the background's steps first; an outline is one for each of its examples.
pub(crate) fn scenarios(text: &str) -> Vec<Runnable> {
    let feature = Feature::parse(text, GherkinEnv::default()).unwrap();
    let background = feature.background.map(|b| b.steps).unwrap_or_default();
    let all = feature.scenarios.into_iter().chain(feature.rules.into_iter().flat_map(|rule| rule.scenarios));
    all.flat_map(|scenario| {
        rows(&scenario).into_iter().map(|row| runnable(&background, &scenario, &row)).collect::<Vec<_>>()
    })
    .collect()
}

/// Name and value of each placeholder, for each example; one row of none without examples.
fn rows(scenario: &Scenario) -> Vec<Vec<(String, String)>> {
    if scenario.examples.is_empty() {
        return vec![Vec::new()];
    }
    let tables = scenario.examples.iter().filter_map(|examples| examples.table.as_ref());
    tables
        .flat_map(|table| {
            let (names, values) = table.rows.split_first().unwrap();
            values.iter().map(|row| names.iter().cloned().zip(row.iter().cloned()).collect())
        })
        .collect()
}

fn runnable(background: &[Step], scenario: &Scenario, row: &[(String, String)]) -> Runnable {
    let fill = |text: &str| {
        row.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    };
    let steps = background.iter().chain(&scenario.steps).map(|step| {
        let mut step = step.clone();
        step.value = fill(&step.value);
        step.docstring = step.docstring.as_deref().map(fill);
        for cell in step.table.iter_mut().flat_map(|table| table.rows.iter_mut().flatten()) {
            *cell = fill(cell);
        }
        step
    });
    Runnable { name: fill(&scenario.name), steps: steps.collect() }
}
