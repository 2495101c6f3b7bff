//! Templates after parsing.

use crate::function::Function;

/// Limits of a mapping. They bound the work a request can cause, whatever the mapping and the body say.
pub mod limits {
    /// The longest template, in bytes.
    pub const TEMPLATE_BYTES_MAX: usize = 8 * 1024;
    /// The most operations (values, calls, alternatives) in all templates of a mapping together.
    pub const OPERATIONS_MAX: usize = 1024;
    /// How deep calls may be nested.
    pub const DEPTH_MAX: usize = 16;
    /// The most steps in one `body` path.
    pub const PATH_STEPS_MAX: usize = 16;
    /// The longest value, in bytes; a longer one counts as missing.
    pub const VALUE_BYTES_MAX: usize = 2 * 1024;
    /// The most extension attributes.
    pub const EXTENSIONS_MAX: usize = 32;
    /// The most rules for the id.
    pub const ID_RULES_MAX: usize = 8;
    /// The most headers a source may ask to keep.
    pub const KEEP_HEADERS_MAX: usize = 64;
}

/// Gives a string or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Itself.
    Text(Box<str>),
    /// The first header of that name, in lower case.
    Header(Box<str>),
    /// The first query parameter of that name, decoded.
    Query(Box<str>),
    /// A path into the body: its slot in [`crate::body::Paths`].
    Body(usize),
    /// The first that gives something.
    First(Vec<Expression>),
    /// A function's value.
    Call(Function, Vec<Expression>),
}
