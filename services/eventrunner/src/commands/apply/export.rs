//! `eventrunner export`: what there is, as documents.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Map, Value};

use super::{
    SET_LABEL, facts, keys,
    state::{Found, FoundAt, read_labelled},
};
use crate::{
    commands::resources::{Client, Id, KINDS, Kind, Place},
    context::ConnectArgs,
    exit::{Failure, Result},
    output::{Format, Item, Output, item, note, print, yaml},
};

/// Print resources as documents that `apply` takes
///
/// Everything but secrets: those become ${NAME}, and what is missing is told on stderr. Keys are made anew where they are applied.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner export --tenant acme > acme.yaml
  eventrunner export -A > fleet.yaml
  eventrunner export --kind source,event-type -l team=tills")]
pub(crate) struct Export {
    /// The whole fleet: all tenants, and what is the fleet's. Otherwise what is the tenant's
    #[arg(long, short = 'A')]
    all_tenants: bool,
    /// Only of these kinds; repeatable, or separated by commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    kind: Vec<String>,
    /// Only with such a label: NAME, !NAME, NAME=VALUE or NAME!=VALUE
    #[arg(long, short = 'l', value_name = "TEST")]
    label: Option<String>,
    /// Leave out which set a resource was applied with
    #[arg(long)]
    without_sets: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

fn kind(text: &str) -> std::result::Result<String, String> {
    let known = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let found = KINDS.iter().find(|kind| kind.name == text || kind.noun == text);
    found.map(|kind| kind.name.to_owned()).ok_or_else(|| format!("there are: {}", known()))
}

pub(crate) async fn run(args: Export, output: Output) -> Result<()> {
    let client = Client::open(&args.connect)?;
    let tenants =
        if args.all_tenants { client.tenants().await? } else { vec![client.context().tenant::<String>()?] };
    let mut places = BTreeSet::new();
    for (rank, kind) in KINDS.iter().enumerate() {
        if !args.kind.is_empty() && !args.kind.iter().any(|name| name == kind.name) {
            continue;
        }
        if kind.place != Place::Tenant && args.all_tenants {
            places.insert((rank, None));
        }
        if kind.place != Place::Fleet {
            places.extend(tenants.iter().map(|tenant| (rank, Some(tenant.clone()))));
        }
    }
    let mut read = read_labelled(&client, places, args.label.as_deref().unwrap_or_default()).await?;
    read.sort_by(|a, b| a.0.cmp(&b.0));
    let mut documents = Vec::new();
    let mut missing = Vec::new();
    let names = key_names(&read);
    for ((rank, tenant), mut found) in read {
        let Some(kind) = KINDS.get(rank) else { continue };
        if kind.id == Id::Given {
            // Ids are chance.
            found.sort_by(|a, b| text(&a.body, "name").cmp(&text(&b.body, "name")));
        }
        for found in found {
            documents.extend(document(kind, tenant.as_deref(), found, &args, &names, &mut missing)?);
        }
    }
    show(&documents, output)?;
    missing.iter().for_each(|text| note(&format!("missing: {text}")));
    Ok(())
}

/// Key ids with how documents name them.
type Names = std::collections::BTreeMap<String, String>;

fn key_names(read: &[FoundAt]) -> Names {
    let mut names = Names::new();
    for ((rank, tenant), found) in read {
        let is_keys = KINDS.get(*rank).is_some_and(|kind| kind.id == Id::Given);
        let Some(tenant) = tenant.as_deref().filter(|_| is_keys) else { continue };
        for key in found {
            if let Some(name) = text(&key.body, "name").filter(|name| !name.is_empty()) {
                names.insert(format!("key:{}", key.id), keys::reference(tenant, name));
            }
        }
    }
    names
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn document(
    kind: &Kind,
    tenant: Option<&str>,
    found: Found,
    args: &Export,
    names: &Names,
    missing: &mut Vec<String>,
) -> Result<Option<Item>> {
    let facts = facts::of(kind)?;
    let Found { id, mut body, .. } = found;
    let place = tenant.map(|tenant| format!("{tenant}/")).unwrap_or_default();
    let shown = format!("{} {place}{id}", kind.name);
    if kind.id == Id::Given && text(&body, "name").unwrap_or_default().is_empty() {
        missing.push(format!("{shown}: it has no name to be known by elsewhere; left out"));
        return Ok(None);
    }
    for pointer in &facts.secrets {
        let variables = variables(&body, pointer, &format!("{place}{id}"));
        if let Some((value, variables)) = variables {
            crate::commands::resources::put(&mut body, pointer, value);
            missing.push(format!("{shown}: set {}", variables.join(", ")));
        }
    }
    facts::strip(&mut body, &facts.read_only);
    if kind.name == "user" {
        missing.push(format!("{shown}: their password"));
    }
    if args.without_sets
        && let Some(Value::Object(labels)) = body.get_mut("labels")
    {
        labels.remove(SET_LABEL);
    }
    if let Some(actor) = text(&body, "actor").map(str::to_owned) {
        match names.get(&actor) {
            Some(reference) => drop(body.insert("actor".to_owned(), reference.as_str().into())),
            None if actor.starts_with("key:") => {
                missing.push(format!("{shown}: {actor} is another key elsewhere"));
            }
            None => {}
        }
    }
    let mut ordered: Vec<(String, Value)> = vec![("kind".to_owned(), kind.name.into())];
    ordered.extend(tenant.map(|tenant| ("tenant".to_owned(), tenant.into())));
    let member = if kind.id == Id::Given { "name" } else { kind.id_member() };
    if let Some(own) = body.remove(member) {
        let fleets = kind.place == Place::Either && tenant.is_none();
        let own = if fleets { format!("{}{id}", relations::FLEETS).into() } else { own };
        ordered.push((member.to_owned(), own));
    }
    ordered.extend(body);
    item(&Ordered(ordered)).map(Some)
}

/// What refers to the secrets that are kept: a variable each.
fn variables(body: &Map<String, Value>, pointer: &str, shown: &str) -> Option<(Value, Vec<String>)> {
    let parent = pointer.rsplit_once('/').map(|(parent, _)| parent)?;
    let whole = Value::Object(body.clone());
    let beside = whole.pointer(parent)?.as_object()?;
    let upper = |text: &str| -> String {
        let upper =
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        upper.collect()
    };
    let base = upper(shown);
    let reference = |name: &str| Value::from(format!("${{{name}}}"));
    for (name, value) in beside {
        match value {
            Value::Number(count) if name.ends_with("_count") => {
                let variables: Vec<String> =
                    (1..=count.as_u64()?).map(|n| format!("{base}_SECRET_{n}")).collect();
                let value = variables.iter().map(|name| reference(name)).collect();
                return (!variables.is_empty()).then_some((value, variables));
            }
            Value::Array(names) if name.ends_with("_names") => {
                let names = names.iter().filter_map(Value::as_str);
                let each: Vec<(String, String)> =
                    names.map(|name| (name.to_owned(), format!("{base}_{}", upper(name)))).collect();
                let value = each.iter().map(|(name, variable)| (name.clone(), reference(variable))).collect();
                let variables: Vec<String> = each.into_iter().map(|(_, variable)| variable).collect();
                return (!variables.is_empty()).then_some((Value::Object(value), variables));
            }
            _ => {}
        }
    }
    None
}

/// Members in an order of their own.
struct Ordered(Vec<(String, Value)>);

impl serde::Serialize for Ordered {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// For people as YAML, a document each.
fn show(documents: &[Item], output: Output) -> Result<()> {
    if !matches!(output.format, Format::Table | Format::Yaml) {
        return output.list(&[], documents);
    }
    for document in documents {
        let tree: crate::output::Tree = serde_json::from_str(document.get())
            .map_err(|e| Failure::failed(format!("this is no JSON: {e}")))?;
        print(&format!("---\n{}", yaml(&tree)?.trim_end()))?;
    }
    Ok(())
}
