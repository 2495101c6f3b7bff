//! Text → [`Expression`]. A recursive descent whose depth is bounded.
//!
//! ```text
//! template = { text | "$${" | "${" choice "}" }
//! choice   = value { "??" value }
//! value    = "'" text "'" | function "(" choice { "," choice } ")" | path
//! path     = ("header" | "query") name-step | "body" { name-step | "[" digits "]" }
//! name-step = "." name | "['" text "']"          name = 1*( letter | digit | "_" | "-" )
//! ```

use std::collections::BTreeSet;

use crate::{
    body::{Paths, Step},
    expression::Expression,
    function::Function,
    header::{is_header_name, is_secret_header},
    limits::{DEPTH_MAX, OPERATIONS_MAX, PATH_STEPS_MAX, TEMPLATE_BYTES_MAX},
};

/// What templates share: the paths and headers they read, the operations they may still use.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pub(crate) paths: Paths,
    pub(crate) headers: BTreeSet<Box<str>>,
}

/// Parses one template. `operations` counts over all templates of a mapping.
///
/// # Errors
/// What is wrong and where, counted in bytes from 0.
pub(crate) fn template(text: &str, reads: &mut Reads, operations: &mut usize) -> Result<Expression, String> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(format!("is {} bytes long; {TEMPLATE_BYTES_MAX} is the most", text.len()));
    }
    let mut parser = Parser { text, at: 0, depth: 0, reads, operations };
    parser.template().map_err(|problem| format!("{problem} (at {})", parser.at))
}

struct Parser<'t, 'r> {
    text: &'t str,
    at: usize,
    depth: usize,
    reads: &'r mut Reads,
    operations: &'r mut usize,
}

