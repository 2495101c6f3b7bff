//! Mappings, compiled once for each version of a source.

use std::{collections::HashMap, sync::Arc};

use mapping::Mapping;
use model::{SourceId, SystemId, TenantId, resource::Source};

/// Most mappings kept; beyond it all are compiled again.
const KEPT_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Sources {
    compiled: HashMap<(TenantId, SourceId), (Arc<Source>, Arc<Mapping>)>,
    plain: HashMap<SystemId, Arc<Mapping>>,
}

impl Sources {
    /// The mapping of a source; of raw events without one (or whose source is gone), the plain mapping of their system.
    pub(crate) fn mapping(
        &mut self,
        tenant: &TenantId,
        system: &SystemId,
        source: Option<&Arc<Source>>,
    ) -> Arc<Mapping> {
        let Some(source) = source else { return self.plain(system) };
        let key = (tenant.clone(), source.id.clone());
        if let Some((version, mapping)) = self.compiled.get(&key)
            && Arc::ptr_eq(version, source)
        {
            return Arc::clone(mapping);
        }
        let mapping = match Mapping::compile(source) {
            Ok(mapping) => Arc::new(mapping),
            Err(error) => {
                // Refused when it is written; this one got into the catalog another way. No event is held up by it.
                tracing::warn!(%tenant, source = %source.id, %error, "mapping does not compile, using the default");
                self.plain(system)
            }
        };
        if self.compiled.len() >= KEPT_MAX {
            self.compiled.clear();
        }
        self.compiled.insert(key, (Arc::clone(source), Arc::clone(&mapping)));
        mapping
    }

    fn plain(&mut self, system: &SystemId) -> Arc<Mapping> {
        if self.plain.len() >= KEPT_MAX {
            self.plain.clear();
        }
        Arc::clone(self.plain.entry(system.clone()).or_insert_with(|| Arc::new(Mapping::plain(system))))
    }
}
