//! Writers, readers and collectors of one store, all at the same time, in an order that a seed says. Days pass in a second.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// Results are over soon, so that much is removed while others come.
const KEEP_ONE_HOUR: Policy = Policy { keep: HOUR, ..POLICY };

/// How long the simulated world lasts.
const LASTS: Duration = Duration::from_secs(5 * 24 * 3600);

struct World {
    store: Arc<Store>,
    source: Source,
    results: Vec<ActionResult>,
    seen: RefCell<Seen>,
}

/// What happened, so that a world in which nothing does is noticed.
#[derive(Debug, Default)]
struct Seen {
    rounds: usize,
    removed: usize,
    crashes: usize,
    published: usize,
    given_up: usize,
    hits: usize,
}

struct Dice(fastrand::Rng);

impl Dice {
    async fn sleep(&mut self, most: Duration) {
        tokio::time::sleep(most.mul_f64(self.0.f64())).await;
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.0.u32(..many) == 0
    }
}

/// Stores some result again and again, now and then so slowly that hours pass in between, and sometimes it is killed.
async fn writer(world: Rc<World>, seed: u64) {
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    let mut machine = world.source.writer(&world.store);
    loop {
        dice.sleep(6 * HOUR).await;
        let number = dice.0.usize(..world.results.len());
        let result = &world.results[number];
        let (slow, rest) = (dice.one_in(3), if dice.one_in(4) { 5 * HOUR } else { 30 * MINUTE });
        let work = async {
            world.source.upload(&machine, result).await?;
            if slow {
                dice.sleep(rest).await;
            }
            machine.actions.put(&action(number as u64), result).await
        };
        match work.await {
            Ok(()) => world.seen.borrow_mut().published += 1,
            Err(_) => world.seen.borrow_mut().given_up += 1,
        }
        if dice.one_in(10) {
            // Another process, which knows nothing; and one that is killed in the middle.
            machine = world.source.writer(&world.store);
            let upload = world.source.upload(&machine, result);
            drop(tokio::time::timeout(Duration::from_millis(dice.0.u64(..500)), upload).await);
        }
    }
}

/// Finds some result, and reads all of it when most of the grace is over.
async fn reader(world: Rc<World>, seed: u64) {
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    loop {
        dice.sleep(20 * MINUTE).await;
        let machine = world.source.reader(&world.store);
        let number = dice.0.usize(..world.results.len());
        let Some(result) = machine.hit(number as u64).await.unwrap() else { continue };
        world.seen.borrow_mut().hits += 1;
        dice.sleep(45 * MINUTE).await;
        // What is remembered of trees is no help.
        let machine = world.source.reader(&world.store);
        if let Err(error) = machine.fetch(&result).await {
            panic!("a reader misses what it had found: {error:?}");
        }
    }
}

/// Collects every now and then. Some rounds are killed in the middle, and some stand still for hours.
async fn collector(world: Rc<World>, seed: u64) {
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    loop {
        dice.sleep(30 * MINUTE).await;
        let round = round(&world.store, &KEEP_ONE_HOUR);
        let done = if dice.one_in(6) {
            let patience = Duration::from_millis(dice.0.u64(..20_000));
            tokio::time::timeout(patience, round).await.ok()
        } else {
            Some(round.await)
        };
        let mut seen = world.seen.borrow_mut();
        match done {
            Some(Ok(report)) => {
                seen.rounds += 1;
                seen.removed += report.removed;
            }
            Some(Err(_)) => {}
            None => seen.crashes += 1,
        }
    }
}

async fn live(seed: u64) -> Seen {
    let (store, source) = (Arc::new(Store::new(seed)), Source::new());
    let mut results = Vec::new();
    // Some have packs, files or whole trees in common.
    for seeds in [[1, 2, 3], [1, 2, 4], [5, 6, 7], [5, 6, 8], [1, 2, 3], [9, 6, 7]] {
        results.push(source.result(&seeds).await);
    }
    *store.slow.lock().unwrap() = Duration::from_secs(60);
    let world = Rc::new(World { store, source, results, seen: RefCell::default() });
    let mut all: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
    for number in 0..3 {
        all.push(writer(Rc::clone(&world), seed * 100 + number).boxed_local());
        all.push(reader(Rc::clone(&world), seed * 100 + 10 + number).boxed_local());
    }
    for number in 0..2 {
        all.push(collector(Rc::clone(&world), seed * 100 + 20 + number).boxed_local());
    }
    drop(tokio::time::timeout(LASTS, futures_util::future::join_all(all)).await);
    world.store.check();
    // When nobody writes any more, everything goes.
    *world.store.slow.lock().unwrap() = Duration::ZERO;
    tokio::time::sleep(KEEP_ONE_HOUR.keep + lock::SILENCE).await;
    for _ in 0..4 {
        round(&world.store, &KEEP_ONE_HOUR).await.unwrap();
        tokio::time::sleep(HOUR).await;
    }
    assert_eq!(world.store.counts(), [0; 4], "seed {seed}");
    world.seen.take()
}

/// Lives in these worlds, and says how much was removed in all of them.
fn simulate(seeds: std::ops::Range<u64>) -> usize {
    let mut removed = 0;
    for seed in seeds {
        println!("seed {seed}");
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let seen = runtime.block_on(live(seed));
        println!("{seen:?}");
        assert!(seen.rounds > 100 && seen.crashes > 5, "seed {seed}: {seen:?}");
        assert!(seen.hits > 20 && seen.published > 50, "seed {seed}: {seen:?}");
        removed += seen.removed;
    }
    removed
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// `CULLET_GC_SEEDS` says of how many worlds, and `CULLET_GC_FIRST` which seed is the first.
#[test]
fn nothing_that_is_needed_is_ever_gone() {
    let first = number("CULLET_GC_FIRST").unwrap_or(0);
    let count = number("CULLET_GC_SEEDS").unwrap_or(3);
    let removed = simulate(first..first + count);
    // In one world it may be few: that depends on the order in which threads end as well.
    assert!(removed as u64 > 20 * count, "{removed}");
}

/// Where an answer to the question whether something is there took longer than its removal.
#[test]
fn a_world_in_which_something_was_gone_once_is_sound() {
    simulate(43..44);
}
