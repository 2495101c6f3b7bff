//! `--replicas engine=3,normalizer=3`.

use crate::{
    commands::service::Service,
    exit::{Failure, Result},
};

/// The most processes of a service on one machine.
const MOST: u32 = 64;

/// How many processes of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replica {
    service: Service,
    count: u32,
}

impl std::str::FromStr for Replica {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, count) = text.split_once('=').ok_or("write it as SERVICE=N, such as engine=3")?;
        let service = Service::ALL.iter().copied().find(|service| service.name() == name);
        let service = service.ok_or_else(|| {
            let names: Vec<_> = Service::ALL.iter().map(|service| service.name()).collect();
            format!("{name:?} is no service: {}", names.join(", "))
        })?;
        let count = count.parse().ok().filter(|count| *count <= MOST);
        Ok(Self {
            service,
            count: count.ok_or_else(|| format!("{name} may have from 0 to {MOST} replicas"))?,
        })
    }
}

/// How many processes of each service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replicas(Vec<Replica>);

impl Replicas {
    pub(crate) fn new(given: &[Replica]) -> Result<Self> {
        for (index, replica) in given.iter().enumerate() {
            if given[..index].iter().any(|earlier| earlier.service == replica.service) {
                return Err(Failure::usage(format!("--replicas names {} twice", replica.service.name())));
            }
        }
        Ok(Self(given.to_vec()))
    }

    /// One, unless another number was given. Billing goes with the API, which works on the same stores.
    pub(crate) fn of(&self, service: Service) -> u32 {
        let given = self.0.iter().find(|replica| replica.service == service);
        let unless_given = || match service {
            Service::Billing => self.of(Service::Api).min(1),
            _ => 1,
        };
        given.map_or_else(unless_given, |replica| replica.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_unless_told_otherwise() {
        let given = ["engine=3", "api=0"].map(|text| text.parse().unwrap());
        let replicas = Replicas::new(&given).unwrap();
        let counts: Vec<u32> = Service::ALL.iter().map(|service| replicas.of(*service)).collect();
        assert_eq!(counts, [1, 1, 1, 3, 0, 0]);
        for (text, says) in [
            ("engine", "SERVICE=N"),
            ("motor=1", "ingest-http, ingest-grpc, normalizer, engine, api, billing"),
            ("engine=65", "0 to 64"),
            ("engine=-1", "0 to 64"),
        ] {
            let error = text.parse::<Replica>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let twice = ["engine=1", "engine=2"].map(|text| text.parse().unwrap());
        assert!(Replicas::new(&twice).unwrap_err().message.contains("engine twice"));
    }
}
