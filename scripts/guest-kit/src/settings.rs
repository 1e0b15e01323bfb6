//! Typed access to the settings of a run.

use crate::bindings::pravega::recovery::types::Setting;
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

    /// A setting as text.
    ///
    /// # Errors
    /// `failed` if the procedure does not describe such a parameter.
    pub fn text(&self, name: &str) -> Result<&str> {
        let setting = self.0.iter().find(|setting| setting.name == name);
        let missing = || Error::Failed(format!("the procedure asks for the setting `{name}` but does not describe it"));
        setting.map(|setting| setting.value.as_str()).ok_or_else(missing)
    }

    /// A setting of kind `boolean`.
    ///
    /// # Errors
    /// `failed` if there is none or it is not a boolean.
    pub fn boolean(&self, name: &str) -> Result<bool> {
        self.parsed(name, "a boolean")
    }

    /// A setting of kind `integer`.
    ///
    /// # Errors
    /// `failed` if there is none or it is not an integer.
    pub fn integer(&self, name: &str) -> Result<i64> {
        self.parsed(name, "an integer")
    }

    /// A setting of kind `choice`: the value that stands beside the word chosen.
    ///
    /// # Errors
    /// `failed` if there is none or its word is not among the choices.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        let word = self.text(name)?;
        let chosen = choices.iter().find(|(choice, _)| *choice == word);
        let unknown = || Error::Failed(format!("the setting `{name}` is `{word}`, which the procedure does not know"));
        chosen.map(|(_, value)| *value).ok_or_else(unknown)
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<T> {
        let word = self.text(name)?;
        word.parse().map_err(|_| Error::Failed(format!("the setting `{name}` is `{word}`, which is not {what}")))
    }
}
