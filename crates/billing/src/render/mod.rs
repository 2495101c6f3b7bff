//! An invoice for programs (CSV) and for people (HTML, PDF).
//!
//! Pure: what comes out depends on the invoice and on what was taken back of it, never on a clock, so that it is the same bytes
//! whenever it is asked for. What others have named is shown as text, and does nothing in whatever opens it.

mod csv;
mod html;
mod paper;
mod pdf;
#[cfg(test)]
mod tests;

pub use self::{csv::csv, html::html, pdf::pdf};
