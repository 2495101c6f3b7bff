//! How a source's provider proves who it is, by flags. Without a scheme an API key is needed.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches as _, ValueEnum};
use model::resource::{HmacAlgorithm, SignatureEncoding, SignatureScheme};
use serde_json::{Map, Value, json};

use super::{Verb, flag};
use crate::exit::{Failure, Result};

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

pub(super) fn flags(command: Command) -> Command {
    VerificationArgs::augment_args(command)
}

pub(super) fn fill(verb: Verb, matches: &ArgMatches, members: &mut Map<String, Value>) -> Result<()> {
    let args = VerificationArgs::from_arg_matches(matches).map_err(|e| Failure::usage(e.to_string()))?;
    let secrets = args.read_secrets()?;
    let preset = members.get("preset").and_then(Value::as_str).map(ToOwned::to_owned);
    // A file may have what the flags leave out, and so may what is there.
    let knows_more = verb == Verb::Patch || members.contains_key("verification");
    let scheme = args.scheme(preset.as_deref(), !secrets.is_empty(), knows_more)?;
    if let Some(scheme) = scheme {
        let scheme = serde_json::to_value(&scheme)
            .map_err(|e| Failure::failed(format!("the scheme cannot be shown as JSON: {e}")))?;
        flag::put(members, "/verification/scheme", scheme);
    }
    if !secrets.is_empty() {
        flag::put(members, "/verification/secrets", json!(secrets));
    }
    if let Some(tolerance) = args.tolerance {
        flag::put(members, "/verification/tolerance_seconds", tolerance.into());
    }
    Ok(())
}

impl VerificationArgs {
    fn read_secrets(&self) -> Result<Vec<String>> {
        let mut secrets: Vec<String> = self.secrets.clone();
        for path in &self.secret_files {
            // The line's end is the editor's, not the secret's.
            secrets.push(flag::read_text(path)?.trim_end_matches(['\r', '\n']).to_owned());
        }
        if secrets.iter().any(String::is_empty) {
            return Err(Failure::usage("a signing secret must not be empty"));
        }
        Ok(secrets)
    }

    /// The scheme of the command line, or the preset's.
    fn scheme(
        &self,
        preset: Option<&str>,
        has_secrets: bool,
        knows_more: bool,
    ) -> Result<Option<SignatureScheme>> {
        let scheme =
            match self.scheme {
                Some(scheme) => Some(self.named(scheme)?),
                None if has_secrets && !knows_more => {
                    let preset = preset.and_then(mapping::preset);
                    let scheme = preset.map(|p| p.scheme.clone());
                    Some(scheme.ok_or_else(|| {
                        Failure::usage("a secret needs a --scheme, or a --preset that has one")
                    })?)
                }
                None => None,
            };
        if scheme.is_some() && !has_secrets && !knows_more {
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
