//! What `up` is about to do, with everything checked that can be checked before anything starts.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bus::accounts::Operator;
use futures::future::join_all;
use model::Durability;
use runtime::{config::Loaded, telemetry::LogOptions};

use super::{
    PortArgs, Up,
    broker::{self, Cluster, Leftover, Program, Settings},
    folder::Folder,
    operator,
    ports::{self, Held, Port},
    processes::{self, Child, Member, Replicas, Roster, roster},
    room,
    supervise::{News, Supervisor},
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
    pub(super) broker: Option<Nodes>,
    /// None: every service runs in this process.
    pub(super) processes: Option<processes::Plan>,
    /// Whether the streams had to be made smaller than configured.
    pub(super) lowered: bool,
    /// Ports of others, where any would do.
    held: Vec<Held>,
    leftovers: Vec<Leftover>,
}

/// A broker of our own.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) program: Program,
    pub(super) nodes: Vec<Settings>,
}

impl Plan {
    pub(super) fn make(args: &Up) -> Result<Self> {
        let loaded = args.config.load_with_origins(flags(args))?;
        let (secrets, given) = (loaded.secrets(), Given::new(&loaded));
        let mut config = loaded.value;
        let log = config.log.clone();
        if !args.verbose && config.log.filter == LogOptions::default().filter {
            QUIET.clone_into(&mut config.log.filter);
        }
        let folder = Folder::take(&config.data_dir()?)?;
        if let Some(warning) = folder.warning() {
            note(&warning);
        }
        config.data_dir = Some(folder.path().to_owned());
        let own_broker = args.broker.nats_url.is_none();
        let nodes = if own_broker { nodes(args, &folder)? } else { 0 };
        given.fit_to(nodes, &mut config)?;
        let program = own_broker.then(|| broker::find(args.broker.nats_server.as_deref())).transpose()?;
        let replicas = Replicas::new(&args.processes.replicas)?;
        let mut processes = args
            .processes
            .processes
            .then(|| processes::Plan::new(&config, &replicas, secrets, log))
            .transpose()?;
        // They will be stopped, so their ports are ours.
        let leftovers = roster::leftovers(folder.path());
        let mut places = Places::new(&args.ports, nodes);
        let children = processes.as_mut().map(|plan| plan.children.as_mut_slice());
        let held = places.check(&mut config, children, &leftovers)?;
        let mut plan = Self { config, folder, broker: None, processes, lowered: false, held, leftovers };
        if let Some(program) = program {
            let operator = plan.log_in()?;
            plan.plan_broker(program, &places, &operator)?;
        }
        if let Some(processes) = &mut plan.processes {
            processes.take_addresses(&mut plan.config);
        }
        Ok(plan)
    }

    /// A broker of our own knows nobody but its folder's operator, so whatever else is configured to log in with is not for it.
    fn log_in(&mut self) -> Result<Arc<Operator>> {
        let (operator, files) = operator::of_folder(self.folder.path())?;
        let nats = &mut self.config.nats;
        *nats = bus::Options {
            credentials_file: Some(files.fleet_credentials),
            request_timeout_ms: nats.request_timeout_ms,
            unacknowledged_max: nats.unacknowledged_max,
            ..bus::Options::default()
        };
        self.config.accounts.operator_seed = files.seed;
        if let Some(processes) = &mut self.processes {
            const SEED: &str = "accounts.operator_seed";
            processes.secrets.retain(|(key, _)| !key.starts_with("nats.") && key != SEED);
            processes.secrets.push((SEED.to_owned(), format!("file:{}", files.seed_file.display())));
        }
        Ok(Arc::new(operator))
    }

    fn plan_broker(&mut self, program: Program, places: &Places, operator: &Arc<Operator>) -> Result<()> {
        let durability = self.config.topology.durability;
        let routes: Vec<_> = places.nodes.iter().map(|node| node.meet).collect();
        let mut nodes = Vec::new();
        let mut held_bytes = 0;
        for (node, place) in (1..).zip(&places.nodes) {
            let folder = self.folder.subfolder(&Settings::folder_name(node))?;
            held_bytes += room::size_of(&folder.join("jetstream"));
            let cluster = (routes.len() > 1).then(|| Cluster { listen: place.meet, routes: routes.clone() });
            let (listen, monitor) = (place.listen, place.monitor);
            let operator = Arc::clone(operator);
            nodes.push(Settings { node, folder, listen, monitor, durability, operator, cluster });
        }
        let urls: Vec<_> = places.nodes.iter().map(|node| format!("nats://{}", node.listen)).collect();
        self.config.nats.url = urls.join(",");
        self.config.broker.monitor_url = places.nodes.first().map(|node| format!("http://{}", node.monitor));
        // Each node has a copy of everything.
        let copies = u64::try_from(nodes.len()).unwrap_or(1).max(1);
        let available = self.folder.free_bytes() + held_bytes;
        self.lowered = room::fit(&mut self.config.topology, available / copies);
        self.broker = Some(Nodes { program, nodes });
        Ok(())
    }

