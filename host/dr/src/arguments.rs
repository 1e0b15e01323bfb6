//! What was typed. What it means is decided in [`crate::configuration`] and in the commands.

mod inspect;
mod procedure;
mod test;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use dr_engine::listing::CONTAINERS_MAX;
use dr_engine::verify::{Depth, Sample};

pub(crate) use self::inspect::{
    ChunkChainArguments, IndexArguments, InspectArguments, InspectKind, JournalArguments, JournalForm,
    LedgerMetadataArguments, LogArguments, ObjectArguments, SegmentArguments, TableArguments, ZNodeArguments,
    ZNodeForm,
};
pub(crate) use self::procedure::{
    AddArguments, CacheArguments, ExportArguments, GrantArguments, KeygenArguments, LibraryArguments, NewArguments,
    PlaceArguments, PolicyArguments, ProcedureAction, ProcedureCommandArguments, PullArguments, PushArguments,
    RegistryArguments, SheetArguments, SignArguments, SupplyArguments, TrustArguments, VerifySignatureArguments,
};
pub(crate) use self::test::TestArguments;
use crate::configuration::Overrides;

/// Most threads that work on containers.
const PARALLEL_MAX: i64 = 256;

const LONG_ABOUT: &str = "Brings a Pravega cluster back after its Tier-1 (bookies and ZooKeeper) was lost.

Reads what Tier-2 (long-term storage) holds, works out what the segment containers were, and writes a new Tier-1 \
from outside. An unmodified Pravega then boots on it. Nothing is ever deleted: what has to give way is moved aside, \
and every range of bytes that is lost is listed with its reason.";

const AFTER_HELP: &str = "Configuration comes from Pravega's own properties files (--config, several allowed, the \
later wins; segment store, controller and admin CLI, legacy names included), then from environment variables named \
after the property (DR_PRAVEGASERVICE_CONTAINER_COUNT for pravegaservice.container.count), then from flags.

Exit codes: 0 done and nothing lost; 1 failed; 2 wrong arguments or configuration; 3 refused, nothing was changed; \
4 done, but data is lost (or would be, in a dry run); 5 verification found problems, or a diagnosis a loss. See docs/exit-codes.md.";

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(name = "dr", version, about = "Brings a Pravega cluster back after its Tier-1 was lost", long_about = LONG_ABOUT, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Flags of all commands.
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of all commands.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    /// Diary on standard error: a level or a filter such as dr_engine=debug [default: $RUST_LOG, else error]
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log_level: Option<String>,
    /// Say more; twice: still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only results and errors, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at what is left of a cluster and say which loss this is and what to do; changes nothing
    Diagnose(DiagnoseArguments),
    /// List the segments that Tier-2 holds; changes nothing
    ListSegments(ListSegmentsArguments),
    /// Write a new Tier-1 from what Tier-2 holds, after showing what will change: plan, apply and verify in one
    Recover(RecoverArguments),
    /// Work out a recovery and keep it as a directory; changes nothing
    Plan(PlanArguments),
    /// Show a plan
    Show(ShowArguments),
    /// Show in what two plans differ
    Diff(DiffArguments),
    /// Carry out a plan, or carry on with one that was interrupted, and verify the result
    Apply(RunArguments),
    /// Take a plan back that was carried out, or begun; possible until a segment store boots on its result
    Rollback(RunArguments),
    /// Check and show the journal of a run: what was done, when, and what came of it; changes nothing
    Audit(AuditArguments),
    /// Read a recovered Tier-1 back as a segment store would and check it against Tier-2; changes nothing
    Verify(VerifyArguments),
    /// Write the whole events of a stream to a file, from Tier-2 alone; changes nothing
    ExportEvents(ExportEventsArguments),
    /// Read the disks of one stopped bookie and write down what they hold, without the data; changes nothing
    SurveyBookie(SurveyBookieArguments),
    /// Show what the bytes of an object, a log or a ZNode are, whole or damaged; changes nothing
    Inspect(InspectArguments),
    /// Run a procedure against the recording of a run and say where it does something else; needs no cluster
    Replay(ReplayArguments),
    /// Run a procedure in scenarios and say where it does something else than is expected there; needs no cluster
    Test(TestArguments),
    /// List, show, sign, distribute and register recovery procedures; none is run
    Procedure(ProcedureCommandArguments),
    /// Write what makes a shell complete the words of dr to standard output
    Completions(CompletionsArguments),
    /// Write manual pages, one for each command
    Man(ManArguments),
}

