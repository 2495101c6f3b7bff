//! Invoices reckoned by hand, and what holds of all of them. In the tables the arithmetic stands before the result.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod docs;
mod late;
mod money;
mod prices;
mod properties;
mod refused;
mod support;
mod time;
