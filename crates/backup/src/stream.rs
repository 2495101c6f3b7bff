//! A stream as a file and back, by JetStream's own snapshots: messages with their sequences, times and headers, and the
//! consumers with what each has acked.

use async_nats::{Message, Subscriber};
use bus::topology::RESTORED;
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{fs::File, io::AsyncReadExt as _};

use crate::{
    Error,
    files::{Folder, Writer},
    line::{Line, PATIENCE},
    manifest::StreamPart,
    wire::{Api, State, StreamInfo, read},
};

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes that may be under way.
const WINDOW_BYTES: usize = 8 << 20;
/// Pieces that may await their acknowledgement when a stream is restored.
const PIECES_MAX: usize = 16;

impl Api<'_> {
    /// Writes a stream into a file.
    ///
    /// # Errors
    /// If the broker refuses or falls silent, or the disk does not take it.
    pub async fn snapshot(&self, name: &str, consumers: bool, folder: &Folder) -> Result<StreamPart, Error> {
        #[derive(Deserialize)]
        struct Begun {
            config: Value,
            state: State,
        }
        let line = Line::of(self.bus);
        let inbox = self.bus.client().new_inbox();
        let pieces = self.bus.client().subscribe(inbox.clone()).await;
        let mut pieces = pieces.map_err(|e| Error::refused(name, e.to_string()))?;
        let request = json!({
            "deliver_subject": inbox, "no_consumers": !consumers, "chunk_size": PIECE_BYTES, "window_size": WINDOW_BYTES,
        });
        let (patient, subject) = (self.clone().patient(PATIENCE), format!("STREAM.SNAPSHOT.{name}"));
        let begun: Begun = line.wait(&subject, patient.ask(&subject, &request)).await??;
        let mut file = folder.create(&format!("streams/{name}.snapshot")).await?;
        self.receive(name, &line, &mut pieces, &mut file).await?;
        Ok(StreamPart {
            name: name.to_owned(),
            config: begun.config,
            state: begun.state,
            file: file.finish().await?,
        })
    }

    async fn receive(
        &self,
        name: &str,
        line: &Line,
        pieces: &mut Subscriber,
        file: &mut Writer,
    ) -> Result<(), Error> {
        let what = || format!("the snapshot of {name}");
        loop {
            let piece = line.wait(&what(), pieces.next()).await?;
            let Some(Message { payload, reply, status, description, .. }) = piece else {
                return Err(Error::refused(what(), "the connection was closed"));
            };
            if let Some(status) = status.filter(|status| status.as_u16() >= 400) {
                return Err(Error::refused(what(), description.unwrap_or_else(|| status.to_string())));
            }
            if payload.is_empty() {
                return Ok(());
            }
            file.write(&payload).await?;
            if let Some(reply) = reply {
                let acked = self.bus.client().publish(reply, Bytes::new()).await;
                acked.map_err(|e| Error::refused(what(), e.to_string()))?;
            }
        }
    }

    /// Makes a stream again from a file, with that many copies; `from` says which backup it is of.
    ///
    /// # Errors
    /// If there is such a stream already, the broker refuses or falls silent, or the stream holds less than the backup says.
    pub async fn restore(
        &self,
        part: &StreamPart,
        replicas: usize,
        from: &str,
        folder: &Folder,
    ) -> Result<State, Error> {
        #[derive(Deserialize)]
        struct Begun {
            deliver_subject: String,
        }
        let name = &part.name;
        let mut config = part.config.clone();
        if let Some(config) = config.as_object_mut() {
            config.insert("num_replicas".to_owned(), replicas.into());
            // What it was made from elsewhere is not there here.
            config.remove("placement");
            if let Some(metadata) = config.entry("metadata").or_insert_with(|| json!({})).as_object_mut() {
                metadata.retain(|key, _| !key.starts_with("_nats."));
                // A restore that was interrupted knows what it has done.
                metadata.insert(RESTORED.to_owned(), from.into());
            }
        }
        let request = json!({"config": config, "state": part.state});
        let patient = self.clone().patient(PATIENCE);
        let begun: Begun = patient.ask(&format!("STREAM.RESTORE.{name}"), &request).await?;
        let mut file = folder.open(&part.file.file).await?;
        let made = self.send(name, &begun.deliver_subject, &mut file).await?;
        if made.state.last_seq < part.state.last_seq || made.state.first_seq > made.state.last_seq + 1 {
            return Err(Error::Damaged(format!(
                "{name} was restored up to sequence {} and not {}",
                made.state.last_seq, part.state.last_seq
            )));
        }
        Ok(made.state)
    }

    /// Sends a file in pieces, some of them under way at once, and gives what came of it.
    async fn send(&self, name: &str, to: &str, file: &mut File) -> Result<StreamInfo, Error> {
        let what = || format!("to restore {name}");
        let lost = |e: &dyn std::error::Error| Error::refused(what(), e.to_string());
        let (client, line) = (self.bus.client(), Line::of(self.bus));
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|e| lost(&e))?;
        let (mut under_way, mut ended) = (0, false);
        loop {
            while under_way < PIECES_MAX && !ended {
                let piece = next_piece(file).await.map_err(|e| lost(&e))?;
                ended = piece.is_empty();
                client.publish_with_reply(to.to_owned(), inbox.clone(), piece).await.map_err(|e| lost(&e))?;
                under_way += 1;
            }
            let answer = line.wait(&what(), answers.next()).await?;
            let answer = answer.ok_or_else(|| Error::refused(what(), "the connection was closed"))?;
            if answer.status.is_some_and(|status| status.as_u16() >= 400) {
                return Err(Error::refused(what(), "nobody takes it any more"));
            }
            under_way -= 1;
            if !answer.payload.is_empty() {
                return read(&what(), &answer.payload)?
                    .map_err(|refusal| Error::refused(what(), refusal.description));
            }
            if ended && under_way == 0 {
                return Err(Error::refused(what(), "it does not say what came of it"));
            }
        }
    }
}

impl StreamInfo {
    /// Which backup it was restored from, if it was and nobody has changed its configuration since.
    #[must_use]
    pub fn restored_from(&self) -> Option<&str> {
        self.config.get("metadata")?.get(RESTORED)?.as_str()
    }
}

/// The next bytes of a file; none at its end.
async fn next_piece(file: &mut File) -> std::io::Result<Bytes> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut filled = 0;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).await? {
            0 => break,
            read => filled += read,
        }
    }
    piece.truncate(filled);
    Ok(piece.into())
}
