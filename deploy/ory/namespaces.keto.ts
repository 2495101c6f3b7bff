// Made of the table of roles; do not edit. Again: eventrunner docs
import { Namespace, SubjectSet, Context } from "@ory/keto-namespace-types"

class client implements Namespace {}

class fleet implements Namespace {
  related: {
    admin: (user | key | client | service | SubjectSet<role, "member">)[]
    event_publisher: (user | key | client | service | SubjectSet<role, "member">)[]
    superuser: (user | key | client | service | SubjectSet<role, "member">)[]
    tenant_admin: (user | key | client | service | SubjectSet<role, "member">)[]
    user: (user | key | client | service | SubjectSet<role, "member">)[]
    viewer: (user | key | client | service | SubjectSet<role, "member">)[]
  }
  permits = {
    create_action: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    create_api_key: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_billing_account: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    create_component: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_customer: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    create_event_type: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_feed: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    create_invoice: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    create_meter: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_nats_credential: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_oauth_client: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_plan: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    create_role: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    create_role_binding: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    create_rule_set: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    create_source: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_subscription: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    create_system: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    create_tenant: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    create_user: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    create_workflow: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    delete_action: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    delete_api_key: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_billing_account: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    delete_component: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_customer: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    delete_dead_letter: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_event: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_event_type: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_feed: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    delete_meter: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_nats_credential: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_oauth_client: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_plan: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    delete_role: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    delete_role_binding: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    delete_rule_set: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    delete_session: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    delete_source: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_subscription: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    delete_system: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    delete_tenant: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    delete_user: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    delete_workflow: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    publish_event: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject),
    read_action: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_api_key: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_audit: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    read_billing_account: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_component: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_customer: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_dead_letter: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_event: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_event_type: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_feed: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_fleet: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    read_invoice: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_limit: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_meter: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_nats_credential: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_oauth_client: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_plan: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_role: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_role_binding: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_rule_set: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_session: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    read_source: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_subscription: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_system: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_tenant: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_usage: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    read_user: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    read_workflow: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject),
    update_action: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    update_api_key: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_billing_account: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    update_component: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_customer: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    update_dead_letter: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_event_type: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_feed: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    update_fleet: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    update_limit: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    update_meter: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_nats_credential: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_oauth_client: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_plan: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject),
    update_role: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    update_role_binding: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    update_rule_set: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    update_source: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_subscription: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
    update_system: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject),
    update_tenant: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    update_user: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject),
    update_workflow: (ctx: Context): boolean =>
      this.related.superuser.includes(ctx.subject) ||
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject),
  }
}

class key implements Namespace {}

class role implements Namespace {
  related: {
    member: (user | key | client | service | SubjectSet<role, "member">)[]
  }
}

class service implements Namespace {}

