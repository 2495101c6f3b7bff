//! What is in files: resources as documents, JSON or YAML, each with its `kind` and, if it is a tenant's, `tenant`.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::facts;
use crate::{
    commands::resources::{Id, KINDS, Kind, Place, read_text},
    exit::{Failure, Result},
};

/// How deep folders are looked into.
const DEPTH_MAX: usize = 16;
/// Largest file.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most resources at once.
const DOCUMENTS_MAX: usize = 100_000;
/// Mistakes that are told at once.
const MISTAKES_MAX: usize = 20;

/// Which resource: whose, none is the fleet's, and its id; of what the fleet chooses ids for, its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// Its place in the table of kinds.
    pub(super) rank: usize,
    pub(super) tenant: Option<String>,
    pub(super) id: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.get(self.rank).map(|kind| kind.name).unwrap_or_default();
        match &self.tenant {
            Some(tenant) => write!(f, "{kind} {tenant}/{}", self.id),
            None => write!(f, "{kind} {}", self.id),
        }
    }
}

/// One resource, as it is wished to be.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) name: Name,
    /// As the API takes it.
    pub(super) body: Map<String, Value>,
    /// Where it was found.
    pub(super) file: PathBuf,
}

impl Document {
    pub(super) fn kind(&self) -> Result<&'static Kind> {
        kind_at(self.name.rank)
    }
}

pub(super) fn kind_at(rank: usize) -> Result<&'static Kind> {
    KINDS.get(rank).ok_or_else(|| Failure::failed("a kind that is in no table"))
}

/// Reads files and folders. `home`: whose a document is that does not say it.
pub(super) fn read(paths: &[PathBuf], home: Option<&str>) -> Result<Vec<Document>> {
    let mut files = Vec::new();
    for path in paths {
        find(path, DEPTH_MAX, true, &mut files)?;
    }
    let mut found: BTreeMap<Name, Document> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for file in files {
        for (at, value) in parse(&file)?.into_iter().enumerate() {
            let place = format!("{} (document {})", file.display(), at + 1);
            match document(value, home, &file) {
                Ok(document) => {
                    let name = document.name.clone();
                    if let Some(other) = found.insert(name.clone(), document) {
                        mistakes.push(format!("{place}: {name} is in {} too", other.file.display()));
                    }
                }
                Err(mistake) => mistakes.push(format!("{place}: {mistake}")),
            }
            if found.len() > DOCUMENTS_MAX {
                return Err(Failure::data(format!("more than {DOCUMENTS_MAX} documents")));
            }
        }
    }
    if mistakes.is_empty() {
        return Ok(found.into_values().collect());
    }
    let more = mistakes.len().saturating_sub(MISTAKES_MAX);
    mistakes.truncate(MISTAKES_MAX);
    if more > 0 {
        mistakes.push(format!("and {more} more"));
    }
    Err(Failure::data(format!("nothing was applied:\n{}", mistakes.join("\n"))))
}

/// The files of a folder, by name; hidden ones are left out, and so is what is neither JSON nor YAML.
fn find(path: &Path, depth: usize, named: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e: &std::io::Error| Failure::file("cannot read", path, e);
    if path.as_os_str() == "-" {
        files.push(path.to_owned());
        return Ok(());
    }
    let meta = fs::metadata(path).map_err(|e| failed(&e))?;
    if !meta.is_dir() {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if named || ["json", "yaml", "yml"].contains(&extension) {
            if meta.len() > FILE_BYTES_MAX {
                return Err(Failure::data(format!(
                    "{} is larger than {FILE_BYTES_MAX} bytes",
                    path.display()
                )));
            }
            files.push(path.to_owned());
        }
        return Ok(());
    }
    if depth == 0 {
        return Err(Failure::data(format!("{} is too deep: {DEPTH_MAX} folders at most", path.display())));
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries: Vec<PathBuf> =
        entries.map_err(|e| failed(&e))?.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    entries.iter().filter(|path| !hidden(path)).try_for_each(|path| find(path, depth - 1, false, files))
}

/// The documents of a file; a list counts as so many.
fn parse(file: &PathBuf) -> Result<Vec<Value>> {
    let text = read_text(file)?;
    let wrong = |what: &str, e: String| Failure::data(format!("{} is not {what}: {e}", file.display()));
    let values: Vec<Value> = if file.extension().is_some_and(|extension| extension == "json") {
        serde_json::Deserializer::from_str(&text)
            .into_iter()
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| wrong("JSON", e.to_string()))?
    } else {
        // JSON is YAML, too.
        serde_saphyr::from_multiple(&text).map_err(|e| wrong("YAML", e.to_string()))?
    };
    let flat = values.into_iter().flat_map(|value| match value {
        Value::Array(values) => values,
        value => vec![value],
    });
    Ok(flat.filter(|value| !value.is_null()).collect())
}

