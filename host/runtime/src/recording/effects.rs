//! What the calls of a run staged, told from the calls and their answers alone: the same for every host.

use std::collections::{BTreeMap, BTreeSet};

use dr_engine::contract::{AttributeUpdate, ContainerId, Decision, LostRange, NewSegment, RenewedGroup, Truncation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Answer, Numbered};
use super::replay::first_difference;

/// What a run that succeeded amounts to. Lists are in the order of containers and names; reports in the order in which they
/// were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Effects {
    /// Containers that were closed.
    pub containers: Vec<ContainerId>,
    /// Segments in them.
    pub created: Vec<CreatedSegment>,
    /// Reader groups among these that begin anew.
    pub renewed: Vec<RenewedSegment>,
    /// Closed containers whose transactions were ended.
    pub ended_transactions: Vec<ContainerId>,
    /// Objects that move.
    pub moved: Vec<MovedObjects>,
    /// ZNodes that change.
    pub znodes: Vec<ZNodeEffect>,
    /// Containers whose logs are restored.
    pub restored_logs: Vec<ContainerId>,
    /// Ledgers of no log that are kept.
    pub kept_ledgers: Vec<i64>,
    /// Bookies that are registered.
    pub registered_bookies: Vec<String>,
    /// Losses that were reported.
    pub losses: Vec<LostRange>,
    /// Decisions that were reported.
    pub decisions: Vec<Decision>,
}

/// A segment that lives again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CreatedSegment {
    /// Its container.
    pub container: ContainerId,
    /// Full name.
    pub segment: String,
    /// Bytes that are kept.
    pub length: u64,
    /// Created sealed, or sealed afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// Where it was truncated; none if it begins where it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_offset: Option<u64>,
    /// Core attributes that were set, by the low halves of their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "attribute_ids")]
    pub attributes: BTreeMap<u64, i64>,
}

/// A reader group that begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RenewedSegment {
    /// Its container.
    pub container: ContainerId,
    /// Full name of the segment with its state.
    pub segment: String,
}

/// Objects of a container that move to one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MovedObjects {
    /// Whose objects.
    pub container: ContainerId,
    /// Where they move to.
    pub place: String,
    /// Their keys, in order.
    pub keys: Vec<String>,
}

/// What becomes of a ZNode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ZNodeEffect {
    /// Path relative to the cluster's root.
    pub path: String,
    /// What happens to it.
    pub change: ZNodeChange,
    /// New content, lower-case hex; empty for one that is deleted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
}

/// What happens to a ZNode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZNodeChange {
    /// It did not exist.
    Created,
    /// It has other content.
    Set,
    /// It exists no more.
    Deleted,
}

/// A container that is being filled.
#[derive(Debug, Default)]
struct Filling {
    segments: BTreeMap<String, CreatedSegment>,
    renewed: BTreeSet<String>,
    are_transactions_ended: bool,
}

#[derive(Debug, Default)]
struct Tally {
    containers: BTreeMap<ContainerId, Filling>,
    closed: BTreeSet<ContainerId>,
    moved: BTreeMap<(ContainerId, String), BTreeSet<String>>,
    znodes: BTreeMap<String, (ZNodeChange, String)>,
    restored_logs: BTreeSet<ContainerId>,
    kept_ledgers: BTreeSet<i64>,
    registered_bookies: BTreeSet<String>,
    losses: Vec<LostRange>,
    decisions: Vec<Decision>,
}

impl Effects {
    /// The effects of these calls, in the order in which they were made. Calls that failed have none, nor have containers
    /// that were not closed.
    #[must_use]
    pub fn of(calls: &[Numbered]) -> Self {
        let mut tally = Tally::default();
        for Numbered { call, answer, .. } in calls {
            if let Answer::Ok(answer) = answer {
                tally.see(&call.call, &call.arguments, answer);
            }
        }
        tally.into_effects()
    }

    /// Where other effects differ first, in words; none if they are the same.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        let (expected, got) = (json!(self), json!(other));
        let names = [
            "containers",
            "created",
            "renewed",
            "ended-transactions",
            "moved",
            "znodes",
            "restored-logs",
            "kept-ledgers",
            "registered-bookies",
            "losses",
            "decisions",
        ];
        names.into_iter().find_map(|name| {
            let lengths = [&expected, &got].map(|effects| effects[name].as_array().map_or(0, Vec::len));
            if lengths[0] != lengths[1] {
                return Some(format!("{name}: {} expected, got {}", lengths[0], lengths[1]));
            }
            first_difference(&expected[name], &got[name], &format!("/{name}"))
        })
    }
}

impl Tally {
    fn see(&mut self, call: &str, arguments: &Value, answer: &Value) {
        if let Some(function) = call.strip_prefix("containers.fresh-container.") {
            self.see_container(function, arguments, answer);
            return;
        }
        match call {
            "containers.open-fresh-container" => {
                self.containers.insert(argument(arguments, "container"), Filling::default());
            }
            "storage.move-aside" => {
                let place = (argument(arguments, "container"), argument(arguments, "place"));
                self.moved.entry(place).or_default().extend(argument::<Vec<String>>(arguments, "keys"));
            }
            "coordination.create" => self.change(arguments, ZNodeChange::Created),
            "coordination.set" => self.change(arguments, ZNodeChange::Set),
            "coordination.delete" => self.change(arguments, ZNodeChange::Deleted),
            "logs.restore-log" => {
                self.restored_logs.insert(argument(arguments, "container"));
            }
            "ledgers.keep-ledgers" => self.kept_ledgers.extend(argument::<Vec<i64>>(arguments, "ids")),
            "bookies.register-bookies" => self.registered_bookies.extend(argument::<Vec<String>>(arguments, "ids")),
            "report.loss" => self.losses.extend(serde_json::from_value::<LostRange>(arguments.clone())),
            "report.decision" => self.decisions.extend(serde_json::from_value::<Decision>(arguments.clone())),
            _ => {}
        }
    }