class tenant implements Namespace {
  related: {
    admin: (user | key | client | service | SubjectSet<role, "member">)[]
    event_publisher: (user | key | client | service | SubjectSet<role, "member">)[]
    parent: (fleet)[]
    tenant_admin: (user | key | client | service | SubjectSet<role, "member">)[]
    user: (user | key | client | service | SubjectSet<role, "member">)[]
    viewer: (user | key | client | service | SubjectSet<role, "member">)[]
  }
  permits = {
    create_action: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_action(ctx)),
    create_api_key: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_api_key(ctx)),
    create_billing_account: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.create_billing_account(ctx)),
    create_component: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_component(ctx)),
    create_customer: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_customer(ctx)),
    create_event_type: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_event_type(ctx)),
    create_feed: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_feed(ctx)),
    create_invoice: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.create_invoice(ctx)),
    create_meter: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_meter(ctx)),
    create_nats_credential: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_nats_credential(ctx)),
    create_oauth_client: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_oauth_client(ctx)),
    create_plan: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.create_plan(ctx)),
    create_role: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_role(ctx)),
    create_role_binding: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_role_binding(ctx)),
    create_rule_set: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_rule_set(ctx)),
    create_source: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_source(ctx)),
    create_subscription: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_subscription(ctx)),
    create_system: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_system(ctx)),
    create_tenant: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.create_tenant(ctx)),
    create_user: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_user(ctx)),
    create_workflow: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.create_workflow(ctx)),
    delete_action: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_action(ctx)),
    delete_api_key: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_api_key(ctx)),
    delete_billing_account: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.delete_billing_account(ctx)),
    delete_component: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_component(ctx)),
    delete_customer: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_customer(ctx)),
    delete_dead_letter: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_dead_letter(ctx)),
    delete_event: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_event(ctx)),
    delete_event_type: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_event_type(ctx)),
    delete_feed: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_feed(ctx)),
    delete_meter: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_meter(ctx)),
    delete_nats_credential: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_nats_credential(ctx)),
    delete_oauth_client: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_oauth_client(ctx)),
    delete_plan: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.delete_plan(ctx)),
    delete_role: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_role(ctx)),
    delete_role_binding: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_role_binding(ctx)),
    delete_rule_set: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_rule_set(ctx)),
    delete_session: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_session(ctx)),
    delete_source: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_source(ctx)),
    delete_subscription: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_subscription(ctx)),
    delete_system: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_system(ctx)),
    delete_tenant: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.delete_tenant(ctx)),
    delete_user: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_user(ctx)),
    delete_workflow: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.delete_workflow(ctx)),
    publish_event: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.publish_event(ctx)),
    read_action: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_action(ctx)),
    read_api_key: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_api_key(ctx)),
    read_audit: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_audit(ctx)),
    read_billing_account: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_billing_account(ctx)),
    read_component: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_component(ctx)),
    read_customer: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_customer(ctx)),
    read_dead_letter: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_dead_letter(ctx)),
    read_event: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_event(ctx)),
    read_event_type: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_event_type(ctx)),
    read_feed: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_feed(ctx)),
    read_fleet: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.read_fleet(ctx)),
    read_invoice: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_invoice(ctx)),
    read_limit: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_limit(ctx)),
    read_meter: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_meter(ctx)),
    read_nats_credential: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_nats_credential(ctx)),
    read_oauth_client: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_oauth_client(ctx)),
    read_plan: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_plan(ctx)),
    read_role: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_role(ctx)),
    read_role_binding: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_role_binding(ctx)),
    read_rule_set: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_rule_set(ctx)),
    read_session: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_session(ctx)),
    read_source: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_source(ctx)),
    read_subscription: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_subscription(ctx)),
    read_system: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.event_publisher.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_system(ctx)),
    read_tenant: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_tenant(ctx)),
    read_usage: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_usage(ctx)),
    read_user: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_user(ctx)),
    read_workflow: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.viewer.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.read_workflow(ctx)),
    update_action: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_action(ctx)),
    update_api_key: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_api_key(ctx)),
    update_billing_account: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.update_billing_account(ctx)),
    update_component: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_component(ctx)),
    update_customer: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_customer(ctx)),
    update_dead_letter: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_dead_letter(ctx)),
    update_event_type: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_event_type(ctx)),
    update_feed: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_feed(ctx)),
    update_fleet: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.update_fleet(ctx)),
    update_limit: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.update_limit(ctx)),
    update_meter: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_meter(ctx)),
    update_nats_credential: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_nats_credential(ctx)),
    update_oauth_client: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_oauth_client(ctx)),
    update_plan: (ctx: Context): boolean =>
      this.related.parent.traverse((it) => it.permits.update_plan(ctx)),
    update_role: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_role(ctx)),
    update_role_binding: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_role_binding(ctx)),
    update_rule_set: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_rule_set(ctx)),
    update_source: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_source(ctx)),
    update_subscription: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_subscription(ctx)),
    update_system: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_system(ctx)),
    update_tenant: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_tenant(ctx)),
    update_user: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_user(ctx)),
    update_workflow: (ctx: Context): boolean =>
      this.related.tenant_admin.includes(ctx.subject) ||
      this.related.admin.includes(ctx.subject) ||
      this.related.user.includes(ctx.subject) ||
      this.related.parent.traverse((it) => it.permits.update_workflow(ctx)),
  }
}

class user implements Namespace {}
