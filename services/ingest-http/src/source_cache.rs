//! What is derived from a source, kept until the source changes.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use catalog::Sealer;
use mapping::{InvalidMapping, Mapping};
use model::{SourceId, SystemId, TenantId, resource::Source};
use secrecy::SecretString;

/// Compiled mappings and opened secrets. The catalog hands out the same `Arc` until a resource changes, so
/// that a pointer tells whether an entry still holds.
#[derive(Debug)]
pub(crate) struct SourceCache {
    sources: RwLock<HashMap<(TenantId, SourceId), Arc<Compiled>>>,
    plain: RwLock<HashMap<SystemId, Arc<Mapping>>>,
    entries_max: usize,
}

/// A source, ready for use.
#[derive(Debug)]
pub(crate) struct Compiled {
    source: Arc<Source>,
    /// The catalog checks mappings, but an entry may be older than a rule.
    pub(crate) mapping: Result<Mapping, InvalidMapping>,
    /// The secrets of its verification; an error if one does not open.
    pub(crate) secrets: Result<Vec<SecretString>, String>,
}

impl SourceCache {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { sources: RwLock::default(), plain: RwLock::default(), entries_max: entries_max.max(1) }
    }

    /// The source's mapping and secrets, made when it is first met or has changed.
    pub(crate) fn get(&self, source: &Arc<Source>, sealer: &Sealer) -> Arc<Compiled> {
        let key = (source.tenant.clone(), source.id.clone());
        let read = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = read.get(&key).filter(|c| Arc::ptr_eq(&c.source, source)) {
            return Arc::clone(compiled);
        }
        drop(read);
        let compiled = Arc::new(Compiled::new(source, sealer));
        let mut write = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        if write.len() >= self.entries_max && !write.contains_key(&key) {
            write.clear();
        }
        write.insert(key, Arc::clone(&compiled));
        compiled
    }

    /// The mapping of raw events that name no source.
    pub(crate) fn plain(&self, system: &SystemId) -> Arc<Mapping> {
        let read = self.plain.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = read.get(system) {
            return Arc::clone(mapping);
        }
        drop(read);
        let mapping = Arc::new(Mapping::plain(system));
        let mut write = self.plain.write().unwrap_or_else(PoisonError::into_inner);
        if write.len() >= self.entries_max {
            write.clear();
        }
        write.insert(system.clone(), Arc::clone(&mapping));
        mapping
    }
}

impl Compiled {
    fn new(source: &Arc<Source>, sealer: &Sealer) -> Self {
        // Secrets are sealed for the key of their entry, so that none can be moved to another source.
        let context = format!("source.{}.{}", source.tenant, source.id);
        let sealed = source.verification.iter().flat_map(|v| &v.sealed_secrets);
        let secrets = sealed.map(|s| sealer.open(&context, s).map_err(|e| e.to_string())).collect();
        Self { source: Arc::clone(source), mapping: Mapping::compile(source), secrets }
    }
}

#[cfg(test)]
mod tests {
    use catalog::SealingKey;

    use super::*;

    fn source(id: &str) -> Arc<Source> {
        let json = serde_json::json!({ "tenant": "acme", "system": "shop", "id": id });
        Arc::new(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn a_source_is_compiled_once_until_it_changes() {
        let cache = SourceCache::new(2);
        let sealer = Sealer::new(SealingKey::generate());
        let a = source("a");
        let first = cache.get(&a, &sealer);
        assert!(Arc::ptr_eq(&first, &cache.get(&a, &sealer)));
        let changed = source("a");
        assert!(!Arc::ptr_eq(&first, &cache.get(&changed, &sealer)));
        for id in ["b", "c", "d"] {
            cache.get(&source(id), &sealer);
            assert!(cache.sources.read().unwrap().len() <= 2);
        }
    }

    #[test]
    fn a_secret_that_does_not_open_is_an_error_not_an_open_door() {
        let sealer = Sealer::new(SealingKey::generate());
        let other = Sealer::new(SealingKey::generate());
        let sealed = other.seal("source.acme.a", &SecretString::from("x")).unwrap();
        let mut a = Arc::unwrap_or_clone(source("a"));
        let verification = serde_json::json!({ "scheme": { "type": "github" }, "sealed_secrets": [sealed] });
        a.verification = Some(serde_json::from_value(verification).unwrap());
        assert!(SourceCache::new(1).get(&Arc::new(a), &sealer).secrets.is_err());
    }
}
