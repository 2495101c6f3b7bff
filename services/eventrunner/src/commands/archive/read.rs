//! From objects into the stores.

use std::io::{BufRead as _, BufReader};

use store::Stores;

use super::{
    Summary,
    format::{self, Kind, MANIFEST, Manifest, Object},
    places::Place,
};
use crate::{
    commands::copy::{Loader, bar},
    exit::{Code, Failure, Result},
};

/// The longest line: an event of the largest size, in base64 beside itself.
const LINE_BYTES_MAX: u64 = 64 << 20;

async fn manifest(place: &Place) -> Result<Manifest> {
    match place.get(MANIFEST).await {
        Err(failure) if failure.code == Code::NotFound => Err(Failure::new(
            Code::NotFound,
            format!("{} is no archive, or an unfinished one: it has no {MANIFEST}", place.name()),
        )),
        read => Manifest::read(&read?),
    }
}

/// Reads everything and compares it with the manifest.
pub(super) async fn check(place: &Place) -> Result<Summary> {
    let manifest = manifest(place).await?;
    let mut summary = Summary { tenant: manifest.tenant.clone(), events: 0, usage_records: 0 };
    for object in &manifest.objects {
        each_line(place, object, |_| Ok(())).await?;
        count(&mut summary, object);
    }
    Ok(summary)
}

/// Writes everything into the stores. An object that is not what was archived is not written, nor what comes after it.
pub(super) async fn restore(stores: &Stores, place: &Place) -> Result<Summary> {
    let manifest = manifest(place).await?;
    let tenant = &manifest.tenant;
    let mut summary = Summary { tenant: tenant.clone(), events: 0, usage_records: 0 };
    let loader = Loader::new(stores);
    let bar = bar();
    for object in &manifest.objects {
        match object.kind {
            Kind::Events => {
                let mut events = Vec::new();
                each_line(place, object, |line| {
                    events.push(format::read_event(tenant, line)?);
                    Ok(())
                })
                .await?;
                loader.events(events).await?;
            }
            Kind::Usage => {
                let mut records = Vec::new();
                each_line(place, object, |line| {
                    records.push(format::read_usage(tenant, line)?);
                    Ok(())
                })
                .await?;
                loader.usage(records).await?;
            }
        }
        count(&mut summary, object);
        bar.set_position(summary.events);
    }
    bar.finish_and_clear();
    Ok(summary)
}

fn count(summary: &mut Summary, object: &Object) {
    match object.kind {
        Kind::Events => summary.events += object.records,
        Kind::Usage => summary.usage_records += object.records,
    }
}

/// Each line of an object, which is checked before the first.
async fn each_line(place: &Place, object: &Object, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let stored = place.get(&object.name).await?;
    object.check(&stored)?;
    let wrong = |e: &dyn std::fmt::Display| Failure::data(format!("{} cannot be read: {e}", object.name));
    let mut reader = BufReader::new(zstd::Decoder::new(&stored[..]).map_err(|e| wrong(&e))?);
    let (mut line, mut records) = (String::new(), 0);
    loop {
        line.clear();
        let mut limited = std::io::Read::take(&mut reader, LINE_BYTES_MAX);
        if limited.read_line(&mut line).map_err(|e| wrong(&e))? == 0 {
            break;
        }
        each(line.trim_end())?;
        records += 1;
    }
    if records != object.records {
        return Err(wrong(&format!("it has {records} lines and not {}", object.records)));
    }
    Ok(())
}
