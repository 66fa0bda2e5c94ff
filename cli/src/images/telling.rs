//! What is said while an image is on its way, which can be minutes in which no step gets on.

use std::future::Future;
use std::time::Duration;

use cullet_coordinator::event::{Event, EventSink as _, Note};
use cullet_image::{Progress, Resolved, Store};
use tokio::time::Instant;

use crate::commands::run::watchers::Watchers;
use crate::ui::size;

/// How long nothing is said at first: most images are here by then, or it is known by then that they will not be
/// soon.
const FIRST: Duration = Duration::from_secs(5);
/// The pauses double up to this one, so that an hour of pulling is seventy lines.
const LONGEST: Duration = Duration::from_secs(60);

/// One image on its way.
pub(super) struct Telling<'a> {
    watchers: &'a Watchers,
    /// As the pipeline calls it.
    name: &'a str,
    pause: Duration,
    next: Instant,
}

impl<'a> Telling<'a> {
    pub(super) fn of(name: &'a str, watchers: &'a Watchers) -> Self {
        Self { watchers, name, pause: FIRST, next: Instant::now() + FIRST }
    }

    /// It is known what is missing.
    pub(super) fn begins(&self, progress: Progress) {
        let Progress { layers, all_layers, bytes, all_bytes } = progress;
        let plural = if all_layers == 1 { "" } else { "s" };
        let all = size::human(all_bytes);
        let mut text = format!("pulling {}: {all} in {all_layers} layer{plural}", self.name);
        if layers > 0 || (bytes > 0 && bytes < all_bytes) {
            text += &format!("; {}", far(progress));
        }
        self.say(text);
    }

    /// Does the work, and says now and then how far it is.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
        pulled: Option<(&Store, &Resolved)>,
    ) -> T {
        tokio::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout_at(self.next, &mut work).await {
                return done;
            }
            let so_far = match pulled {
                Some((store, image)) => far(store.progress(image)),
                None => "nobody has said yet what is in it".to_owned(),
            };
            self.say(format!("pulling {}: {so_far}", self.name));
            self.pause = (self.pause * 2).min(LONGEST);
            self.next = Instant::now() + self.pause;
        }
    }

    fn say(&self, text: String) {
        let (level, kind) = ("info".to_owned(), Some(Note::IMAGE.to_owned()));
        self.watchers.clone().event(&Event::Note(Note { level, kind, step: None, text }));
    }
}

fn far(progress: Progress) -> String {
    let Progress { layers, all_layers, bytes, all_bytes } = progress;
    let (bytes, all) = (size::human(bytes), size::human(all_bytes));
    format!("{bytes} of {all} here, {layers} of {all_layers} layers unpacked")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::ui::{Closing, Moment, Observer};

    /// Keeps what is said.
    #[derive(Debug, Default, Clone)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Observer for Heard {
        fn event(&mut self, event: &Event, _: Moment) {
            if let Event::Note(note) = event {
                assert_eq!((&*note.level, note.kind.as_deref()), ("info", Some("image")));
                self.0.lock().unwrap().push(note.text.clone());
            }
        }

        fn tick(&mut self, _: Moment) {}

        fn close(&mut self, _: &Closing, _: Moment) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_pull_is_told_of_less_and_less_often() {
        let (heard, watchers) = (Heard::default(), Watchers::idle());
        watchers.begin(vec![Box::new(heard.clone())], 0);
        let mut telling = Telling::of("app:1", &watchers);
        telling.during(tokio::time::sleep(Duration::from_secs(4)), None).await;
        watchers.close(&Closing::default());
        assert_eq!(heard.0.lock().unwrap().len(), 0, "fast");
        watchers.begin(vec![Box::new(heard.clone())], 0);
        let mut telling = Telling::of("app:1", &watchers);
        telling.during(tokio::time::sleep(Duration::from_secs(3600)), None).await;
        watchers.close(&Closing::default());
        let heard = heard.0.lock().unwrap();
        // After 5, 15, 35 and 75 seconds, and then each minute.
        assert_eq!(heard.len(), 4 + 58);
        assert!(heard.iter().all(|text| text == "pulling app:1: nobody has said yet what is in it"));
    }

    #[test]
    fn how_far_it_is_is_said_in_numbers() {
        let progress = Progress { layers: 1, all_layers: 3, bytes: 3 << 20, all_bytes: 9 << 20 };
        assert_eq!(far(progress), "3.0 MiB of 9.0 MiB here, 1 of 3 layers unpacked");
    }
}
