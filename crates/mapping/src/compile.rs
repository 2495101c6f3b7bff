//! A source → its [`Mapping`], or everything that is wrong with it.

use std::collections::BTreeSet;

use model::{
    AttributeValue, CloudEvent, SystemId, Text,
    resource::{SignatureScheme, Source},
};

use crate::{
    InvalidMapping, Mapping, MappingSpec, Problem,
    expression::Expression,
    header::{KEPT, is_header_name, is_secret_header},
    identity::IdRule,
    limits::{EXTENSIONS_MAX, ID_RULES_MAX, KEEP_HEADERS_MAX},
    mapping::{AttributeRules, IdentityRules, PARTITION_KEY},
    parse::{Reads, template},
    preset::{Preset, preset, presets},
    spec::escape,
};

impl Mapping {
    /// Compiles a source's mapping over its preset. The same checks say whether a source may be stored.
    ///
    /// # Errors
    /// Every problem of `preset`, `mapping` and `keep_headers`, each with a JSON pointer into the source.
    pub fn compile(source: &Source) -> Result<Self, InvalidMapping> {
        let mut compiler = Compiler::default();
        let preset = compiler.preset(source.preset.as_deref());
        let spec = compiler.spec(source, preset);
        let default_type = match &spec.default_type {
            Some(ty) => compiler.default_type(ty),
            None => format!("{}.{}", source.system, source.id).into(),
        };
        let mapping = Self {
            default_type,
            default_source: format!("/{}/{}", source.system, source.id).into(),
            identity: compiler.identity(&spec),
            attributes: compiler.attributes(&spec),
            keep: Vec::new(),
        };
        let keep = compiler.keep(source, preset, &mapping);
        if compiler.problems.is_empty() {
            Ok(Self { keep, ..mapping })
        } else {
            Err(InvalidMapping { problems: compiler.problems })
        }
    }
}

/// The header of a scheme whose header the tenant names: a token there is the secret itself.
fn proof_header(source: &Source) -> Option<&str> {
    match &source.verification.as_ref()?.scheme {
        SignatureScheme::Hmac { header, .. } | SignatureScheme::Token { header } => Some(header),
        _ => None,
    }
}

/// See [`Mapping::plain`].
pub(crate) fn plain(system: &SystemId) -> Mapping {
    Mapping {
        default_type: format!("{system}.event").into(),
        default_source: format!("/{system}").into(),
        identity: IdentityRules { id: vec![IdRule::IdempotencyKey], ..IdentityRules::default() },
        attributes: AttributeRules::default(),
        keep: KEPT.map(Text::from_static).to_vec(),
    }
}

#[derive(Default)]
struct Compiler {
    problems: Vec<Problem>,
    operations: usize,
}

