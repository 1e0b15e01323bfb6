//! Runs recovery procedures: WebAssembly components of the world pravega:recovery/procedure.
