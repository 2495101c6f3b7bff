//! One file an endpoint: what it says in the documentation, what it does.

mod alive;
mod audit_list;
mod event_erase_data;
mod event_get;
mod event_list;
mod event_receipt;
mod event_stream;
mod event_type_versions;
mod fleet_audit_list;
mod health;
mod invitation_accept;
mod invitation_create;
mod invitation_delete;
mod invitation_list;
mod invoices;
mod lease;
mod letter_delete;
mod letter_get;
mod letter_list;
mod letter_purge;
mod letter_redrive;
mod letter_redrive_all;
mod limit_list;
mod login;
mod logout;
mod me;
mod member_list;
mod password_change;
mod password_reset_create;
mod password_reset_redeem;
mod permission_check;
mod public_keys;
mod resources;
mod session_end;
mod session_list;
mod session_refresh;
mod token_create;
mod usage_records;
mod usage_sum;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    audit_list::AuditRecord,
    event_list::ORDERS,
    invitation_list::InvitationView,
    invoices::FORMATS,
    session_list::SessionView,
    usage_sum::{AGGREGATIONS, GROUPINGS, WIDTHS},
};
use crate::app::App;

/// Every endpoint, with its documentation.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(event_list::handle))
        .routes(routes!(event_get::handle))
        .routes(routes!(event_erase_data::handle))
        .routes(routes!(event_receipt::handle))
        .routes(routes!(event_stream::handle))
        .routes(routes!(letter_list::handle, letter_purge::handle))
        .routes(routes!(letter_get::handle, letter_delete::handle))
        .routes(routes!(letter_redrive_all::handle))
        .routes(routes!(letter_redrive::handle))
        .routes(routes!(audit_list::handle))
        .routes(routes!(fleet_audit_list::handle))
        .routes(routes!(limit_list::handle))
        .routes(routes!(event_type_versions::handle))
        .merge(resources::router())
        .routes(routes!(lease::get, lease::replace, lease::delete))
        .routes(routes!(lease::get_fleets, lease::replace_fleets, lease::delete_fleets))
        .routes(routes!(permission_check::handle))
        .routes(routes!(login::handle))
        .routes(routes!(session_refresh::handle))
        .routes(routes!(logout::handle))
        .routes(routes!(token_create::handle))
        .routes(routes!(public_keys::handle))
        .routes(routes!(me::handle))
        .routes(routes!(password_change::handle))
        .routes(routes!(password_reset_create::handle))
        .routes(routes!(password_reset_redeem::handle))
        .routes(routes!(invitation_list::handle, invitation_create::handle))
        .routes(routes!(invitation_delete::handle))
        .routes(routes!(invitation_accept::handle))
        .routes(routes!(member_list::handle))
        .routes(routes!(session_list::mine))
        .routes(routes!(session_end::mine))
        .routes(routes!(session_list::of_user))
        .routes(routes!(session_end::of_user))
        .routes(routes!(usage_sum::handle))
        .routes(routes!(usage_records::handle))
        .routes(routes!(health::handle))
        .routes(routes!(alive::handle))
        .merge(invoices::router())
        .merge(crate::seed::router())
}
