//! What `up` is about to do, with everything checked that can be checked before anything starts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use runtime::telemetry::LogOptions;

use super::{
    PortArgs, Up,
    broker::{self, Program, Settings, Supervisor},
    folder::Folder,
    ports::{self, Port},
    room,
};
use crate::{
    config::Config,
    exit::{Failure, Result},
    output::note,
};

/// What logs show when nobody asks for more: the start is told in words of its own.
const QUIET: &str = "warn,runtime::lifecycle=off,async_nats=off";

/// What is about to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) folder: Folder,
    /// None: a broker that somebody else runs.
    pub(super) broker: Option<(Program, Settings)>,
    /// Whether the streams had to be made smaller than configured.
    pub(super) lowered: bool,
    /// The broker's ports, where any would do.
    held: Vec<TcpListener>,
}

impl Plan {
    pub(super) fn make(args: &Up) -> Result<Self> {
        let mut config = args.config.load(flags(args))?;
        if !args.verbose && config.log.filter == LogOptions::default().filter {
            QUIET.clone_into(&mut config.log.filter);
        }
        if config.topology.durability == model::Durability::Replicated {
            return Err(Failure::config("`up` has one broker: durability is disk or process"));
        }
        let folder = Folder::take(&config.data_dir()?)?;
        if let Some(warning) = folder.warning() {
            note(&warning);
        }
        config.data_dir = Some(folder.path().to_owned());
        let own_broker = args.broker.nats_url.is_none();
        let program = own_broker.then(|| broker::find(args.broker.nats_server.as_deref())).transpose()?;
        let mut nats = local(args.ports.port(4, args.ports.nats_port, 4222));
        let mut monitor = local(args.ports.port(5, args.ports.nats_monitor_port, 8222));
        // It will be stopped, so its ports are ours.
        let leftover = own_broker.then(|| broker::find_leftover(&folder.path().join("nats"))).flatten();
        let held = check_ports(&mut config, own_broker.then_some((&mut nats, &mut monitor)), leftover)?;
        let Some(program) = program else {
            return Ok(Self { config, folder, broker: None, lowered: false, held });
        };
        config.nats.url = format!("nats://{nats}");
        config.broker.monitor_url = Some(format!("http://{monitor}"));
        let nats_folder = folder.subfolder("nats")?;
        let available = folder.free_bytes() + room::size_of(&nats_folder.join("jetstream"));
        let lowered = room::fit(&mut config.topology, available);
        let settings =
            Settings { folder: nats_folder, listen: nats, monitor, durability: config.topology.durability };
        Ok(Self { config, folder, broker: Some((program, settings)), lowered, held })
    }

    /// Stops the broker that a killed `up` left behind, and starts ours.
    pub(super) async fn start_broker(&mut self) -> Result<Option<Supervisor>> {
        let Some((program, settings)) = &self.broker else { return Ok(None) };
        if let Some(pid) = broker::find_leftover(&settings.folder) {
            note(&format!("stopping the nats-server that an earlier run left behind (process id {pid})"));
            broker::stop_leftover(pid, &settings.folder).await?;
        }
        self.held.clear();
        Ok(Some(Supervisor::start(program.clone(), settings.clone())))
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl PortArgs {
    /// The port of a flag, of the base, or the default one.
    fn port(&self, offset: u16, flag: Option<u16>, default: u16) -> u16 {
        flag.or_else(|| self.based(offset)).unwrap_or(default)
    }

    fn based(&self, offset: u16) -> Option<u16> {
        // 0 stays 0 for each: any free port.
        self.port_base.map(|base| if base == 0 { 0 } else { base.saturating_add(offset) })
    }
}

/// The flags as keys of the configuration.
fn flags(args: &Up) -> Vec<(&'static str, String)> {
    let ports = &args.ports;
    let listen = [
        ("ingest_http.server.listen", ports.http_port.or_else(|| ports.based(0))),
        ("api.http.listen", ports.api_port.or_else(|| ports.based(1))),
        ("ingest_grpc.server.listen", ports.grpc_port.or_else(|| ports.based(2))),
        ("admin.http.listen", ports.admin_port.or_else(|| ports.based(3))),
    ];
    let mut flags: Vec<_> =
        listen.into_iter().filter_map(|(key, port)| Some((key, local(port?).to_string()))).collect();
    flags.extend(args.durability.map(|durability| ("topology.durability", durability.to_string())));
    flags.extend(args.broker.nats_url.clone().map(|url| ("nats.url", url)));
    flags
}

fn check_ports(
    config: &mut Config,
    nats: Option<(&mut SocketAddr, &mut SocketAddr)>,
    leftover: Option<u32>,
) -> Result<Vec<TcpListener>> {
    let own = |name, address, flag| Port { name, address, fixed: false, flag };
    let mut ports = vec![
        own("ingest-http", &mut config.ingest_http.server.listen, "--http-port"),
        own("api", &mut config.api.http.listen, "--api-port"),
        own("ingest-grpc", &mut config.ingest_grpc.server.listen, "--grpc-port"),
        own("admin", &mut config.admin.http.listen, "--admin-port"),
    ];
    if let Some((nats, monitor)) = nats {
        // Its clients must find it where it was when it is started again.
        ports.push(Port { name: "nats-server", address: nats, fixed: true, flag: "--nats-port" });
        ports.push(Port {
            name: "nats monitoring",
            address: monitor,
            fixed: true,
            flag: "--nats-monitor-port",
        });
    }
    ports::check(&mut ports, leftover)
}
