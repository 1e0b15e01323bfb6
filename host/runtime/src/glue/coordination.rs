//! Interface `coordination`.

use dr_engine::contract;

use crate::bindings::pravega::recovery::coordination::{Host, Znode};
use crate::state::{HostResult, State};

impl Host for State {
    fn get(&mut self, path: String) -> HostResult<Option<Znode>> {
        self.check_text(&path)?;
        let node = self.call("coordination.get", |host| host.znode(&path))?;
        Ok(node.map(|contract::ZNode { data, version }| Znode { data, version }))
    }

    fn children(&mut self, path: String) -> HostResult<Vec<String>> {
        self.check_text(&path)?;
        self.call("coordination.children", |host| host.znode_children(&path))
    }

    fn create(&mut self, path: String, data: Vec<u8>) -> HostResult<()> {
        self.check_text(&path)?;
        self.check_znode(&data)?;
        self.stage(1, path.len() + data.len())?;
        self.call("coordination.create", |host| host.create_znode(&path, data))
    }

    fn set(&mut self, path: String, data: Vec<u8>, expected_version: i32) -> HostResult<()> {
        self.check_text(&path)?;
        self.check_znode(&data)?;
        self.stage(1, path.len() + data.len())?;
        self.call("coordination.set", |host| host.set_znode(&path, data, expected_version))
    }

    fn delete(&mut self, path: String, expected_version: i32) -> HostResult<()> {
        self.check_text(&path)?;
        self.stage(1, path.len())?;
        self.call("coordination.delete", |host| host.delete_znode(&path, expected_version))
    }
}
