//! `eventrunner restore FOLDER`: a fleet from its backup, onto an empty broker and empty stores.
//!
//! Everything is checked before anything is touched. `RAW` comes last: processes that wait for the streams wait for it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    time::Instant,
};

use ::backup::{Api, Folder, MANIFEST, Manifest, Stored, StoredPart, StreamPart};
use bus::{Bus, topology};
use clap::Args;
use serde::{Deserialize, Serialize};
use store::migration::Mode;

use super::{Part, Summary, take::part_of};
use crate::{
    commands::{
        archive::{self, format},
        copy::Loader,
        progress,
    },
    config::{Config, ConfigArgs, StoreKind},
    exit::{Code, Failure, Result},
    output::{Output, item, note},
    services,
    stores::{self, OpenStores},
    up::alone::Alone,
};

/// Lines that are written at a time.
const LINES: usize = 2_000;
/// The longest line: an event of the largest size, in base64 beside itself.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// In the data folder while a restore is under way: one that was interrupted may go on.
const PROGRESS: &str = "restore.json";

/// Of a backup of a fleet.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Backups of a fleet")]
pub(crate) struct FleetArgs {
    /// Only these parts
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// The broker to restore to, instead of one that is started on the data folder
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// The nats-server to run on the data folder [default: the first on the PATH, or the one `make` installed]
    #[arg(long, value_name = "FILE", env = "EVENTRUNNER_NATS_SERVER")]
    nats_server: Option<PathBuf>,
    /// Take streams away that are there already; what is stored stays
    #[arg(long)]
    replace: bool,
    /// Restore although the sealing key is lost: nobody's password, session and signing secret can be used any more
    #[arg(long)]
    without_sealing_key: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    backup: String,
}

/// Whether this is a backup of a fleet, and where: a folder with its manifest, as a path or as `file://`.
pub(crate) fn is_backup(from: &str) -> Option<PathBuf> {
    let path = PathBuf::from(from.strip_prefix("file://").unwrap_or(from));
    (!from.contains("://") || path.join(MANIFEST).is_file()).then_some(path)
}

pub(crate) async fn run(
    from: &Path,
    check: bool,
    args: FleetArgs,
    config: &ConfigArgs,
    output: Output,
) -> Result<()> {
    let began = Instant::now();
    let folder = Folder::at(from);
    let manifest = Manifest::read(&folder).await?;
    let flags = args.nats_url.clone().map(|url| ("nats.url", url));
    let loaded = config.load_with_origins(flags)?;
    let own_broker = loaded.origin("nats.url") == "default";
    let mut config = loaded.value;
    keys(&manifest, &config, &args)?;
    partitions(&manifest, &config)?;
    note("comparing the backup with its manifest");
    manifest.check(&folder).await?;
    if check {
        note("the backup is whole, and what is configured fits it");
        return output.one(&item(&Summary::of(&manifest))?);
    }
    let needs_broker = config.store.kind == StoreKind::Embedded || wants_streams(&args);
    let alone = match own_broker && needs_broker {
        true => Some(Alone::start(&mut config, args.nats_server.as_deref()).await?),
        false => None,
    };
    let restored = Work { manifest: &manifest, folder: &folder, config: &config, args: &args }.run().await;
    if let Some(alone) = alone {
        alone.stop().await;
    }
    restored?;
    output.one(&item(&Summary::of(&manifest).took(began.elapsed()))?)
}

fn wants_streams(args: &FleetArgs) -> bool {
    Part::Streams.is_in(&args.only) || Part::Catalog.is_in(&args.only)
}