/// Tier-2 and what is told of the cluster.
#[derive(Debug, Args)]
pub(crate) struct SourceArguments {
    /// Root directory of Tier-2: what `filesystem.root` is for the segment stores
    #[arg(value_name = "ROOT")]
    pub(crate) root: PathBuf,
    /// Properties file of a segment store, the controller, or the admin CLI; may be given several times
    #[arg(short, long = "config", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Number of segment containers [property: pravegaservice.container.count; default: what the data tells]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONTAINERS_MAX)))]
    pub(crate) container_count: Option<u32>,
    /// Only these containers, such as 0-3,7 [default: all]
    #[arg(long, value_name = "LIST", value_parser = parse_containers)]
    pub(crate) containers: Option<ContainerSelection>,
    /// Containers worked on at the same time [default: number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=PARALLEL_MAX))]
    pub(crate) parallel: Option<u16>,
}

/// Where Tier-1 is.
#[derive(Debug, Args)]
pub(crate) struct Tier1Arguments {
    /// Tier-1 as a directory instead of servers: dir:PATH. For rehearsals, demonstrations and review
    #[arg(long, value_name = "dir:PATH", value_parser = parse_tier1, conflicts_with_all = ["zookeeper", "bookkeeper_zookeeper"])]
    pub(crate) tier1: Option<Tier1Directory>,
    /// Name of the cluster [property: pravegaservice.clusterName; default: the only one in ZooKeeper]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// ZooKeeper [property: pravegaservice.zk.connect.uri]
    #[arg(long, value_name = "HOST:PORT,...")]
    pub(crate) zookeeper: Option<String>,
    /// ZooKeeper of the bookies, if it is another one [property: bookkeeper.zk.connect.uri]
    #[arg(long, value_name = "HOST:PORT,...")]
    pub(crate) bookkeeper_zookeeper: Option<String>,
    /// ZNode of the ledgers' metadata [property: bookkeeper.ledger.path; default: /pravega/<cluster>/bookkeeper/ledgers]
    #[arg(long, value_name = "PATH")]
    pub(crate) ledgers_path: Option<String>,
}

/// What bookies that still have their disks left.
#[derive(Debug, Args)]
pub(crate) struct BookieDisksArguments {
    /// Directories of one stopped bookie, or copies of them: those of its journals, ledgers and indexes, joined by commas, or one that holds them all. Once for each bookie. For a cluster that lost ZooKeeper
    #[arg(long = "bookie-disks", value_name = "DIR[,DIR...]", value_parser = parse_bookie_disks)]
    pub(crate) bookie_disks: Vec<BookieDisks>,
    /// Files that `dr survey-bookie` wrote, one for each bookie that is still stopped, instead of its disks. The recovery then takes two steps: ledgers and bookies first; and when the bookies run, the same command restores the logs
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) bookie_surveys: Vec<PathBuf>,
    /// Bookies whose disks are lost, by the ids that they had, as in their configuration (mostly HOST:PORT). They are named as holders of the ledgers that they had a part in, so that BookKeeper's autorecovery makes the copies anew on others
    #[arg(long, value_name = "ID[,ID...]", value_delimiter = ',', value_parser = parse_bookie_id)]
    pub(crate) lost_bookies: Vec<String>,
}

/// The directories of one bookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BookieDisks(pub(crate) Vec<PathBuf>);

