//! What the scenario tests share: captured trees, the built `dr`, labs.

pub mod browser;
pub mod captured;
pub mod damage;
pub mod dr;
pub mod generate;
pub mod golden;
pub mod held;
pub mod histories;
pub mod history;
pub mod kept;
pub mod real_servers;
pub mod small_disk;
