use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[derive(Default)]
struct Count {
    events: AtomicUsize,
    ticks: AtomicUsize,
    closes: AtomicUsize,
}

impl Observer for Arc<Count> {
    fn event(&mut self, _: &Event, _: Moment) {
        self.events.fetch_add(1, Ordering::SeqCst);
    }

    fn tick(&mut self, now: Moment) {
        assert!(now.elapsed >= TICK / 2);
        self.ticks.fetch_add(1, Ordering::SeqCst);
    }

    fn close(&mut self, _: &Closing, _: Moment) {
        self.closes.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn everybody_sees_everything_and_is_woken_in_between() {
    let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
    let list = counts.iter().map(|count| Box::new(Arc::clone(count)) as Box<dyn Observer>).collect();
    let mut observers = Observers::start(list);
    observers.event(&Event::StepQueued { step: "a".to_owned() });
    let start = Instant::now();
    while counts.iter().any(|count| count.ticks.load(Ordering::SeqCst) < 2) {
        assert!(start.elapsed() < Duration::from_secs(30), "nobody is woken");
        std::thread::sleep(Duration::from_millis(10));
    }
    observers.close(&Closing::default());
    for count in &counts {
        assert_eq!((count.events.load(Ordering::SeqCst), count.closes.load(Ordering::SeqCst)), (1, 1));
    }
}

#[test]
fn ending_does_not_wait_for_the_clock() {
    let start = Instant::now();
    for _ in 0..20 {
        Observers::start(Vec::new()).close(&Closing::default());
    }
    assert!(start.elapsed() < TICK * 20 / 2, "{:?}", start.elapsed());
}