fn document(value: Value, home: Option<&str>, file: &Path) -> std::result::Result<Document, String> {
    let Value::Object(mut body) = value else { return Err("is no object".to_owned()) };
    let Some(Value::String(named)) = body.remove("kind") else { return Err("has no kind".to_owned()) };
    let Some((rank, kind)) = KINDS.iter().enumerate().find(|(_, kind)| kind.name == named) else {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        return Err(format!("there is no kind {named:?}; there are: {}", known.join(", ")));
    };
    let said = match body.remove("tenant") {
        None => None,
        Some(Value::String(tenant)) => Some(tenant),
        Some(_) => return Err("its tenant must be a string".to_owned()),
    };
    let text =
        |body: &Map<String, Value>, name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let member = if kind.id == Id::Given { "name" } else { kind.id_member() };
    let id = text(&body, member).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| format!("this {named} has no {member}"))?;
    kind.check_id(&id).map_err(|failure| format!("{named} {id:?}: {}", failure.message))?;
    let tenant = if kind.is_fleets(&id) {
        if said.is_some() {
            return Err(format!("{named} {id} is the fleet's: leave out its tenant"));
        }
        None
    } else {
        let home = said.or_else(|| home.map(ToOwned::to_owned));
        Some(home.ok_or_else(|| format!("{named} {id} has no tenant; write it, or give --tenant"))?)
    };
    if kind.place == Place::Either {
        body.insert(member.to_owned(), kind.plain_id(&id).into());
    }
    let facts = facts::of(kind).map_err(|failure| failure.message)?;
    facts::strip(&mut body, &facts.read_only);
    Ok(Document { name: Name { rank, tenant, id }, body, file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_files(files: &[(&str, &str)]) -> Result<Vec<Document>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read(&[folder.path().to_owned()], Some("home"))
    }

    #[test]
    fn documents_come_in_the_order_of_references_whatever_files_say() {
        let documents = read_files(&[
            ("a.yaml", "kind: subscription\ntenant: acme\nid: s\nsystem: shop\naction: a\n---\nkind: tenant\nid: acme\n"),
            ("b/c.json", r#"[{"kind": "system", "tenant": "acme", "id": "shop"}, {"kind": "role", "id": "fleet/r", "permissions": []}]"#),
            ("b/.hidden.yaml", "what: ever"),
            ("notes.txt", "what: ever"),
            ("d.yml", "# nothing\n---\nkind: system\nid: shop\nrevision: 7\n---\n"),
        ])
        .unwrap();
        let names: Vec<String> = documents.iter().map(|d| d.name.to_string()).collect();
        assert_eq!(
            names,
            ["tenant acme", "system acme/shop", "system home/shop", "role fleet/r", "subscription acme/s"]
        );
        assert_eq!(documents[3].body["id"], "r");
        assert!(!documents[2].body.contains_key("revision"), "what only the fleet sets is no wish");
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let failure = read_files(&[
            (
                "a.yaml",
                "kind: sytem\nid: a\n---\nid: a\n---\n- kind: system\n---\nkind: plan\nid: p\ntenant: x\n",
            ),
            ("b.yaml", "kind: system\nid: twice\n---\nkind: system\nid: No Slug\n"),
            ("c.json", r#"{"kind": "system", "id": "twice"} 7"#),
        ])
        .unwrap_err();
        for expected in [
            "a.yaml (document 1): there is no kind \"sytem\"",
            "a.yaml (document 2): has no kind",
            "a.yaml (document 3): this system has no id",
            "a.yaml (document 4): plan p is the fleet's",
            "b.yaml (document 2): system \"No Slug\"",
            "c.json (document 1): system home/twice is in",
            "c.json (document 2): is no object",
        ] {
            assert!(failure.message.contains(expected), "{expected}: {failure}");
        }
        assert!(read_files(&[("a.yaml", "a: [")]).unwrap_err().message.contains("is not YAML"));
    }
}
