//! The settings of a run.

use crate::parameters::Typed;
use crate::types::Setting;
use crate::{Error, Result};

/// The settings of this run. The host has checked them against the described parameters, so a failure here means
/// that `describe` and the code that asks disagree.
#[derive(Debug)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// From what an export was called with.
    #[must_use]
    pub fn new(settings: Vec<Setting>) -> Self {
        Self(settings)
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// `failed` if the procedure does not describe this parameter, or another one by its name.
    pub fn get<P: Typed>(&self, parameter: &P) -> Result<P::Value> {
        let name = parameter.name();
        let text = self.text(name)?;
        let unknown = || Error::Failed(format!("the setting `{name}` is `{text}`, which the procedure does not know"));
        parameter.value(text).ok_or_else(unknown)
    }

    /// A setting as the operator wrote it.
    ///
    /// # Errors
    /// `failed` if the procedure does not describe such a parameter.
    pub fn text(&self, name: &str) -> Result<&str> {
        let setting = self.0.iter().find(|setting| setting.name == name);
        let missing = || Error::Failed(format!("the procedure asks for the setting `{name}` but does not describe it"));
        setting.map(|setting| setting.value.as_str()).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Integer;

    const COUNT: Integer = Integer { name: "count", default: 1, help: "Help." };

    fn settings(name: &str, value: &str) -> Settings {
        Settings::new(vec![Setting { name: name.to_owned(), value: value.to_owned() }])
    }

    #[test]
    fn a_setting_has_the_type_of_its_parameter() {
        assert_eq!(settings("count", "7").get(&COUNT), Ok(7));
    }

    #[test]
    fn what_is_not_described_is_told_by_name() {
        let told = |settings: Settings| settings.get(&COUNT).unwrap_err();
        assert!(matches!(told(settings("other", "7")), Error::Failed(why) if why.contains("`count` but does not")));
        assert!(matches!(told(settings("count", "x")), Error::Failed(why) if why.contains("`count` is `x`")));
    }
}
