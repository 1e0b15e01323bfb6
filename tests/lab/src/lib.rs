//! The lab: real servers.