    /// The list of processes, before any runs.
    pub(super) fn roster(&self) -> Arc<Roster> {
        let data_dir = self.folder.path();
        let nodes = self.broker.iter().flat_map(|broker| &broker.nodes).map(|node| Member {
            name: node.name(),
            service: "nats-server".to_owned(),
            replica: node.node,
            pid: None,
            address: Some(node.listen.to_string()),
            admin_url: format!("http://{}", node.monitor),
            log: node.log_file(),
            restarts: 0,
        });
        let children = self.processes.iter().flat_map(|plan| &plan.children);
        let members = nodes.chain(children.map(|child| processes::member(child, data_dir)));
        Arc::new(Roster::new(data_dir, members.collect()))
    }

    /// Stops what a killed `up` left behind, and starts our broker.
    pub(super) async fn start_broker(&mut self, roster: &Arc<Roster>) -> Result<Brokers> {
        // Services first: they may still have work to finish.
        for leftover in &self.leftovers {
            leftover.stop().await?;
        }
        let Some(broker) = &self.broker else { return Ok(Brokers(Vec::new())) };
        self.held.retain(|port| !port.name.starts_with("nats"));
        let start = |node: &Settings| {
            let (name, roster) = (node.name(), Arc::clone(roster));
            let tell = move |news| match news {
                News::Started(pid) => roster.started(&name, pid),
                News::Ended => roster.ended(&name),
                News::Ready | News::NotReady(_) => {}
            };
            broker::start(&broker.program, node, Arc::new(tell))
        };
        broker.nodes.iter().map(start).collect::<Result<_>>().map(Brokers)
    }

    /// The ports of services, which each must give free just before it starts.
    pub(super) fn take_held(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.held)
    }
}

/// The running nodes of our broker; none if it is somebody else's.
#[derive(Debug)]
pub(super) struct Brokers(Vec<Supervisor>);

impl Brokers {
    /// Waits until all take work. Gives their process ids.
    pub(super) async fn ready(&mut self) -> Result<Vec<u32>> {
        let mut pids = Vec::new();
        for node in &mut self.0 {
            pids.push(node.ready().await?);
        }
        Ok(pids)
    }

    /// Flushes and ends them; Ctrl-C on the way kills them.
    pub(super) async fn stop(self) {
        let hurry = async || drop(tokio::signal::ctrl_c().await);
        join_all(self.0.into_iter().map(|node| node.stop(hurry()))).await;
    }
}

/// How many nodes the broker is to have.
fn nodes(args: &Up, folder: &Folder) -> Result<u32> {
    let (asked, there) = (args.broker.nats_nodes.map(u32::from), Settings::nodes_of(folder.path()));
    match (asked, there) {
        (Some(asked), Some(there)) if asked != there => Err(Failure::config(format!(
            "the broker in {} has {there} nodes and cannot get {asked} with its streams",
            folder.path().display()
        ))
        .hint(format!("give --nats-nodes {there}, or another folder with --data-dir"))),
        (asked, there) => Ok(asked.or(there).unwrap_or(1)),
    }
}

/// Which of the values that depend on the broker's nodes somebody has set.
struct Given {
    copies: bool,
}

impl Given {
    fn new(loaded: &Loaded<Config>) -> Self {
        Self { copies: loaded.origin("topology.replicas") != "default" }
    }

    /// On three nodes each stream has three copies unless somebody wants fewer.
    fn fit_to(&self, nodes: u32, config: &mut Config) -> Result<()> {
        let topology = &mut config.topology;
        if nodes == 3 && !self.copies {
            topology.replicas = 3;
        }
        if nodes == 1 && (topology.durability == Durability::Replicated || topology.replicas > 1) {
            return Err(Failure::config(
                "this broker has one node: durability is disk or process, with one copy",
            )
            .hint("for three: --nats-nodes 3"));
        }
        Ok(())
    }
}