fn parse_bookie_id(text: &str) -> Result<String, String> {
    // The rule of class BookieId.
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_allowed) {
        return Err("ids of bookies, which hold letters, digits, `-`, `_`, `.` and `:`".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_bookie_disks(text: &str) -> Result<BookieDisks, String> {
    let directories: Vec<PathBuf> = text.split(',').map(PathBuf::from).collect();
    if directories.iter().any(|directory| directory.as_os_str().is_empty()) {
        return Err("directories joined by commas, without an empty one".to_owned());
    }
    Ok(BookieDisks(directories))
}

/// Arguments of `dr diagnose`.
#[derive(Debug, Args)]
pub(crate) struct DiagnoseArguments {
    /// Tier-2.
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Tier-1.
    #[command(flatten)]
    pub(crate) tier1: Tier1Arguments,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr list-segments`.
#[derive(Debug, Args)]
pub(crate) struct ListSegmentsArguments {
    /// Tier-2.
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) output: ListFormat,
    /// Also write one file segToContainer_<id> for each container (CSV: Sealed Status,Length,Segment Name). Existing files are never overwritten
    #[arg(long, value_name = "DIR")]
    pub(crate) group_by_container: Option<PathBuf>,
}

/// What plans a recovery.
#[derive(Debug, Args)]
pub(crate) struct ProcedureArguments {
    /// Setting of the procedure, such as tail=whole-events; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Recovery procedure to run: the file of a WebAssembly component, or a name with or without the beginning of a version, such as total-loss@0.1 [default: the built-in one for total loss; with --bookie-disks or --bookie-surveys that for a loss of ZooKeeper]
    #[arg(long, value_name = "FILE|NAME[@VERSION]")]
    pub(crate) procedure: Option<String>,
    /// Where it comes from.
    #[command(flatten)]
    pub(crate) supply: SupplyArguments,
    /// What is granted.
    #[command(flatten)]
    pub(crate) grants: GrantArguments,
    /// Where the calls of the procedure are written down.
    #[command(flatten)]
    pub(crate) recording: RecordingArguments,
}

/// Where the calls of the procedure, and what it was told, are written down.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RecordingArguments {
    /// Do not write the calls of the procedure, and what it was told, into the run's directory
    #[arg(long)]
    pub(crate) no_recording: bool,
    /// Write them to a new file, too, as plain text, for `dr replay` and `dr test`
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

/// What the operator takes upon himself.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ConsentArguments {
    /// Do not ask before changing anything, even if data is lost
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Carry out a plan that rests on damaged metadata. More can be lost than it lists, since nobody knows what the damaged bytes held. --yes alone is not enough for such a plan
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// Take over the lock of a dr whose machine is gone, or of a plan that is lost. Never while it may still run: two at once destroy each other's work
    #[arg(long)]
    pub(crate) break_lock: bool,
    /// Work although segment stores or controllers are running. They overwrite what is written here, and every byte they acknowledge meanwhile can be lost
    #[arg(long)]
    pub(crate) accept_live_cluster: bool,
}

/// Arguments of `dr recover`.
#[derive(Debug, Args)]
pub(crate) struct RecoverArguments {
    /// Tier-2.
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Tier-1.
    #[command(flatten)]
    pub(crate) tier1: Tier1Arguments,
    /// Bookies' disks.
    #[command(flatten)]
    pub(crate) disks: BookieDisksArguments,
    /// Stop after showing what would change; nothing is changed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Procedure.
    #[command(flatten)]
    pub(crate) procedure: ProcedureArguments,
    /// Directory for plan, log images and journal of this run, new or empty; one that holds a plan is carried on with [default: dr-run-<time>]
    #[arg(long, value_name = "DIR")]
    pub(crate) run_directory: Option<PathBuf>,
    /// Consent.
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
    /// How long servers and disks that fail are tried again before dr stops; it can be carried on with then
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub(crate) retry_for: u32,
    /// Before the first change, read all evidence once more. Without it, objects of which a local file system tells that nobody changed them since they were read are not read again
    #[arg(long)]
    pub(crate) reread_evidence: bool,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Tier-2.
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Tier-1.
    #[command(flatten)]
    pub(crate) tier1: Tier1Arguments,
    /// Bookies' disks.
    #[command(flatten)]
    pub(crate) disks: BookieDisksArguments,
    /// Procedure.
    #[command(flatten)]
    pub(crate) procedure: ProcedureArguments,
    /// Directory for plan and log images, new or empty
    #[arg(short = 'd', long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Plan although segment stores or controllers are running; the plan will not fit what they write meanwhile
    #[arg(long)]
    pub(crate) accept_live_cluster: bool,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Directory of the plan
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// Directory of one plan
    #[arg(value_name = "A")]
    pub(crate) first: PathBuf,
    /// Directory of another
    #[arg(value_name = "B")]
    pub(crate) second: PathBuf,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr apply` and `dr rollback`. Tier-2, Tier-1 and configuration are those that the plan was made with.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Directory of the plan
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Consent.
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
    /// How long servers and disks that fail are tried again before dr stops; it can be carried on with then
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub(crate) retry_for: u32,
    /// Containers worked on at the same time [default: number of processors, at least 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=PARALLEL_MAX))]
    pub(crate) parallel: Option<u16>,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// Directory of the plan
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Tier-2.
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    /// Tier-1.
    #[command(flatten)]
    pub(crate) tier1: Tier1Arguments,
    /// How much is read.
    #[command(flatten)]
    pub(crate) depth: DepthArguments,
    /// The running cluster.
    #[command(flatten)]
    pub(crate) online: OnlineArguments,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// The running cluster instead of its log.
#[derive(Debug, Args)]
pub(crate) struct OnlineArguments {
    /// Ask the running segment stores for the segments of the plan; with --read-data, read the streams through them and compare with Tier-2
    #[arg(long)]
    pub(crate) online: bool,
    /// Directory of the plan that the cluster was recovered by [default: the one that the record in Tier-2 names]
    #[arg(long, value_name = "DIR", requires = "online")]
    pub(crate) plan: Option<PathBuf>,
    /// Segment stores [default: those that are registered in ZooKeeper]
    #[arg(long, value_name = "HOST:PORT,...", requires = "online")]
    pub(crate) store: Option<String>,
    /// REST interface of a controller, to compare scopes and streams, too: http://HOST:PORT
    #[arg(long, value_name = "URL", requires = "online")]
    pub(crate) controller: Option<String>,
}

/// How much of Tier-2 is read.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DepthArguments {
    /// Read the objects of only so many of a hundred segments; the metadata are checked all the same [default: all]
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    pub(crate) sample: Option<f64>,
    /// Chooses the segments of a sample; the same number chooses the same ones
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sample")]
    pub(crate) seed: u64,
    /// Read every byte of every segment, not only tables and attribute indexes
    #[arg(long)]
    pub(crate) read_data: bool,
}

impl DepthArguments {
    /// For the engine.
    pub(crate) fn depth(self) -> Depth {
        let sample = self.sample.map(|percent| Sample { percent, seed: self.seed });
        Depth { sample, read_data: self.read_data }
    }
}

/// Arguments of `dr export-events`.
#[derive(Debug, Args)]
pub(crate) struct ExportEventsArguments {
    /// Root directory of Tier-2: what `filesystem.root` is for the segment stores
    #[arg(value_name = "ROOT")]
    pub(crate) root: PathBuf,
    /// Stream, number of a segment in it, or whole name of a segment such as alpha/orders/0.#epoch.0
    #[arg(value_name = "SCOPE/STREAM[/SEGMENT]")]
    pub(crate) stream: String,
    /// File for all segments one behind the other; or directory, existing or ending in `/`, for a file of each; `-` for standard output
    #[arg(short, long, value_name = "FILE|DIR", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Form of the events
    #[arg(long, value_enum, default_value_t = ExportFormat::LengthDelimited, conflicts_with = "bytes")]
    pub(crate) output_format: ExportFormat,
    /// Bytes as they are, for byte streams and whatever else holds no events
    #[arg(long)]
    pub(crate) bytes: bool,
    /// Transactions that are not known to be merged, too, behind the segments that they belong to
    #[arg(long)]
    pub(crate) transactions: bool,
    /// What lies behind a gap, too, if it begins with an event
    #[arg(long)]
    pub(crate) after_gaps: bool,
    /// Replace files that exist
    #[arg(long)]
    pub(crate) force: bool,
    /// Number of segment containers of the lost cluster [default: what the data tells]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONTAINERS_MAX)))]
    pub(crate) container_count: Option<u32>,
}

/// Arguments of `dr survey-bookie`.
#[derive(Debug, Args)]
pub(crate) struct SurveyBookieArguments {
    /// Directories of one stopped bookie, or of a copy: journals, ledgers, indexes, joined by commas; or one above them
    #[arg(value_name = "DIR[,DIR...]", required = true, value_delimiter = ',')]
    pub(crate) directories: Vec<PathBuf>,
    /// New file for the survey. It says the ledgers' master keys, so keep it as you keep the password
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Properties file of a segment store, for the password of its ledgers; may be given several times
    #[arg(short, long = "config", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
}

/// Arguments of `dr replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Directory of a plan, or the file of a recording
    #[arg(value_name = "DIR|RECORDING")]
    pub(crate) recording: PathBuf,
    /// Procedure to run: the file of a WebAssembly component, or a name with or without the beginning of a version [default: the built-in one that was recorded, else that for total loss]
    #[arg(value_name = "PROCEDURE")]
    pub(crate) procedure: Option<String>,
    /// Where it comes from.
    #[command(flatten)]
    pub(crate) supply: SupplyArguments,
    /// Policy, of which only the limits matter here.
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
    /// Form of the report; json is a stream of events, one a line
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

/// Arguments of `dr completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Arguments of `dr man`.
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Directory for the pages; made if it does not exist, pages of the same names are replaced
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

/// Forms of exported events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// The length of each event, 4 bytes, big-endian, and its bytes
    LengthDelimited,
    /// One JSON object a line
    JsonLines,
}

/// Forms of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For people
    Table,
    /// One event a line
    Json,
    /// One segment a line, with a header
    Csv,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// One event a line
    Json,
}

