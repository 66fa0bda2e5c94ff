//! Readers of logs and events that are killed, stand still, or lose the coordinator that they read from.

use std::io::Read as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use cullet_tests::cluster::{Cluster, until};

use super::support::{curl, resident, unique};

/// Lines of the log that is read, in so many pieces.
const LINES: usize = 60_000;
const PIECES: usize = 60;

/// How often a reader is killed.
const KILLS: usize = 50;

fn line(number: usize) -> String {
    format!("line number {number} of a log that is several megabytes long, each of its lines like no other\n")
}

fn whole(lines: usize) -> Vec<u8> {
    (0..lines).map(line).collect::<String>().into_bytes()
}

/// A step that prints so many lines in pieces, and waits in front of each.
fn talkative(cluster: &Cluster, name: &str, lines: usize, pieces: usize, pause: &str) -> String {
    let each = lines / pieces;
    let print = line(7).trim_end().replace('7', "%.0f");
    let last = each - 1;
    let run = format!(
        "k=0; while [ $k -lt {pieces} ]; do sleep {pause}; seq -f \"{print}\" $((k*{each})) $((k*{each}+{last})); \
         k=$((k+1)); done"
    );
    cluster.detach(&unique(cluster, name, &run))
}

/// Numbers that look random; the same ones in every run of a test.
struct Dice(u64);

impl Dice {
    /// Below a bound. Constants of Knuth's MMIX.
    fn roll(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Starts a reader of what one coordinator answers.
fn reader(mut command: Command) -> (Child, ChildStdout) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    (child, stdout)
}

/// Reads at least so many bytes, kills the reader, and gives what came; without a number, until it ends. Says whether it
/// has ended well by itself.
fn read(command: Command, enough: Option<usize>) -> (Vec<u8>, bool) {
    let (mut child, mut stdout) = reader(command);
    let (mut got, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        if enough.is_some_and(|enough| got.len() >= enough) {
            child.kill().unwrap();
            child.wait().unwrap();
            return (got, false);
        }
        match stdout.read(&mut piece).unwrap() {
            0 => return (got, child.wait().unwrap().success()),
            count => got.extend_from_slice(&piece[..count]),
        }
    }
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let common = one.iter().zip(other).position(|(one, other)| one != other);
    common.or((one.len() != other.len()).then_some(one.len().min(other.len())))
}

#[test]
fn a_log_is_whole_when_its_reader_was_killed_fifty_times_and_its_leader_once() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let run = talkative(&cluster, "talk", LINES, PIECES, "0.5");
    // One that is never killed, to go through the change of leader.
    let mut steady = cluster.command();
    steady.args(["logs", &run, "s", "-f", "--cluster", &cluster.urls()]);
    let steady = std::thread::spawn(move || read(steady, None));
    let (mut dice, mut got, mut kills) = (Dice(26), Vec::new(), 0);
    let mut led = Some(led);
    loop {
        let position = dice.roll(3) as usize;
        let url = format!(
            "{}/api/v1/runs/{run}/log?step=s&follow=true&offset={}",
            cluster.url(position),
            got.len()
        );
        let mut command = curl(&cluster);
        command.args(["-fN", "--max-time", "60", &url]);
        let enough = (kills < KILLS).then(|| dice.roll(120_000) as usize);
        let (piece, whole) = read(command, enough);
        got.extend(piece);
        kills += usize::from(enough.is_some());
        if kills == KILLS / 2
            && let Some(led) = led.take()
        {
            cluster.kill_coordinator(led);
        }
        if whole && enough.is_none() {
            break;
        }
        std::thread::sleep(Duration::from_millis(dice.roll(100)));
        assert!(got.len() <= line(LINES).len() * LINES, "more than was printed");
    }
    assert!(led.is_none(), "the leader was killed in the middle");
    let expected = whole(LINES);
    assert_eq!(first_difference(&got, &expected), None, "{} of {} bytes", got.len(), expected.len());
    let (steady, ended) = steady.join().unwrap();
    assert!(ended);
    assert_eq!(first_difference(&steady, &expected), None, "{} of {} bytes", steady.len(), expected.len());
}

