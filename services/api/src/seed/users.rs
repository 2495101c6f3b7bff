//! A user, as the seed's clients know one.

use model::{TenantId, resource::User};
use serde::Serialize;
use utoipa::ToSchema;

/// A user of a tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct SeedUser {
    user_id: String,
    /// The tenant that is asked about.
    tenant_ids: Vec<String>,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// Those that bindings of the tenant give them.
    roles: Vec<String>,
    active: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl SeedUser {
    pub(super) fn of(user: &User, tenant: &TenantId, roles: Vec<String>) -> Self {
        Self {
            user_id: user.id.to_string(),
            tenant_ids: vec![tenant.to_string()],
            username: user.name.clone(),
            email: user.email.clone(),
            roles,
            active: !user.disabled,
            created_at: user.meta.created_at.clone(),
            updated_at: user.meta.updated_at.clone(),
        }
    }
}
