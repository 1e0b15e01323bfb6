//! Arguments of `dr procedure`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use dr_runtime::Capability;

use super::ReportFormat;
use crate::procedures::scaffold::Language;

/// Arguments of `dr procedure`.
#[derive(Debug, Args)]
pub(crate) struct ProcedureCommandArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: ProcedureAction,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, global = true, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// What can be done with procedures.
#[derive(Debug, Subcommand)]
pub(crate) enum ProcedureAction {
    /// List the procedures that can be named: those that are built in and those of a directory
    List(LibraryArguments),
    /// Write a new project: a small procedure with the contract, a guest kit, and a scenario that it passes
    New(NewArguments),
    /// Show what a procedure is, needs and can be told, before it runs
    Inspect(SheetArguments),
    /// Write a procedure to a file, to look at it, change it or sign it
    Export(ExportArguments),
    /// Put the file of a procedure, and its signatures, into a directory of procedures, under the name and version that it gives itself
    Add(AddArguments),
    /// Make a pair of keys to sign procedures with
    Keygen(KeygenArguments),
    /// Sign the file of a procedure: its bytes, name, version, contract and capabilities
    Sign(SignArguments),
    /// Check that a trusted key signed a procedure; it is not even compiled
    Verify(VerifySignatureArguments),
    /// Send a procedure and its signatures to an OCI registry
    Push(PushArguments),
    /// Fetch a procedure and its signatures from an OCI registry into a directory of procedures
    Pull(PullArguments),
}

/// Arguments of `dr procedure new`.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// Name of the procedure: lower case, words joined by `-`
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Language that it is written in
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// Directory to make; one that exists is never written to [default: NAME in the working directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// Procedures by name.
#[derive(Debug, Clone, Args)]
pub(crate) struct LibraryArguments {
    /// Directory with procedures.toml and the files that it names
    #[arg(long, value_name = "DIR", env = "DR_PROCEDURE_DIRECTORY")]
    pub(crate) procedure_directory: Option<PathBuf>,
}

/// Keys that are trusted.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrustedKeyArguments {
    /// Public keys that are trusted: a file, or a directory of *.pub and *.pem; may be given several times. Keys in `trusted-keys` of the directory of procedures are trusted, too
    #[arg(long, value_name = "FILE|DIR", env = "DR_TRUST", value_delimiter = ':')]
    pub(crate) trust: Vec<PathBuf>,
}

/// Whose signatures count.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrustArguments {
    /// Keys.
    #[command(flatten)]
    pub(crate) keys: TrustedKeyArguments,
    /// Refuse a procedure that no trusted key signed, before it is compiled; those that are built in need no signature
    #[arg(long, env = "DR_REQUIRE_SIGNATURE", value_parser = BoolishValueParser::new())]
    pub(crate) require_signature: bool,
}

/// Where compiled procedures are kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct CacheArguments {
    /// Directory for compiled procedures, which is yours alone [default: pravega-dr in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", env = "DR_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// Compile the procedure anew, and keep nothing of it
    #[arg(long)]
    pub(crate) no_cache: bool,
}

/// Where a procedure comes from, and what it has to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct SupplyArguments {
    /// Procedures by name.
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
    /// Whose signatures count.
    #[command(flatten)]
    pub(crate) trust: TrustArguments,
    /// Compiled procedures.
    #[command(flatten)]
    pub(crate) cache: CacheArguments,
}

/// What the operator wrote down of procedures.
#[derive(Debug, Default, Args)]
pub(crate) struct PolicyArguments {
    /// What procedures may do, for what, and with which limits (docs/procedures.md)
    #[arg(long, value_name = "FILE", env = "DR_POLICY")]
    pub(crate) policy: Option<PathBuf>,
}

/// What the operator grants.
#[derive(Debug, Default, Args)]
pub(crate) struct GrantArguments {
    /// Policy.
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
    /// Let the procedure stage changes with this function of the contract, such as storage.move-aside; several are separated by commas. Procedures that are built in need none
    #[arg(long = "grant", value_name = "CAPABILITY,...", value_delimiter = ',', value_parser = Capability::parse)]
    pub(crate) capabilities: Vec<Capability>,
}