/// That what is sealed can be opened afterwards.
fn keys(manifest: &Manifest, config: &Config, args: &FleetArgs) -> Result<()> {
    if args.without_sealing_key || !Part::Catalog.is_in(&args.only) || manifest.sealing_keys.is_empty() {
        return Ok(());
    }
    let needed = manifest.sealing_keys.join(", ");
    let hint = "put the file secret.key of the old data folder into the new one (mode 0600), or name it with\n\
        --set sealing.key_file=FILE; only if it is lost: --without-sealing-key";
    // Not made here: a new key would open nothing.
    if let Some(file) = config.sealing_key_file()?.filter(|file| !file.exists()) {
        let message = format!(
            "the backup's secrets are sealed by the key {needed}, and there is no {}",
            file.display()
        );
        return Err(Failure::config(message).hint(hint));
    }
    let sealer = config.sealer()?;
    match manifest.sealing_keys.iter().find(|id| !sealer.has(id)) {
        None => Ok(()),
        Some(id) => Err(Failure::config(format!(
            "the backup's secrets are sealed by the key {id}, which is not among the sealing keys configured"
        ))
        .hint(hint)),
    }
}

fn partitions(manifest: &Manifest, config: &Config) -> Result<()> {
    let (there, asked) = (manifest.partitions, config.topology.partitions);
    if there == asked {
        return Ok(());
    }
    Err(Failure::config(format!("the backup has {there} partitions and the configuration says {asked}"))
        .hint(format!(
            "set topology.partitions = {there}, here and for the fleet: --set topology.partitions={there}"
        )))
}

struct Work<'a> {
    manifest: &'a Manifest,
    folder: &'a Folder,
    config: &'a Config,
    args: &'a FleetArgs,
}