/// The containers that were chosen: sorted, without repetition, not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerSelection(Vec<u32>);

impl ContainerSelection {
    /// Their numbers.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.0
    }
}

/// The path of `dir:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tier1Directory(pub(crate) PathBuf);

impl Tier1Arguments {
    /// What is said in place of properties.
    pub(crate) fn overrides(&self, source: &SourceArguments) -> Overrides {
        Overrides {
            cluster_name: self.cluster.clone(),
            container_count: source.container_count,
            tier1_directory: self.tier1.as_ref().map(|directory| directory.0.clone()),
            zookeeper: self.zookeeper.clone(),
            bookkeeper_zookeeper: self.bookkeeper_zookeeper.clone(),
            ledgers_path: self.ledgers_path.clone(),
        }
    }
}

fn parse_containers(text: &str) -> Result<ContainerSelection, String> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (container_number(first, part)?, container_number(last, part)?);
        if first > last {
            return Err(format!("`{part}` ends before it begins"));
        }
        numbers.extend(first..=last);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(ContainerSelection(numbers))
}

fn container_number(text: &str, part: &str) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { text.parse::<u32>().ok() } else { None };
    number
        .filter(|&number| number < CONTAINERS_MAX)
        .ok_or_else(|| format!("`{part}` is neither a container number below {CONTAINERS_MAX} nor a range such as 0-3"))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| "a number from 0 to 100".to_owned())
}

