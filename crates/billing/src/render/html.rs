//! For a browser, and for whoever prints from it.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::paper::{Note, Paper, Section, Sum};
use crate::{History, Invoice, Numbered};

/// Nothing may be loaded or run, whatever somebody's name says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE: &str = include_str!("invoice.css");

/// An invoice as one page of HTML that needs nothing from elsewhere, and prints on A4. `history` is that of its account.
#[must_use]
pub fn html(invoice: &Numbered<Invoice>, history: &History) -> String {
    let paper = Paper::new(invoice, history);
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Invoice " (paper.number) @if paper.is_void { " (void)" } }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @if paper.is_void {
                    p.void { strong { "VOID" } " This invoice was taken back and counts as never made." }
                }
                main {
                    h1 { "Invoice " (paper.number) }
                    (head(&paper))
                    (lines(&paper))
                    (sums(&paper.sums))
                    @if !paper.notes.is_empty() { (notes(&paper.notes)) }
                }
            }
        }
    };
    page.into_string()
}

/// Names stand in `bdi`, so that one written from right to left leaves the rest in its order.
fn head(paper: &Paper) -> Markup {
    markup! {
        div.head {
            div.parties {
                @for (title, lines) in &paper.parties {
                    section aria-label=(title) {
                        h2 { (title) }
                        address {
                            @for line in lines { div { bdi { (line) } } }
                        }
                    }
                }
            }
            dl {
                @for (name, text) in &paper.facts { div { dt { (name) } dd { bdi { (text) } } } }
            }
        }
    }
}

fn lines(paper: &Paper) -> Markup {
    markup! {
        table.lines {
            caption { "Lines, amounts in " (paper.currency.code()) }
            thead {
                tr {
                    th scope="col" { "Item" }
                    th.figure scope="col" { "Quantity" }
                    th.figure scope="col" { "Unit price" }
                    th.figure scope="col" { "Amount" }
                }
            }
            @for section in &paper.sections { (lines_of(section)) }
        }
    }
}

fn lines_of(section: &Section) -> Markup {
    markup! {
        tbody {
            tr.section { th scope="rowgroup" colspan="4" { (section.title) } }
            @for row in &section.rows {
                tr.line {
                    th scope="row" {
                        bdi { (row.name) }
                        @if !row.about.is_empty() { div.about { bdi { (row.about) } } }
                        @if let Some(path) = &row.records { div.about.records { a href=(path) { "usage records" } } }
                    }
                    td.figure { (row.quantity) }
                    td {}
                    td.figure { (row.amount) }
                }
                @for step in &row.steps {
                    tr.step {
                        th scope="row" { (step.what) }
                        td.figure { (step.quantity) }
                        td.figure { "× " (step.unit_amount) }
                        td.figure { "= " (step.amount) }
                    }
                }
            }
        }
    }
}

fn sums(sums: &[Sum]) -> Markup {
    markup! {
        table.sums {
            caption { "Sums" }
            tbody {
                @for sum in sums {
                    tr.strong[sum.is_strong] {
                        th scope="row" { bdi { (sum.name) } }
                        td.figure { (sum.amount) }
                    }
                }
            }
        }
    }
}

fn notes(notes: &[Note]) -> Markup {
    markup! {
        table.notes {
            caption { "Credit notes" }
            thead {
                tr {
                    th scope="col" { "Number" }
                    th scope="col" { "Date" }
                    th scope="col" { "Reason" }
                    th.figure scope="col" { "Amount" }
                }
            }
            tbody {
                @for note in notes {
                    tr {
                        th scope="row" { (note.number) }
                        td { (note.day) }
                        td { bdi { (note.reason) } }
                        td.figure { (note.amount) }
                    }
                }
            }
        }
    }
}
