//! What a cluster says of itself.

use std::path::PathBuf;

use serde_json::Value;

use super::Cluster;
use super::waiting::until_some;

impl Cluster {
    /// What one of the coordinators says, if it says anything.
    pub fn status(&self, position: usize) -> Option<Value> {
        let answer =
            self.cullet(&["cluster", "status", "--format", "json", "--cluster", &self.url(position)]);
        (answer.exit_code == 0).then(|| serde_json::from_str(&answer.stdout).unwrap_or_default())
    }

    /// The number of a coordinator that runs.
    ///
    /// # Panics
    /// Where it does not say it.
    pub fn id(&self, position: usize) -> String {
        let status = self.status(position);
        let id = status.as_ref().and_then(|status| status["id"].as_str());
        id.unwrap_or_else(|| panic!("coordinator {position} says nothing: {}", self.logs())).to_owned()
    }

    /// Waits until all coordinators that run can take part and say the same of the cluster.
    ///
    /// # Panics
    /// Where they do not.
    pub fn agreed(&self) -> Value {
        self.agreed_on(&["leader", "members", "applied_index", "log_hash"])
    }

    fn agreed_on(&self, keys: &[&str]) -> Value {
        let found = until_some(|| {
            let running = (0..self.ports.len()).filter(|position| self.coordinators[*position].is_some());
            let said: Option<Vec<Value>> = running.map(|position| self.status(position)).collect();
            let said = said?;
            // When members were heard changes from question to question.
            let fixed = |status: &Value, key: &str| {
                let mut value = status[key].clone();
                for member in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                    member.remove("heard_ms_ago");
                }
                value
            };
            let same = |status: &Value| keys.iter().all(|key| fixed(status, key) == fixed(&said[0], key));
            (said.iter().all(|status| status["ready"] == true && same(status))).then(|| said[0].clone())
        });
        found.unwrap_or_else(|| panic!("they did not agree: {}", self.logs()))
    }

    /// Waits until every coordinator that runs can take part and knows the same leader, however far it is.
    ///
    /// # Panics
    /// Where they do not.
    pub fn agreed_leader(&self) -> Value {
        self.agreed_on(&["leader", "members"])
    }

    /// Waits until so many workers take steps.
    ///
    /// # Panics
    /// Where they do not come.
    pub fn with_workers(&self, count: usize) {
        let found = until_some(|| {
            let running = (0..self.ports.len()).find(|position| self.coordinators[*position].is_some())?;
            let status = self.status(running)?;
            let ready = status["workers"].as_array()?.iter().filter(|worker| worker["draining"] == false);
            (ready.count() == count).then_some(())
        });
        assert!(found.is_some(), "the workers did not come: {}", self.logs());
    }

    /// The position of the leader.
    ///
    /// # Panics
    /// Where there is none.
    pub fn leader_of(&self, status: &Value) -> usize {
        let members = status["members"].as_array().into_iter().flatten();
        let leader = members.filter(|member| member["id"] == status["leader"]);
        let addresses: Vec<&str> = leader.filter_map(|leader| leader["address"].as_str()).collect();
        let led = (0..self.ports.len()).find(|position| addresses.contains(&&*self.url(*position)));
        led.unwrap_or_else(|| panic!("nobody leads: {status}"))
    }

    /// What all of them said.
    pub fn logs(&self) -> String {
        let all = [("c", self.coordinators.len()), ("w", self.workers.len())];
        let each = all.iter().flat_map(|(kind, count)| (0..*count).map(|position| self.log(kind, position)));
        each.map(|path| {
            format!("\n{}:\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default())
        })
        .collect()
    }

    pub(super) fn log(&self, kind: &str, position: usize) -> PathBuf {
        self.dir().join(format!("{kind}{position}.log"))
    }
}
