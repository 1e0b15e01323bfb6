//! What the scenario tests share: captured trees, the built `dr`, golden files.
