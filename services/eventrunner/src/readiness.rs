//! What a process says of itself at `/healthz/ready`.

use serde::Deserialize;

/// The answer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Readiness {
    components: Vec<Component>,
}

#[derive(Debug, Clone, Deserialize)]
struct Component {
    name: String,
    ok: bool,
    reason: Option<String>,
}

impl Readiness {
    /// The components.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.components.iter().map(|c| c.name.as_str()).collect()
    }

    /// Each component that is not ready, with its reason.
    pub(crate) fn hindrances(&self) -> Vec<String> {
        let not_ok = self.components.iter().filter(|c| !c.ok);
        not_ok.map(|c| format!("{}: {}", c.name, c.reason.as_deref().unwrap_or("not ready"))).collect()
    }
}