fn parse_tier1(text: &str) -> Result<Tier1Directory, String> {
    match text.strip_prefix("dir:") {
        Some(path) if !path.is_empty() => Ok(Tier1Directory(PathBuf::from(path))),
        _ => Err("only dir:PATH is possible; for servers use --zookeeper HOST:PORT or --config FILE".to_owned()),
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("a setting is NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lists_of_containers() {
        for (text, expected) in
            [("0", vec![0]), ("0-3,7", vec![0, 1, 2, 3, 7]), ("7, 1-2,2", vec![1, 2, 7]), ("5-5", vec![5])]
        {
            assert_eq!(parse_containers(text).unwrap().numbers(), expected, "{text}");
        }
        for text in
            ["", ",", "1,", "a", "-1", "1-", "3-1", "1-2-3", "+1", "0-4294967295", "100000", "99999999999", "0x1"]
        {
            assert!(parse_containers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn percentages() {
        assert_eq!([parse_percent("0"), parse_percent("12.5%"), parse_percent("100")], [Ok(0.0), Ok(12.5), Ok(100.0)]);
        assert!(["", "-1", "101", "NaN", "ten", "1e3"].iter().all(|text| parse_percent(text).is_err()));
    }

    #[test]
    fn tier1_and_settings() {
        assert_eq!(parse_tier1("dir:/a:b").unwrap().0, PathBuf::from("/a:b"));
        assert!(parse_tier1("dir:").is_err() && parse_tier1("/a").is_err());
        assert_eq!(parse_setting("tail=a=b").unwrap(), ("tail".to_owned(), "a=b".to_owned()));
        assert!(parse_setting("tail").is_err() && parse_setting("=x").is_err());
    }
}