/// Where a node of the broker is reached.
#[derive(Debug, Clone, Copy)]
struct NodePlace {
    listen: SocketAddr,
    monitor: SocketAddr,
    /// Where it meets the other nodes.
    meet: SocketAddr,
}

/// The ports that are not the configuration's.
struct Places {
    nodes: Vec<NodePlace>,
    /// The next one of a row that was asked for.
    row: Option<u16>,
}

/// Ports of a fleet in one process; those of further nodes and processes follow.
const ROW: u16 = 6;
const ADMIN: u16 = 9600;

impl Places {
    fn new(ports: &PortArgs, nodes: u32) -> Self {
        let row = ports.port_base.map(|base| if base == 0 { 0 } else { base.saturating_add(ROW) });
        let mut places = Self { nodes: Vec::new(), row };
        let (listen, monitor) =
            (ports.port(4, ports.nats_port, 4222), ports.port(5, ports.nats_monitor_port, 8222));
        for node in 0..u16::try_from(nodes).unwrap_or(1) {
            let (listen, monitor) = if node == 0 {
                (local(listen), local(monitor))
            } else {
                (places.next(4222 + node), places.next(8222 + node))
            };
            let meet = if nodes > 1 { places.next(6222 + node) } else { local(0) };
            places.nodes.push(NodePlace { listen, monitor, meet });
        }
        places
    }

    /// The next of the row, if there is one.
    fn next(&mut self, usual: u16) -> SocketAddr {
        local(match &mut self.row {
            None => usual,
            Some(0) => 0,
            Some(row) => {
                let port = *row;
                *row = row.saturating_add(1);
                port
            }
        })
    }

    /// Tries all ports, and chooses those that may be any.
    fn check(
        &mut self,
        config: &mut Config,
        mut children: Option<&mut [Child]>,
        leftovers: &[Leftover],
    ) -> Result<Vec<Held>> {
        let may_move = self.row.is_none();
        for (index, child) in (1..).zip(children.iter_mut().flat_map(|children| children.iter_mut())) {
            child.admin = self.next(ADMIN + index);
        }
        let mut ports = Vec::new();
        let nodes = self.nodes.len();
        for (number, node) in (1..).zip(&mut self.nodes) {
            let mut port = |what: &str, address, flag| {
                let name = if number == 1 { what.to_owned() } else { format!("{what}-{number}") };
                // Its clients must find it where it was when it is started again.
                ports.push(Port { name, address, fixed: true, may_move: may_move && flag == BASE, flag });
            };
            let (listen, monitor) =
                if number == 1 { ("--nats-port", "--nats-monitor-port") } else { (BASE, BASE) };
            port("nats-server", &mut node.listen, listen);
            port("nats monitoring", &mut node.monitor, monitor);
            if nodes > 1 {
                port("nats cluster", &mut node.meet, BASE);
            }
        }
        let mut port = |name: &str, address, flag, fixed, may_move| {
            ports.push(Port { name: name.to_owned(), address, fixed, may_move, flag });
        };
        port("admin", &mut config.admin.http.listen, "--admin-port", false, false);
        match children {
            None => {
                port("ingest-http", &mut config.ingest_http.server.listen, "--http-port", false, false);
                port("api", &mut config.api.http.listen, "--api-port", false, false);
                port("ingest-grpc", &mut config.ingest_grpc.server.listen, "--grpc-port", false, false);
            }
            Some(children) => {
                for child in children {
                    let (name, flag) = (child.name(), child.port_flag());
                    if let Some(listen) = &mut child.listen {
                        port(&name, listen, flag, true, false);
                    }
                    port(&name, &mut child.admin, BASE, true, may_move);
                }
            }
        }
        let pids: Vec<u32> = leftovers.iter().map(|leftover| leftover.pid).collect();
        ports::check(&mut ports, &pids)
    }
}

/// What moves the ports that have no flag of their own.
const BASE: &str = "--port-base";

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
    let stores = &args.stores;
    flags.extend(stores.stores.map(|kind| ("store.kind", kind.to_string())));
    flags.extend((!stores.cql.is_empty()).then(|| ("store.cql.nodes", format!("{:?}", stores.cql))));
    flags.extend(stores.clickhouse.clone().map(|url| ("store.clickhouse.url", url)));
    flags.extend(args.broker.nats_url.clone().map(|url| ("nats.url", url)));
    flags
}