impl Compiler {
    fn preset(&mut self, name: Option<&str>) -> Option<&'static Preset> {
        let name = name?;
        let found = preset(name);
        if found.is_none() {
            let known = presets().iter().map(|p| &*p.name).collect::<Vec<_>>().join(", ");
            self.problem("/preset", format!("there is no preset {name:?}; there are {known}"));
        }
        found
    }

    fn spec(&mut self, source: &Source, preset: Option<&Preset>) -> MappingSpec {
        let own = source.mapping.as_ref().map_or_else(|| Ok(MappingSpec::default()), MappingSpec::from_value);
        let own = own.unwrap_or_else(|invalid| {
            self.problems.extend(invalid.problems);
            MappingSpec::default()
        });
        match preset {
            Some(preset) => own.over(&preset.mapping),
            None => own,
        }
    }

    fn default_type(&mut self, ty: &str) -> Text {
        let ty = Text::from(ty);
        if let Err(error) = CloudEvent::builder("1", "/", ty.clone()).build() {
            self.problem("/mapping/default_type", error.problem);
        }
        if ty.contains("${") {
            self.problem("/mapping/default_type", "is no template; write the template in \"type\"");
        }
        ty
    }

    fn identity(&mut self, spec: &MappingSpec) -> IdentityRules {
        let mut reads = Reads::default();
        let delivery_id = self.template("/mapping/delivery_id", spec.delivery_id.as_deref(), &mut reads);
        let id = self.id_rules(spec, delivery_id, &mut reads);
        let source = self.template("/mapping/source", spec.source.as_deref(), &mut reads);
        let partition_key =
            self.template("/mapping/partition_key", spec.partition_key.as_deref(), &mut reads);
        IdentityRules { id, source, partition_key, reads }
    }

    fn id_rules(
        &mut self,
        spec: &MappingSpec,
        delivery_id: Option<Expression>,
        reads: &mut Reads,
    ) -> Vec<IdRule> {
        let Some(id) = &spec.id else {
            let delivery_id = delivery_id.map(IdRule::Template);
            return [IdRule::IdempotencyKey].into_iter().chain(delivery_id).collect();
        };
        let rules = id.rules();
        if rules.len() > ID_RULES_MAX {
            self.problem("/mapping/id", format!("has {} rules; {ID_RULES_MAX} is the most", rules.len()));
        }
        let mut compiled = Vec::new();
        for (tail, rule) in rules.into_iter().take(ID_RULES_MAX) {
            let pointer = format!("/mapping/id{tail}");
            match rule {
                "idempotency-key" => compiled.push(IdRule::IdempotencyKey),
                "body-hash" => compiled.push(IdRule::BodyHash),
                "new" => compiled.push(IdRule::New),
                "delivery-id" => match &delivery_id {
                    Some(template) => compiled.push(IdRule::Template(template.clone())),
                    None => self.problem(&pointer, "needs \"delivery_id\" or a preset that has one"),
                },
                template if template.contains("${") => {
                    compiled.extend(self.template(&pointer, Some(template), reads).map(IdRule::Template));
                }
                // A constant id would make every event the same event.
                _ => self.problem(
                    &pointer,
                    "must be idempotency-key, delivery-id, body-hash, new, or a template with ${…}",
                ),
            }
        }
        compiled
    }

    fn attributes(&mut self, spec: &MappingSpec) -> AttributeRules {
        let mut reads = Reads::default();
        let ty = self.template("/mapping/type", spec.ty.as_deref(), &mut reads);
        let subject = self.template("/mapping/subject", spec.subject.as_deref(), &mut reads);
        let time = self.template("/mapping/time", spec.time.as_deref(), &mut reads);
        let dataschema = self.template("/mapping/dataschema", spec.dataschema.as_deref(), &mut reads);
        if spec.extensions.len() > EXTENSIONS_MAX {
            let detail = format!("has {} names; {EXTENSIONS_MAX} is the most", spec.extensions.len());
            self.problem("/mapping/extensions", detail);
        }
        let mut extensions = Vec::new();
        for (name, value) in spec.extensions.iter().take(EXTENSIONS_MAX) {
            let pointer = format!("/mapping/extensions/{}", escape(name));
            let name = Text::from(&**name);
            let probe = CloudEvent::builder("1", "/", "t");
            let valid = probe.extension(name.clone(), AttributeValue::Boolean(true)).build();
            match valid {
                Err(error) => self.problem(&pointer, error.problem),
                Ok(_) if name == PARTITION_KEY => self.problem(&pointer, "is written as \"partition_key\""),
                Ok(_) => {
                    extensions.extend(self.template(&pointer, Some(value), &mut reads).map(|e| (name, e)));
                }
            }
        }
        AttributeRules { reads, ty, subject, time, dataschema, extensions }
    }

    fn keep(&mut self, source: &Source, preset: Option<&Preset>, mapping: &Mapping) -> Vec<Text> {
        if source.keep_headers.len() > KEEP_HEADERS_MAX {
            let detail = format!("has {} names; {KEEP_HEADERS_MAX} is the most", source.keep_headers.len());
            self.problem("/keep_headers", detail);
        }
        let proof = proof_header(source);
        let secret =
            |name: &str| is_secret_header(name) || proof.is_some_and(|p| p.eq_ignore_ascii_case(name));
        for (i, name) in source.keep_headers.iter().enumerate().take(KEEP_HEADERS_MAX) {
            let pointer = format!("/keep_headers/{i}");
            if !is_header_name(name) {
                self.problem(&pointer, format!("{name:?} is no header name"));
            } else if secret(name) {
                self.problem(&pointer, format!("the header {name:?} may carry a secret and is never kept"));
            }
        }
        let usual = KEPT.into_iter();
        let presets = preset.iter().flat_map(|p| &p.keep_headers).map(|name| &**name);
        let read = || mapping.identity.reads.headers.iter().chain(&mapping.attributes.reads.headers);
        if let Some(name) = read().find(|name| secret(name)) {
            let detail = format!("reads the header {name:?}, which proves the provider and is never kept");
            self.problem("/mapping", detail);
        }
        let own = source.keep_headers.iter().map(|name| &**name);
        let names: BTreeSet<String> = usual
            .chain(presets)
            .chain(read().map(|name| &**name))
            .chain(own)
            .map(str::to_ascii_lowercase)
            .filter(|name| !secret(name))
            .collect();
        names.into_iter().map(Text::from).collect()
    }

    fn template(&mut self, pointer: &str, text: Option<&str>, reads: &mut Reads) -> Option<Expression> {
        match template(text?, reads, &mut self.operations) {
            Ok(expression) => Some(expression),
            Err(detail) => {
                self.problem(pointer, detail);
                None
            }
        }
    }

    fn problem(&mut self, pointer: &str, detail: impl Into<String>) {
        self.problems.push(Problem::new(pointer, detail));
    }
}
