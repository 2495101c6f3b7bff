//! `eventrunner sources`.

use std::{
    fs,
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use catalog::{EntryKey, Kind, Sealer};
use clap::{Args, ValueEnum};
use model::{
    Clock as _, SystemClock,
    resource::{HmacAlgorithm, Meta, SignatureEncoding, SignatureScheme, Source, Verification},
};
use secrecy::SecretString;

use super::{CommonArgs, Opened, Verb, delete, event_types::read_json, get, id, list, write};
use crate::{
    context::ConnectArgs,
    exit::{Failure, Result},
    output::{Output, note},
};

/// Sources: the doors of a system, with their mapping and how the provider proves who it is
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner sources create github --system shop --preset github --secret-file webhook.secret
  eventrunner sources create till --system shop --mapping till.mapping.json
  eventrunner sources create crm --system shop --scheme hmac --header x-crm-signature --secret-file -
The provider then posts to <ingest-http>/v1/sources/<tenant>.<source>.")]
pub(crate) struct Sources {
    #[command(subcommand)]
    verb: Verb<Create>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Its id
    id: String,
    /// The system it is a door of
    #[arg(long)]
    system: String,
    /// For people
    #[arg(long, default_value = "")]
    name: String,
    #[command(flatten)]
    common: CommonArgs,
    /// A provider whose mapping and signature scheme fill in what is not given: github, stripe, slack, shopify, ...
    #[arg(long)]
    preset: Option<String>,
    /// File with the mapping, JSON
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Header kept with a raw event besides those its mapping reads; repeatable
    #[arg(long = "keep-header", value_name = "NAME")]
    keep_headers: Vec<String>,
    /// Write over the one there is; its secrets too
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    verification: VerificationArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// How the provider proves who it is. Without a scheme an API key is needed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Verification")]
struct VerificationArgs {
    /// Signature scheme [default: the preset's, where a secret is given]
    #[arg(long, value_enum)]
    scheme: Option<Scheme>,
    /// Header of the signature or token, for hmac and token
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// What stands before the signature, for hmac, such as sha256=
    #[arg(long, default_value = "")]
    prefix: String,
    /// Digest, for hmac
    #[arg(long, value_enum, default_value = "sha256")]
    algorithm: Algorithm,
    /// How the signature is written, for hmac
    #[arg(long, value_enum, default_value = "hex")]
    encoding: Encoding,
    /// Signing secret; repeatable, for rotation. It stays in the shell's history: rather use --secret-file
    #[arg(long = "secret", value_name = "SECRET", env = "EVENTRUNNER_SOURCE_SECRET", hide_env_values = true)]
    secrets: Vec<String>,
    /// File with a signing secret, or - for stdin; repeatable
    #[arg(long = "secret-file", value_name = "FILE")]
    secret_files: Vec<PathBuf>,
    /// Oldest accepted signature where the scheme signs a time, in seconds [default: 300]
    #[arg(long, value_name = "SECONDS")]
    tolerance: Option<u32>,
    /// File with the key that seals secrets in the catalog [default: secret.key in the data folder]
    #[arg(long, value_name = "FILE", env = "EVENTRUNNER_SEALING_KEY_FILE")]
    sealing_key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scheme {
    Github,
    Stripe,
    Slack,
    Shopify,
    StandardWebhooks,
    Hmac,
    Token,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    Sha256,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Hex,
    Base64,
}

pub(crate) async fn run(Sources { verb }: Sources, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::List(args) => list::<Source>(args, output).await,
        Verb::Get(args) => get::<Source>(args, output).await,
        Verb::Delete(args) => delete::<Source>(args).await,
    }
}

async fn create(args: Create, output: Output) -> Result<()> {
    let (source_id, system) = (id(&args.id)?, id(&args.system)?);
    let mapping = args.mapping.map(|path| read_json(&path)).transpose()?;
    let secrets = args.verification.read_secrets()?;
    let scheme = args.verification.scheme(args.preset.as_deref(), !secrets.is_empty())?;
    let opened = Opened::open(&args.connect).await?;
    let mut source = Source {
        tenant: opened.context.tenant()?,
        system,
        id: source_id,
        name: args.name,
        preset: args.preset,
        mapping,
        verification: None,
        keep_headers: args.keep_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
        meta: args.common.meta(Meta::created(SystemClock.now())),
    };
    if let Some(scheme) = scheme {
        let key_file = args.verification.sealing_key.as_ref().unwrap_or(&opened.context.sealing_key_file);
        source.verification = Some(Verification {
            scheme,
            sealed_secrets: seal(&source, key_file, &secrets)?,
            tolerance_seconds: args.verification.tolerance,
        });
    }
    write(&opened, &source, args.replace, output).await?;
    let verified = if source.verification.is_some() { "" } else { ", with an API key of the tenant" };
    note(&format!("post to {}/v1/sources/{}.{}{verified}", opened.context.url, source.tenant, source.id));
    opened.close().await;
    Ok(())
}

/// Seals for this source's entry. The key must be the one the doors have: none is made here.
fn seal(source: &Source, key_file: &Path, secrets: &[SecretString]) -> Result<Vec<String>> {
    if !key_file.exists() {
        return Err(Failure::config(format!("there is no sealing key at {}", key_file.display())).hint(
            "name the file the doors read their key from: --sealing-key or EVENTRUNNER_SEALING_KEY_FILE",
        ));
    }
    let failed = |e: catalog::SealError| Failure::config(e.to_string());
    let sealer = Sealer::load_or_create(key_file).map_err(failed)?;
    let context = EntryKey::new(Kind::Source, &source.tenant, source.id.as_str()).to_string();
    secrets.iter().map(|secret| sealer.seal(&context, secret).map_err(failed)).collect()
}

impl VerificationArgs {
    fn read_secrets(&self) -> Result<Vec<SecretString>> {
        let mut secrets: Vec<String> = self.secrets.clone();
        for path in &self.secret_files {
            let text = if path.as_os_str() == "-" {
                read_stdin()?
            } else {
                fs::read_to_string(path).map_err(|e| Failure::file("cannot read", path, &e))?
            };
            // The line's end is the editor's, not the secret's.
            secrets.push(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        if secrets.iter().any(String::is_empty) {
            return Err(Failure::usage("a signing secret must not be empty"));
        }
        Ok(secrets.into_iter().map(SecretString::from).collect())
    }

    /// The scheme of the command line, or the preset's.
    fn scheme(&self, preset: Option<&str>, has_secrets: bool) -> Result<Option<SignatureScheme>> {
        let scheme =
            match self.scheme {
                Some(scheme) => Some(self.named(scheme)?),
                None if has_secrets => {
                    let preset = preset.and_then(mapping::preset);
                    let scheme = preset.map(|p| p.scheme.clone());
                    Some(scheme.ok_or_else(|| {
                        Failure::usage("a secret needs a --scheme, or a --preset that has one")
                    })?)
                }
                None => None,
            };
        if scheme.is_some() && !has_secrets {
            return Err(Failure::usage("a --scheme needs a --secret or --secret-file"));
        }
        Ok(scheme)
    }

    fn named(&self, scheme: Scheme) -> Result<SignatureScheme> {
        let header = || {
            let header = self.header.as_ref().map(|name| name.to_ascii_lowercase());
            header.ok_or_else(|| Failure::usage("this scheme needs the --header that carries the signature"))
        };
        Ok(match scheme {
            Scheme::Github => SignatureScheme::Github,
            Scheme::Stripe => SignatureScheme::Stripe,
            Scheme::Slack => SignatureScheme::Slack,
            Scheme::Shopify => SignatureScheme::Shopify,
            Scheme::StandardWebhooks => SignatureScheme::StandardWebhooks,
            Scheme::Token => SignatureScheme::Token { header: header()? },
            Scheme::Hmac => SignatureScheme::Hmac {
                header: header()?,
                algorithm: match self.algorithm {
                    Algorithm::Sha256 => HmacAlgorithm::Sha256,
                    Algorithm::Sha512 => HmacAlgorithm::Sha512,
                },
                encoding: match self.encoding {
                    Encoding::Hex => SignatureEncoding::Hex,
                    Encoding::Base64 => SignatureEncoding::Base64,
                },
                prefix: self.prefix.clone(),
            },
        })
    }
}

fn read_stdin() -> Result<String> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        note("signing secret (ends with Ctrl-D):");
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).map_err(|e| Failure::failed(format!("cannot read stdin: {e}")))?;
    Ok(text)
}