impl Work<'_> {
    async fn run(&self) -> Result<()> {
        if !wants_streams(self.args) {
            let progress = self.begin_stores()?;
            self.stores().await?;
            return end(progress.as_deref());
        }
        let bus = Bus::connect(&self.config.nats).await?;
        self.is_free(&bus).await?;
        let progress = self.begin_stores()?;
        let chosen = |part: &&StreamPart| part_of(&part.name).is_in(&self.args.only);
        let (last, first): (Vec<_>, Vec<_>) =
            self.manifest.streams.iter().filter(chosen).partition(|part| part.name == topology::RAW);
        for part in first {
            self.stream(&bus, part).await?;
        }
        self.stores().await?;
        for part in last {
            self.stream(&bus, part).await?;
        }
        if Part::Streams.is_in(&self.args.only) {
            // The consumers of the queues, and what was left out.
            services::make_streams(&bus, self.config).await?;
        }
        bus.close().await;
        end(progress.as_deref())
    }

    /// That nobody works on what is there.
    async fn is_free(&self, bus: &Bus) -> Result<()> {
        let streams = Api::new(bus).streams().await?;
        let members = format!("KV_{}", topology::MEMBERS);
        let alive = streams.iter().any(|stream| stream.name() == members && stream.state.messages > 0);
        if alive {
            return Err(Failure::new(Code::CannotTake, "a fleet works on this broker")
                .hint("stop its services first; an announcement lapses after half a minute"));
        }
        let (id, parts) = (self.manifest.id.as_str(), &self.manifest.streams);
        let of_backup =
            |name: &str| parts.iter().any(|part| part.name == name && part_of(name).is_in(&self.args.only));
        let in_the_way = streams
            .iter()
            .find(|stream| of_backup(stream.name()) && stream.restored_from() != Some(id))
            .filter(|_| !self.args.replace);
        match in_the_way {
            None => Ok(()),
            Some(stream) => Err(Failure::new(
                Code::CannotTake,
                format!(
                    "the broker holds a stream {} already, with {} messages",
                    stream.name(),
                    stream.state.messages
                ),
            )
            .hint("restore to an empty one; --replace takes away what is there")),
        }
    }

    async fn stream(&self, bus: &Bus, part: &StreamPart) -> Result<()> {
        let (api, name) = (Api::new(bus), &part.name);
        match api.stream(name).await? {
            Some(there) if !self.args.replace && there.restored_from() == Some(self.manifest.id.as_str()) => {
                note(&format!("{name}: is restored already"));
                return Ok(());
            }
            Some(_) => api.delete_stream(name).await?,
            None => {}
        }
        let state = api.restore(part, self.config.topology.replicas, &self.manifest.id, self.folder).await?;
        note(&format!("{name}: {} messages up to sequence {}", state.messages, state.last_seq));
        Ok(())
    }

    async fn stores(&self) -> Result<()> {
        let parts = self.stored();
        if parts.is_empty() {
            return Ok(());
        }
        // `eventrunner migrate` would make the streams as well.
        stores::migrate(self.config, Mode::Apply).await?;
        let open = archive::open(self.config).await?;
        let written = self.write(&open, &parts).await;
        open.close().await;
        written
    }

    /// What was stored, as far as it was chosen.
    fn stored(&self) -> Vec<&StoredPart> {
        let chosen = |part: &&StoredPart| match part.kind {
            Stored::Events => Part::Events.is_in(&self.args.only),
            Stored::Usage => Part::Usage.is_in(&self.args.only),
        };
        self.manifest.stored.iter().filter(chosen).collect()
    }

    /// That the embedded store is empty, or was begun by this restore. External ones take what is there already as it is. Gives the file
    /// that says so until the restore has come to its end.
    fn begin_stores(&self) -> Result<Option<PathBuf>> {
        if self.config.store.kind == StoreKind::External || self.stored().is_empty() {
            return Ok(None);
        }
        let (store, path) = (self.config.store_folder()?, self.config.data_dir()?.join(PROGRESS));
        let begun = progress::read::<Progress>(&path)?.is_some_and(|known| known.backup == self.manifest.id);
        let is_empty = fs::read_dir(&store).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty && !begun && !self.args.replace {
            let message = format!("there is a store already: {}", store.display());
            return Err(Failure::new(Code::CannotTake, message)
                .hint("choose an empty folder with --data-dir; with --replace what it holds stays and the backup's is added"));
        }
        progress::write(&path, &Progress { backup: self.manifest.id.clone() })?;
        Ok(Some(path))
    }

    async fn write(&self, stores: &OpenStores, parts: &[&StoredPart]) -> Result<()> {
        let ports = stores.stores();
        let loader = Loader::new(&ports);
        for part in parts {
            let path = self.folder.path().join(&part.file.file);
            let mut lines = Lines::open(&path)?;
            let mut records = 0;
            loop {
                let chunk = tokio::task::block_in_place(|| lines.next_chunk())?;
                if chunk.is_empty() {
                    break;
                }
                records += u64::try_from(chunk.len()).unwrap_or_default();
                let tenant = &part.tenant;
                match part.kind {
                    Stored::Events => {
                        let events = chunk.iter().map(|line| format::read_event(tenant, line));
                        loader.events(events.collect::<Result<_>>()?).await?;
                    }
                    Stored::Usage => {
                        let used = chunk.iter().map(|line| format::read_usage(tenant, line));
                        loader.usage(used.collect::<Result<_>>()?).await?;
                    }
                }
            }
            if records != part.records {
                return Err(Failure::data(format!(
                    "{} has {records} lines and not {}",
                    path.display(),
                    part.records
                )));
            }
            note(&format!("{}: {records} of {}", part.file.file, part.tenant));
        }
        Ok(())
    }
}

/// Nothing is under way any more.
fn end(progress: Option<&Path>) -> Result<()> {
    progress
        .map_or(Ok(()), |path| fs::remove_file(path).map_err(|e| Failure::file("cannot remove", path, &e)))
}

/// Lines of a compressed file.
struct Lines {
    reader: BufReader<zstd::Decoder<'static, BufReader<fs::File>>>,
    path: PathBuf,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Failure::file("cannot read", path, &e);
        let decoder = zstd::Decoder::new(fs::File::open(path).map_err(failed)?).map_err(failed)?;
        Ok(Self { reader: BufReader::new(decoder), path: path.to_owned() })
    }

    /// The next of them; none at the end.
    fn next_chunk(&mut self) -> Result<Vec<String>> {
        let failed = |e: std::io::Error| Failure::file("cannot read", &self.path, &e);
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < LINES && bytes < LINE_BYTES_MAX {
            let mut line = String::new();
            let read = (&mut self.reader).take(LINE_BYTES_MAX).read_line(&mut line).map_err(failed)?;
            if read == 0 {
                break;
            }
            bytes += u64::try_from(read).unwrap_or_default();
            line.truncate(line.trim_end().len());
            chunk.push(line);
        }
        Ok(chunk)
    }
}
