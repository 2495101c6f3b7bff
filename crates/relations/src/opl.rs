//! A schema in Ory's permission language, the form Keto reads its namespaces in.

use std::fmt::{self, Write as _};

use crate::{
    Schema,
    schema::{Definition, Rewrite, SubjectType},
    tuple::Name,
};

impl Schema {
    /// The schema as Keto's namespaces file (`namespaces.location`). Keto's strict mode must stay off: relations with
    /// rewrites are given by tuples too.
    #[must_use]
    pub fn to_keto(&self) -> String {
        let mut text = String::new();
        #[expect(clippy::expect_used, reason = "writing into a String cannot fail")]
        self.write_keto(&mut text).expect("a String takes everything");
        text
    }

    fn write_keto(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "import {{ Namespace, SubjectSet, Context }} from \"@ory/keto-namespace-types\"")?;
        for (name, relations) in &self.namespaces {
            if relations.is_empty() {
                writeln!(out, "\nclass {name} implements Namespace {{}}")?;
                continue;
            }
            writeln!(out, "\nclass {name} implements Namespace {{")?;
            let (permits, related): (Vec<_>, Vec<_>) = relations.iter().partition(|(_, d)| d.is_permit());
            if !related.is_empty() {
                writeln!(out, "  related: {{")?;
                for (relation, definition) in related {
                    writeln!(out, "    {relation}: ({})[]", definition.keto_types())?;
                }
                writeln!(out, "  }}")?;
            }
            if !permits.is_empty() {
                writeln!(out, "  permits = {{")?;
                for (relation, definition) in permits {
                    let rewrites = definition.rewrites.iter().map(|r| self.keto_rewrite(name, r));
                    let rewrites = rewrites.collect::<Vec<_>>().join(" ||\n      ");
                    writeln!(out, "    {relation}: (ctx: Context): boolean =>\n      {rewrites},")?;
                }
                writeln!(out, "  }}")?;
            }
            writeln!(out, "}}")?;
        }
        Ok(())
    }

    fn keto_rewrite(&self, namespace: &Name, rewrite: &Rewrite) -> String {
        match rewrite {
            Rewrite::Computed(other) if self.is_permit(namespace, other) => {
                format!("this.permits.{other}(ctx)")
            }
            Rewrite::Computed(other) => format!("this.related.{other}.includes(ctx.subject)"),
            Rewrite::Through { tupleset, computed } => {
                let leads = self.namespaces.get(namespace).and_then(|n| n.get(tupleset));
                let targets = leads.map(Definition::targets).unwrap_or_default();
                if targets.iter().any(|target| self.is_permit(target, computed)) {
                    format!("this.related.{tupleset}.traverse((it) => it.permits.{computed}(ctx))")
                } else {
                    format!(
                        "this.related.{tupleset}.traverse((it) => it.related.{computed}.includes(ctx.subject))"
                    )
                }
            }
        }
    }

    fn is_permit(&self, namespace: &Name, relation: &Name) -> bool {
        self.namespaces.get(namespace).and_then(|n| n.get(relation)).is_some_and(Definition::is_permit)
    }
}

impl Definition {
    fn is_permit(&self) -> bool {
        !self.rewrites.is_empty()
    }

    fn keto_types(&self) -> String {
        let types = self.types.iter().map(|kind| match kind {
            SubjectType::Object(name) => name.to_string(),
            SubjectType::Set(name, relation) => format!("SubjectSet<{name}, \"{relation}\">"),
        });
        types.collect::<Vec<_>>().join(" | ")
    }
}
