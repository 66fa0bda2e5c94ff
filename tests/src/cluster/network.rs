//! Machines of their own for processes: network namespaces on one switch, which is a namespace as well. Nothing of it
//! is connected to the network of the machine that the tests run on. Takes root.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// They are gone with it.
#[derive(Debug)]
pub struct Network {
    prefix: String,
    hosts: usize,
}

impl Network {
    /// So many machines that reach each other.
    ///
    /// # Panics
    /// Where this is not root, or `ip` is missing.
    pub fn new(hosts: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let network = Self { prefix: format!("cullet-{}-{number}", std::process::id()), hosts };
        let switch = network.switch();
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        for host in 0..hosts {
            let (namespace, port) = (network.namespace(host), format!("p{host}"));
            ip(&["netns", "add", &namespace]);
            ip(&[
                "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ]);
            ip(&["-n", &switch, "link", "set", &port, "master", "br0", "up"]);
            ip(&["-n", &namespace, "addr", "add", &format!("{}/24", network.ip(host)), "dev", "eth0"]);
            ip(&["-n", &namespace, "link", "set", "eth0", "up"]);
            ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        }
        network
    }

    /// The address of a machine.
    pub fn ip(&self, host: usize) -> String {
        format!("10.77.0.{}", host + 1)
    }

    /// A command on a machine.
    pub fn command(&self, host: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// From now on nothing from these machines reaches those.
    pub fn drop_from(&self, from: &[usize], to: &[usize]) {
        for receiver in to {
            for sender in from.iter().filter(|sender| *sender != receiver) {
                self.tables(*receiver, &["-A", "INPUT", "-s", &self.ip(*sender), "-j", "DROP"]);
            }
        }
    }

    /// From now on nothing passes between these machines and those.
    pub fn part(&self, some: &[usize], others: &[usize]) {
        self.drop_from(some, others);
        self.drop_from(others, some);
    }

    /// Of what reaches this machine, this part of a thousand is lost.
    pub fn lose(&self, host: usize, permille: u32) {
        let part = format!("{}.{:03}", permille / 1000, permille % 1000);
        self.tables(
            host,
            &["-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", &part, "-j", "DROP"],
        );
    }

    /// What this machine sends passes at so many bits a second, as `tc` has them; what waits longer than half a second is
    /// lost.
    pub fn slow(&self, host: usize, rate: &str) {
        let mut command = self.command(host, Path::new("tc"));
        command.args(["qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate]);
        succeed(command.args(["burst", "16kb", "latency", "500ms"]));
    }

    /// All reach each other again, at full speed.
    pub fn heal(&self) {
        for host in 0..self.hosts {
            self.tables(host, &["-F", "INPUT"]);
            let mut command = self.command(host, Path::new("tc"));
            succeed(command.args(["qdisc", "replace", "dev", "eth0", "root", "pfifo"]));
        }
    }

    fn tables(&self, host: usize, arguments: &[&str]) {
        let mut command = self.command(host, Path::new("iptables"));
        succeed(command.arg("-w").args(arguments));
    }

    fn switch(&self) -> String {
        format!("{}-s", self.prefix)
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(|host| self.namespace(host));
        for namespace in hosts.chain([self.switch()]) {
            // What is not there need not be removed.
            let _ = Command::new("ip").args(["netns", "del", &namespace]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    succeed(Command::new("ip").args(arguments));
}

fn succeed(command: &mut Command) {
    let output = command.output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{command:?}: {error}"),
    }
}
