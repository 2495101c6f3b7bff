//! Invoices and credit notes as events of their tenant: what whoever collects the money works on. They are not metered: a tenant is
//! not charged for being told what it is charged.
//!
//! Each stream has a durable consumer; a document is acknowledged when its event is accepted. An event that is told twice has the
//! same id, and is one.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{AckPolicy, pull},
};
use billing::{CreditNote, Invoice, credit_note_number, invoice_number};
use bus::{
    Backoff, Placed,
    topology::{CREDIT_NOTES, INVOICES},
};
use bytes::Bytes;
use futures::StreamExt as _;
use model::{CloudEvent, Micros, PROTOCOL_FLEET, TenantId};
use proto::hops;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{error::Error, service::Worker};

/// The `source` of what is told.
pub(crate) const SOURCE: &str = "/eventrunner/billing";
/// What their types begin with.
const TYPE: &str = "dev.eventrunner.billing";
/// The system they are said to come from.
const SYSTEM: &str = "billing";
/// The durable consumer.
const CONSUMER: &str = "events";
/// A document that is not told in that time is told by another replica.
const ACK_WAIT: Duration = Duration::from_secs(60);

impl Worker {
    /// Tells invoices as they are made.
    pub(crate) async fn tell_invoices(self) {
        self.tell(INVOICES, |number, invoice: Invoice| {
            let (id, draft) = (invoice_number(number), invoice.draft);
            let data = json!({
                "invoice": number, "number": id, "account": draft.account, "period": draft.period, "currency": draft.currency,
                "subtotal": draft.subtotal, "discounts": draft.discounts, "late": draft.late, "taxes": draft.taxes,
                "total": draft.total, "credits": draft.credits, "due": draft.due,
                "bill_to": invoice.terms.account.bill_to, "bill_from": invoice.terms.account.bill_from, "finalized_at": invoice.finalized_at,
            });
            Told { tenant: draft.tenant, ty: "invoice.finalized", id, data }
        })
        .await;
    }

    /// Tells credit notes as they are made.
    pub(crate) async fn tell_credit_notes(self) {
        self.tell(CREDIT_NOTES, |number, note: CreditNote| {
            let id = credit_note_number(number);
            let data = json!({
                "credit_note": number, "number": id, "invoice": note.invoice, "void": note.void, "reason": note.reason,
                "amount": note.amount, "currency": note.currency, "made_at": note.made_at,
            });
            let ty = if note.void { "invoice.voided" } else { "credit-note.created" };
            Told { tenant: note.tenant, ty, id, data }
        })
        .await;
    }

    /// Until it is told to stop, whatever the broker does meanwhile.
    async fn tell<T: DeserializeOwned>(&self, stream: &str, say: impl Fn(u64, T) -> Told) {
        let mut backoff = Backoff::default();
        loop {
            if let Err(error) = self.tell_on(stream, &say).await {
                tracing::debug!(stream, %error, "telling of invoices interrupted, beginning anew");
            }
            backoff.wait().await;
        }
    }

    async fn tell_on<T: DeserializeOwned>(
        &self,
        stream: &str,
        say: &impl Fn(u64, T) -> Told,
    ) -> Result<(), Error> {
        let config = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            ..pull::Config::default()
        };
        let handle = self.bus.jetstream().get_stream_no_info(stream).await.map_err(Error::broker)?;
        let consumer = handle.get_or_create_consumer(CONSUMER, config).await.map_err(Error::broker)?;
        let mut messages = consumer.messages().await.map_err(Error::broker)?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(Error::broker)?;
            self.tell_one(&message, say).await?;
        }
        Ok(())
    }

    async fn tell_one<T: DeserializeOwned>(
        &self,
        message: &Message,
        say: &impl Fn(u64, T) -> Told,
    ) -> Result<(), Error> {
        let number = message.info().map_err(Error::broker)?.stream_sequence;
        match serde_json::from_slice(&message.payload) {
            Ok(document) => {
                let told = say(number, document);
                self.publish(&told.tenant, told.ty, &told.id, &told.data).await?;
            }
            Err(error) => {
                // It stays in its stream; whoever asks for it is told, too.
                self.failed("events").inc();
                tracing::error!(number, subject = %message.subject, %error, "a document cannot be read");
                return message.ack_with(AckKind::Term).await.map_err(Error::broker);
            }
        }
        message.double_ack().await.map_err(Error::broker)
    }

    /// Puts an event among the tenant's.
    pub(crate) async fn publish(
        &self,
        tenant: &TenantId,
        ty: &str,
        id: &str,
        data: &Value,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let event = CloudEvent::builder(id.to_owned(), SOURCE, format!("{TYPE}.{ty}"))
            .text("application/json", data.to_string())
            .time(model::format_rfc3339(now))
            .build()
            .map_err(|e| Error::Event(e.to_string()))?;
        let placed = Placed::event(&event, |_| true);
        self.accept.accept(stamp(tenant, now), vec![placed]).await?;
        self.done("events").inc();
        Ok(())
    }
}

fn stamp(tenant: &TenantId, received_at_us: Micros) -> hops::Stamp {
    hops::Stamp {
        tenant: tenant.as_text().as_bytes().clone(),
        system: Bytes::from_static(SYSTEM.as_bytes()),
        source: Bytes::new(),
        received_at_us,
        traceparent: Bytes::new(),
        protocol: Bytes::from_static(PROTOCOL_FLEET.as_bytes()),
        customer: Bytes::new(),
    }
}

/// What is told of a document.
struct Told {
    tenant: TenantId,
    ty: &'static str,
    id: String,
    data: Value,
}
