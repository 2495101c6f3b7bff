//! The section `api.mcp` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Model Context Protocol at `/mcp`: the API's operations as tools of language models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpOptions {
    /// Whether `/mcp` is there.
    pub enabled: bool,
    /// Whether operations that change something are tools too. What a caller may do stays the same; this is about what a model may be
    /// talked into by what it reads.
    pub writes: bool,
    /// Web pages that may ask, by origin and port, such as `https://app.example.com:443`; any other page gets 403. What is no page sends
    /// no `Origin` and is not concerned.
    pub allowed_origins: Vec<String>,
    /// Bytes of a message as it is sent; 413 above.
    pub request_bytes_max: usize,
    /// Bytes of an operation's answer that fit into a tool's result; above, the model is told to ask for less.
    pub answer_bytes_max: usize,
}

impl Default for McpOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            writes: false,
            allowed_origins: Vec::new(),
            request_bytes_max: 512 << 10,
            answer_bytes_max: 128 << 10,
        }
    }
}

impl McpOptions {
    /// Refuses values with which nothing could work.
    pub(crate) fn check(&self) -> Result<(), String> {
        let at_least_one =
            [("request_bytes_max", self.request_bytes_max), ("answer_bytes_max", self.answer_bytes_max)];
        if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("api.mcp.{name} must be at least 1"));
        }
        let is_origin = |origin: &String| origin.starts_with("http://") || origin.starts_with("https://");
        match self.allowed_origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(format!(
                "api.mcp.allowed_origins: {origin:?} must be an origin such as https://app.example.com:443"
            )),
            None => Ok(()),
        }
    }
}