    fn see_container(&mut self, function: &str, arguments: &Value, answer: &Value) {
        let id: ContainerId = argument(arguments, "container");
        let filling = self.containers.entry(id).or_default();
        let segments = &mut filling.segments;
        match function {
            "create-segments" => segments.extend(
                argument::<Vec<NewSegment>>(arguments, "segments")
                    .into_iter()
                    .map(|new| (new.name.clone(), created(id, new))),
            ),
            "seal-segments" => argument::<Vec<String>>(arguments, "names").iter().for_each(|name| {
                change_segment(segments, name, |segment| segment.sealed = true);
            }),
            "truncate-segments" => {
                argument::<Vec<Truncation>>(arguments, "truncations").iter().for_each(|truncation| {
                    change_segment(segments, &truncation.segment, |it| it.start_offset = Some(truncation.start_offset));
                })
            }
            "update-attributes" => argument::<Vec<AttributeUpdate>>(arguments, "updates").iter().for_each(|update| {
                let new = update.attributes.iter().map(|attribute| (attribute.id, attribute.value));
                change_segment(segments, &update.segment, |segment| segment.attributes.extend(new));
            }),
            "renew-reader-groups" => {
                let outcomes: Vec<RenewedGroup> = serde_json::from_value(answer.clone()).unwrap_or_default();
                let names = argument::<Vec<String>>(arguments, "names").into_iter().zip(outcomes);
                let renewed = names.filter(|(_, group)| group.outcome == "renewed");
                filling.renewed.extend(renewed.map(|(name, _)| name));
            }
            "end-transactions" => filling.are_transactions_ended = true,
            "close" => {
                self.closed.insert(id);
            }
            _ => {}
        }
    }

    /// One change after another makes one change.
    fn change(&mut self, arguments: &Value, change: ZNodeChange) {
        use ZNodeChange::{Created, Deleted, Set};
        let path: String = argument(arguments, "path");
        let before = self.znodes.remove(&path).map(|(change, _)| change);
        let change = match (before, change) {
            (Some(Created), Set) => Created,
            (Some(Created), Deleted) => return,
            (Some(Deleted), Created) => Set,
            (_, change) => change,
        };
        self.znodes.insert(path, (change, argument(arguments, "data")));
    }

    fn into_effects(mut self) -> Effects {
        self.containers.retain(|id, _| self.closed.contains(id));
        let renewed = self.containers.iter().flat_map(|(&container, filling)| {
            filling.renewed.iter().map(move |name| RenewedSegment { container, segment: name.clone() })
        });
        let ended = self.containers.iter().filter(|(_, filling)| filling.are_transactions_ended);
        let moved = self.moved.into_iter().filter(|(_, keys)| !keys.is_empty());
        let znodes = self.znodes.into_iter();
        Effects {
            containers: self.containers.keys().copied().collect(),
            renewed: renewed.collect(),
            ended_transactions: ended.map(|(&id, _)| id).collect(),
            created: self.containers.into_values().flat_map(|filling| filling.segments.into_values()).collect(),
            moved: moved
                .map(|((container, place), keys)| MovedObjects { container, place, keys: keys.into_iter().collect() })
                .collect(),
            znodes: znodes.map(|(path, (change, data))| ZNodeEffect { path, change, data }).collect(),
            restored_logs: self.restored_logs.into_iter().collect(),
            kept_ledgers: self.kept_ledgers.into_iter().collect(),
            registered_bookies: self.registered_bookies.into_iter().collect(),
            losses: self.losses,
            decisions: self.decisions,
        }
    }
}

fn created(container: ContainerId, new: NewSegment) -> CreatedSegment {
    let NewSegment { name, sealed, length } = new;
    CreatedSegment { container, segment: name, length, sealed, start_offset: None, attributes: BTreeMap::new() }
}

fn change_segment(
    segments: &mut BTreeMap<String, CreatedSegment>,
    name: &str,
    change: impl FnOnce(&mut CreatedSegment),
) {
    if let Some(segment) = segments.get_mut(name) {
        change(segment);
    }
}

/// An argument of a call; the relay wrote it, so it is there unless the call has none of that name.
fn argument<T: DeserializeOwned + Default>(arguments: &Value, name: &str) -> T {
    serde_json::from_value(arguments[name].clone()).unwrap_or_default()
}

/// Attributes as a table: keys of tables are texts.
mod attribute_ids {
    use std::collections::BTreeMap;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(attributes: &BTreeMap<u64, i64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(attributes.iter().map(|(id, value)| (id.to_string(), value)))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<BTreeMap<u64, i64>, D::Error> {
        let named = BTreeMap::<String, i64>::deserialize(deserializer)?;
        let number = |(id, value): (String, i64)| match id.parse() {
            Ok(id) => Ok((id, value)),
            Err(_) => {
                Err(D::Error::custom(format!("`{id}` is no id of a core attribute; ids are numbers, as in `9 = 1`")))
            }
        };
        named.into_iter().map(number).collect()
    }
}
