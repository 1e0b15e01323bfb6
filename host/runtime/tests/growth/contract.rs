//! A contract as a list of names with their shapes, so that two can be compared.

use std::collections::BTreeMap;
use std::path::Path;

use wit_parser::{Function, Handle, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem};

/// Version, and everything that guests depend on, by its name. Comments are no part of it.
pub struct Contract {
    pub version: semver::Version,
    items: BTreeMap<String, String>,
}

impl Contract {
    /// Reads the folder of a version.
    pub fn read(folder: &Path) -> Self {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(folder).unwrap();
        Self::of(&resolve, package)
    }

    /// One of this version with this text.
    pub fn of_text(version: &str, text: &str) -> Self {
        let text = format!("package made:up@{version};\n{text}");
        let mut resolve = Resolve::default();
        let package = resolve.push_source("made-up.wit", &text).unwrap();
        Self::of(&resolve, package)
    }

    fn of(resolve: &Resolve, package: PackageId) -> Self {
        let package = &resolve.packages[package];
        let mut items = BTreeMap::new();
        for (name, id) in &package.interfaces {
            let interface = &resolve.interfaces[*id];
            let types = interface.types.iter().map(|(item, id)| (item, kind(resolve, &resolve.types[*id].kind)));
            let functions = interface.functions.iter().map(|(item, function)| (item, signature(resolve, function)));
            items.extend(types.chain(functions).map(|(item, shape)| (format!("{name}.{item}"), shape)));
        }
        for (name, id) in &package.worlds {
            let world = &resolve.worlds[*id];
            for (direction, (_, item)) in world
                .imports
                .iter()
                .map(|item| ("import", item))
                .chain(world.exports.iter().map(|item| ("export", item)))
            {
                let (item, shape) = match item {
                    WorldItem::Function(function) => (function.name.clone(), signature(resolve, function)),
                    WorldItem::Type { id, .. } => (named(resolve, *id), kind(resolve, &resolve.types[*id].kind)),
                    WorldItem::Interface { id, .. } => {
                        (resolve.interfaces[*id].name.clone().unwrap_or_default(), "interface".to_owned())
                    }
                };
                items.insert(format!("{name}: {direction} {item}"), shape);
            }
        }
        Self { version: package.name.version.clone().unwrap(), items }
    }

    /// Which rules the step to a later contract, or to this one as it is now, breaks: sentences.
    pub fn rules_broken_by(&self, new: &Self) -> Vec<String> {
        let allowed = Step::between(&self.version, &new.version);
        let breaking = if self.version.major == 0 { Step::Minor } else { Step::Major };
        let mut broken = Vec::new();
        let mut require = |step: Step, item: &str, what: &str| {
            if allowed < step {
                let rule = if allowed == Step::Same { Step::Same } else { step }.in_words();
                broken.push(format!("`{item}` {what} {}, which has to {rule}", new.version));
            }
        };
        for (item, shape) in &self.items {
            match new.items.get(item) {
                None => require(breaking, item, "is missing in"),
                Some(now) if now != shape => require(breaking, item, "is another one in"),
                Some(_) => {}
            }
        }
        for item in new.items.keys().filter(|item| !self.items.contains_key(*item)) {
            require(Step::Minor, item, "is new in");
        }
        broken
    }
}

/// How far two versions are apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Same,
    Patch,
    Minor,
    Major,
}

impl Step {
    fn between(old: &semver::Version, new: &semver::Version) -> Self {
        match (new.major > old.major, new.minor > old.minor, new > old) {
            (true, _, _) => Self::Major,
            (_, true, _) => Self::Minor,
            (_, _, true) => Self::Patch,
            _ => Self::Same,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Same => "stay as it is",
            Self::Patch => "be a new version",
            Self::Minor => "be a new minor version",
            Self::Major => "be a new major version",
        }
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let parameters =
        function.params.iter().map(|parameter| format!("{}: {}", parameter.name, shape(resolve, &parameter.ty)));
    let result = function.result.as_ref().map(|result| shape(resolve, result));
    format!("func({}) -> {}", parameters.collect::<Vec<_>>().join(", "), result.unwrap_or_default())
}

/// A type where it is used: its name, if it has one.
fn shape(resolve: &Resolve, used: &Type) -> String {
    match used {
        Type::Id(id) if resolve.types[*id].name.is_some() => named(resolve, *id),
        Type::Id(id) => kind(resolve, &resolve.types[*id].kind),
        primitive => format!("{primitive:?}"),
    }
}

fn named(resolve: &Resolve, id: TypeId) -> String {
    let definition = &resolve.types[id];
    let owner = match definition.owner {
        TypeOwner::Interface(interface) => resolve.interfaces[interface].name.clone(),
        TypeOwner::World(world) => Some(resolve.worlds[world].name.clone()),
        TypeOwner::None => None,
    };
    format!("{}.{}", owner.unwrap_or_default(), definition.name.clone().unwrap_or_default())
}

/// A type where it is defined: all that it is made of.
fn kind(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let of = |used: &Type| shape(resolve, used);
    let optional = |used: &Option<Type>| used.as_ref().map_or_else(|| "_".to_owned(), of);
    let joined = |parts: Vec<String>| parts.join(", ");
    match kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, of(&field.ty)));
            format!("record {{ {} }}", joined(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| format!("{}({})", case.name, optional(&case.ty)));
            format!("variant {{ {} }}", joined(cases.collect()))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{ {} }}", joined(cases.cases.iter().map(|case| case.name.clone()).collect()))
        }
        TypeDefKind::Flags(flags) => {
            format!("flags {{ {} }}", joined(flags.flags.iter().map(|flag| flag.name.clone()).collect()))
        }
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", joined(tuple.types.iter().map(of).collect())),
        TypeDefKind::List(item) => format!("list<{}>", of(item)),
        TypeDefKind::Option(item) => format!("option<{}>", of(item)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", optional(&result.ok), optional(&result.err)),
        TypeDefKind::Handle(Handle::Own(id)) => named(resolve, *id),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", named(resolve, *id)),
        TypeDefKind::Type(alias) => of(alias),
        TypeDefKind::Resource => "resource".to_owned(),
        other => panic!("the comparison does not know types of the kind {}", other.as_str()),
    }
}
