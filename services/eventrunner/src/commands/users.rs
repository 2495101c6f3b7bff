//! What only users have.

use ::catalog::Sealer;
use clap::{Arg, ArgMatches, Args as _, Command};
use secrecy::ExposeSecret as _;

use super::{
    catalog::Opened,
    resources::{Extra, connect},
};
use crate::{
    config::ConfigArgs,
    exit::{Code, Failure, Result},
    output::{note, print},
};

/// `users bootstrap`.
pub(crate) const BOOTSTRAP: Extra = Extra {
    name: "bootstrap",
    command: || {
        let about = "Make a superuser, or give one another one-time password, on the broker itself";
        let id = Arg::new("id").value_name("ID").default_value(api::FIRST_SUPERUSER).help("Its id");
        crate::context::ConnectArgs::augment_args(Command::new("bootstrap").about(about).arg(id))
    },
    run: |matches, _| Box::pin(bootstrap(matches)),
};

async fn bootstrap(matches: ArgMatches) -> Result<Code> {
    let id = matches.get_one::<String>("id").map(String::as_str).unwrap_or_default();
    let opened = Opened::open(&connect(&matches)?).await?;
    let sealer = sealer(&opened)?;
    let made = api::superuser(&opened.catalog, &sealer, id).await;
    let made = made.map_err(|e| Failure::failed(format!("no superuser could be made: {e}")))?;
    opened.close().await;
    note(&format!(
        "{} is a superuser. The one-time password is shown this once, and is good for setting another.",
        made.id
    ));
    print(made.one_time_password.expose_secret())?;
    Ok(Code::Done)
}

/// What seals as the fleet does: by its configuration, if there is any here, or by the file of the context.
fn sealer(opened: &Opened) -> Result<Sealer> {
    let config = ConfigArgs::default().load([])?;
    if config.sealing.key.is_set() || config.sealing.key_file.is_some() {
        return config.sealer();
    }
    Sealer::load_or_create(&opened.context.sealing_key_file).map_err(|e| Failure::config(e.to_string()))
}