/// The numbers of the events in a stream of server-sent events, as far as they are whole.
fn numbers(stream: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(stream);
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect()
}

#[test]
fn events_have_no_gap_when_their_reader_was_killed_fifty_times_and_their_leader_once() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let led = cluster.leader_of(&cluster.agreed_leader());
    let steps: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let text = format!(
        "cullet: 1\nname: many\nsteps:\n  s:\n    matrix: {{ n: [{}] }}\n    run: 'sleep 1; true ${{{{ matrix.n }}}}'\n",
        steps.join(", ")
    );
    let run = cluster.detach(&cluster.pipeline("many", &text));
    let (mut dice, mut seen, mut kills) = (Dice(27), Vec::<u64>::new(), 0);
    let mut led = Some(led);
    loop {
        let url = format!("{}/api/v1/runs/{run}/events", cluster.url(dice.roll(3) as usize));
        let known = format!("Last-Event-ID: {}", seen.last().unwrap_or(&0));
        let mut command = curl(&cluster);
        command.args(["-fN", "--max-time", "60", "-H", "Accept: text/event-stream", "-H", &known, &url]);
        let enough = (kills < KILLS).then(|| dice.roll(600) as usize);
        let (piece, ended) = read(command, enough);
        seen.extend(numbers(&piece));
        kills += usize::from(enough.is_some());
        if kills == KILLS / 2
            && let Some(led) = led.take()
        {
            cluster.kill_coordinator(led);
        }
        // Status 204, with nothing in it: there is nothing more to know.
        if ended && piece.is_empty() && kills >= KILLS {
            break;
        }
        std::thread::sleep(Duration::from_millis(dice.roll(100)));
    }
    let expected: Vec<u64> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, expected, "from 1 without a gap, each once");
    assert!(seen.len() > 80, "each step starts and ends: {}", seen.len());
}

#[test]
fn a_reader_that_stands_still_holds_up_nobody() {
    const MANY: usize = 600_000;
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let attach = |run: &str| {
        let ended = cluster.cullet(&["attach", run, "--cluster", &cluster.urls(), "--progress", "json"]);
        assert_eq!(ended.exit_code, 0, "{}", ended.stderr);
    };
    // What as long a log takes without such a reader.
    attach(&talkative(&cluster, "before", MANY, 60, "0.05"));
    let coordinator = cluster.coordinator(0).unwrap().id();
    let before = resident(coordinator);
    let run = talkative(&cluster, "after", MANY, 60, "0.05");
    let (sender, received) = std::sync::mpsc::channel();
    let mut command = cluster.command();
    command.args(["logs", &run, "s", "-f", "--cluster", &cluster.urls()]);
    let (mut child, mut stdout) = reader(command);
    let id = child.id().to_string();
    std::thread::spawn(move || {
        let mut first = [0; 64];
        stdout.read_exact(&mut first).unwrap();
        sender.send(Vec::new()).unwrap();
        let mut all = first.to_vec();
        stdout.read_to_end(&mut all).unwrap();
        sender.send(all).unwrap();
    });
    received.recv_timeout(Duration::from_secs(60)).expect("the log begins");
    let signal = |name: &str| super::support::succeed(Command::new("kill").args([name, &id]));
    signal("-STOP");
    attach(&run);
    let expected = whole(MANY);
    let after = resident(coordinator);
    println!("{before} KiB, then {after} KiB, of a log of {} KiB", expected.len() / 1024);
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    signal("-CONT");
    let all = received.recv_timeout(Duration::from_secs(120)).expect("it goes on where it stood");
    assert_eq!(first_difference(&all, &expected), None, "{} of {} bytes", all.len(), expected.len());
    until("it ends", || child.try_wait().unwrap()).success().then_some(()).expect("it ends well");
}
