//! Who is calling, and what and how much they may do.

pub mod quota;
