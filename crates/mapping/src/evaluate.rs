//! [`Expression`] → string, borrowing from the request where it can.

use std::{borrow::Cow, cell::OnceCell};

use model::Text;

use crate::{
    Raw,
    body::{Body, Found, Paths, parameter},
    expression::Expression,
    function::{self, Function},
    limits::VALUE_BYTES_MAX,
};

/// The body, looked at once and only if some expression reads it.
pub(crate) struct LazyBody<'a> {
    raw: Raw<'a>,
    body: OnceCell<Body<'a>>,
}

impl<'a> LazyBody<'a> {
    pub(crate) const fn of(raw: &Raw<'a>) -> Self {
        Self { raw: *raw, body: OnceCell::new() }
    }
}

/// One request under evaluation.
pub(crate) struct Evaluation<'e> {
    raw: Raw<'e>,
    body: &'e LazyBody<'e>,
    paths: &'e Paths,
    found: OnceCell<Vec<Option<Found<'e>>>>,
}

impl<'e> Evaluation<'e> {
    pub(crate) fn new(body: &'e LazyBody<'e>, paths: &'e Paths) -> Self {
        Self { raw: body.raw, body, paths, found: OnceCell::new() }
    }

    /// The expression's value, unless it is missing or empty.
    pub(crate) fn text(&self, expression: &'e Expression) -> Option<Text> {
        let value = self.value(expression)?;
        if value.is_empty() {
            return None;
        }
        Some(match value {
            Cow::Borrowed(borrowed) => self.share(borrowed),
            Cow::Owned(owned) => owned.into(),
        })
    }

    /// The value of an attribute that may have no expression.
    pub(crate) fn optional(&self, expression: Option<&'e Expression>) -> Option<Text> {
        expression.and_then(|e| self.text(e))
    }

    /// A string that lies in the body is a slice of it; anything else is copied.
    fn share(&self, text: &str) -> Text {
        let within = self.raw.body.as_ptr_range();
        let part = text.as_bytes().as_ptr_range();
        if within.start <= part.start && part.end <= within.end {
            let shared = self.raw.body.slice_ref(text.as_bytes());
            Text::try_from(shared).unwrap_or_else(|_| text.into())
        } else {
            text.into()
        }
    }

    /// Recursion is as deep as the expression, which the parser bounds.
    fn value(&self, expression: &'e Expression) -> Option<Cow<'e, str>> {
        match expression {
            Expression::Text(text) => Some(Cow::Borrowed(text)),
            Expression::Header(name) => {
                self.raw.header(name).filter(|v| v.len() <= VALUE_BYTES_MAX).map(Cow::Borrowed)
            }
            Expression::Query(name) => parameter(self.raw.query, name),
            Expression::Body(slot) => self.found().get(*slot)?.as_ref()?.text(),
            Expression::First(alternatives) => alternatives.iter().find_map(|a| self.value(a)),
            Expression::Call(function, arguments) => self.call(*function, arguments),
        }
    }

    fn found(&self) -> &[Option<Found<'e>>] {
        self.found.get_or_init(|| self.paths.read(self.body.body.get_or_init(|| Body::of(&self.raw))))
    }

    fn call(&self, function: Function, arguments: &'e [Expression]) -> Option<Cow<'e, str>> {
        let argument = |i: usize| arguments.get(i).and_then(|a| self.value(a));
        match function {
            Function::Concat => function::join(arguments.iter().map(|a| self.value(a))),
            Function::Lower => function::lower(argument(0)?),
            Function::Replace => function::replace(argument(0)?, &argument(1)?, &argument(2)?),
            Function::Time => function::time(argument(0)?),
            Function::Unix => function::unix(&argument(0)?, 9),
            Function::UnixMs => function::unix(&argument(0)?, 6),
            Function::Match => self.choose(arguments),
        }
    }

    /// Evaluates only the result it chooses.
    fn choose(&self, arguments: &'e [Expression]) -> Option<Cow<'e, str>> {
        let (value, arms) = arguments.split_first()?;
        let (pairs, default) = arms.as_chunks::<2>();
        let chosen = self
            .value(value)
            .and_then(|value| pairs.iter().find(|[key, _]| self.value(key).is_some_and(|k| k == value)));
        match (chosen, default.first()) {
            (Some([_, result]), _) | (None, Some(result)) => self.value(result),
            (None, None) => None,
        }
    }
}