/// Arguments of `dr procedure inspect`.
#[derive(Debug, Args)]
pub(crate) struct SheetArguments {
    /// File of a component, or name with or without the beginning of a version
    #[arg(value_name = "FILE|NAME[@VERSION]")]
    pub(crate) procedure: String,
    /// Where it comes from.
    #[command(flatten)]
    pub(crate) supply: SupplyArguments,
    /// What is granted.
    #[command(flatten)]
    pub(crate) grants: GrantArguments,
}

/// Arguments of `dr procedure export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Name with or without the beginning of a version
    #[arg(value_name = "NAME[@VERSION]")]
    pub(crate) procedure: String,
    /// File to write; one that exists is never overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Procedures by name.
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
}

/// A directory into which procedures are put, and what they have to be.
#[derive(Debug, Args)]
pub(crate) struct PlaceArguments {
    /// Directory of procedures; made if it does not exist
    #[arg(long, value_name = "DIR", env = "DR_PROCEDURE_DIRECTORY")]
    pub(crate) procedure_directory: PathBuf,
    /// Whose signatures count.
    #[command(flatten)]
    pub(crate) trust: TrustArguments,
    /// Compiled procedures.
    #[command(flatten)]
    pub(crate) cache: CacheArguments,
}

/// Arguments of `dr procedure add`.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// File of a component
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where it is put.
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

/// How a registry is reached. Name and password come from DR_REGISTRY_USER and DR_REGISTRY_PASSWORD, or from what
/// `docker login` wrote down.
#[derive(Debug, Args)]
pub(crate) struct RegistryArguments {
    /// Do without TLS, although the registry is another machine; one on this machine is always reached so
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Certificates of the authorities that are trusted, in PEM, instead of the public ones
    #[arg(long, value_name = "FILE", env = "DR_REGISTRY_CERTIFICATES")]
    pub(crate) registry_certificates: Option<PathBuf>,
}

/// Arguments of `dr procedure push`.
#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// File of a component, or name with or without the beginning of a version
    #[arg(value_name = "FILE|NAME[@VERSION]")]
    pub(crate) procedure: String,
    /// Where to; without a tag, the version is one
    #[arg(value_name = "HOST[:PORT]/REPOSITORY[:TAG]")]
    pub(crate) reference: String,
    /// The registry.
    #[command(flatten)]
    pub(crate) registry: RegistryArguments,
    /// Where it comes from.
    #[command(flatten)]
    pub(crate) supply: SupplyArguments,
}

/// Arguments of `dr procedure pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// Where from
    #[arg(value_name = "HOST[:PORT]/REPOSITORY:TAG|@DIGEST")]
    pub(crate) reference: String,
    /// The registry.
    #[command(flatten)]
    pub(crate) registry: RegistryArguments,
    /// Where it is put.
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

/// Arguments of `dr procedure keygen`.
#[derive(Debug, Args)]
pub(crate) struct KeygenArguments {
    /// File for the private key; the public one gets `.pub` behind the name. Files that exist are never overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Arguments of `dr procedure sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    /// File of a component; signatures are added to the file with `.sig` behind its name
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Private key: ed25519 in PEM, a file that only its owner may read
    #[arg(long, value_name = "FILE", env = "DR_SIGNING_KEY")]
    pub(crate) key: PathBuf,
    /// Compiled procedures.
    #[command(flatten)]
    pub(crate) cache: CacheArguments,
}

/// Arguments of `dr procedure verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifySignatureArguments {
    /// File of a component, or name with or without the beginning of a version
    #[arg(value_name = "FILE|NAME[@VERSION]")]
    pub(crate) procedure: String,
    /// Procedures by name.
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
    /// Keys.
    #[command(flatten)]
    pub(crate) keys: TrustedKeyArguments,
}