impl<'t> Parser<'t, '_> {
    fn template(&mut self) -> Result<Expression, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some(rest) = self.text.get(self.at..).filter(|rest| !rest.is_empty()) {
            if self.eat("$${") {
                literal.push_str("${");
            } else if self.eat("${") {
                if !literal.is_empty() {
                    parts.push(self.counted(Expression::Text(std::mem::take(&mut literal).into()))?);
                }
                parts.push(self.choice()?);
                if !self.eat("}") {
                    return Err("expected \"}\" or \"??\"".to_owned());
                }
            } else {
                let plain =
                    rest.char_indices().skip(1).find(|(_, c)| *c == '$').map_or(rest.len(), |(i, _)| i);
                literal.push_str(&rest[..plain]);
                self.at += plain;
            }
        }
        if parts.is_empty() {
            return self.counted(Expression::Text(literal.into()));
        }
        if !literal.is_empty() {
            parts.push(self.counted(Expression::Text(literal.into()))?);
        }
        match <[Expression; 1]>::try_from(parts) {
            Ok([only]) => Ok(only),
            Err(parts) => self.counted(Expression::Call(Function::Concat, parts)),
        }
    }

    fn choice(&mut self) -> Result<Expression, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("calls are nested deeper than {DEPTH_MAX}"));
        }
        self.depth += 1;
        let first = self.value()?;
        let mut alternatives = vec![first];
        while self.eat("??") {
            alternatives.push(self.value()?);
        }
        self.depth -= 1;
        match <[Expression; 1]>::try_from(alternatives) {
            Ok([only]) => Ok(only),
            Err(alternatives) => self.counted(Expression::First(alternatives)),
        }
    }

    fn value(&mut self) -> Result<Expression, String> {
        self.skip_blanks();
        let value = if self.eat("'") {
            Expression::Text(self.quoted()?.into())
        } else {
            let name = self.name()?;
            if self.eat("(") { self.call(name)? } else { self.path(name)? }
        };
        self.skip_blanks();
        self.counted(value)
    }

    fn call(&mut self, name: &str) -> Result<Expression, String> {
        let function = Function::named(name).ok_or_else(|| {
            let known = Function::ALL.map(|(n, _)| n).join(", ");
            format!("there is no function {name:?}; there are {known}")
        })?;
        let mut arguments = vec![self.choice()?];
        while self.eat(",") {
            arguments.push(self.choice()?);
        }
        if !self.eat(")") {
            return Err("expected \")\", \",\" or \"??\"".to_owned());
        }
        function.check_arguments(arguments.len()).map_err(|problem| format!("{name} {problem}"))?;
        Ok(Expression::Call(function, arguments))
    }

    fn path(&mut self, root: &str) -> Result<Expression, String> {
        match root {
            "header" => {
                let name = self.one_name("header")?.to_ascii_lowercase();
                if !is_header_name(&name) {
                    return Err(format!("{name:?} is no header name"));
                }
                if is_secret_header(&name) {
                    return Err(format!("the header {name:?} may carry a secret and is never kept"));
                }
                self.reads.headers.insert(name.clone().into());
                Ok(Expression::Header(name.into()))
            }
            "query" => Ok(Expression::Query(self.one_name("query")?.into())),
            "body" => {
                let mut steps = Vec::new();
                while let Some(step) = self.step()? {
                    if steps.len() == PATH_STEPS_MAX {
                        return Err(format!("the path has more than {PATH_STEPS_MAX} steps"));
                    }
                    steps.push(step);
                }
                Ok(Expression::Body(self.reads.paths.slot(steps)))
            }
            other => Err(format!(
                "{other:?} is nothing to read: use header.<name>, query.<name>, body.<path>, 'text' or a function"
            )),
        }
    }

    fn one_name(&mut self, root: &str) -> Result<String, String> {
        match self.step()? {
            Some(Step::Key(name)) => Ok(name.into()),
            _ => Err(format!("expected {root}.<name> or {root}['<name>']")),
        }
    }

    fn step(&mut self) -> Result<Option<Step>, String> {
        if self.eat(".") {
            return Ok(Some(Step::Key(self.name()?.into())));
        }
        if !self.eat("[") {
            return Ok(None);
        }
        let step = if self.eat("'") {
            Step::Key(self.quoted()?.into())
        } else {
            let digits = self.name()?;
            Step::Index(digits.parse().map_err(|_| format!("{digits:?} is no index: use digits or '…'"))?)
        };
        if self.eat("]") { Ok(Some(step)) } else { Err("expected \"]\"".to_owned()) }
    }

    /// What stands before the closing quote; a doubled quote stands for one.
    fn quoted(&mut self) -> Result<String, String> {
        let mut value = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(end) = rest.find('\'') else { return Err("the quote is never closed".to_owned()) };
            value.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.eat("'") {
                return Ok(value);
            }
            value.push('\'');
        }
    }

    fn name(&mut self) -> Result<&'t str, String> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest
            .bytes()
            .position(|b| !b.is_ascii_alphanumeric() && b != b'_' && b != b'-')
            .unwrap_or(rest.len());
        if end == 0 {
            return Err("expected a name of letters, digits, \"_\" and \"-\"".to_owned());
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn skip_blanks(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(token));
        if found {
            self.at += token.len();
        }
        found
    }

    fn counted(&mut self, expression: Expression) -> Result<Expression, String> {
        *self.operations += 1;
        if *self.operations > OPERATIONS_MAX {
            return Err(format!("the mapping has more than {OPERATIONS_MAX} operations"));
        }
        Ok(expression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expression, String> {
        template(text, &mut Reads::default(), &mut 0)
    }

    #[test]
    fn parses() {
        let text = |s: &str| Expression::Text(s.into());
        let cases = [
            ("", text("")),
            ("plain $ text $$", text("plain $ text $$")),
            ("a $${b}", text("a ${b}")),
            ("${'it''s'}", text("it's")),
            ("${ header.X-A }", Expression::Header("x-a".into())),
            ("${query['a b']}", Expression::Query("a b".into())),
            ("${body}", Expression::Body(0)),
            ("é${body.a}", Expression::Call(Function::Concat, vec![text("é"), Expression::Body(0)])),
            ("${body.a??''}", Expression::First(vec![Expression::Body(0), text("")])),
            (
                "${lower( body.a[0]['b c'] ?? query.x )}",
                Expression::Call(
                    Function::Lower,
                    vec![Expression::First(vec![Expression::Body(0), Expression::Query("x".into())])],
                ),
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(parse(template), Ok(expected), "{template}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let deep = format!("${{{}body{}}}", "lower(".repeat(17), ")".repeat(17));
        let long = format!("${{body{}}}", ".a".repeat(17));
        let wide = "${body}".repeat(1100);
        let cases = [
            ("${", "expected a name"),
            ("${body", "expected \"}\""),
            ("${}", "expected a name"),
            ("${boby.a}", "\"boby\" is nothing to read"),
            ("${header}", "expected header.<name>"),
            ("${header[0]}", "expected header.<name>"),
            ("${header['a b']}", "is no header name"),
            ("${header.authorization}", "may carry a secret"),
            ("${header.x-hub-signature-256}", "may carry a secret"),
            ("${body.}", "expected a name"),
            ("${body[}", "expected a name"),
            ("${body[x]}", "is no index"),
            ("${body[99999999999999999999]}", "is no index"),
            ("${body['x}", "never closed"),
            ("${body[1}", "expected \"]\""),
            ("${upper(body)}", "there is no function \"upper\""),
            ("${lower()}", "expected a name"),
            ("${lower(body, body)}", "lower takes one argument"),
            ("${replace(body)}", "replace takes three"),
            ("${match(body, 'a')}", "match takes"),
            ("${lower(body}", "expected \")\""),
            ("${body ?? }", "expected a name"),
            (&deep, "nested deeper than 16"),
            (&long, "more than 16 steps"),
            (&wide, "more than 1024 operations"),
        ];
        for (template, problem) in cases {
            let error = parse(template).unwrap_err();
            assert!(error.contains(problem), "{template}: {error}");
        }
        assert!(parse(&"x".repeat(TEMPLATE_BYTES_MAX + 1)).unwrap_err().contains("bytes long"));
    }
}
